#include <l2o/numerics/random_rows.hpp>
#include <l2o/sdk/optimizee.hpp>

using namespace l2o;

// f(x) = 1/2 sum_k (c_k (x_k - p_k)^2 + x_k^2): x_k is drawn to p_k, counted c_k times, and once to 0.
struct Points {
    static constexpr About about{"org.example.counted_points", "1.0.0", "Counted points", "p ~ N(0, I)"};
    std::int64_t n = 3;
    static auto options() { return std::move(Options<Points>().integer("n", &Points::n, "size", kPositive)); }
    void declare(OptimizeeSpec& spec) {
        spec.block({.name = "x", .axes = "n", .shape = {n}});
        spec.data({.name = "p", .axes = "n", .shape = {n}, .batched = true});
        spec.data({.name = "c", .axes = "n", .shape = {n}, .batched = true, .dtype = L2O_DTYPE_I32});
        spec.solution({.name = "x_star", .axes = "n", .shape = {n}, .batched = true});
        spec.metric("distance", "|x - x_star|", L2O_SPEC_NEEDS_SOLUTION);
    }
    void sample(const Draw& d, const auto& data) const {
        const auto c = data.template as<std::int32_t>(1);
        numerics::fill_rows(data[0], d.call.key, d.first, d.purpose(0), [](auto& r) { return r.normal(); });
        numerics::fill_rows(c, d.call.key, d.first, d.purpose(1), [](auto& r) { return 1 + r.below(9); });
        if (data[2]) each([](auto p, auto c, auto& x) { x = c * p / (c + 1); }, data[0], c, data[2]);
    }
    void init_point(const l2o_call&, const auto&, const auto& x) const { fill(x[0], 0); }
    static auto row(const auto& v, auto r) { return numerics::matrix(v).row(r).template cast<double>(); }
    void eval(const auto& in, const auto& out) const {
        for (std::int64_t r = 0; r < in.rows(); ++r) {
            const auto x = row(in.x(0), r), p = row(in.data(0), in.instance(r));
            const auto c = row(in.template data<std::int32_t>(1), in.instance(r));
            if (out.f()) out.f()[r] = (c.cwiseProduct(x - p).dot(x - p) + x.squaredNorm()) / 2;
            for (std::int64_t k = 0; k < n && out.g(0); ++k) out.g(0)(r, k) = c[k] * (x[k] - p[k]) + x[k];
        }
    }
    void metrics(const auto& in, const auto& metrics) const {
        for (std::int64_t r = 0; r < in.rows() && metrics[0]; ++r)
            metrics[0][r] = (row(in.x(0), r) - row(in.data(2), in.instance(r))).norm();
    }
};
L2O_PLUGIN(Optimizee<Points>)
