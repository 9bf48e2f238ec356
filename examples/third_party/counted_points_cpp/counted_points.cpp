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
        p_ = spec.data({.name = "p", .axes = "n", .shape = {n}, .batched = true});
        c_ = spec.data<std::int32_t>({.name = "c", .axes = "n", .shape = {n}, .batched = true});
        x_star_ = spec.solution({.name = "x_star", .axes = "n", .shape = {n}, .batched = true});
        distance_ = spec.metric("distance", "|x - x_star|", L2O_SPEC_NEEDS_SOLUTION);
    }
    void sample(const Draw& draw, const auto& data) const {
        numerics::fill_rows(draw, data, p_, [](auto& random) { return random.normal(); });
        numerics::fill_rows(draw, data, c_, [](auto& random) { return 1 + random.below(9); });
        each([](auto& x, auto p, auto c) { x = c * p / (c + 1); }, data[x_star_], data[p_], data[c_]);
    }
    auto row(auto* v) const { return numerics::row_vector(v, n).template cast<double>().eval(); }
    void eval(const auto& in, const auto& out) const {
        for (std::int64_t r = 0; r < in.rows(); ++r) {
            const auto x = row(in.x(0).row(r)), p = row(in.row(p_, r)), c = row(in.row(c_, r));
            if (out.f()) out.f()[r] = (c.cwiseProduct(x - p).dot(x - p) + x.squaredNorm()) / 2;
            for (std::int64_t k = 0; k < n && out.g(0); ++k) out.g(0)(r, k) = c[k] * (x[k] - p[k]) + x[k];
        }
    }
    void metrics(const auto& in, const auto& metrics) const {
        for (std::int64_t r = 0; r < in.rows() && metrics[distance_]; ++r)
            metrics[distance_][r] = (row(in.x(0).row(r)) - row(in.row(x_star_, r))).norm();
    }
    Data p_, x_star_;
    DataOf<std::int32_t> c_;
    Metric distance_;
};
L2O_PLUGIN(Optimizee<Points>)
