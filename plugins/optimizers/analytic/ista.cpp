#include <l2o/sdk/optimizer.hpp>

#include "proximal_gradient.hpp"

namespace {

class Ista : public l2o::plugins::ProximalGradient {
  public:
    static constexpr l2o::About about{
        .id = "ista",
        .version = "1.0.0",
        .title = "ISTA: proximal gradient with step 1/L",
        .doc =
            "x <- S(x - A^T (A x - b) / L, lambda / L) for f = 1/2 ||Ax - b||^2 + lambda ||x||_1. The "
            "objective never rises. Daubechies, Defrise & De Mol 2004, equation 1.11; Beck & Teboulle "
            "2009, section 1.",
        .needs = "A,b,lambda"};
    static constexpr bool learned = false;

    static l2o::Options<Ista> options() { return ProximalGradient::options<Ista>(); }

    void declare(l2o::OptimizerSpec& spec) { bind(spec); }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        apply_map(in, in.x(0), out.x(0));
    }
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<Ista>)
