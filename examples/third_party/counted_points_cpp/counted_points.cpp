#include <cmath>
#include <l2o/numerics/philox.hpp>
#include <l2o/sdk/optimizee.hpp>
#include <vector>

// f(x) = 1/2 sum_i c_i |x - p_i|^2 / sum_i c_i: x is drawn to m points, to each as often as it was counted.
struct CountedPoints {
    static constexpr l2o::About about{"org.example.counted_points",
                                      "1.0.0",
                                      "The centre of counted points",
                                      "p ~ N(0, I), c uniform in 1 .. 9",
                                      "MIT",
                                      "Example"};
    std::int64_t n = 3, m = 20;

    static l2o::Options<CountedPoints> options() {
        l2o::Options<CountedPoints> options;
        options.integer("n", &CountedPoints::n, "dimension", l2o::at_least(1))
            .integer("m", &CountedPoints::m, "number of points", l2o::at_least(1));
        return options;
    }

    void declare(l2o::OptimizeeSpec& spec) {
        spec.block({.name = "x", .doc = "the centre", .axes = "n", .shape = {n}});
        p_ = spec.data({.name = "p", .doc = "points", .axes = "m,n", .shape = {m, n}, .batched = true});
        c_ = spec.data(
            {.name = "c", .doc = "counts", .axes = "m", .shape = {m}, .batched = true, .dtype = L2O_I32});
        x_star_ = spec.solution({.name = "x_star", .axes = "n", .shape = {n}, .batched = true});
        spec.metric("distance", "|x - x_star|", L2O_METRIC_NEEDS_SOLUTION);
    }

    template <class T>
    void sample(const l2o::Draw& draw, const l2o::Tensors<T>& data) const {
        const auto p = data[p_], x_star = data[x_star_];
        const auto c = data.template as<std::int32_t>(c_);
        for (std::int64_t b = 0; b < draw.count; ++b) {
            const std::uint64_t instance = draw.first + static_cast<std::uint64_t>(b);
            l2o::numerics::Stream points(draw.call.key, instance, draw.purpose(0)),
                counts(draw.call.key, instance, draw.purpose(1));
            std::vector<double> sum(static_cast<std::size_t>(n));
            double total = 0;
            for (std::int64_t i = 0; i < m; ++i) {
                c(b, i) = 1 + static_cast<std::int32_t>(9 * counts.uniform<double>());
                total += c(b, i);
                for (std::int64_t k = 0; k < n; ++k) {
                    p(b, i * n + k) = T(points.normal());
                    sum[static_cast<std::size_t>(k)] += c(b, i) * static_cast<double>(p(b, i * n + k));
                }
            }
            for (std::int64_t k = 0; k < n && x_star; ++k)
                x_star(b, k) = T(sum[static_cast<std::size_t>(k)] / total);
        }
    }

    void init_point(const l2o_call&, const auto&, const auto& x) const { l2o::fill(x[0], 0); }

    template <class T>
    void eval(const l2o::EvalIn<T>& in, const l2o::EvalOut<T>& out) const {
        const auto x = in.x(0), p = in.data(p_);
        const auto c = in.template data<std::int32_t>(c_);
        const auto f = out.f(), g = out.g(0);
        for (std::int64_t row = 0; row < in.rows(); ++row) {
            const std::int64_t b = in.instance(row);
            double total = 0, value = 0;
            for (std::int64_t i = 0; i < m; ++i) total += c(b, i);
            for (std::int64_t k = 0; k < n; ++k) {
                double slope = 0;
                for (std::int64_t i = 0; i < m; ++i) {
                    const double away = static_cast<double>(x(row, k)) - static_cast<double>(p(b, i * n + k));
                    slope += c(b, i) * away / total;
                    value += c(b, i) * away * away / (2 * total);
                }
                if (g) g(row, k) = T(slope);
            }
            if (f) f[row] = T(value);
        }
    }

    template <class T>
    void metrics(const l2o::EvalIn<T>& in, const l2o::Tensors<T>& metrics) const {
        const auto distance = metrics[0];
        if (!distance) return;
        const auto x = in.x(0), x_star = in.data(x_star_);
        for (std::int64_t row = 0; row < in.rows(); ++row) {
            double sum = 0;
            for (std::int64_t k = 0; k < n; ++k) {
                const double away =
                    static_cast<double>(x(row, k)) - static_cast<double>(x_star(in.instance(row), k));
                sum += away * away;
            }
            distance[row] = T(std::sqrt(sum));
        }
    }

  private:
    std::size_t p_ = 0, c_ = 0, x_star_ = 0;
};

L2O_PLUGIN(l2o::Optimizee<CountedPoints>)
