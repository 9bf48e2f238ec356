#include <Eigen/SVD>
#include <l2o/numerics/view.hpp>

#include "game.hpp"

namespace {

using l2o::numerics::RowMatrix, l2o::numerics::row_vector;

struct MatrixGame : l2o::plugins::Game {
    static constexpr l2o::About about{
        .id = "matrix_game",
        .version = "1.0.0",
        .title = "Matrix game without constraints: bilinear",
        .doc =
            "min over u, max over v of f(u, v) = u' A v, u and v of d numbers; entries of A uniform on "
            "[0.5, 1], each 0 with probability 1 - density; u_0, v_0 uniform on [-0.5, 0.5]. Solutions are "
            "A'u = 0 and Av = 0. No gradient has a part in the kernels of A' and A, so the distances leave "
            "it out; the mean of the metric `singular` is the share of matrices that have one. There is no "
            "duality gap: it is infinite elsewhere. Shen et al. 2021, \"Learning a minimax optimizer: a "
            "pilot study\"."};

    std::int64_t d = 1;
    double density = 0;

    static l2o::Options<MatrixGame> options() {
        l2o::Options<MatrixGame> options;
        options.integer("d", &MatrixGame::d, "numbers of a player", l2o::at_least(1))
            .real("density",
                  &MatrixGame::density,
                  "share of the entries of A that are not 0; 0: all for d = 1, else half",
                  l2o::between(0, 1));
        return options;
    }

    void declare(l2o::OptimizeeSpec& spec) {
        if (density == 0) density = d == 1 ? 1 : 0.5;
        declare_players(spec,
                        {.name = "u", .axes = "d", .shape = {d}},
                        {.name = "v", .axes = "d", .shape = {d}},
                        "the nearest solution",
                        L2O_SPEC_NEEDS_SOLUTION);
        const auto matrix = [&](const char* name, const char* doc, std::uint64_t flags = 0) {
            return l2o::TensorSpec{
                .name = name, .doc = doc, .axes = "d,d", .shape = {d, d}, .batched = true, .flags = flags};
        };
        a_ = spec.data(matrix("A", "the matrix of the game"));
        range_u_ = spec.solution<double>(matrix(
            "range_u", "projector onto the range of A: what u has outside is solved", L2O_SPEC_BY_SOLVE));
        range_v_ =
            spec.solution<double>(matrix("range_v", "projector onto the range of A'", L2O_SPEC_BY_SOLVE));
        singular_ = spec.metric("singular", "1 where A is singular, else 0", L2O_SPEC_NEEDS_SOLUTION);
    }

    template <class T>
    void sample(const l2o::Draw& draw, const l2o::DataOut<T>& data) const {
        l2o::numerics::fill_rows(draw, data, a_, [this](l2o::numerics::Stream& random) {
            const double entry = 0.5 + 0.5 * random.uniform();
            return random.uniform() < density ? entry : 0;
        });
    }

    template <class T>
    void eval(const l2o::EvalIn<T>& in, const l2o::EvalOut<T>& out) const {
        for (std::int64_t row = 0; row < in.rows(); ++row) {
            const auto a = square<T>(in.row(a_, row));
            const auto u = row_vector(in.x(kU).row(row), d), v = row_vector(in.x(kV).row(row), d);
            if (out.f()) out.f()[row] = (u * a).dot(v);
            if (out.g(kU)) row_vector(out.g(kU).row(row), d).noalias() = v * a.transpose();
            if (out.g(kV)) row_vector(out.g(kV).row(row), d).noalias() = u * a;
        }
    }

    /// The Hessian is that of the other player's number by one's own: the same products with the direction.
    template <class T>
    void hvp(const l2o::EvalIn<T>& in, const l2o::Tensors<const T>& of, const l2o::Tensors<T>& to) const {
        for (std::int64_t row = 0; row < in.rows(); ++row) {
            const auto a = square<T>(in.row(a_, row));
            if (to[kU])
                row_vector(to[kU].row(row), d).noalias() = row_vector(of[kV].row(row), d) * a.transpose();
            if (to[kV]) row_vector(to[kV].row(row), d).noalias() = row_vector(of[kU].row(row), d) * a;
        }
    }

    template <class T>
    void metrics(const l2o::EvalIn<T>& in, const l2o::MetricsOut<T>& out) const {
        for (std::int64_t row = 0; row < in.rows(); ++row) {
            const Eigen::RowVectorXd u = row_vector(in.x(kU).row(row), d).template cast<double>(),
                                     v = row_vector(in.x(kV).row(row), d).template cast<double>();
            if (out[residual_]) {
                const RowMatrix<double> a = square<T>(in.row(a_, row)).template cast<double>();
                out[residual_][row] = T(std::hypot((u * a).stableNorm(), (v * a.transpose()).stableNorm()));
            }
            if (!wants_distances(out) && !out[singular_]) continue;
            const auto range_u = square<double>(in.row(range_u_, row)),
                       range_v = square<double>(in.row(range_v_, row));
            tell_distances(
                out, row, T((u * range_u).template lpNorm<1>()), T((v * range_v).template lpNorm<1>()));
            if (out[singular_]) out[singular_][row] = range_u.trace() < double(d) - 0.5 ? T(1) : T(0);
        }
    }

    template <class T>
    void solve(const l2o_call&, const l2o::DataIn<T>& data, const l2o::DataOut<T>& solution) const {
        for (std::int64_t row = 0; row < data[a_].rows; ++row) {
            const Eigen::MatrixXd a = square<T>(data[a_].row(row)).template cast<double>();
            const Eigen::JacobiSVD<Eigen::MatrixXd> svd(a, Eigen::ComputeFullU | Eigen::ComputeFullV);
            const Eigen::Index rank = (svd.singularValues().array() > kZero).count();
            const auto project = [&](const l2o::View<double>& to, const Eigen::MatrixXd& basis) {
                if (!to) return;
                const auto range = basis.leftCols(rank);
                Eigen::Map<RowMatrix<double>>(to.row(row), d, d) = range * range.transpose();
            };
            // Nothing is left out of a regular game: its distances are exact.
            const auto identity = Eigen::MatrixXd::Identity(d, d);
            project(solution[range_u_], rank == d ? Eigen::MatrixXd(identity) : svd.matrixU());
            project(solution[range_v_], rank == d ? Eigen::MatrixXd(identity) : svd.matrixV());
        }
    }

  private:
    // Singular values that are not 0 for every choice of the entries that are not 0 are seldom so small.
    static constexpr double kZero = 1e-10;
    template <class T>
    [[nodiscard]] auto square(const T* entries) const {
        return Eigen::Map<const RowMatrix<T>>(entries, d, d);
    }

    l2o::Data a_;
    l2o::DataOf<double> range_u_, range_v_;
    l2o::Metric singular_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizee<MatrixGame>)
