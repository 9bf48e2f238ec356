#pragma once

#include <cmath>
#include <cstdint>
#include <l2o/numerics/random_rows.hpp>
#include <l2o/sdk/optimizee.hpp>
#include <string>
#include <utility>

namespace l2o::plugins {

/// What games of two players have in common: u minimises, v maximises, and an evaluation is one partial
/// gradient, of u or of v: a gradient is two, a value is one.
class Game {
  public:
    enum Block { kU, kV };

    /// Starts as in Shen et al. 2021: U[-1/2, 1/2].
    template <class T>
    void init_point(const l2o_call& call, const DataIn<T>&, const Tensors<T>& x) const {
        for (const auto block : {kU, kV}) {
            numerics::fill_rows(x[block], call.key, call.row0, block, [](numerics::Stream& random) {
                return random.uniform() - 0.5;
            });
        }
    }

  protected:
    static void declare_players(OptimizeeSpec& spec, TensorSpec u, TensorSpec v) {
        v.flags |= L2O_SPEC_MAXIMISED;
        spec.block(std::move(u));
        spec.block(std::move(v));
        spec.info.cost_value = 1;
        spec.info.cost_gradient = 2;
    }
    /// With what a game of a known solution is measured by.
    /// @param solution  what the distances are to; flags: of the metrics of distance
    void declare_players(OptimizeeSpec& spec,
                         TensorSpec u,
                         TensorSpec v,
                         const std::string& solution,
                         std::uint64_t flags = 0) {
        declare_players(spec, std::move(u), std::move(v));
        distance_ = spec.metric("distance", "d_u + d_v", flags);
        d_u_ = spec.metric("d_u", "sum over coordinates of |u - " + solution + "|", flags);
        d_v_ = spec.metric("d_v", "the same of v", flags);
        mean_d_u_ = spec.ratio("mean_d_u", "d_u, of many games the mean and not the median", flags);
        mean_distance_ = spec.ratio("mean_distance", "distance, of many games the mean", flags);
        residual_ = spec.metric("residual", "Euclidean norm of (df/du, df/dv)");
    }
    template <class T>
    void tell_distances(const MetricsOut<T>& out, std::int64_t row, T d_u, T d_v) const {
        if (out[d_u_]) out[d_u_][row] = d_u;
        if (out[d_v_]) out[d_v_][row] = d_v;
        if (out[distance_]) out[distance_][row] = d_u + d_v;
        tell_mean(out, mean_d_u_, row, d_u);
        tell_mean(out, mean_distance_, row, d_u + d_v);
    }
    /// For a metric whose mean stands for many rows.
    template <class T>
    static void tell_mean(const MetricsOut<T>& out, const Metric& metric, std::int64_t row, T value) {
        if (!out[metric]) return;
        out[metric](row, 0) = value;
        out[metric](row, 1) = 1;
    }
    template <class T>
    [[nodiscard]] bool wants_distances(const MetricsOut<T>& out) const {
        return out[d_u_] || out[d_v_] || out[distance_] || out[mean_d_u_] || out[mean_distance_];
    }

    Metric d_u_, d_v_, distance_, mean_d_u_, mean_distance_, residual_;
};

/// A number of each player and what f(u, v) and its derivatives are there.
template <class T>
struct Jet {
    T f, f_u, f_v, f_uu, f_uv, f_vv;
};

/// A game of two numbers with coefficients a and b, uniform in a range each. `Own` has
/// `template <class T> Jet<T> jet(T a, T b, T u, T v) const`; where the duality gap is finite (kHasGap)
/// `template <class T> T gap(T a, T b, T u, T v) const`; and what differs from range_of_a(), range_of_b() and
/// distance_of_u() here, which are those of Shen et al. 2021 for a solution at (0, 0).
template <class Own, bool kHasGap>
class ScalarGame : public Game {
  public:
    struct Uniform {
        double lower, upper;
    };

    static Uniform range_of_a() { return {0.9, 1}; }
    static Uniform range_of_b() { return {0.9, 1}; }
    template <class T>
    static T distance_of_u(T /*a*/, T u) {
        return std::abs(u);
    }

    template <class T>
    void sample(const Draw& draw, const DataOut<T>& data) const {
        for (const auto& [tensor, range] : {std::pair{a_, own().range_of_a()}, {b_, own().range_of_b()}}) {
            numerics::fill_rows(draw, data, tensor, [range = range](numerics::Stream& random) {
                return range.lower + (range.upper - range.lower) * random.uniform();
            });
        }
    }

    template <class T>
    void eval(const EvalIn<T>& in, const EvalOut<T>& out) const {
        for (std::int64_t row = 0; row < in.rows(); ++row) {
            const Jet<T> at = jet_of(in, row);
            if (out.f()) out.f()[row] = at.f;
            if (out.g(kU)) out.g(kU)[row] = at.f_u;
            if (out.g(kV)) out.g(kV)[row] = at.f_v;
        }
    }

    template <class T>
    void hvp(const EvalIn<T>& in, const Tensors<const T>& v_of, const Tensors<T>& hv_of) const {
        for (std::int64_t row = 0; row < in.rows(); ++row) {
            const Jet<T> at = jet_of(in, row);
            const T du = v_of[kU][row], dv = v_of[kV][row];
            if (hv_of[kU]) hv_of[kU][row] = at.f_uu * du + at.f_uv * dv;
            if (hv_of[kV]) hv_of[kV][row] = at.f_uv * du + at.f_vv * dv;
        }
    }

    template <class T>
    void metrics(const EvalIn<T>& in, const MetricsOut<T>& out) const {
        for (std::int64_t row = 0; row < in.rows(); ++row) {
            const T a = *in.row(a_, row), b = *in.row(b_, row), u = in.x(kU)[row], v = in.x(kV)[row];
            tell_distances(out, row, own().distance_of_u(a, u), std::abs(v));
            const Jet<T> at = jet_of(in, row);
            if (out[residual_]) out[residual_][row] = std::hypot(at.f_u, at.f_v);
            if constexpr (kHasGap) {
                if (out[gap_]) out[gap_][row] = own().gap(a, b, u, v);
            }
        }
    }

  protected:
    void declare_game(OptimizeeSpec& spec, const std::string& solution) {
        declare_players(spec, {.name = "u"}, {.name = "v"}, solution);
        a_ = spec.data({.name = "a", .doc = "coefficient of u", .batched = true});
        b_ = spec.data({.name = "b", .doc = "coefficient of v", .batched = true});
        if constexpr (kHasGap) gap_ = spec.metric("gap", "duality gap max_v f(u, v) - min_u f(u, v)");
    }

  private:
    [[nodiscard]] const Own& own() const { return static_cast<const Own&>(*this); }
    template <class T>
    [[nodiscard]] Jet<T> jet_of(const EvalIn<T>& in, std::int64_t row) const {
        return own().jet(*in.row(a_, row), *in.row(b_, row), in.x(kU)[row], in.x(kV)[row]);
    }

    Data a_, b_;
    Metric gap_;
};

}  // namespace l2o::plugins
