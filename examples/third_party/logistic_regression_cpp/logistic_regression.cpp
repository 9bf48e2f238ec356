#include <l2o/numerics/random_rows.hpp>
#include <l2o/sdk/optimizee.hpp>

using l2o::numerics::fill_rows, l2o::numerics::matrix, l2o::numerics::row_vector;

// f(x) = 1/m (sum_i log(1 + exp(-z_i^T x)) + |x|^2 / 2); row z_i of Z is a sample times its label, -1 or 1.
struct Logistic {
    static constexpr l2o::About about{"org.example.logistic", "1.0.0", "Logistic regression", "z ~ N(1, I)"};
    std::int64_t n = 5;
    static auto options() {
        return std::move(l2o::Options<Logistic>().integer("n", &Logistic::n, "weights", l2o::at_least(1)));
    }
    void declare(l2o::OptimizeeSpec& spec) {
        spec.block({.name = "x", .axes = "n", .shape = {n}});
        z_ = spec.data({.name = "Z", .axes = "m,n", .shape = {10 * n, n}, .batched = true});
    }
    void sample(const l2o::Draw& d, const auto& data) const {
        fill_rows(d, data, z_, [](auto& r) { return 1 + r.normal(); });
    }
    void eval(const auto& in, const auto& out) const {
        for (std::int64_t row = 0; row < in.rows(); ++row) {
            const auto x = row_vector(in.x(0).row(row), n);
            const auto z = matrix(l2o::View{in.row(z_, row), 10 * n, n, n});
            const auto s = (z * x.transpose()).array().eval();
            const auto loss = ((-s).max(0) + (-s.abs()).exp().log1p()).sum();
            if (out.f()) out.f()[row] = (loss + x.squaredNorm() / 2) / z.rows();
            const auto g = x - (1 / (1 + s.exp())).matrix().transpose() * z;
            if (out.g(0)) row_vector(out.g(0).row(row), n) = g / z.rows();
        }
    }
    l2o::Data z_;
};
L2O_PLUGIN(l2o::Optimizee<Logistic>)
