#include <cmath>
#include <l2o/numerics/lstm.hpp>
#include <l2o/numerics/philox.hpp>
#include <l2o/numerics/transpose.hpp>

#include "coupled.hpp"

namespace {

using l2o::numerics::add_product, l2o::numerics::add_product_nt, l2o::numerics::add_product_tn;
using l2o::numerics::Block, l2o::numerics::Index, l2o::numerics::kLanes, l2o::numerics::matrix;

// Behrens, Sauder & Jung 2021, "Neurally augmented ALISTA" (ICLR, arXiv:2010.01930): ALISTA whose step and
// threshold an LSTM finds for every instance, from the sizes of the residual. Rows are instances:
//   r = b - x_k A^T,   u = r W,   y = ((|r|_1 - mu1) / s1, (|u|_1 - mu2) / s2),   h, c <- LSTM(y; h, c),
//   (gamma, theta) = softplus(U relu(V c + bV) + bU),   x_{k+1} = SS(x_k + gamma u, theta, p_k),   x_0 = 0.
// SS leaves the entries beyond the p_k-th largest alone. As in the authors' code the cell state c is read,
// not h; mu and s are those of the first batch, at k = 0. Tensors have the names and layouts of torch: gates
// i, f, g, o. The first h and c are learned.
class NaAlista : public l2o::plugins::Coupled {
  public:
    static constexpr l2o::About about{
        .id = "na_alista",
        .version = "1.0.0",
        .title = "NA-ALISTA: an LSTM finds step and threshold per instance",
        .doc =
            "x <- SS(x + gamma W^T r, theta), r = b - A x, W the analytic weight of A; an LSTM reads ||r||_1 "
            "and ||W^T r||_1 and writes gamma and theta of the instance. SS leaves the p_k - 1 largest "
            "entries alone, p_k growing evenly up to support_max percent of the entries. Its start is "
            "random, and needs training. Behrens, Sauder & Jung 2021 (arXiv:2010.01930).",
        .needs = "A,b"};

    std::int64_t hidden = 128;

    NaAlista() { support_max = 12; }
    static l2o::Options<NaAlista> options() {
        l2o::Options<NaAlista> options;
        add_depth_option(options);
        options
            .integer("hidden",
                     &NaAlista::hidden,
                     "size of the LSTM and of the layer after it",
                     l2o::between(1, 1024))
            .real("support_max",
                  &NaAlista::support_max,
                  "p_k of the last layer, in percent of the entries: 1.2 times the expected share that is "
                  "not 0; "
                  "0: plain soft thresholds",
                  l2o::between(0, 100))
            .real("ridge",
                  &NaAlista::ridge,
                  "added to the diagonal of A A^T in W; needed if A has dependent rows",
                  l2o::kNonNegative);
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        declare_layers<Work>(spec, hidden);
        const std::int64_t m = model_.m, n = model_.n;
        const auto add =
            [&](const char* name, const char* doc, const char* axes, l2o::Shape shape, bool fixed) {
                return spec.param({.name = name,
                                   .doc = doc,
                                   .axes = axes,
                                   .shape = std::move(shape),
                                   .flags = fixed ? L2O_SPEC_DERIVED : 0});
            };
        const std::int64_t g = 4 * hidden;
        layer_.push_back({.w = add("const.W", "analytic weight of A", "m,n", {m, n}, true)});
        const char* gates = "gates in the order i, f, g, o";
        p_ = {.w_ih = add("lstm.w_ih", gates, "", {g, 2}, false),
              .w_hh = add("lstm.w_hh", gates, "", {g, hidden}, false),
              .b_ih = add("lstm.b_ih", gates, "", {g}, false),
              .b_hh = add("lstm.b_hh", gates, "", {g}, false),
              .v = add("V", "layer after the cell", "", {hidden, hidden}, false),
              .bv = add("bV", "its bias", "", {hidden}, false),
              .u = add("U", "read-out of gamma and theta", "", {2, hidden}, false),
              .bu = add("bU", "its bias", "", {2}, false),
              .h0 = add("h0", "h at the start", "", {hidden}, false),
              .c0 = add("c0", "c at the start", "", {hidden}, false),
              .mu1 = add("norm.mu1", "mean of |b|_1", "", {}, true),
              .s1 = add("norm.s1", "its deviation", "", {}, true),
              .mu2 = add("norm.mu2", "mean of |b W|_1", "", {}, true),
              .s2 = add("norm.s2", "its deviation", "", {}, true)};
        h_ = spec.state({.name = "h", .doc = "LSTM: output", .shape = {hidden}, .batched = true});
        c_ = spec.state({.name = "c", .doc = "LSTM: cell", .shape = {hidden}, .batched = true});
    }

    template <class T>
    void init_params(const l2o_call& call,
                     const l2o::NeedsIn<T>& data,
                     const l2o::ParamsOut<T>& params) const {
        const l2o::numerics::RowMatrix<double> w =
            l2o::numerics::analytic_weight(matrix(data[model_.a]), ridge);
        if (const auto to = params[layer_[0].w]) matrix(to) = w.cast<T>();
        // The initial values of torch's LSTMCell and Linear: U(-1, 1) / sqrt(fan in).
        for (const l2o::Param& param :
             {p_.w_ih, p_.w_hh, p_.b_ih, p_.b_hh, p_.v, p_.bv, p_.u, p_.bu, p_.h0, p_.c0}) {
            if (!params[param]) continue;
            l2o::numerics::Stream random(call.key, param.index());
            const bool is_state = param == p_.h0 || param == p_.c0;
            const double bound = 1 / std::sqrt(double(hidden));
            each([&](T& to) { to = T(is_state ? random.normal() : bound * (2 * random.uniform() - 1)); },
                 params[param]);
        }
        const auto b = matrix(data[model_.b]).template cast<double>().eval();
        l2o::numerics::RowMatrix<double> u = l2o::numerics::RowMatrix<double>::Zero(b.rows(), w.cols());
        add_product<double>(u, 1, b, w);
        normalise<T>(b.rowwise().template lpNorm<1>(), params[p_.mu1], params[p_.s1]);
        normalise<T>(u.rowwise().template lpNorm<1>(), params[p_.mu2], params[p_.s2]);
    }

    template <class T>
    void init_state(const l2o::StepIn<T>& in, const l2o::StatesOut<T>& state) const {
        for (const auto& [to, from] : {std::pair{h_, p_.h0}, std::pair{c_, p_.c0}}) {
            auto rows = matrix(state[to]);
            rows.rowwise() = vector(in.param(from));
        }
    }
    template <class T>
    void init_state_vjp(const l2o::StepIn<T>&,
                        const l2o::StatesCot<T>& cot,
                        const l2o::StepAcc<T>& acc) const {
        for (const auto& [from, to] : {std::pair{h_, p_.h0}, std::pair{c_, p_.c0}})
            if (cot[from] && acc.param(to)) vector(acc.param(to)) += matrix(cot[from]).colwise().sum();
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        const std::int64_t k = layer(in.t());
        l2o::Scratch scratch(in.call);
        Work<T> work(scratch, in.batch(), model_, hidden);
        auto u = matrix(out.x(0));
        correction(in, 0, point(in, k), work.residual, u);
        forward(in, work, u);
        to_rows(work.h_next, out.state(h_));
        to_rows(work.c_next, out.state(c_));
        for (std::int64_t r = 0; r < in.batch(); ++r) {
            u.row(r) *= softplus(work.out(r, 0));
            if (k > 0) u.row(r) += matrix(in.x(0)).row(r);
            const std::span z = l2o::numerics::row(out.x(0), r);
            l2o::numerics::support_selection<T>(
                z, softplus(work.out(r, 1)), kRule, count(k), z, {}, work.magnitudes);
        }
    }

    // With Z = bar z: bar gamma = <Z, u>, bar u = gamma Z + sign(u) bar y_2 / s2, bar r = bar u W^T + sign(r)
    // bar y_1 / s1, bar x_k = Z - bar r A; gamma and theta go back through softplus, the layers and the cell.
    template <class T>
    void step_vjp(const l2o::StepIn<T>& in, const l2o::StepCot<T>& cot, const l2o::StepAcc<T>& acc) const {
        const std::int64_t k = layer(in.t()), batch = in.batch();
        l2o::Scratch scratch(in.call);
        Work<T> work(scratch, batch, model_, hidden);
        correction(in, 0, point(in, k), work.residual, work.u);
        forward(in, work, work.u, work.tape);

        work.out_bar.setZero();
        work.z_bar.setZero();
        const l2o::View<T> x_bar = k > 0 ? acc.x(0) : l2o::View<T>{};
        for (std::int64_t r = 0; r < batch && cot.x(0); ++r) {
            const T gamma = softplus(work.out(r, 0)), theta = softplus(work.out(r, 1));
            work.z.row(r) = gamma * work.u.row(r);
            if (k > 0) work.z.row(r) += matrix(in.x(0)).row(r);
            const std::span<T> z = row_of(work.z, r), z_bar = row_of(work.z_bar, r);
            l2o::numerics::support_selection<T>(
                z, theta, kRule, count(k), z_bar, work.selected, work.magnitudes);
            const double theta_bar = l2o::numerics::support_selection_vjp<T>(
                z, theta, work.selected, l2o::numerics::row(cot.x(0), r), z_bar);
            work.out_bar(r, 0) = work.z_bar.row(r).dot(work.u.row(r)) * logistic(work.out(r, 0));
            work.out_bar(r, 1) = T(theta_bar) * logistic(work.out(r, 1));
            if (x_bar) matrix(x_bar).row(r) += work.z_bar.row(r);
            work.z_bar.row(r) *= gamma;
        }
        reverse(in, cot, acc, work);
        if (!x_bar) return;
        // work.z_bar becomes bar u.
        const T s1 = in.param(p_.s1).scalar(), s2 = in.param(p_.s2).scalar();
        for (std::int64_t r = 0; r < batch; ++r) {
            work.residual_bar.row(r) = *work.y_bar.at(0, r) / s1 * work.residual.row(r).array().sign();
            work.z_bar.row(r).array() += *work.y_bar.at(1, r) / s2 * work.u.row(r).array().sign();
        }
        residual_vjp(in, 0, work, T(1), acc, x_bar, &work.residual_bar);
    }

  private:
    static constexpr auto kRule = l2o::numerics::SupportRule::kCount;
    static constexpr Index kInputs = 2;
    // Groups of the kernel's gates, i, j, f, o, in torch's order.
    static constexpr Index kGate[] = {0, 2, 1, 3};
    struct Params {
        l2o::Param w_ih, w_hh, b_ih, b_hh, v, bv, u, bu, h0, c0, mu1, s1, mu2, s2;
    };

    /// Weights of the cell as the kernel has them, or their cotangents: [2 + hidden, 4 hidden] and [4
    /// hidden].
    template <class T>
    struct Weights {
        T *w, *b;
        Weights(l2o::Scratch& scratch, Index hidden)
            : w(scratch.take<T>((kInputs + hidden) * 4 * hidden)), b(scratch.take<T>(4 * hidden)) {}
    };
    /// Of the network: blocks [features, B] and matrices [B, features].
    template <class T>
    struct Work : Coupled::Work<T> {
        Rows<T> residual_bar, c_rows, layer, out, c_rows_bar, layer_bar, out_bar;
        Block<T> y, h, c, h_next, c_next, y_bar, h_bar, c_bar, tape;
        Weights<T> weights, weights_bar;
        // lstm_vjp_workspace rounds the rows up to lanes: this is as much for every row, and no less.
        T* workspace;

        Work(l2o::Scratch& scratch, Index batch, const l2o::LinearModel& model, Index hidden)
            : Coupled::Work<T>(scratch, batch, model),
              residual_bar(take_rows<T>(scratch, batch, model.m)),
              c_rows(take_rows<T>(scratch, batch, hidden)),
              layer(take_rows<T>(scratch, batch, hidden)),
              out(take_rows<T>(scratch, batch, 2)),
              c_rows_bar(take_rows<T>(scratch, batch, hidden)),
              layer_bar(take_rows<T>(scratch, batch, hidden)),
              out_bar(take_rows<T>(scratch, batch, 2)),
              y{scratch.take<T>(kInputs * batch), batch},
              h{scratch.take<T>(hidden * batch), batch},
              c{scratch.take<T>(hidden * batch), batch},
              h_next{scratch.take<T>(hidden * batch), batch},
              c_next{scratch.take<T>(hidden * batch), batch},
              y_bar{scratch.take<T>(kInputs * batch), batch},
              h_bar{scratch.take<T>(hidden * batch), batch},
              c_bar{scratch.take<T>(hidden * batch), batch},
              tape{scratch.take<T>(l2o::numerics::kLstmTapeRows * hidden * batch), batch},
              weights(scratch, hidden),
              weights_bar(scratch, hidden),
              workspace(scratch.take<T>(l2o::numerics::lstm_vjp_workspace<T>(hidden, kLanes<T>) / kLanes<T> *
                                        (batch + kLanes<T> - 1))) {}
    };

    template <class T>
    static T logistic(T v) {
        return 1 / (1 + std::exp(-v));
    }
    template <class T>
    static T softplus(T v) {
        return std::max(v, T(0)) + std::log1p(std::exp(-std::abs(v)));
    }
    /// A vector parameter as a row.
    template <class T>
    static auto vector(const l2o::View<T>& param) {
        return l2o::numerics::row_vector(param.data, param.rows);
    }
    template <class T>
    static void to_rows(const Block<T>& block, const l2o::View<T>& rows) {
        l2o::numerics::transpose(block.data, rows.cols, rows.rows, block.stride, rows.data, rows.stride);
    }
    template <class T>
    static void to_block(const l2o::View<const T>& rows, const Block<T>& block) {
        l2o::numerics::transpose(rows.data, rows.rows, rows.cols, rows.stride, block.data, block.stride);
    }
    /// Mean and deviation (n - 1); of one number alone, or of equal ones, the mean serves as deviation too.
    template <class T>
    static void normalise(const Eigen::VectorXd& sizes, const l2o::View<T>& mu, const l2o::View<T>& s) {
        const double mean = sizes.mean();
        const double variance =
            sizes.size() < 2 ? 0 : (sizes.array() - mean).square().sum() / double(sizes.size() - 1);
        if (mu) mu.scalar() = T(mean);
        if (s) s.scalar() = T(variance > 0 ? std::sqrt(variance) : mean > 0 ? mean : 1);
    }
    /// p_k: from a K-th of the last one in even steps, rounded down, as numpy.linspace(...).astype(int) does.
    [[nodiscard]] double count(std::int64_t k) const {
        const double last = support_max * double(model_.n) / 100;
        if (k + 1 == layers && layers > 1) return std::floor(last);
        const double first = std::floor(last / double(layers));
        return std::floor(first +
                          double(k) * ((last - first) / double(std::max<std::int64_t>(layers - 1, 1))));
    }

    template <class T>
    void pack(const l2o::StepIn<T>& in, const Weights<T>& to) const {
        const auto w_ih = in.param(p_.w_ih), w_hh = in.param(p_.w_hh);
        const auto b_ih = in.param(p_.b_ih), b_hh = in.param(p_.b_hh);
        for (Index gate = 0; gate < 4; ++gate) {
            const Index from = kGate[gate] * hidden, at = gate * hidden;
            l2o::numerics::transpose(w_ih.row(from), hidden, kInputs, w_ih.stride, to.w + at, 4 * hidden);
            l2o::numerics::transpose(
                w_hh.row(from), hidden, hidden, w_hh.stride, to.w + kInputs * 4 * hidden + at, 4 * hidden);
            // The kernel adds 1 to the bias of f.
            for (Index i = 0; i < hidden; ++i)
                to.b[at + i] = b_ih[from + i] + b_hh[from + i] - T(gate == 2 ? 1 : 0);
        }
    }
    template <class T>
    void unpack(const Weights<T>& from, const l2o::StepAcc<T>& acc) const {
        const auto w_ih = acc.param(p_.w_ih), w_hh = acc.param(p_.w_hh);
        const auto b_ih = acc.param(p_.b_ih), b_hh = acc.param(p_.b_hh);
        for (Index gate = 0; gate < 4; ++gate) {
            const Index to = kGate[gate] * hidden, at = gate * hidden;
            if (w_ih)
                l2o::numerics::transpose<true>(
                    from.w + at, kInputs, hidden, 4 * hidden, w_ih.row(to), w_ih.stride);
            if (w_hh)
                l2o::numerics::transpose<true>(from.w + kInputs * 4 * hidden + at,
                                               hidden,
                                               hidden,
                                               4 * hidden,
                                               w_hh.row(to),
                                               w_hh.stride);
            for (const auto& b : {b_ih, b_hh})
                for (Index i = 0; b && i < hidden; ++i) b[to + i] += from.b[at + i];
        }
    }

    template <class T, class U>
    void forward(const l2o::StepIn<T>& in, Work<T>& work, const U& u, const Block<T>& tape = {}) const {
        const auto normal = [&](T size, const l2o::Param& mu, const l2o::Param& s) {
            return (size - in.param(mu).scalar()) / in.param(s).scalar();
        };
        for (std::int64_t r = 0; r < in.batch(); ++r) {
            *work.y.at(0, r) = normal(work.residual.row(r).template lpNorm<1>(), p_.mu1, p_.s1);
            *work.y.at(1, r) = normal(u.row(r).template lpNorm<1>(), p_.mu2, p_.s2);
        }
        pack(in, work.weights);
        to_block(in.state(h_), work.h);
        to_block(in.state(c_), work.c);
        l2o::numerics::lstm_forward<T>({kInputs, hidden, work.weights.w, work.weights.b},
                                       in.batch(),
                                       {work.y, work.h, work.c},
                                       {work.h_next, work.c_next},
                                       tape);
        to_rows(work.c_next, view_of(work.c_rows));
        work.layer.rowwise() = vector(in.param(p_.bv));
        add_product_nt<T>(work.layer, 1, work.c_rows, matrix(in.param(p_.v)));
        work.layer = work.layer.cwiseMax(T(0));
        work.out.rowwise() = vector(in.param(p_.bu));
        add_product_nt<T>(work.out, 1, work.layer, matrix(in.param(p_.u)));
    }
    /// From work.out_bar, and the cotangents of h and c, to those of the parameters, of h and c, and
    /// work.y_bar.
    template <class T>
    void reverse(const l2o::StepIn<T>& in,
                 const l2o::StepCot<T>& cot,
                 const l2o::StepAcc<T>& acc,
                 Work<T>& work) const {
        const Index batch = in.batch();
        const auto add = [&](const l2o::Param& weight,
                             const l2o::Param& bias,
                             const Rows<T>& out_bar,
                             const Rows<T>& input) {
            if (const auto to = acc.param(weight)) add_product_tn<T>(matrix(to), 1, out_bar, input);
            if (const auto to = acc.param(bias)) vector(to) += out_bar.colwise().sum();
        };
        add(p_.u, p_.bu, work.out_bar, work.layer);
        work.layer_bar.setZero();
        add_product<T>(work.layer_bar, 1, work.out_bar, matrix(in.param(p_.u)));
        work.layer_bar = (work.layer.array() > 0).select(work.layer_bar, T(0));
        add(p_.v, p_.bv, work.layer_bar, work.c_rows);
        if (const auto from = cot.state(c_))
            work.c_rows_bar = matrix(from);
        else
            work.c_rows_bar.setZero();
        add_product<T>(work.c_rows_bar, 1, work.layer_bar, matrix(in.param(p_.v)));

        const l2o::View<T> rows = view_of(work.c_rows_bar);
        to_block<T>({rows.data, rows.rows, rows.cols, rows.stride}, work.c_bar);
        if (const auto from = cot.state(h_))
            to_block(from, work.h_bar);
        else
            std::fill_n(work.h_bar.data, hidden * batch, T(0));
        std::fill_n(work.y_bar.data, kInputs * batch, T(0));
        std::fill_n(work.weights_bar.w, (kInputs + hidden) * 4 * hidden, T(0));
        std::fill_n(work.weights_bar.b, 4 * hidden, T(0));
        l2o::numerics::lstm_vjp<T, T>(
            {kInputs, hidden, work.weights.w, work.weights.b},
            batch,
            {work.y, work.h, work.c},
            work.tape,
            {work.h_bar, work.c_bar},
            {work.weights_bar.w, work.weights_bar.b, work.y_bar, work.h_bar, work.c_bar},
            work.workspace);
        unpack(work.weights_bar, acc);
        for (const auto& [state, block] : {std::pair{h_, work.h_bar}, std::pair{c_, work.c_bar}})
            if (const auto to = acc.state(state))
                l2o::numerics::transpose<true>(block.data, hidden, batch, block.stride, to.data, to.stride);
    }

    Params p_{};
    l2o::State h_, c_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<NaAlista>)
