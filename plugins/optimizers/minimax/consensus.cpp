#include "players.hpp"

namespace {

struct Consensus {
    static constexpr l2o::About about{
        .id = "consensus",
        .version = "1.0.0",
        .title = "Consensus optimization",
        .doc =
            "z <- z - eta (F(z) + gamma J'F(z)), J the Jacobian of F = (df/du, -df/dv): J'F is the gradient "
            "of |F|^2 / 2, and equals H g with the Hessian H and the gradient g of f. H g is (g(z + "
            "difference g) - g(z)) / difference: a step is two gradients, and the error falls with |g|; on "
            "quadratic games there is none. Mescheder, Nowozin & Geiger 2017, \"The numerics of GANs\" "
            "(arXiv:1705.10461), algorithm 2."};

    double learning_rate = 0.1, consensus = 1, difference = 1e-4;

    static l2o::Options<Consensus> options() {
        l2o::Options<Consensus> options;
        options.real("learning_rate", &Consensus::learning_rate, "eta", l2o::kPositive)
            .real("consensus", &Consensus::consensus, "gamma", l2o::kNonNegative)
            .real("difference",
                  &Consensus::difference,
                  "of the gradients whose quotient stands for a Hessian product",
                  l2o::kPositive);
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        players_ = l2o::plugins::Players(spec);
        spec.reads_g().asks(1, L2O_ORACLE_GRADIENT);
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        const bool asks = in.round() == 0;
        const T small = T(difference);
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            if (asks) {
                l2o::each([=](T x, T g, T& q) { q = x + small * g; }, in.x(k), in.g(k), out.q(k, 0));
                l2o::copy(in.x(k), out.x(k));
                continue;
            }
            const T eta = T(learning_rate), sign = T(players_.sign(k)), gamma = T(consensus);
            l2o::each(
                [=](T x, T g, T g_beside, T& x_next) {
                    x_next = x - eta * (sign * g + gamma * ((g_beside - g) / small));
                },
                in.x(k),
                in.g(k),
                in.qg(k, 0),
                out.x(k));
        }
        if (asks) out.ask_all(0, L2O_ORACLE_GRADIENT);
    }

  private:
    l2o::plugins::Players players_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<Consensus>)
