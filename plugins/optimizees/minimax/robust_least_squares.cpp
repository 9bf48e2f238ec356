#include <l2o/numerics/view.hpp>
#include <string>

#include "game.hpp"
#include "robust_fit.hpp"

namespace {

using Eigen::MatrixXd, Eigen::VectorXd;
using l2o::numerics::row_vector, l2o::numerics::RowMatrix, l2o::numerics::Stream;
using l2o::plugins::Column, l2o::plugins::Fit;

struct RobustLeastSquares : l2o::plugins::Game {
    static constexpr l2o::About about{
        .id = "robust_least_squares",
        .version = "1.0.0",
        .title = "Least squares against the worst perturbation of the data",
        .doc =
            "min over x, max over P of 1/2 |(A + P_A) x - (b + p_b)|^2 with P = [P_A p_b] = rho W / |W|, so "
            "that W needs no projection (the best P has norm rho). max_P f is phi(x) = 1/2 (|Ax - b| + rho "
            "sqrt(1 + |x|^2))^2, and its minimiser solves (A'A + mu I) x = A'b, mu = rho |Ax - b| / sqrt(1 "
            "+ |x|^2): the solution, by bisection. A has singular values that fall geometrically, b = A z + "
            "noise, z normal, x_0 uniform on [-0.5, 0.5], W_0 of any direction. El Ghaoui & Lebret 1997, "
            "\"Robust solutions to least-squares problems with uncertain data\", section 3."};

    std::int64_t m = 30, n = 10;
    double rho = 0.1, noise = 0.1, condition_number = 50, start_norm = 1;

    static l2o::Options<RobustLeastSquares> options() {
        using Own = RobustLeastSquares;
        l2o::Options<Own> options;
        options.integer("m", &Own::m, "rows of A, at least n", l2o::at_least(1))
            .integer("n", &Own::n, "columns of A", l2o::at_least(1))
            .real("rho", &Own::rho, "Frobenius norm of the perturbation", l2o::kPositive)
            .real("noise", &Own::noise, "standard deviation of b - A z", l2o::kPositive)
            .real("condition_number", &Own::condition_number, "of A", l2o::at_least(1))
            .real("start_norm",
                  &Own::start_norm,
                  "|W_0|: f does not see it, but a step turns W by its length / |W|",
                  l2o::kPositive);
        return options;
    }

    void declare(l2o::OptimizeeSpec& spec) {
        if (m < n) l2o::invalid("m is " + std::to_string(m) + "; expected at least n, " + std::to_string(n));
        declare_players(spec,
                        {.name = "x", .axes = "n", .shape = {n}},
                        {.name = "W", .shape = {m, n + 1}},
                        "the solution (of W: as P)",
                        L2O_SPEC_NEEDS_SOLUTION);
        a_ = spec.data({.name = "A", .axes = "m,n", .shape = {m, n}, .batched = true});
        b_ = spec.data({.name = "b", .axes = "m", .shape = {m}, .batched = true});
        x_star_ = spec.solution<double>({.name = "x_star",
                                         .doc = "minimiser of phi",
                                         .axes = "n",
                                         .shape = {n},
                                         .batched = true,
                                         .flags = L2O_SPEC_BY_SOLVE});
        gap_ = spec.metric("gap", "phi(x) / phi(x_star) - 1", L2O_SPEC_NEEDS_SOLUTION);
        mean_gap_ = spec.ratio("mean_gap", "gap, of many games the mean", L2O_SPEC_NEEDS_SOLUTION);
    }

    template <class T>
    void sample(const l2o::Draw& draw, const l2o::DataOut<T>& data) const {
        for (std::int64_t row = 0; row < draw.count; ++row) {
            Stream random(draw.call.key, draw.first + std::uint64_t(row), draw.purpose(a_));
            const auto [a, b] = l2o::plugins::draw_system(random, m, n, condition_number, noise);
            as(data[a_].row(row), n) = a.cast<T>();
            row_vector(data[b_].row(row), m) = b.transpose().cast<T>();
        }
    }

    template <class T>
    void init_point(const l2o_call& call, const l2o::DataIn<T>& data, const l2o::Tensors<T>& x) const {
        Game::init_point(call, data, x);
        for (std::int64_t row = 0; row < x[kV].rows; ++row) {
            Stream random(call.key, call.row0 + std::uint64_t(row), kV);
            VectorXd w(m * (n + 1));
            for (double& entry : w) entry = random.normal();
            row_vector(x[kV].row(row), w.size()) = (start_norm / w.norm() * w).transpose().cast<T>();
        }
    }

    template <class T>
    void eval(const l2o::EvalIn<T>& in, const l2o::EvalOut<T>& out) const {
        for (std::int64_t row = 0; row < in.rows(); ++row) {
            const Fit<T> at = fit<T>(in, row);
            if (out.f()) out.f()[row] = at.r.squaredNorm() / 2;
            if (out.g(kU)) row_vector(out.g(kU).row(row), n) = (at.slope.transpose() * at.r).transpose();
            if (out.g(kV)) as(out.g(kV).row(row), n + 1) = at.g_w;
        }
    }

    template <class T>
    void hvp(const l2o::EvalIn<T>& in, const l2o::Tensors<const T>& of, const l2o::Tensors<T>& to) const {
        for (std::int64_t row = 0; row < in.rows(); ++row) {
            const Fit<T> at = fit<T>(in, row);
            const Column<T> dx = row_vector(of[kU].row(row), n).transpose();
            const RowMatrix<T> dw = as(of[kV].row(row), n + 1);
            const T turn = dw.cwiseProduct(at.unit).sum();
            const RowMatrix<T> d_unit = at.inverse_norm * (dw - turn * at.unit), dp = T(rho) * d_unit;
            const Column<T> dr = at.slope * dx + dp * at.y;
            if (to[kU])
                row_vector(to[kU].row(row), n) =
                    (dp.leftCols(n).transpose() * at.r + at.slope.transpose() * dr).transpose();
            if (!to[kV]) continue;
            RowMatrix<T> dg = dr * at.y.transpose();
            dg.leftCols(n) += at.r * dx.transpose();
            const T d_along = dg.cwiseProduct(at.unit).sum() + at.g_p.cwiseProduct(d_unit).sum();
            as(to[kV].row(row), n + 1) =
                at.scale * (dg - d_along * at.unit - at.along * d_unit) - at.inverse_norm * turn * at.g_w;
        }
    }

    template <class T>
    void metrics(const l2o::EvalIn<T>& in, const l2o::MetricsOut<T>& out) const {
        for (std::int64_t row = 0; row < in.rows(); ++row) {
            const Fit<T> at = fit<T>(in, row);
            if (out[residual_])
                out[residual_][row] = std::hypot((at.slope.transpose() * at.r).norm(), at.g_w.norm());
            if (!wants_distances(out) && !out[gap_] && !out[mean_gap_]) continue;
            const MatrixXd a = as(in.row(a_, row), n).template cast<double>();
            const VectorXd b = row_vector(in.row(b_, row), m).transpose().template cast<double>(),
                           x = at.x.template cast<double>(),
                           x_star = row_vector(in.row(x_star_, row), n).transpose();
            const MatrixXd p = rho * at.unit.template cast<double>();
            const MatrixXd off = p - l2o::plugins::worst_perturbation(a, b, rho, x_star);
            tell_distances(out, row, T((x - x_star).lpNorm<1>()), T(off.lpNorm<1>()));
            const double loss = l2o::plugins::worst_loss(a, b, rho, x),
                         least = l2o::plugins::worst_loss(a, b, rho, x_star);
            if (out[gap_]) out[gap_][row] = T(loss / least - 1);
            tell_mean(out, mean_gap_, row, T(loss / least - 1));
        }
    }

    template <class T>
    void solve(const l2o_call&, const l2o::DataIn<T>& data, const l2o::DataOut<T>& solution) const {
        for (std::int64_t row = 0; row < data[a_].rows; ++row) {
            const MatrixXd a = as(data[a_].row(row), n).template cast<double>();
            const VectorXd b = row_vector(data[b_].row(row), m).transpose().template cast<double>();
            row_vector(solution[x_star_].row(row), n) = l2o::plugins::robust_minimum(a, b, rho).transpose();
        }
    }

  private:
    /// The entries of a matrix of m rows.
    template <class T>
    [[nodiscard]] auto as(T* entries, std::int64_t columns) const {
        using Plain = RowMatrix<std::remove_const_t<T>>;
        return Eigen::Map<std::conditional_t<std::is_const_v<T>, const Plain, Plain>>(entries, m, columns);
    }
    template <class T>
    [[nodiscard]] Fit<T> fit(const l2o::EvalIn<T>& in, std::int64_t row) const {
        return {as(in.row(a_, row), n), in.row(b_, row), in.x(kU).row(row), in.x(kV).row(row), T(rho)};
    }

    l2o::Data a_, b_;
    l2o::DataOf<double> x_star_;
    l2o::Metric gap_, mean_gap_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizee<RobustLeastSquares>)
