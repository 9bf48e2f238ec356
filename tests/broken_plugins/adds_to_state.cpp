#include "descent.hpp"

namespace {

// Takes the output for an accumulator.
struct AddsToState : l2o::broken::Descent {
    static constexpr l2o::About about = about_as("adds_to_state");
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        const T before = out.state(v[0])[0];
        Descent::step(in, out);
        out.state(v[0])[0] += before;
    }
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<AddsToState>)
