#include <algorithm>
#include <cmath>
#include <cstdint>
#include <l2o/numerics/random_rows.hpp>
#include <l2o/numerics/view.hpp>
#include <l2o/sdk/optimizee.hpp>
#include <numbers>

namespace {

using l2o::numerics::fill_rows, l2o::numerics::row_vector, l2o::numerics::RowMatrix, l2o::numerics::Stream;

// Chen et al. 2021, "Learning to optimize: a primer and a benchmark", section 4 (arXiv:2103.12828): equation
// (20) is the classic function, (21) the family.
struct Rastrigin {
    static constexpr l2o::About about{
        .id = "rastrigin",
        .version = "1.0.0",
        .title = "Rastrigin family: a quadratic with ripples",
        .doc =
            "f(x) = 1/2 ||A x - b||^2 - alpha c^T cos(2 pi x) + alpha n. family random: entries of A "
            "[n, n], b [n], c [n] ~ N(0, 1); family classic: A = I, b = 0, c = 1, with minimum 0 at 0. "
            "x_0 ~ N(0, init_std^2). With a box every |x_i| <= box, as in the usual search on [-5.12, 5.12]. "
            "Chen et al. 2021, equation (21)."};

    enum class Family { kRandom, kClassic };
    Family family = Family::kRandom;
    std::int64_t n = 10;
    double alpha = 10, init_std = 1, box = 0;

    static l2o::Options<Rastrigin> options() {
        l2o::Options<Rastrigin> options;
        options.integer("n", &Rastrigin::n, "number of variables", l2o::at_least(1))
            .real("alpha", &Rastrigin::alpha, "height of the ripples", l2o::kNonNegative)
            .choice("family", &Rastrigin::family, {"random", "classic"}, "which instances are drawn")
            .real("init_std", &Rastrigin::init_std, "standard deviation of the start", l2o::kNonNegative)
            .real("box", &Rastrigin::box, "bound of every |x_i|; 0: none", l2o::kNonNegative);
        return options;
    }

    void declare(l2o::OptimizeeSpec& spec) {
        spec.block({.name = "x",
                    .axes = "n",
                    .shape = {n},
                    .flags = box > 0 ? L2O_SPEC_BOUNDED : 0,
                    .lower = -box,
                    .upper = box});
        a_ = spec.data({.name = "A",
                        .doc = "matrix of the residual A x - b",
                        .axes = "n,n",
                        .shape = {n, n},
                        .batched = true});
        b_ = spec.data({.name = "b", .doc = "right-hand side", .axes = "n", .shape = {n}, .batched = true});
        c_ = spec.data(
            {.name = "c", .doc = "weights of the ripples", .axes = "n", .shape = {n}, .batched = true});
    }

    template <class T>
    void sample(const l2o::Draw& draw, const l2o::DataOut<T>& data) const {
        if (family == Family::kClassic) {
            l2o::fill(data[b_], 0);
            l2o::fill(data[c_], 1);
            for (std::int64_t i = 0; i < draw.count; ++i)
                Eigen::Map<RowMatrix<T>>(data[a_].row(i), n, n).setIdentity();
            return;
        }
        for (const l2o::Data& tensor : {a_, b_, c_}) {
            fill_rows(draw, data, tensor, [](Stream& random) { return random.normal(); });
        }
    }

    template <class T>
    void init_point(const l2o_call& call, const l2o::DataIn<T>&, const l2o::Tensors<T>& x) const {
        fill_rows(x[0], call.key, call.row0, 0, [this](Stream& random) {
            const double start = init_std * random.normal();
            return box > 0 ? std::clamp(start, -box, box) : start;
        });
    }

    // g = A^T (A x - b) + 2 pi alpha c sin(2 pi x)
    template <class T>
    void eval(const l2o::EvalIn<T>& in, const l2o::EvalOut<T>& out) const {
        const l2o::View<T> f = out.f(), g = out.g(0);
        for (std::int64_t row = 0; row < in.rows(); ++row) {
            const T *a = in.row(a_, row), *b = in.row(b_, row), *c = in.row(c_, row);
            const auto x = row_vector(in.x(0).row(row), n);
            T sum = 0;
            for (std::int64_t i = 0; i < n; ++i) {
                sum += T(alpha) * (1 - c[i] * std::cos(kTwoPi<T> * x[i]));
                if (g) g(row, i) = kTwoPi<T> * T(alpha) * c[i] * std::sin(kTwoPi<T> * x[i]);
            }
            for (std::int64_t j = 0; j < n; ++j) {
                const auto a_j = row_vector(a + j * n, n);
                const T r = a_j.dot(x) - b[j];
                sum += r * r / 2;
                if (g) row_vector(g.row(row), n) += r * a_j;
            }
            if (f) f[row] = sum;
        }
    }

    // H v = A^T A v + 4 pi^2 alpha c cos(2 pi x) v
    template <class T>
    void hvp(const l2o::EvalIn<T>& in,
             const l2o::Tensors<const T>& v_of,
             const l2o::Tensors<T>& hv_of) const {
        for (std::int64_t row = 0; row < in.rows(); ++row) {
            const T *a = in.row(a_, row), *c = in.row(c_, row);
            const auto v = row_vector(v_of[0].row(row), n);
            auto product = row_vector(hv_of[0].row(row), n);
            for (std::int64_t i = 0; i < n; ++i)
                product[i] =
                    kTwoPi<T> * kTwoPi<T> * T(alpha) * c[i] * std::cos(kTwoPi<T> * in.x(0)(row, i)) * v[i];
            for (std::int64_t j = 0; j < n; ++j) {
                const auto a_j = row_vector(a + j * n, n);
                product += a_j.dot(v) * a_j;
            }
        }
    }

  private:
    l2o::Data a_, b_, c_;
    template <class T>
    static constexpr T kTwoPi = 2 * std::numbers::pi_v<T>;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizee<Rastrigin>)
