#include "players.hpp"

namespace {

// Popov 1980; Daskalakis et al. 2018, "Training GANs with optimism", equation 6 (equal steps).
struct OptimisticGradient {
    static constexpr l2o::About about{
        .id = "optimistic_gradient",
        .version = "1.0.0",
        .title = "Optimistic gradient descent ascent",
        .doc =
            "z <- z - eta F(z) - eta c (F(z) - F(z_before)), one gradient per step, F = (df/du, -df/dv); "
            "F(z_before) = F(z) in the first. c = 1: OGDA, which converges on bilinear games for eta |A| <= "
            "1/2; another c: two step sizes, eta and c eta. Daskalakis et al. 2018 (arXiv:1711.00141), "
            "equation 6; Mokhtari, Ozdaglar & Pattathil 2020 (arXiv:1901.08511), section 3, for two steps."};

    double learning_rate = 0.1, optimism = 1;

    static l2o::Options<OptimisticGradient> options() {
        l2o::Options<OptimisticGradient> options;
        options.real("learning_rate", &OptimisticGradient::learning_rate, "the step eta", l2o::kPositive)
            .real("optimism",
                  &OptimisticGradient::optimism,
                  "c, the second step size as a multiple of learning_rate",
                  l2o::kNonNegative);
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        players_ = l2o::plugins::Players(spec);
        spec.reads_g().coordinatewise();
        before_ = spec.state_like_x("g_before", "gradient of the step before");
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        const bool is_first = in.t() == 0;
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            const T eta = T(learning_rate * players_.sign(k)), c = T(optimism);
            l2o::each(
                [=](T x, T g, T before, T& x_next, T& g_kept) {
                    x_next = x - eta * (is_first ? g : g + c * (g - before));
                    g_kept = g;
                },
                in.x(k),
                in.g(k),
                in.state(before_[k]),
                out.x(k),
                out.state(before_[k]));
        }
    }

  private:
    l2o::plugins::Players players_;
    l2o::BlockStates before_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<OptimisticGradient>)
