// The first plugin to read. A method is a struct: its options are members, `declare` says what it reads and
// keeps, `step` is a pure function from what the host hands in to what it wants back. Whatever changes from
// step to step is in state tensors that the host owns; an instance never changes. The base has the options of
// a learning rate that depends on the step.
#include <l2o/sdk/optimizer.hpp>
#include <l2o/sdk/schedule.hpp>

namespace {

// Polyak 1964, "Some methods of speeding up the convergence of iteration methods", in the form of Sutskever
// et al. 2013 with the learning rate outside of the velocity (as in PyTorch and TensorFlow): v, mu as there.
struct Momentum : l2o::Schedule {
    static constexpr l2o::About about{
        .id = "momentum",
        .version = "1.0.0",
        .title = "Heavy ball, or Nesterov's accelerated gradient",
        .doc =
            "v <- mu v + g, x <- x - learning_rate v; with nesterov x <- x - learning_rate (g + mu v), "
            "where x stands for the look-ahead point. Polyak 1964; Sutskever, Martens, Dahl & Hinton "
            "2013, section 2."};

    double learning_rate = 0.01, mu = 0.9;
    bool nesterov = false;

    static l2o::Options<Momentum> options() {
        l2o::Options<Momentum> options;
        options.real("learning_rate", &Momentum::learning_rate, "size of a step", l2o::kPositive)
            .real("mu", &Momentum::mu, "share of the velocity that is kept", l2o::kFraction)
            .flag("nesterov", &Momentum::nesterov, "take the gradient at the look-ahead point");
        add_schedule(options);
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        spec.minimises().reads_g().coordinatewise();
        plan(spec);
        v_ = spec.state_like_x("v", "velocity");
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        const T eta = T(learning_rate * rate_at(in.t())), keep = T(mu), fresh = nesterov ? T(1) : T(0),
                ahead = nesterov ? T(mu) : T(1);
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            l2o::each(
                [=](T x, T g, T v, T& x_next, T& v_next) {
                    v_next = keep * v + g;
                    x_next = x - eta * (fresh * g + ahead * v_next);
                },
                in.x(k),
                in.g(k),
                in.state(v_[k]),
                out.x(k),
                out.state(v_[k]));
        }
    }

  private:
    l2o::BlockStates v_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<Momentum>)
