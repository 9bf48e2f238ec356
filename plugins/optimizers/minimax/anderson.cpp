#include <Eigen/QR>
#include <algorithm>
#include <cmath>
#include <l2o/numerics/view.hpp>

#include "players.hpp"

namespace {

using l2o::numerics::RowMatrix;
using Row = Eigen::RowVectorXd;

// Rows are numbered by pairs; y and s of a pair are divided by |y|, so that the ridge has no unit.
struct Anderson {
    static constexpr l2o::About about{
        .id = "anderson",
        .version = "1.0.0",
        .title = "Anderson acceleration of gradient descent ascent",
        .doc =
            "With the last m pairs s = z - z_before, y = F(z) - F(z_before), as rows of S and Y: z <- z - "
            "eta (F - gamma Y) - gamma S, gamma = argmin |F - gamma Y|^2 + ridge |gamma|^2 |F|^2 of pairs "
            "with |y| = 1; one gradient per step, F = (df/du, -df/dv). form secant: eta is |s| / |y| of the "
            "last pair, so that learning_rate is that of the first step alone. On a linear F whose "
            "steps keep independent, it ends once m pairs span all n dimensions, m >= n. Anderson 1965; "
            "Walker & Ni 2011, "
            "\"Anderson acceleration for fixed-point iterations\", equation 2.1, of type II."};

    enum class Form { kFixed, kSecant };
    Form form = Form::kFixed;
    std::int64_t memory = 2;
    double learning_rate = 0.1, ridge = 1e-14, trust = 0;

    static l2o::Options<Anderson> options() {
        l2o::Options<Anderson> options;
        options.choice("form", &Anderson::form, {"fixed", "secant"}, "of eta")
            .integer("memory", &Anderson::memory, "m", l2o::between(1, 1000))
            .real("learning_rate", &Anderson::learning_rate, "the step eta", l2o::kPositive)
            .real("ridge", &Anderson::ridge, "of the least squares", l2o::kNonNegative)
            .real("trust",
                  &Anderson::trust,
                  "a step is at most so many times as long as the last; 0: any length",
                  l2o::kNonNegative);
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        players_ = l2o::plugins::Players(spec);
        spec.reads_g();
        for (std::size_t k = 0; k < spec.blocks(); ++k) n_ += l2o::element_count(spec.block(k));
        const auto state = [&](const char* name, l2o::Shape shape) {
            return spec.state<double>({.name = name, .shape = std::move(shape), .batched = true});
        };
        s_ = state("S", {memory, n_});
        y_ = state("Y", {memory, n_});
        z_ = state("z_before", {n_});
        g_ = state("F_before", {n_});
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        Row z(n_), g(n_);
        for (std::int64_t row = 0; row < in.batch(); ++row) {
            for (std::int64_t k = 0, i = 0; k < std::int64_t(in.blocks()); ++k) {
                const auto block = std::size_t(k);
                for (std::int64_t c = 0; c < in.x(block).cols; ++c, ++i) {
                    z[i] = double(in.x(block)(row, c));
                    g[i] = players_.sign(block) * double(in.g(block)(row, c));
                }
            }
            auto s = pairs(out.state(s_), row), y = pairs(out.state(y_), row);
            s = pairs(in.state(s_), row);
            y = pairs(in.state(y_), row);
            const Row move = z - vector(in.state(z_), row), turn = g - vector(in.state(g_), row);
            const Row to = z + delta(in.t(), g, move, turn, s, y);
            vector(out.state(z_), row) = z;
            vector(out.state(g_), row) = g;
            for (std::int64_t k = 0, i = 0; k < std::int64_t(in.blocks()); ++k) {
                const auto x = out.x(std::size_t(k));
                for (std::int64_t c = 0; c < x.cols; ++c, ++i) x(row, c) = T(to[i]);
            }
        }
    }

  private:
    template <class Pairs>
    [[nodiscard]] Row delta(
        std::int64_t t, const Row& g, const Row& move, const Row& turn, Pairs& s, Pairs& y) const {
        if (t == 0) return -learning_rate * g;
        const double length = turn.stableNorm(), size = g.stableNorm();
        if (length > 0) {
            s.row((t - 1) % memory) = move / length;
            y.row((t - 1) % memory) = turn / length;
        }
        const bool is_secant = form == Form::kSecant && length > 0;
        const double eta = is_secant ? move.stableNorm() / length : learning_rate;
        if (!(size > 0)) return -eta * g;
        const Eigen::Index held = std::min(t, memory);
        Eigen::MatrixXd system(n_ + held, held);
        system << y.topRows(held).transpose(), std::sqrt(ridge) * Eigen::MatrixXd::Identity(held, held);
        Eigen::VectorXd right = Eigen::VectorXd::Zero(n_ + held);
        right.head(n_) = g.transpose() / size;
        const Eigen::RowVectorXd gamma =
            size * Eigen::ColPivHouseholderQR<Eigen::MatrixXd>(system).solve(right).transpose();
        Row step = -eta * (g - gamma * y.topRows(held)) - gamma * s.topRows(held);
        const double limit = trust * move.stableNorm(), asked = step.stableNorm();
        if (limit > 0 && asked > limit) step *= limit / asked;
        return step;
    }
    template <class T>
    [[nodiscard]] auto pairs(const l2o::View<T>& state, std::int64_t row) const {
        using Plain = std::conditional_t<std::is_const_v<T>, const RowMatrix<double>, RowMatrix<double>>;
        return Eigen::Map<Plain>(state.row(row), memory, n_);
    }
    template <class T>
    [[nodiscard]] auto vector(const l2o::View<T>& state, std::int64_t row) const {
        return l2o::numerics::row_vector(state.row(row), n_);
    }

    l2o::plugins::Players players_;
    std::int64_t n_ = 0;
    l2o::StateOf<double> s_, y_, z_, g_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<Anderson>)
