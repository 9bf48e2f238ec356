// Liu, Chen, Wang & Yin 2023, "Towards constituting mathematical structures for learning to optimize" (ICML,
// arXiv:2305.18577), equations 18 and 19 with P and A alone: a coordinate-wise LSTM chooses the step size P
// and the momentum A of every coordinate of an accelerated proximal gradient method. Symbols as there:
//   x_{k+1} = prox(y_k - P/L g_k, lambda P/L),  y_{k+1} = x_{k+1} + A (x_{k+1} - x_k),  g_k = A^T (A y_k -
//   b), P, A = 2 s(head(h2)),  s the logistic function, y_0 = x_0.
// Deviations: L as everywhere here, 1.001 |A|^2 and not |A|^2 / 0.9999; the gate of the LSTM in Sonnet's
// form, with its initial values; the derivative goes through what the LSTM reads, too (their code detaches
// it); zero state at the start (their code: normal).
#include <l2o/numerics/dense.hpp>
#include <l2o/numerics/lipschitz.hpp>
#include <l2o/numerics/random_rows.hpp>
#include <l2o/numerics/soft_threshold.hpp>
#include <l2o/sdk/linear_model.hpp>

#include "lstm_net.hpp"
#include "relu_net.hpp"

namespace {

using l2o::Scratch;
using l2o::View;
using l2o::numerics::matrix;
using l2o::numerics::soft_threshold;
using l2o::recurrent::Block;
using l2o::recurrent::Index;
using l2o::recurrent::kTile;
using l2o::recurrent::LayerStates;
using l2o::recurrent::LstmNet;
using l2o::recurrent::Tile;

using Head = l2o::recurrent::ReluNet<2>;

class L2oPa {
  public:
    static constexpr l2o::About about{
        .id = "l2o_pa",
        .version = "1.0.0",
        .title = "L2O-PA: an LSTM chooses step and momentum of a proximal gradient method",
        .doc =
            "Liu, Chen, Wang & Yin 2023 (arXiv:2305.18577). For 1/2 ||Ax - b||^2 + lambda ||x||_1: an "
            "accelerated "
            "proximal gradient method whose step size and momentum a small shared LSTM chooses for every "
            "coordinate, each between 0 and 2 times the usual ones, from the gradient and the point",
        .needs = "A,b,lambda"};

    static l2o::Options<L2oPa> options() {
        l2o::Options<L2oPa> o;
        o.integer("hidden",
                  &L2oPa::hidden_,
                  "size of each of the two layers and of the head",
                  l2o::between(1, 1024));
        o.choice(
            "state_init",
            &L2oPa::state_init_,
            {"zero", "normal"},
            "of the LSTM: zero, or drawn from N(0, 1) as in the reference code, which makes a run depend on "
            "the draw");
        return o;
    }

    void declare(l2o::OptimizerSpec& spec) {
        model_ = l2o::linear_model(spec);
        spec.drop(L2O_FLAG_ROW_INVARIANT);
        if (state_init_ == StateInit::kNormal) spec.flag(L2O_FLAG_STOCHASTIC);
        spec.info.points_per_step = 1;
        lambda_ = spec.needs("lambda");
        l_ = spec.param({.name = "const.L",
                         .doc = "Lipschitz constant of the gradient of 1/2 ||Ax - b||^2",
                         .flags = L2O_SPEC_DERIVED});
        lstm_.declare(spec, 2, hidden_, false);
        head_.declare(spec, "head", {hidden_, hidden_, 2}, 0, "rows: output of layer 2; columns of w1: P, A");
        y_ = spec.state_like_x("y", "the extrapolated point")[0];
        spec.scratch([this](Scratch& scratch, Index rows, auto scalar) {
            using T = decltype(scalar);
            Work<T>(scratch, *this, nullptr), Reverse<T>(scratch, *this), Rows<T>(scratch, rows, model_);
        });
    }

    template <class T>
    void init_params(const l2o_call& call,
                     const l2o::NeedsIn<T>& data,
                     const l2o::ParamsOut<T>& params) const {
        if (const View<T> to = params[l_])
            to.scalar() = T(l2o::numerics::lipschitz_constant<T>(matrix(data[model_.a])));
        lstm_.init_params(call, params);
        head_.init_params(call, params);
    }

    template <class T>
    void init_state(const l2o::StepIn<T>& in, const l2o::StatesOut<T>& state) const {
        for (const l2o::State& cell : lstm_.states()) {
            if (state_init_ == StateInit::kZero)
                l2o::fill(state[cell], T(0));
            else
                l2o::numerics::fill_rows(
                    state[cell], in.call.key, in.call.row0, cell.index(), [](auto& random) {
                        return random.normal();
                    });
        }
        l2o::copy(in.x(0), state[y_]);
    }
    template <class T>
    void init_state_vjp(const l2o::StepIn<T>&,
                        const l2o::StatesCot<T>& cot,
                        const l2o::StepAcc<T>& acc) const {
        if (const auto to = acc.x(0); to && cot[y_])
            l2o::each([](T bar, T& sum) { sum += bar; }, cot[y_], to);
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        Scratch scratch(in.call);
        Work<T> work(scratch, *this, &in);
        const View<const T> g = gradient(in, Rows<T>(scratch, in.batch(), model_));
        l2o::recurrent::for_each_tile(g.rows * g.cols, [&](const Tile& tile) {
            work.choose(in, g, tile, nullptr);
            lstm_.store_state(work.to, out, 0, tile);
            for (Index i = 0; i < tile.count; ++i) {
                const T x_next = soft_threshold(work.z(i), work.theta(i));
                work.y[i] = x_next + work.momentum(i) * (x_next - work.x[i]);
                work.x[i] = x_next;
            }
            scatter(work.x, tile, out.x(0));
            scatter(work.y, tile, out.state(y_));
        });
    }

    // With z = y - P/L g, theta = lambda P/L, X = bar x', Y = bar y':  Z = [|z| > theta] (X + (1 + A) Y),
    // bar P = -(lambda sign(z) + g) Z / L,  bar A = Y (x' - x),  bar g = -P/L Z,  bar y = Z + A^T A bar g.
    template <class T>
    void step_vjp(const l2o::StepIn<T>& in, const l2o::StepCot<T>& cot, const l2o::StepAcc<T>& acc) const {
        Scratch scratch(in.call);
        Work<T> work(scratch, *this, &in);
        const Reverse<T> back(scratch, *this);
        const Rows<T> rows(scratch, in.batch(), model_);
        const View<const T> g = gradient(in, rows);
        l2o::recurrent::for_each_tile(g.rows * g.cols, [&](const Tile& tile) {
            const Index n = tile.count;
            work.choose(in, g, tile, &back.tape);
            const auto given = [&](const View<const T>& from, T* to) {
                std::fill_n(to, kTile, T(0));
                if (from) gather(from, tile, to);
            };
            given(cot.x(0), back.x_bar);
            given(cot.state(y_), back.y_bar);
            std::fill_n(back.o_bar.data, 2 * kTile, T(0));
            for (Index i = 0; i < n; ++i) {
                const T p = work.p(i), a = work.momentum(i), z = work.z(i), g_i = work.features.data[i];
                const T x_next = soft_threshold(z, work.theta(i)), y_next_bar = back.y_bar[i];
                const T z_bar = l2o::numerics::soft_threshold_slope(z, work.theta(i)) *
                                (back.x_bar[i] + (1 + a) * y_next_bar);
                const T p_bar = -(work.lambda * (z > 0 ? T(1) : T(-1)) + g_i) * work.step * z_bar;
                *back.o_bar.at(0, i) = p_bar * p * (1 - p / 2);
                *back.o_bar.at(1, i) = y_next_bar * (x_next - work.x[i]) * a * (1 - a / 2);
                back.x_bar[i] = -a * y_next_bar;
                back.y_bar[i] = z_bar;
                back.g_bar[i] = -p * work.step * z_bar;
            }
            if (acc.x(0)) scatter_add(back.x_bar, tile, acc.x(0));
            work.head.reverse(
                n, work.to.h2, work.read_out, back.o_bar, back.head_work, back.head_gradient, back.h_bar);
            lstm_.load_cotangent(cot, 0, tile, back.cot);
            for (Index unit = 0; unit < hidden_; ++unit)
                for (Index i = 0; i < n; ++i) *back.cot.h2.at(unit, i) += *back.h_bar.at(unit, i);
            std::fill_n(back.features_bar.data, 2 * kTile, T(0));
            work.lstm.reverse(n,
                              work.features,
                              work.from,
                              work.to,
                              nullptr,
                              back.tape,
                              back.cot,
                              back.gradient,
                              back.features_bar);
            lstm_.add_cotangent(back.cot, acc, 0, tile);
            for (Index i = 0; i < n; ++i) {
                back.g_bar[i] += *back.features_bar.at(0, i);
                back.y_bar[i] += *back.features_bar.at(1, i);
            }
            scatter(back.g_bar, tile, rows.g_bar);
            scatter(back.y_bar, tile, rows.y_bar);
        });
        lstm_.add_gradient(back.gradient, acc);
        work.head.finish(back.head_gradient, acc);
        if (const View<T> to = acc.state(y_)) {
            const auto a = matrix(in.data(model_.a));
            l2o::fill(rows.residual, T(0));
            l2o::numerics::add_product_nt<T>(matrix(rows.residual), 1, matrix(rows.g_bar), a);
            l2o::numerics::add_product<T>(matrix(rows.y_bar), 1, matrix(rows.residual), a);
            l2o::each([](T bar, T& sum) { sum += bar; }, rows.y_bar, to);
        }
    }

  private:
    enum class StateInit { kZero, kNormal };

    /// A tile of the forward pass: what the network chooses, and the points.
    template <class T>
    struct Work {
        const L2oPa& method;
        Block<T> features;  // g, y
        LayerStates<T> from, to;
        T *x, *y;
        Head::Tape<T> read_out;
        Head::Bound<T> head;
        LstmNet::Bound<T> lstm;
        T step = 0, lambda = 0;

        Work(Scratch& scratch, const L2oPa& of, const l2o::StepIn<T>* in)
            : method(of),
              features{scratch.take<T>(2 * kTile), kTile},
              from(scratch, of.hidden_),
              to(scratch, of.hidden_),
              x(scratch.take<T>(kTile)),
              y(scratch.take<T>(kTile)),
              read_out(scratch, of.head_),
              head(scratch, of.head_, in, nullptr),
              lstm(of.lstm_, in) {
            if (in == nullptr) return;
            step = 1 / in->param(of.l_).scalar(), lambda = in->data(of.lambda_).scalar();
        }

        void choose(const l2o::StepIn<T>& in,
                    const View<const T>& g,
                    const Tile& tile,
                    const LstmNet::Tape<T>* tape) {
            gather(g, tile, features.at(0, 0));
            gather(in.state(method.y_), tile, features.at(1, 0));
            gather(in.x(0), tile, x);
            method.lstm_.load_state(in, 0, tile, from);
            lstm.forward(tile.count, features, from, to, nullptr, tape);
            head.forward(tile.count, to.h2, read_out);
        }
        [[nodiscard]] T p(Index i) const { return twice_logistic(*read_out.output().at(0, i)); }
        [[nodiscard]] T momentum(Index i) const { return twice_logistic(*read_out.output().at(1, i)); }
        [[nodiscard]] T z(Index i) const { return *features.at(1, i) - p(i) * step * *features.at(0, i); }
        [[nodiscard]] T theta(Index i) const { return lambda * p(i) * step; }
        static T twice_logistic(T o) { return 2 / (1 + std::exp(-o)); }
    };
    template <class T>
    struct Reverse {
        LstmNet::Tape<T> tape;
        LstmNet::Gradient gradient;
        LayerStates<T> cot;
        Head::Workspace<T> head_work;
        Head::Gradient head_gradient;
        Block<T> o_bar, h_bar, features_bar;
        T *x_bar, *y_bar, *g_bar;

        Reverse(Scratch& scratch, const L2oPa& of)
            : tape(scratch, of.lstm_),
              gradient(of.lstm_.gradient(scratch)),
              cot(scratch, of.hidden_),
              head_work(scratch, of.head_),
              head_gradient(of.head_.gradient(scratch)),
              o_bar{scratch.take<T>(2 * kTile), kTile},
              h_bar{scratch.take<T>(of.hidden_ * kTile), kTile},
              features_bar{scratch.take<T>(2 * kTile), kTile},
              x_bar(scratch.take<T>(kTile)),
              y_bar(scratch.take<T>(kTile)),
              g_bar(scratch.take<T>(kTile)) {}
    };

    /// What is worked out for all rows at once.
    template <class T>
    struct Rows {
        View<T> residual, g, g_bar, y_bar;

        Rows(Scratch& scratch, Index rows, const l2o::LinearModel& of)
            : residual(scratch.rows<T>(rows, of.m)),
              g(scratch.rows<T>(rows, of.n)),
              g_bar(scratch.rows<T>(rows, of.n)),
              y_bar(scratch.rows<T>(rows, of.n)) {}
    };

    /// g = A^T (A y - b)
    template <class T>
    View<const T> gradient(const l2o::StepIn<T>& in, const Rows<T>& rows) const {
        const View<T>&residual = rows.residual, &g = rows.g;
        matrix(residual) = -matrix(in.data(model_.b));
        l2o::numerics::add_product_nt<T>(
            matrix(residual), 1, matrix(in.state(y_)), matrix(in.data(model_.a)));
        l2o::fill(g, T(0));
        l2o::numerics::add_product<T>(matrix(g), 1, matrix(residual), matrix(in.data(model_.a)));
        return {g.data, g.rows, g.cols, g.stride};
    }

    std::int64_t hidden_ = 20;
    StateInit state_init_ = StateInit::kZero;
    l2o::LinearModel model_;
    LstmNet lstm_;
    Head head_;
    l2o::Need lambda_;
    l2o::Param l_;
    l2o::State y_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<L2oPa>)
