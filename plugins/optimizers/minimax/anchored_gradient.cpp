#include <algorithm>
#include <cmath>

#include "players.hpp"

namespace {

struct AnchoredGradient {
    static constexpr l2o::About about{
        .id = "anchored_gradient",
        .version = "1.0.0",
        .title = "Gradient descent ascent with an anchor",
        .doc =
            "z <- z - eta (1 - p) / (k + 1)^p F(z) + min(1, (1 - p) gamma / (k + 1)) (z_0 - z) in step k = "
            "0, 1, ..., one gradient per step, F = (df/du, -df/dv). Ryu, Yuan & Yin 2019, \"ODE analysis of "
            "stochastic gradient methods with optimism and anchoring for minimax problems\" "
            "(arXiv:1905.10899), which asks for 1/2 < p < 1 and gamma >= 2; the bound 1 keeps the first "
            "steps between z_0 and z."};

    double learning_rate = 1, power = 0.55, anchor = 2;

    static l2o::Options<AnchoredGradient> options() {
        using Own = AnchoredGradient;
        l2o::Options<Own> options;
        options.real("learning_rate", &Own::learning_rate, "eta", l2o::kPositive)
            .real("power", &Own::power, "p", l2o::Range{0, 1, true, true})
            .real("anchor", &Own::anchor, "gamma", l2o::kNonNegative);
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        players_ = l2o::plugins::Players(spec);
        spec.reads_g().coordinatewise();
        start_ = spec.state_like_x("start", "z_0");
    }

    template <class T>
    void init_state(const l2o::StepIn<T>& in, const l2o::StatesOut<T>& state) const {
        for (std::size_t k = 0; k < in.blocks(); ++k) l2o::copy(in.x(k), state[start_[k]]);
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        const double k1 = double(in.t()) + 1, rate = learning_rate * (1 - power) / std::pow(k1, power);
        const T pull = T(std::min(1.0, (1 - power) * anchor / k1));
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            const T eta = T(rate * players_.sign(k));
            l2o::each(
                [=](T x, T g, T start, T& x_next, T& start_kept) {
                    x_next = x - eta * g + pull * (start - x);
                    start_kept = start;
                },
                in.x(k),
                in.g(k),
                in.state(start_[k]),
                out.x(k),
                out.state(start_[k]));
        }
    }

  private:
    l2o::plugins::Players players_;
    l2o::BlockStates start_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<AnchoredGradient>)
