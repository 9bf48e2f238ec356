#include "descent.hpp"

namespace {

struct Sound : l2o::broken::Descent {
    static constexpr l2o::About about = about_as("compares_struct_size");
};

l2o_status L2O_CALL strict_create(l2o_call* call,
                                  const l2o_value* const* options,
                                  std::uint32_t n,
                                  const l2o_problem* problem,
                                  l2o_optimizer** out) noexcept {
    if (problem->struct_size != sizeof(l2o_problem)) return L2O_STATUS_INVALID;
    return l2o::Optimizer<Sound>::kApi.create(call, options, n, problem, out);
}

// Refuses a host of a later minor.
struct ComparesStructSize : l2o::Optimizer<Sound> {
    static constexpr l2o_optimizer_api kApi = [] {
        l2o_optimizer_api api = l2o::Optimizer<Sound>::kApi;
        api.create = &strict_create;
        return api;
    }();
};

}  // namespace

L2O_PLUGIN(ComparesStructSize)
