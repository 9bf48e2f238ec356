#include "descent.hpp"

namespace {

struct Sound : l2o::broken::Descent {
    static constexpr l2o::About about = about_as("compares_struct_size");
};

l2o_status L2O_CALL strict_step(const l2o_optimizer* o,
                                l2o_call* call,
                                const l2o_step_in* in,
                                l2o_step_out* out) noexcept {
    if (in->struct_size != sizeof(l2o_step_in)) return L2O_INVALID;
    return l2o::Optimizer<Sound>::kApi.step(o, call, in, out);
}

// Refuses a host of a later minor.
struct ComparesStructSize : l2o::Optimizer<Sound> {
    static constexpr l2o_optimizer_api kApi = [] {
        l2o_optimizer_api api = l2o::Optimizer<Sound>::kApi;
        api.step = &strict_step;
        return api;
    }();
};

}  // namespace

L2O_PLUGIN(ComparesStructSize)
