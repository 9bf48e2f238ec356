#include <cmath>

#include "descent.hpp"

// Optimizers with one defect each in what they say of rows and points.
namespace {

using l2o::broken::Descent;

// Says of a row that is where it was something that is no status.
struct EndsWithNonsense : Descent {
    static constexpr l2o::About about = about_as("ends_with_nonsense");
    void declare(l2o::OptimizerSpec& spec) {
        Descent::declare(spec);
        spec.ends_rows();
    }
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        Descent::step(in, out);
        for (std::int64_t row = 0; row < in.batch(); ++row) out.end(row, 3);
    }
};

// Reads f, which it does not say.
struct ReadsUnread : Descent {
    static constexpr l2o::About about = about_as("reads_unread");
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        Descent::step(in, out);
        const T* f = static_cast<const T*>(in.raw().f->data);
        for (std::int64_t row = 0; row < in.batch(); ++row)
            if (std::isnan(f[row])) out.x(0)(row, 0) = f[row];
    }
};

struct Sound : Descent {
    static constexpr l2o::About about = about_as("recommends_half");
};

l2o_status L2O_CALL recommend_half(const l2o_optimizer*,
                                   l2o_call*,
                                   const l2o_step_in* in,
                                   l2o_out x) noexcept {
    const std::size_t bytes =
        static_cast<std::size_t>(in->x[0]->shape[1]) * (L2O_DTYPE_BYTES(in->x[0]->dtype));
    std::memcpy(x[0]->data, in->x[0]->data, bytes);
    return L2O_STATUS_OK;
}

// Recommends a point of the first row only.
struct RecommendsHalf : l2o::Optimizer<Sound> {
    static constexpr l2o_optimizer_api kApi = [] {
        l2o_optimizer_api api = l2o::Optimizer<Sound>::kApi;
        api.recommend = &recommend_half;
        return api;
    }();
};

struct AlsoSound : Descent {
    static constexpr l2o::About about = about_as("reads_behind");
};

l2o_status L2O_CALL read_behind(l2o_call* call,
                                const l2o_value* const* options,
                                std::uint32_t n,
                                const l2o_problem* problem,
                                l2o_optimizer** out) noexcept {
    if (problem->max_evaluations != 0) return L2O_STATUS_UNSUPPORTED;
    return l2o::Optimizer<AlsoSound>::kApi.create(call, options, n, problem, out);
}

// Reads a field that an older host does not have.
struct ReadsBehind : l2o::Optimizer<AlsoSound> {
    static constexpr l2o_optimizer_api kApi = [] {
        l2o_optimizer_api api = l2o::Optimizer<AlsoSound>::kApi;
        api.create = &read_behind;
        return api;
    }();
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<EndsWithNonsense>, l2o::Optimizer<ReadsUnread>, RecommendsHalf, ReadsBehind)
