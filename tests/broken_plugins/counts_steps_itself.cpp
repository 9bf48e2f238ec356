#include "descent.hpp"

namespace {

// A step size that decays with the calls of this process, not with t.
struct CountsStepsItself : l2o::broken::Descent {
    static constexpr l2o::About about = about_as("counts_steps_itself");
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        static thread_local int calls = 0;
        Descent::step(in, out);
        for (std::int64_t i = 0; i < out.x(0).rows; ++i) out.x(0)(i, 0) /= T(++calls);
    }
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<CountsStepsItself>)
