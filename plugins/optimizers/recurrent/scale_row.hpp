#pragma once

#include <algorithm>
#include <cmath>
#include <l2o/numerics/gru.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <l2o/sdk/scratch.hpp>
#include <span>

#include "scale_features.hpp"
#include "scale_layout.hpp"

namespace l2o::recurrent {

/// A batch row of L2O-Scale: what the step computes, kept for x' and for the reverse.
template <class T>
struct ScaleRow {
    using Lanes = numerics::Lanes<T>;
    static constexpr double kTiny = 1e-16;

    const ScaleLayout& layout;
    ScaleFeatures<T> features;
    Block<T> h, tape;          // level 0, of a tile
    T *raw, *eta;              // [coordinates]: direction before it is normalised, log step size
    T *bias0, *bias1, *bias2;  // effective biases: [blocks, 3 h0], [blocks, 3 h1], [3 h2]
    T *x1, *h1, *tape1;        // [blocks, inputs], [blocks, h1], [blocks, 3 h1]
    T *x2, *h2, *tape2;
    T* rms;                                // [blocks]
    T *decay_in, *decay_scale, *log_rate;  // of a tile, after the step
    T mean_log_rate = 0, momentum = 0, offset = 0;

    ScaleRow(Scratch& scratch, const ScaleLayout& of) : layout(of), features(scratch) {
        const Index n = of.coordinates(), k = static_cast<Index>(of.blocks());
        const auto& size = of.hidden;
        h = {scratch.take<T>(size[0] * kTile), kTile};
        tape = {scratch.take<T>(numerics::kGruTapeRows * size[0] * kTile), kTile};
        raw = scratch.take<T>(n), eta = scratch.take<T>(n);
        bias0 = scratch.take<T>(k * 3 * size[0]), bias1 = scratch.take<T>(k * 3 * size[1]);
        bias2 = scratch.take<T>(3 * size[2]);
        x1 = scratch.take<T>(k * of.inputs[1]), h1 = scratch.take<T>(k * size[1]);
        tape1 = scratch.take<T>(k * 3 * size[1]);
        x2 = scratch.take<T>(of.inputs[2]), h2 = scratch.take<T>(size[2]);
        tape2 = scratch.take<T>(3 * size[2]);
        rms = scratch.take<T>(k);
        decay_in = scratch.take<T>(kTile), decay_scale = scratch.take<T>(kTile);
        log_rate = scratch.take<T>(kTile);
    }

    [[nodiscard]] T direction(std::size_t k, Index j) const { return raw[layout.offsets[k] + j] / rms[k]; }
    [[nodiscard]] T step_size(std::size_t k, Index j) const {
        return std::exp(eta[layout.offsets[k] + j] + offset);
    }

    /// @param out  NULL: the reverse follows, the new state is not wanted.
    void sweep(const StepIn<T>& in, Index r, const StepOut<T>* out) {
        const T *old_h2 = in.state(layout.global).row(r), *logit = layout.weights(in, kRateMomentum);
        momentum = 1 / (1 + std::exp(-*logit));
        offset = *layout.weights(in, kStepOffset);
        double sum = 0;
        for (std::size_t k = 0; k < layout.blocks(); ++k) {
            const T* rate = in.state(layout.log_rate[k]).row(r);
            for (Index j = 0; j < layout.sizes[k]; ++j) sum += double(rate[j]);
        }
        mean_log_rate = static_cast<T>(sum / double(layout.coordinates()));

        std::fill_n(x2, layout.inputs[2], T(0));
        for (std::size_t k = 0; k < layout.blocks(); ++k) {
            const T* old_h1 = in.state(layout.h1[k]).row(r);
            T* bias = own_bias(in, 0, bias0 + Index(k) * 3 * layout.hidden[0]);
            inject(in, kTensorToCoordinate, {old_h1, std::size_t(layout.hidden[1])}, 0, bias);
            inject(in, kGlobalToCoordinate, {old_h2, std::size_t(layout.hidden[2])}, 0, bias);
            sweep_coordinates(in, r, k, out);

            bias = own_bias(in, 1, bias1 + Index(k) * 3 * layout.hidden[1]);
            inject(in, kGlobalToTensor, {old_h2, std::size_t(layout.hidden[2])}, 1, bias);
            T* new_h1 = h1 + Index(k) * layout.hidden[1];
            numerics::gru_forward_single(layout.cell(in, 1, static_cast<const T*>(bias)),
                                         x1 + Index(k) * layout.inputs[1],
                                         old_h1,
                                         new_h1,
                                         tape1 + Index(k) * 3 * layout.hidden[1]);
            if (out != nullptr) std::copy_n(new_h1, layout.hidden[1], out->state(layout.h1[k]).row(r));
            const T share = static_cast<T>(layout.share(k));
            for (Index i = 0; i < layout.hidden[1]; ++i) x2[i] += share * new_h1[i];
        }
        own_bias(in, 2, bias2);
        numerics::gru_forward_single(layout.cell(in, 2, static_cast<const T*>(bias2)), x2, old_h2, h2, tape2);
        if (out != nullptr) std::copy_n(h2, layout.hidden[2], out->state(layout.global).row(r));
    }

    /// Features, cells and read-outs of a tile of block k.
    void tile(const StepIn<T>& in, Index r, std::size_t k, Index first, Index count) const {
        const auto of = [&](const BlockStates& state) { return in.state(state[k]).row(r) + first; };
        const bool is_first = in.t() == 0;  // decays of the first step are 0, whatever the state says
        features.forward(count,
                         in.g(k).row(r) + first,
                         is_first ? nullptr : of(layout.input_decay),
                         is_first ? nullptr : of(layout.scale_decay),
                         of(layout.log_rate),
                         layout.means_of(in, r, k, first),
                         mean_log_rate);
        numerics::gru_forward(
            layout.cell(in, 0, static_cast<const T*>(bias0 + Index(k) * 3 * layout.hidden[0])),
            count,
            features.inputs,
            {of(layout.h0), layout.sizes[k]},
            h,
            tape);
        T *raw_of = raw + layout.offsets[k] + first, *eta_of = eta + layout.offsets[k] + first;
        for (Index at = 0; at < count; at += kLanes<T>) {
            const Index n = std::min(kLanes<T>, count - at);
            const auto read = [&](std::size_t weights, Lanes sum) {
                const T* w = layout.weights(in, weights);
                for (Index i = 0; i < layout.hidden[0]; ++i) sum += w[i] * load_lanes(h.at(i, at), n);
                return sum;
            };
            const auto bias = [&](std::size_t weights) {
                return Lanes(Lanes::Constant(*layout.weights(in, weights + 1)));
            };
            Lanes d = read(kDirection, Lanes::Zero());
            for (Index s = 0; s < kScales; ++s)
                d += layout.weights(in, kDirectionFromMeans)[s] * load_lanes(features.inputs.at(s, at), n);
            const Lanes rate = load_lanes(of(layout.log_rate) + at, n);
            const Lanes e = read(kRate, rate + bias(kRate)).max(T(-33)).min(T(33));
            store_lanes(d, raw_of + at, n);
            store_lanes(e, eta_of + at, n);
            store_lanes<T>(momentum * rate + (1 - momentum) * e, log_rate + at, n);
            store_lanes<T>(read(kScaleDecay, bias(kScaleDecay)).logistic(), decay_scale + at, n);
            store_lanes<T>(read(kInputDecay, bias(kInputDecay)).logistic(), decay_in + at, n);
        }
    }

  private:
    /// x1 = mean over the coordinates of [h0', inputs], rms of the direction.
    void sweep_coordinates(const StepIn<T>& in, Index r, std::size_t k, const StepOut<T>* out) {
        const Index n = layout.sizes[k], units = layout.hidden[0];
        T* mean = x1 + Index(k) * layout.inputs[1];
        std::fill_n(mean, layout.inputs[1], T(0));
        double squares = 0;
        for (Index first = 0; first < n; first += kTile) {
            const Index count = std::min(kTile, n - first);
            tile(in, r, k, first, count);
            const auto add_mean = [&](const Block<T>& block, Index rows, T* sums) {
                for (Index i = 0; i < rows; ++i)
                    for (Index j = 0; j < count; ++j) sums[i] += *block.at(i, j);
            };
            add_mean(h, units, mean);
            add_mean(features.inputs, kScaleInputs, mean + units);
            const T* d = raw + layout.offsets[k] + first;
            for (Index j = 0; j < count; ++j) squares += double(d[j]) * double(d[j]);
            if (out == nullptr) continue;
            const auto write = [&](const Block<T>& block, Index rows, const BlockStates& state) {
                for (Index i = 0; i < rows; ++i)
                    std::copy_n(block.at(i, 0), count, out->state(state[k]).row(r) + i * n + first);
            };
            write(h, units, layout.h0);
            write(features.mean, kScales, layout.means);
            write(features.size, kScales, layout.mean_squares);
            write({decay_in, kTile}, 1, layout.input_decay);
            write({decay_scale, kTile}, 1, layout.scale_decay);
            write({log_rate, kTile}, 1, layout.log_rate);
        }
        for (Index i = 0; i < layout.inputs[1]; ++i) mean[i] /= T(n);
        rms[k] = static_cast<T>(std::sqrt(squares / double(n) + kTiny));
    }
    T* own_bias(const StepIn<T>& in, std::size_t level, T* to) const {
        const Index units = layout.hidden[level];
        std::copy_n(layout.weights(in, kCells + 4 * level + 1), 2 * units, to);
        std::copy_n(layout.weights(in, kCells + 4 * level + 3), units, to + 2 * units);
        return to;
    }
    /// bias += state Matrix + Bias
    void inject(
        const StepIn<T>& in, std::size_t affine, std::span<const T> state, std::size_t level, T* bias) const {
        const Index columns = 3 * layout.hidden[level];
        const T *matrix = layout.weights(in, affine), *own = layout.weights(in, affine + 1);
        for (Index c = 0; c < columns; ++c) bias[c] += own[c];
        for (std::size_t i = 0; i < state.size(); ++i)
            for (Index c = 0; c < columns; ++c) bias[c] += state[i] * matrix[Index(i) * columns + c];
    }
};

}  // namespace l2o::recurrent
