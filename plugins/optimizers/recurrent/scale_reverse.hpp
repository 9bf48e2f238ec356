#pragma once

#include <algorithm>
#include <l2o/numerics/gru.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <l2o/sdk/scratch.hpp>

#include "lstm_net.hpp"
#include "scale_features.hpp"
#include "scale_layout.hpp"
#include "scale_row.hpp"

namespace l2o::recurrent {

/// The way back through ScaleRow::sweep, top down.
template <class T>
struct ScaleReverse {
    const ScaleLayout& layout;
    GradientSums<kParams> sums;
    double* bias_bar;                      // [3 hidden], of one cell
    T *h2_bar, *x2_bar, *h1_bar, *x1_bar;  // of the old states, and of the inputs
    Block<T> h_bar, inputs_bar;
    T *raw_bar, *eta_bar, *in_bar, *scale_bar, *workspace;

    ScaleReverse(Scratch& scratch, const ScaleLayout& of) : layout(of), sums(scratch, of.param_sizes) {
        const auto& size = of.hidden;
        const Index widest = std::max({size[0], size[1], size[2]});
        bias_bar = scratch.take<double>(3 * widest);
        h2_bar = scratch.take<T>(size[2]), x2_bar = scratch.take<T>(of.inputs[2]);
        h1_bar = scratch.take<T>(size[1]), x1_bar = scratch.take<T>(of.inputs[1]);
        h_bar = {scratch.take<T>(size[0] * kTile), kTile};
        inputs_bar = {scratch.take<T>(kScaleInputs * kTile), kTile};
        raw_bar = scratch.take<T>(kTile), eta_bar = scratch.take<T>(kTile);
        in_bar = scratch.take<T>(kTile), scale_bar = scratch.take<T>(kTile);
        workspace = scratch.take<T>(std::max(numerics::gru_vjp_workspace<T>(size[0], kTile),
                                             numerics::gru_vjp_workspace<T>(widest, 1)));
    }

    void sweep(
        const ScaleRow<T>& row, const StepIn<T>& in, const StepCot<T>& cot, const StepAcc<T>& acc, Index r) {
        load(cot.state(layout.global), r, layout.hidden[2], h2_bar);
        const T* old_h2 = in.state(layout.global).row(r);
        cell_back(in, 2, row.bias2, row.x2, old_h2, row.tape2, h2_bar, x2_bar);
        double rate_bar = 0;  // of the mean over the problem
        for (std::size_t k = 0; k < layout.blocks(); ++k) {
            load(cot.state(layout.h1[k]), r, layout.hidden[1], h1_bar);
            for (Index i = 0; i < layout.hidden[1]; ++i)
                h1_bar[i] += static_cast<T>(layout.share(k)) * x2_bar[i];
            const T* old_h1 = in.state(layout.h1[k]).row(r);
            cell_back(in,
                      1,
                      row.bias1 + Index(k) * 3 * layout.hidden[1],
                      row.x1 + Index(k) * layout.inputs[1],
                      old_h1,
                      row.tape1 + Index(k) * 3 * layout.hidden[1],
                      h1_bar,
                      x1_bar);
            inject_back(in, kGlobalToTensor, old_h2, 2, 1, h2_bar);

            std::fill_n(bias_bar, 3 * layout.hidden[0], 0.0);
            rate_bar += coordinates_back(row, in, cot, acc, r, k);
            own_bias_back(0);
            inject_back(in, kTensorToCoordinate, old_h1, 1, 0, h1_bar);
            inject_back(in, kGlobalToCoordinate, old_h2, 2, 0, h2_bar);
            add(h1_bar, layout.hidden[1], acc.state(layout.h1[k]), r);
        }
        add(h2_bar, layout.hidden[2], acc.state(layout.global), r);
        const T share = static_cast<T>(-rate_bar / double(layout.coordinates()));
        for (std::size_t k = 0; k < layout.blocks(); ++k)
            if (const View<T> to = acc.state(layout.log_rate[k]))
                for (Index j = 0; j < layout.sizes[k]; ++j) to(r, j) += share;
    }

  private:
    static void load(const View<const T>& from, Index r, Index n, T* to) {
        if (from)
            std::copy_n(from.row(r), n, to);
        else
            std::fill_n(to, n, T(0));
    }
    static void add(const T* from, Index n, const View<T>& to, Index r) {
        for (Index i = 0; to && i < n; ++i) to(r, i) += from[i];
    }

    /// The cell of a tensor, or the global one. @param h_bar  of the new state, then of the old one.
    void cell_back(const StepIn<T>& in,
                   std::size_t level,
                   const T* bias,
                   const T* x,
                   const T* h,
                   const T* tape,
                   T* h_bar_of,
                   T* x_bar) {
        std::fill_n(bias_bar, 3 * layout.hidden[level], 0.0);
        std::fill_n(x_bar, layout.inputs[level], T(0));
        gru_back(in, level, bias, 1, {x, 1}, {h, 1}, {tape, 1}, {x_bar, 1}, {h_bar_of, 1});
        own_bias_back(level);
    }
    void gru_back(const StepIn<T>& in,
                  std::size_t level,
                  const T* bias,
                  Index n,
                  const Block<const T>& x,
                  const Block<const T>& h,
                  const Block<const T>& tape,
                  const Block<T>& x_bar,
                  const Block<T>& bar) {
        numerics::gru_vjp(layout.cell(in, level, bias),
                          n,
                          x,
                          h,
                          tape,
                          bar,
                          numerics::GruGradient<T, double>{
                              sums[kCells + 4 * level], sums[kCells + 4 * level + 2], bias_bar, x_bar, bar},
                          workspace);
    }
    void own_bias_back(std::size_t level) {
        const Index units = layout.hidden[level];
        for (Index i = 0; i < 2 * units; ++i) sums[kCells + 4 * level + 1][i] += bias_bar[i];
        for (Index i = 0; i < units; ++i) sums[kCells + 4 * level + 3][i] += bias_bar[2 * units + i];
    }
    /// Of the message from a level above, whose old state gets state_bar.
    void inject_back(const StepIn<T>& in,
                     std::size_t affine,
                     const T* state,
                     std::size_t from,
                     std::size_t level,
                     T* state_bar) {
        const Index columns = 3 * layout.hidden[level];
        const T* matrix = layout.weights(in, affine);
        for (Index c = 0; c < columns; ++c) sums[affine + 1][c] += bias_bar[c];
        for (Index i = 0; i < layout.hidden[from]; ++i) {
            double bar = 0;
            for (Index c = 0; c < columns; ++c) {
                sums[affine][i * columns + c] += double(state[i]) * bias_bar[c];
                bar += double(matrix[i * columns + c]) * bias_bar[c];
            }
            state_bar[i] += static_cast<T>(bar);
        }
    }

    /// @return the sum of the cotangents of log_rate - mean, which the mean gets with the other sign.
    double coordinates_back(const ScaleRow<T>& row,
                            const StepIn<T>& in,
                            const StepCot<T>& cot,
                            const StepAcc<T>& acc,
                            Index r,
                            std::size_t k) {
        const Index n = layout.sizes[k];
        const View<const T> x_bar = cot.x(k);
        add_x(x_bar, acc.x(k), r);
        double along = 0;  // mean of d_bar d: d = raw / rms, so raw_bar = (d_bar - d along) / rms
        for (Index j = 0; x_bar && j < n; ++j)
            along -= double(x_bar(r, j) * row.step_size(k, j)) * double(row.direction(k, j));
        along /= double(n);

        double rate_bar = 0;
        for (Index first = 0; first < n; first += kTile) {
            const Index count = std::min(kTile, n - first);
            row.tile(in, r, k, first, count);
            for (Index j = 0; j < count; ++j) {
                const Index at = first + j;
                const T bar = x_bar ? x_bar(r, at) : T(0), d = row.direction(k, at);
                const T step_bar = -bar * row.step_size(k, at);
                raw_bar[j] = (step_bar - d * static_cast<T>(along)) / row.rms[k];
                eta_bar[j] = step_bar * d;
                sums[kStepOffset][0] += double(eta_bar[j]);
            }
            read_outs_back(row, in, cot, acc, r, k, first, count);
            const T share = 1 / T(n);
            for (Index i = 0; i < kScaleInputs; ++i)
                for (Index j = 0; j < count; ++j) *inputs_bar.at(i, j) = share * x1_bar[layout.hidden[0] + i];
            const View<const T> h_cot = cot.state(layout.h0[k]);
            for (Index i = 0; i < layout.hidden[0]; ++i)
                for (Index j = 0; j < count; ++j)
                    *h_bar.at(i, j) += share * x1_bar[i] + (h_cot ? h_cot(r, i * n + first + j) : T(0));
            gru_back(in,
                     0,
                     row.bias0 + Index(k) * 3 * layout.hidden[0],
                     count,
                     row.features.inputs,
                     {in.state(layout.h0[k]).row(r) + first, n},
                     row.tape,
                     inputs_bar,
                     h_bar);
            if (const View<T> to = acc.state(layout.h0[k]))
                for (Index i = 0; i < layout.hidden[0]; ++i)
                    for (Index j = 0; j < count; ++j) to(r, i * n + first + j) += *h_bar.at(i, j);
            features_back(row, in, cot, acc, r, k, first, count);
            const View<T> to = acc.state(layout.log_rate[k]);
            for (Index j = 0; j < count; ++j) {
                const T bar = *inputs_bar.at(kScaleInputs - 1, j);
                rate_bar += double(bar);
                if (to) to(r, first + j) += bar;
            }
        }
        return rate_bar;
    }
    static void add_x(const View<const T>& x_bar, const View<T>& to, Index r) {
        for (Index j = 0; x_bar && to && j < x_bar.cols; ++j) to(r, j) += x_bar(r, j);
    }

    /// Directions, step sizes and decays, and the moving average of log_rate; the clip of eta counts as
    /// the identity (straight through).
    void read_outs_back(const ScaleRow<T>& row,
                        const StepIn<T>& in,
                        const StepCot<T>& cot,
                        const StepAcc<T>& acc,
                        Index r,
                        std::size_t k,
                        Index first,
                        Index count) {
        const auto cotangent = [&](const BlockStates& state, Index j) {
            const View<const T> from = cot.state(state[k]);
            return from ? from(r, first + j) : T(0);
        };
        const T* log_rate = in.state(layout.log_rate[k]).row(r) + first;
        const T* eta = row.eta + layout.offsets[k] + first;
        const View<T> rate_to = acc.state(layout.log_rate[k]);
        for (Index j = 0; j < count; ++j) {
            const T bar = cotangent(layout.log_rate, j);
            sums[kRateMomentum][0] +=
                double(bar * (log_rate[j] - eta[j]) * row.momentum * (1 - row.momentum));
            eta_bar[j] += (1 - row.momentum) * bar;
            if (rate_to) rate_to(r, first + j) += row.momentum * bar + eta_bar[j];
            const T in_decay = row.decay_in[j], scale_decay = row.decay_scale[j];
            in_bar[j] = cotangent(layout.input_decay, j) * in_decay * (1 - in_decay);
            scale_bar[j] = cotangent(layout.scale_decay, j) * scale_decay * (1 - scale_decay);
            for (Index i = 0; i < layout.hidden[0]; ++i) *h_bar.at(i, j) = 0;
        }
        const auto back = [&](std::size_t weights, const T* bar, bool has_bias) {
            const T* w = layout.weights(in, weights);
            for (Index i = 0; i < layout.hidden[0]; ++i)
                for (Index j = 0; j < count; ++j) {
                    sums[weights][i] += double(*row.h.at(i, j) * bar[j]);
                    *h_bar.at(i, j) += w[i] * bar[j];
                }
            for (Index j = 0; has_bias && j < count; ++j) sums[weights + 1][0] += double(bar[j]);
        };
        back(kDirection, raw_bar, false);
        back(kRate, eta_bar, true);
        back(kInputDecay, in_bar, true);
        back(kScaleDecay, scale_bar, true);
        for (Index s = 0; s < kScales; ++s)
            for (Index j = 0; j < count; ++j)
                sums[kDirectionFromMeans][s] += double(*row.features.inputs.at(s, j) * raw_bar[j]);
    }

    void features_back(const ScaleRow<T>& row,
                       const StepIn<T>& in,
                       const StepCot<T>& cot,
                       const StepAcc<T>& acc,
                       Index r,
                       std::size_t k,
                       Index first,
                       Index count) {
        const Index n = layout.sizes[k];
        for (Index s = 0; s < kScales; ++s)
            for (Index j = 0; j < count; ++j)
                *inputs_bar.at(s, j) += layout.weights(in, kDirectionFromMeans)[s] * raw_bar[j];
        const auto at = [&](const auto& view) { return view ? view.row(r) + first : decltype(view.data){}; };
        const bool is_first = in.t() == 0;
        row.features.reverse(
            count,
            in.g(k).row(r) + first,
            layout.means_of(in, r, k, first),
            inputs_bar,
            {{at(cot.state(layout.means[k])), n}, {at(cot.state(layout.mean_squares[k])), n}},
            {{at(acc.state(layout.means[k])), n}, {at(acc.state(layout.mean_squares[k])), n}},
            at(acc.g(k)),
            is_first ? nullptr : at(acc.state(layout.input_decay[k])),
            is_first ? nullptr : at(acc.state(layout.scale_decay[k])));
    }
};

}  // namespace l2o::recurrent
