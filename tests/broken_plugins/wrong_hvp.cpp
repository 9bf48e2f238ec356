#include "bowl.hpp"

namespace {

// A factor 3 is missing.
struct WrongHvp : l2o::broken::Bowl {
    static constexpr l2o::About about = about_as("wrong_hvp");
    template <class T>
    void hvp(const l2o::EvalIn<T>& in,
             const l2o::Tensors<const T>& v_of,
             const l2o::Tensors<T>& hv_of) const {
        for (std::int64_t row = 0; row < in.rows(); ++row) {
            for (std::int64_t i = 0; i < n; ++i) {
                const T d = in.x(0)(row, i) - in.data(c)(in.instance(row), i);
                hv_of[0](row, i) = d * d * v_of[0](row, i);
            }
        }
    }
};

}  // namespace

L2O_PLUGIN(l2o::Optimizee<WrongHvp>)
