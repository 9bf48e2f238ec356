#include "players.hpp"

namespace {

struct Extragradient {
    static constexpr l2o::About about{
        .id = "extragradient",
        .version = "1.1.0",
        .title = "Extragradient",
        .doc =
            "z_half = z - eta F(z), z <- z - c eta F(z_half), where F is df/dblock for a block that "
            "minimises and -df/dblock for one that maximises; two gradients per step. Converges on monotone "
            "problems for eta < 1/L and c = 1, where gradient descent ascent may spiral out. Korpelevich "
            "1976; c < 1: Hsieh et al. 2020, \"Explore aggressively, update conservatively\" "
            "(arXiv:2003.10162)."};

    double learning_rate = 0.1, update_ratio = 1;

    static l2o::Options<Extragradient> options() {
        l2o::Options<Extragradient> options;
        options.real("learning_rate", &Extragradient::learning_rate, "the step eta", l2o::kPositive)
            .real("update_ratio",
                  &Extragradient::update_ratio,
                  "c, the second step size as a multiple of learning_rate",
                  l2o::kPositive);
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        spec.reads_g().asks(1, L2O_ORACLE_GRADIENT);
        players_ = l2o::plugins::Players(spec);
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        const bool first_half = in.round() == 0;
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            const T eta = T((first_half ? 1 : update_ratio) * learning_rate * players_.sign(k));
            const auto move = [=](T z, T g, T& z_next) { z_next = z - eta * g; };
            if (first_half) {
                l2o::each(move, in.x(k), in.g(k), out.q(k, 0));
                l2o::copy(in.x(k), out.x(k));
            } else {
                l2o::each(move, in.x(k), in.qg(k, 0), out.x(k));
            }
        }
        if (first_half) out.ask_all(0, L2O_ORACLE_GRADIENT);
    }

  private:
    l2o::plugins::Players players_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<Extragradient>)
