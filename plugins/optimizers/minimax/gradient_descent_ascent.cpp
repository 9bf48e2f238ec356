#include <l2o/sdk/optimizer.hpp>
#include <vector>

namespace {

struct GradientDescentAscent {
    static constexpr l2o::About about{
        .id = "gradient_descent_ascent",
        .version = "1.0.0",
        .title = "Gradient descent ascent",
        .doc =
            "u <- u - eta df/du for the blocks that minimise, v <- v + eta df/dv for those that maximise. "
            "order simultaneous: both gradients at (u, v); on the bilinear game u v the distance to the "
            "solution grows by sqrt(1 + eta^2) per step. order alternating: df/dv at the new u, a second "
            "gradient. Arrow, Hurwicz & Uzawa 1958; Gidel et al. 2019 (arXiv:1807.04740) for the two "
            "orders."};

    enum class Order { kSimultaneous, kAlternating };
    Order order = Order::kSimultaneous;
    double learning_rate = 0.1;

    static l2o::Options<GradientDescentAscent> options() {
        using Method = GradientDescentAscent;
        l2o::Options<Method> options;
        options.real("learning_rate", &Method::learning_rate, "the step eta", l2o::kPositive)
            .choice("order",
                    &Method::order,
                    {"simultaneous", "alternating"},
                    "whether the maximising blocks see the minimising ones before or after their move");
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        spec.reads_g();
        bool maximises = false;
        for (std::size_t k = 0; k < spec.blocks(); ++k) {
            is_max_.push_back((spec.block(k).flags & L2O_SPEC_MAXIMISED) != 0);
            maximises = maximises || is_max_.back();
        }
        alternates_ = order == Order::kAlternating && maximises;
        if (alternates_) {
            spec.asks(1, L2O_ORACLE_GRADIENT);
        } else {
            spec.coordinatewise();
        }
    }

    // Alternating: round 0 moves the minimising blocks and asks for the gradient there, round 1 moves the
    // others.
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        const bool half_way = alternates_ && in.round() == 0;
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            const T eta = T(is_max_[k] ? learning_rate : -learning_rate);
            const auto move = [=](T x, T g, T& x_next) { x_next = x + eta * g; };
            if (half_way && is_max_[k]) {
                l2o::copy(in.x(k), out.x(k));
            } else {
                l2o::each(move, in.x(k), alternates_ && is_max_[k] ? in.qg(k, 0) : in.g(k), out.x(k));
            }
            if (half_way) l2o::copy(out.x(k), out.q(k, 0));
        }
        if (half_way) out.ask_all(0, L2O_ORACLE_GRADIENT);
    }

  private:
    std::vector<bool> is_max_;
    bool alternates_ = false;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<GradientDescentAscent>)
