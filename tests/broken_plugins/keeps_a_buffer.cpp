#include <unistd.h>

#include <atomic>

#include "descent.hpp"

namespace {

// A buffer of the library instead of the call's scratch: two threads meet in it.
struct KeepsABuffer : l2o::broken::Descent {
    static constexpr l2o::About about = about_as("keeps_a_buffer");
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        static std::atomic<int> entered = 0;
        static volatile T shared = 0;
        // The other thread's turn, if there is one: as many as a slow machine needs to wake it.
        const int before = ++entered;
        shared = 0;
        for (int i = 0; i < 1000 && entered == before; ++i) ::usleep(50);
        Descent::step(in, out);
        shared = shared + 1;
        out.x(0)[0] += shared;
    }
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<KeepsABuffer>)
