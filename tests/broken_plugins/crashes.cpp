#include <cstdlib>

#include "descent.hpp"

namespace {

struct Crashes : l2o::broken::Descent {
    static constexpr l2o::About about = about_as("crashes");
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        Descent::step(in, out);
        if (in.t() == 1) std::abort();
    }
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<Crashes>)
