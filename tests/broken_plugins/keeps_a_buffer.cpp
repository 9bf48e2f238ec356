#include <unistd.h>

#include "descent.hpp"

namespace {

// A buffer of the library instead of the call's scratch: two threads meet in it.
struct KeepsABuffer : l2o::broken::Descent {
    static constexpr l2o::About about = about_as("keeps_a_buffer");
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        static volatile T shared = 0;
        shared = 0;
        for (int i = 0; i < 5; ++i) {
            shared = shared + 1;
            ::usleep(50);  // the other thread's turn
        }
        Descent::step(in, out);
        out.x(0)[0] += shared;
    }
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<KeepsABuffer>)
