// Gradient descent with a learned step, momentum-free and without a derivative: for what trains by values
// alone.
#include <cmath>
#include <l2o/sdk/optimizer.hpp>

namespace {

struct LearnedStep {
    static constexpr l2o::About about{.id = "learned_step",
                                      .version = "1.0.0",
                                      .title = "Gradient descent whose step is learned, without step_vjp",
                                      .doc = "x' = x - exp(log_step) g."};

    void declare(l2o::OptimizerSpec& spec) {
        spec.reads_g();
        log_step = spec.param({.name = "log_step"});
    }
    template <class T>
    void init_params(const l2o_call&, const l2o::NeedsIn<T>&, const l2o::ParamsOut<T>& params) const {
        params[log_step].scalar() = T(-5);
    }
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        const T eta = std::exp(in.param(log_step).scalar());
        for (std::size_t k = 0; k < in.blocks(); ++k)
            l2o::each([=](T x, T g, T& x1) { x1 = x - eta * g; }, in.x(k), in.g(k), out.x(k));
    }

  private:
    l2o::Param log_step;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<LearnedStep>)
