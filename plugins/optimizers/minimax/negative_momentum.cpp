#include "players.hpp"

namespace {

struct NegativeMomentum : l2o::plugins::Turns {
    static constexpr l2o::About about{
        .id = "negative_momentum",
        .version = "1.0.0",
        .title = "Gradient descent ascent with negative momentum",
        .doc =
            "Each player in turn, u first: m <- momentum m - eta df/du, u <- u + m, and the same up df/dv "
            "at the new u; one partial gradient each. A negative momentum makes alternating steps converge "
            "on bilinear games. order simultaneous: both gradients at (u, v). Gidel et al. 2019, \"Negative "
            "momentum for improved game dynamics\" (arXiv:1807.04740), equations 6 and 15."};

    double learning_rate = 0.1, momentum = -0.5;

    NegativeMomentum() { order = Order::kAlternating; }

    static l2o::Options<NegativeMomentum> options() {
        using Own = NegativeMomentum;
        l2o::Options<Own> options;
        options.real("learning_rate", &Own::learning_rate, "the step eta", l2o::kPositive)
            .real(
                "momentum", &Own::momentum, "share of the last move, below 0", l2o::Range{-1, 1, true, true});
        add_order(options);
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        declare_turns(spec);
        move_ = spec.state_like_x("m", "last move");
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        const auto move = [&](std::size_t k, const l2o::View<const T>& g) {
            const T eta = T(learning_rate * sign(k)), beta = T(momentum);
            l2o::each(
                [=](T x, T dx, T m, T& x_next, T& m_next) {
                    m_next = beta * m - eta * dx;
                    x_next = x + m_next;
                },
                in.x(k),
                g,
                in.state(move_[k]),
                out.x(k),
                out.state(move_[k]));
        };
        take_turns(in, out, move, [&](std::size_t k) { l2o::copy(in.state(move_[k]), out.state(move_[k])); });
    }

  private:
    l2o::BlockStates move_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<NegativeMomentum>)
