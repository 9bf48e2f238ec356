#include "descent.hpp"

namespace {

struct Sound : l2o::broken::Descent {
    static constexpr l2o::About about = about_as("answers_any_extension");
};

const void* L2O_CALL any(const l2o_optimizer*, const char*) noexcept {
    static const l2o_optimizer_vjp empty{sizeof(l2o_optimizer_vjp), 0, nullptr, nullptr};
    return &empty;
}

// Returns its one extension whatever it is asked for.
struct AnswersAnyExtension : l2o::Optimizer<Sound> {
    static constexpr l2o_optimizer_api kApi = [] {
        l2o_optimizer_api api = l2o::Optimizer<Sound>::kApi;
        api.get_extension = &any;
        return api;
    }();
};

}  // namespace

L2O_PLUGIN(AnswersAnyExtension)
