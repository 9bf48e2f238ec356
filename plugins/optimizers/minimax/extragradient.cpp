#include <l2o/sdk/optimizer.hpp>
#include <vector>

namespace {

struct Extragradient {
    static constexpr l2o::About about{
        .id = "extragradient",
        .version = "1.0.0",
        .title = "Extragradient",
        .doc =
            "z_half = z - eta F(z), z <- z - eta F(z_half), where F is df/dblock for a block that minimises "
            "and -df/dblock for one that maximises; two gradients per step. Converges on monotone problems "
            "for eta < 1/L, where gradient descent ascent may spiral out. Korpelevich 1976."};

    double learning_rate = 0.1;

    static l2o::Options<Extragradient> options() {
        l2o::Options<Extragradient> options;
        options.real("learning_rate", &Extragradient::learning_rate, "the step eta", l2o::kPositive);
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        spec.reads_g().asks(1, L2O_ORACLE_GRADIENT);
        for (std::size_t k = 0; k < spec.blocks(); ++k)
            direction_.push_back((spec.block(k).flags & L2O_SPEC_MAXIMISED) != 0 ? 1 : -1);
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        const bool first_half = in.round() == 0;
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            const T eta = T(learning_rate * direction_[k]);
            const auto move = [=](T z, T g, T& z_next) { z_next = z + eta * g; };
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
    std::vector<int> direction_;  // of each block along its gradient: -1 minimises, 1 maximises
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<Extragradient>)
