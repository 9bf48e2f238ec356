#include "bowl.hpp"

namespace {

// One coordinate of g is off by a thousandth.
struct WrongGradient : l2o::broken::Bowl {
    static constexpr l2o::About about = about_as("wrong_gradient");
    template <class T>
    void eval(const l2o::EvalIn<T>& in, const l2o::EvalOut<T>& out) const {
        Bowl::eval(in, out);
        for (std::int64_t row = 0; row < in.rows() && out.g(0); ++row) out.g(0)(row, 2) *= T(1.001);
    }
};

}  // namespace

L2O_PLUGIN(l2o::Optimizee<WrongGradient>)
