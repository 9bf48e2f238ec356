#include "bowl.hpp"

namespace {

// Writes decibels itself, and has the host take them for a ratio.
struct DecibelOfNoRatio : l2o::broken::Bowl {
    static constexpr l2o::About about = about_as("decibel_of_no_ratio");

    void declare(l2o::OptimizeeSpec& spec) {
        Bowl::declare(spec);
        loss = spec.metric("loss_db", "10 log10 f", L2O_SPEC_DECIBEL);
    }
    template <class T>
    void metrics(const l2o::EvalIn<T>& in, const l2o::MetricsOut<T>& out) const {
        for (std::int64_t row = 0; row < in.rows(); ++row)
            if (out[loss]) out[loss][row] = in.x(0)(row, 0);
    }
    l2o::Metric loss;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizee<DecibelOfNoRatio>)
