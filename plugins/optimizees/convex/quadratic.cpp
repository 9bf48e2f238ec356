#include <Eigen/QR>
#include <cmath>
#include <cstdint>
#include <l2o/numerics/random_rotation.hpp>
#include <l2o/numerics/random_rows.hpp>
#include <l2o/numerics/view.hpp>
#include <l2o/sdk/optimizee.hpp>
#include <string>

namespace {

using l2o::numerics::fill_rows, l2o::numerics::row_vector, l2o::numerics::RowMatrix, l2o::numerics::Stream;

// Andrychowicz et al. 2016, "Learning to learn by gradient descent by gradient descent", section 3.1, with
// the distributions of Chen et al. 2021, section 4 (arXiv:2103.12828): W, y ~ U[0, 1) and x_0 ~ N(0, 0.01^2).
struct Quadratic {
    static constexpr l2o::About about{
        .id = "quadratic",
        .version = "1.0.0",
        .title = "Random least squares, each instance with a square matrix of its own",
        .doc =
            "f(x) = ||W x - y||^2 (no factor 1/2), entries of W [n, n] and y [n] uniform on [0, 1), x_0 "
            "~ N(0, init_std^2). The optimum is 0 almost surely, W is badly conditioned. Andrychowicz "
            "et al. 2016, section 3.1. With condition_number K: W = diag(s) Q, Q a random rotation, s_i = "
            "K^(-(i - 1) / (2 (n - 1))), i = 1 .. n, so that the eigenvalues of the Hessian, 2 s_i^2, go "
            "from 2 to 2 / K, evenly spaced in their logarithm."};

    std::int64_t n = 10;
    double init_std = 0.01, condition_number = 0;

    static l2o::Options<Quadratic> options() {
        l2o::Options<Quadratic> options;
        options.integer("n", &Quadratic::n, "number of variables", l2o::at_least(1))
            .real("init_std", &Quadratic::init_std, "standard deviation of the start", l2o::kNonNegative)
            .real("condition_number",
                  &Quadratic::condition_number,
                  "K > 1: the ratio of the largest to the smallest eigenvalue of the Hessian, for every "
                  "instance; 0 or 1: W as drawn",
                  l2o::between(0, kMostCondition));
        return options;
    }

    void declare(l2o::OptimizeeSpec& spec) {
        if (condition_number > 0 && condition_number < 1)
            l2o::invalid("condition_number is " + std::to_string(condition_number) +
                         "; expected 0 or at least 1");
        if (condition_number > 1 && n < 2)
            l2o::invalid("condition_number is " + std::to_string(condition_number) +
                         ", and with n = 1 there is one eigenvalue; expected n >= 2");
        spec.block({.name = "x", .axes = "n", .shape = {n}});
        w_ = spec.data({.name = "W",
                        .doc = "matrix of the residual W x - y",
                        .axes = "n,n",
                        .shape = {n, n},
                        .batched = true});
        y_ = spec.data({.name = "y", .doc = "right-hand side", .axes = "n", .shape = {n}, .batched = true});
        x_star_ = spec.solution({.name = "x_star",
                                 .doc = "least squares solution of smallest norm; NaN where f_star is",
                                 .axes = "n",
                                 .shape = {n},
                                 .batched = true,
                                 .flags = L2O_SPEC_BY_SOLVE});
        f_star_ = spec.solution({.name = "f_star",
                                 .doc = "f(x_star), to 1e-11 ||y||^2 the minimum; NaN: not certified",
                                 .batched = true,
                                 .flags = L2O_SPEC_BY_SOLVE | L2O_SPEC_OPTIMUM});
    }

    template <class T>
    void sample(const l2o::Draw& draw, const l2o::DataOut<T>& data) const {
        const auto uniform = [](Stream& random) { return random.uniform(); };
        fill_rows(draw, data, y_, uniform);
        if (condition_number <= 1) return fill_rows(draw, data, w_, uniform);
        for (std::int64_t i = 0; i < data[w_].rows; ++i) {
            Stream random(draw.call.key, draw.first + std::uint64_t(i), draw.purpose(w_));
            Eigen::Map<RowMatrix<T>>(data[w_].row(i), n, n) = conditioned_matrix(random).template cast<T>();
        }
    }

    template <class T>
    void init_point(const l2o_call& call, const l2o::DataIn<T>&, const l2o::Tensors<T>& x) const {
        fill_rows(
            x[0], call.key, call.row0, 0, [this](Stream& random) { return init_std * random.normal(); });
    }

    // Row by row of W, so that one pass over it gives both f = sum_j r_j^2 and g = 2 sum_j r_j W_j.
    template <class T>
    void eval(const l2o::EvalIn<T>& in, const l2o::EvalOut<T>& out) const {
        const l2o::View<T> f = out.f(), g = out.g(0);
        for (std::int64_t row = 0; row < in.rows(); ++row) {
            const T *w = in.row(w_, row), *y = in.row(y_, row);
            const auto x = row_vector(in.x(0).row(row), n);
            T sum = 0;
            if (g) row_vector(g.row(row), n).setZero();
            for (std::int64_t j = 0; j < n; ++j) {
                const auto w_j = row_vector(w + j * n, n);
                const T r = w_j.dot(x) - y[j];
                sum += r * r;
                if (g) row_vector(g.row(row), n) += 2 * r * w_j;
            }
            if (f) f[row] = sum;
        }
    }

    template <class T>
    void hvp(const l2o::EvalIn<T>& in,
             const l2o::Tensors<const T>& v_of,
             const l2o::Tensors<T>& hv_of) const {
        for (std::int64_t row = 0; row < in.rows(); ++row) {
            const T* w = in.row(w_, row);
            const auto v = row_vector(v_of[0].row(row), n);
            auto product = row_vector(hv_of[0].row(row), n);
            product.setZero();
            for (std::int64_t j = 0; j < n; ++j) {
                const auto w_j = row_vector(w + j * n, n);
                product += 2 * w_j.dot(v) * w_j;
            }
        }
    }

    /// NaN where W is so badly conditioned that f(x) is not within 1e-11 ||y||^2 of what W leaves over of y,
    /// its rank that to working precision.
    template <class T>
    void solve(const l2o_call&, const l2o::DataIn<T>& data, const l2o::DataOut<T>& solution) const {
        for (std::int64_t i = 0; i < data[w_].rows; ++i) {
            const Eigen::MatrixXd w =
                Eigen::Map<const RowMatrix<T>>(data[w_].row(i), n, n).template cast<double>();
            const Eigen::VectorXd y = row_vector(data[y_].row(i), n).transpose().template cast<double>();
            const Eigen::CompleteOrthogonalDecomposition<Eigen::MatrixXd> factors(w);
            Eigen::VectorXd x = factors.solve(y);
            double f = (w * x - y).squaredNorm();
            // What of y no W x reaches; f is not below it, and the minimum is not below 0.
            const Eigen::VectorXd rotated = factors.householderQ().transpose() * y;
            const double bound = rotated.tail(n - factors.rank()).squaredNorm();
            if (!(f - bound <= kTolerance * y.squaredNorm())) {
                x.setConstant(NAN);
                f = NAN;
            }
            if (solution[x_star_]) row_vector(solution[x_star_].row(i), n) = x.transpose().template cast<T>();
            if (solution[f_star_]) solution[f_star_][i] = T(f);
        }
    }

  private:
    // Single precision keeps the smallest of the s to 1 %.
    static constexpr double kTolerance = 1e-11, kMostCondition = 1e10;

    /// diag(s) Q.
    [[nodiscard]] Eigen::MatrixXd conditioned_matrix(Stream& random) const {
        Eigen::MatrixXd q = l2o::numerics::random_rotation(random, n);
        for (std::int64_t i = 0; i < n; ++i)
            q.row(i) *= std::pow(condition_number, -0.5 * double(i) / double(n - 1));
        return q;
    }

    l2o::Data w_, y_, x_star_, f_star_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizee<Quadratic>)
