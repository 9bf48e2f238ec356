#include "descent.hpp"

namespace {

// One row too many.
struct WritesPastEnd : l2o::broken::Descent {
    static constexpr l2o::About about = about_as("writes_past_end");
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        Descent::step(in, out);
        const l2o::View<T> x = out.x(0);
        *x.row(x.rows) = 0;
    }
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<WritesPastEnd>)
