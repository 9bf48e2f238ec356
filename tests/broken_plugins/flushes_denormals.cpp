#include <xmmintrin.h>

#include "descent.hpp"

namespace {

// Sets flush-to-zero for whoever calls it.
struct FlushesDenormals : l2o::broken::Descent {
    static constexpr l2o::About about = about_as("flushes_denormals");
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        Descent::step(in, out);
        _MM_SET_FLUSH_ZERO_MODE(_MM_FLUSH_ZERO_ON);
    }
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<FlushesDenormals>)
