#include "descent.hpp"

namespace {

// Clips in place what the host reads again.
struct ChangesGradient : l2o::broken::Descent {
    static constexpr l2o::About about = about_as("changes_gradient");
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        Descent::step(in, out);
        *const_cast<T*>(in.g(0).data) /= 2;
    }
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<ChangesGradient>)
