#include "bowl.hpp"

namespace {

// Writes its solutions, wanted or not: passes where everything is asked for, and dies in the first training.
struct WritesUnwanted : l2o::broken::Bowl {
    static constexpr l2o::About about = about_as("writes_unwanted");
    void declare(l2o::OptimizeeSpec& spec) {
        Bowl::declare(spec);
        x_star = spec.solution({.name = "x_star", .axes = "n", .shape = {n}, .batched = true});
    }
    template <class T>
    void sample(const l2o::Draw& draw, const l2o::DataOut<T>& data) const {
        Bowl::sample(draw, data);
        l2o::copy(data[c], data[x_star]);
    }
    l2o::Data x_star;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizee<WritesUnwanted>)
