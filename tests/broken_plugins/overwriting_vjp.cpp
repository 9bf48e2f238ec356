#include "descent.hpp"

namespace {

// The cotangent of x is set, not added to.
struct OverwritingVjp : l2o::broken::Descent {
    static constexpr l2o::About about = about_as("overwriting_vjp");
    template <class T>
    void step_vjp(const l2o::StepIn<T>& in, const l2o::StepCot<T>& cot, const l2o::StepAcc<T>& acc) const {
        const T keep = in.param(mu).scalar();
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            const auto v0 = in.state(v[k]);
            for (std::int64_t row = 0; row < v0.rows; ++row) {
                for (std::int64_t i = 0; i < v0.cols; ++i) {
                    const T x_bar = cot.x(k) ? cot.x(k)(row, i) : T(0);
                    const T v_bar = (cot.state(v[k]) ? cot.state(v[k])(row, i) : T(0)) - T(kEta) * x_bar;
                    if (acc.param(mu)) acc.param(mu).scalar() += v_bar * v0(row, i);
                    if (acc.x(k)) acc.x(k)(row, i) = x_bar;
                    if (acc.g(k)) acc.g(k)(row, i) += v_bar;
                    if (acc.state(v[k])) acc.state(v[k])(row, i) += keep * v_bar;
                }
            }
        }
    }
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<OverwritingVjp>)
