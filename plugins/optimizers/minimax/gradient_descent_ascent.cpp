#include "players.hpp"

namespace {

struct GradientDescentAscent : l2o::plugins::Turns {
    static constexpr l2o::About about{
        .id = "gradient_descent_ascent",
        .version = "1.1.0",
        .title = "Gradient descent ascent",
        .doc =
            "u <- u - eta df/du for the blocks that minimise, v <- v + eta df/dv for those that maximise. "
            "order simultaneous: both gradients at (u, v); on the bilinear game u v the distance to the "
            "solution grows by sqrt(1 + eta^2) per step. order alternating: df/dv at the new u; as many "
            "partial gradients. Arrow, Hurwicz & Uzawa 1958; Gidel et al. 2019 (arXiv:1807.04740) for the "
            "two orders."};

    double learning_rate = 0.1;

    static l2o::Options<GradientDescentAscent> options() {
        using Method = GradientDescentAscent;
        l2o::Options<Method> options;
        options.real("learning_rate", &Method::learning_rate, "the step eta", l2o::kPositive);
        add_order(options);
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) { declare_turns(spec); }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        const auto move = [&](std::size_t k, const l2o::View<const T>& g) {
            const T eta = T(learning_rate * sign(k));
            l2o::each([=](T x, T dx, T& x_next) { x_next = x - eta * dx; }, in.x(k), g, out.x(k));
        };
        take_turns(in, out, move, [](std::size_t) {});
    }
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<GradientDescentAscent>)
