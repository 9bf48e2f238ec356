#include "bowl.hpp"

namespace {

// Writes its solutions, wanted or not: passes where everything is asked for, and dies in the first training.
struct WritesUnwanted : l2o::broken::Bowl {
    static constexpr l2o::About about = about_as("writes_unwanted");
    void declare(l2o::OptimizeeSpec& spec) const {
        Bowl::declare(spec);
        spec.solution({.name = "x_star", .axes = "n", .shape = {n}, .batched = true});
    }
    template <class T>
    void sample(const l2o::Draw& draw, const l2o::Tensors<T>& data) const {
        Bowl::sample(draw, data);
        l2o::copy(data[0], data[1]);
    }
};

}  // namespace

L2O_PLUGIN(l2o::Optimizee<WritesUnwanted>)
