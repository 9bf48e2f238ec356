#include "descent.hpp"

namespace {

// Normalises by the whole batch.
struct MixesRows : l2o::broken::Descent {
    static constexpr l2o::About about = about_as("mixes_rows");
    void declare(l2o::OptimizerSpec& spec) {
        Descent::declare(spec);
        spec.drop(L2O_OPTIMIZER_COORDINATEWISE);
    }
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        Descent::step(in, out);
        T mean = 0;
        for (std::int64_t row = 0; row < in.batch(); ++row) mean += in.g(0)(row, 0) / T(in.batch());
        for (std::int64_t row = 0; row < in.batch(); ++row) out.x(0)(row, 0) -= mean;
    }
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<MixesRows>)
