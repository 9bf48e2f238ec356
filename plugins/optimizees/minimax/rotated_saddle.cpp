#include <cmath>
#include <cstdint>
#include <l2o/numerics/random_rows.hpp>
#include <l2o/sdk/optimizee.hpp>

namespace {

using l2o::numerics::fill_rows, l2o::numerics::Stream;

// Shen et al. 2021, "Learning a minimax optimizer: a pilot study" (Twin-L2O).
struct RotatedSaddle {
    static constexpr l2o::About about{
        .id = "rotated_saddle",
        .version = "1.0.0",
        .title = "Rotated saddle: strongly convex in u, strongly concave in v",
        .doc =
            "min over u, max over v of f(u, v) = a u^2 - b v^2 + 2 u v with numbers u, v; a, b uniform on "
            "[0.9, 1], u_0, v_0 uniform on [-0.5, 0.5]. The solution is (0, 0). Shen et al. 2021."};

    void declare(l2o::OptimizeeSpec& spec) {
        spec.block({.name = "u"});
        spec.block({.name = "v", .flags = L2O_SPEC_MAXIMISED});
        a_ = spec.data({.name = "a", .doc = "curvature in u", .batched = true});
        b_ = spec.data({.name = "b", .doc = "curvature in v, negated", .batched = true});
        distance_ = spec.metric("distance", "Euclidean distance of (u, v) to the solution (0, 0)");
    }

    template <class T>
    void sample(const l2o::Draw& draw, const l2o::DataOut<T>& data) const {
        for (const l2o::Data& tensor : {a_, b_}) {
            fill_rows(draw, data, tensor, [](Stream& random) { return 0.9 + 0.1 * random.uniform(); });
        }
    }

    template <class T>
    void init_point(const l2o_call& call, const l2o::DataIn<T>&, const l2o::Tensors<T>& x) const {
        for (const auto block : {kU, kV}) {
            fill_rows(
                x[block], call.key, call.row0, block, [](Stream& random) { return random.uniform() - 0.5; });
        }
    }

    template <class T>
    void eval(const l2o::EvalIn<T>& in, const l2o::EvalOut<T>& out) const {
        for (std::int64_t row = 0; row < in.rows(); ++row) {
            const T a = *in.row(a_, row), b = *in.row(b_, row);
            const T u = in.x(kU)[row], v = in.x(kV)[row];
            if (out.f()) out.f()[row] = a * u * u - b * v * v + 2 * u * v;
            if (out.g(kU)) out.g(kU)[row] = 2 * a * u + 2 * v;
            if (out.g(kV)) out.g(kV)[row] = -2 * b * v + 2 * u;
        }
    }

    template <class T>
    void hvp(const l2o::EvalIn<T>& in,
             const l2o::Tensors<const T>& v_of,
             const l2o::Tensors<T>& hv_of) const {
        for (std::int64_t row = 0; row < in.rows(); ++row) {
            const T a = *in.row(a_, row), b = *in.row(b_, row);
            const T du = v_of[kU][row], dv = v_of[kV][row];
            if (hv_of[kU]) hv_of[kU][row] = 2 * a * du + 2 * dv;
            if (hv_of[kV]) hv_of[kV][row] = 2 * du - 2 * b * dv;
        }
    }

    template <class T>
    void metrics(const l2o::EvalIn<T>& in, const l2o::MetricsOut<T>& metric) const {
        for (std::int64_t row = 0; row < in.rows(); ++row)
            metric[distance_][row] = std::hypot(in.x(kU)[row], in.x(kV)[row]);
    }

  private:
    enum Block { kU, kV };
    l2o::Data a_, b_;
    l2o::Metric distance_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizee<RotatedSaddle>)
