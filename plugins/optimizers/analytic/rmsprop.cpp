#include <cmath>
#include <l2o/sdk/optimizer.hpp>
#include <l2o/sdk/schedule.hpp>

namespace {

struct RmsProp : l2o::Schedule {
    static constexpr l2o::About about{
        .id = "rmsprop",
        .version = "1.0.0",
        .title = "RMSProp",
        .doc =
            "v <- alpha v + (1 - alpha) g^2, x <- x - learning_rate g / (sqrt(v) + epsilon), v = 0 at "
            "the start: PyTorch's form. epsilon_form tf: x <- x - learning_rate g / sqrt(v + epsilon), "
            "v = 1 at the start, the form of TensorFlow 1 (whose own epsilon is 1e-10). Tieleman & "
            "Hinton 2012, Coursera lecture 6.5."};

    enum class EpsilonForm { kTorch, kTf };
    EpsilonForm epsilon_form = EpsilonForm::kTorch;
    double learning_rate = 0.01, alpha = 0.9, epsilon = 1e-8;

    static l2o::Options<RmsProp> options() {
        l2o::Options<RmsProp> options;
        options.real("learning_rate", &RmsProp::learning_rate, "size of a step", l2o::kPositive)
            .real("alpha", &RmsProp::alpha, "decay of the mean of g^2", l2o::kFraction)
            .real("epsilon", &RmsProp::epsilon, "keeps the quotient finite", l2o::kPositive)
            .choice("epsilon_form",
                    &RmsProp::epsilon_form,
                    {"torch", "tf"},
                    "sqrt(v) + epsilon and v = 0 at the start (torch), or sqrt(v + epsilon) and v = 1 (tf)");
        add_schedule(options);
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        spec.minimises().reads_g().coordinatewise();
        plan(spec);
        v_ = spec.state_like_x("v", "mean of g^2", epsilon_form == EpsilonForm::kTorch ? 0 : 1);
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        const bool torch = epsilon_form == EpsilonForm::kTorch;
        const T eta = T(learning_rate * rate_at(in.t())), keep = T(alpha), fresh = T(1 - alpha);
        const T inside = torch ? T(0) : T(epsilon), outside = torch ? T(epsilon) : T(0);
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            l2o::each(
                [=](T x, T g, T v, T& x_next, T& v_next) {
                    v_next = keep * v + fresh * g * g;
                    x_next = x - eta * g / (std::sqrt(v_next + inside) + outside);
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

L2O_PLUGIN(l2o::Optimizer<RmsProp>)
