#include <unistd.h>

#include "descent.hpp"

namespace {

struct Hangs : l2o::broken::Descent {
    static constexpr l2o::About about = about_as("hangs");
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>&) const {
        while (in.t() >= 0) ::pause();
    }
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<Hangs>)
