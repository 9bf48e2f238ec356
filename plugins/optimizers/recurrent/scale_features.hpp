// What the coordinate level of L2O-Scale reads: gradients averaged over four time scales, each divided by its
// mean size, and how much that size and the learning rate stand out.
//
// Source: Wichrowska et al. 2017 (arXiv:1703.04813), with the asinh and the products of their
// code. Symbols: g_s mean of g at scale s, l_s mean of g_s^2, z_s = g_s / sqrt(l_s + kTiny).
#pragma once

#include <algorithm>
#include <array>
#include <l2o/layers/layered.hpp>
#include <l2o/nets/tiles.hpp>
#include <l2o/numerics/asinh.hpp>
#include <l2o/numerics/lanes.hpp>
#include <l2o/sdk/scratch.hpp>

namespace l2o::recurrent {

using nets::Block, nets::Index, nets::kLanes, nets::kTile, nets::load_lanes, nets::store_lanes;
using nets::Tile;

inline constexpr Index kScales = 4;
inline constexpr Index kScaleInputs = 3 * kScales;  ///< asinh z_s, their products, ln l_s, learning rate

/// Where the state of a coordinate lies, or the cotangents of it; data NULL: none.
template <class T>
struct ScaleMeans {
    Block<T> g, l;  // [4, n]
};

/// The features of a tile and what their reverse needs.
template <class T>
struct ScaleFeatures {
    using Lanes = numerics::Lanes<T>;
    static constexpr T kFloor = T(1e-12), kTiny = T(1e-16);

    Block<T> inputs;               // [12, tile]
    Block<T> mean, size, z, keep;  // [4, tile]: g_s, l_s, z_s, decay of g_s
    T* l_keep;

    explicit ScaleFeatures(Scratch& scratch) {
        const auto block = [&](Index rows) { return Block<T>{scratch.take<T>(rows * kTile), kTile}; };
        inputs = block(kScaleInputs);
        for (Block<T>* one : {&mean, &size, &z, &keep}) *one = block(kScales);
        l_keep = scratch.take<T>(kTile);
    }

    /// g_s' = k_s g_s + (1 - k_s) g,  l_s' = r l_s + (1 - r) (g_s'^2 + floor),  k_{s+1} = sqrt(k_s).
    /// @param g, input_decay, scale_decay, log_rate  [n]; a decay NULL is 0, as before the first step.
    /// @param old      means of before the step.
    /// @param mean_log_rate  over all coordinates of the problem.
    void forward(Index n,
                 const T* g,
                 const T* input_decay,
                 const T* scale_decay,
                 const T* log_rate,
                 const ScaleMeans<const T>& old,
                 T mean_log_rate) const {
        for (Index at = 0; at < n; at += kLanes<T>) {
            const Index count = std::min(kLanes<T>, n - at);
            const auto given = [&](const T* decay) {
                return decay == nullptr ? Lanes(Lanes::Zero()) : load_lanes(decay + at, count);
            };
            const Lanes g_t = load_lanes(g + at, count), r = given(scale_decay);
            Lanes k = given(input_decay), logs = Lanes::Zero(), before = Lanes::Zero();
            store_lanes(r, l_keep + at, count);
            for (Index s = 0; s < kScales; ++s, k = k.sqrt()) {
                const Lanes g_s = k * load_lanes(old.g.at(s, at), count) + (1 - k) * g_t;
                const Lanes l_s = r * load_lanes(old.l.at(s, at), count) + (1 - r) * (g_s * g_s + kFloor);
                const Lanes z_s = g_s / (l_s + kTiny).sqrt();
                const Lanes a = numerics::asinh<T>(z_s), log_l = (l_s + kTiny).log();
                store_lanes(k, keep.at(s, at), count);
                store_lanes(g_s, mean.at(s, at), count);
                store_lanes(l_s, size.at(s, at), count);
                store_lanes(z_s, z.at(s, at), count);
                store_lanes(a, inputs.at(s, at), count);
                if (s > 0) store_lanes<T>(before * a, inputs.at(kScales + s - 1, at), count);
                store_lanes(log_l, inputs.at(kLogs + s, at), count);
                logs += log_l / T(kScales);
                before = a;
            }
            for (Index s = 0; s < kScales; ++s) {
                T* log_l = inputs.at(kLogs + s, at);
                store_lanes<T>(load_lanes(log_l, count) - logs, log_l, count);
            }
            store_lanes<T>(
                load_lanes(log_rate + at, count) - mean_log_rate, inputs.at(kScaleInputs - 1, at), count);
        }
    }

    /// @param inputs_bar  of `inputs`; to it the caller has added what else reads the asinh.
    /// @param new_bar     of the new means.
    /// @param old_bar     of the means of before the step, added to.
    /// @param g_bar, input_decay_bar, scale_decay_bar  added to; NULL: not wanted. The cotangent of log_rate
    ///                    is the last row of inputs_bar, less its mean over the problem.
    void reverse(Index n,
                 const T* g,
                 const ScaleMeans<const T>& old,
                 const Block<const T>& inputs_bar,
                 const ScaleMeans<const T>& new_bar,
                 const ScaleMeans<T>& old_bar,
                 T* g_bar,
                 T* input_decay_bar,
                 T* scale_decay_bar) const {
        for (Index i = 0; i < n; ++i) {
            T bar_of[kScales], log_mean = 0;
            for (Index s = 0; s < kScales; ++s) {
                bar_of[s] = *inputs_bar.at(s, i);
                if (s > 0) bar_of[s] += *inputs_bar.at(kScales + s - 1, i) * *inputs.at(s - 1, i);
                if (s + 1 < kScales) bar_of[s] += *inputs_bar.at(kScales + s, i) * *inputs.at(s + 1, i);
                log_mean += *inputs_bar.at(kLogs + s, i) / T(kScales);
            }
            const T r = l_keep[i];
            T r_bar = 0, next_keep_bar = 0, gradient = 0;
            for (Index s = kScales - 1; s >= 0; --s) {
                const T g_s = *mean.at(s, i), l = *size.at(s, i) + kTiny, k = *keep.at(s, i);
                const T z_s = *z.at(s, i), slope = bar_of[s] / std::sqrt(1 + z_s * z_s);
                const auto of = [&](const Block<const T>& block) {
                    return block.data == nullptr ? T(0) : *block.at(s, i);
                };
                const T l_bar =
                    of(new_bar.l) + (*inputs_bar.at(kLogs + s, i) - log_mean - T(0.5) * z_s * slope) / l;
                const T g_s_bar = of(new_bar.g) + slope / std::sqrt(l) + 2 * (1 - r) * g_s * l_bar;
                r_bar += l_bar * (*old.l.at(s, i) - g_s * g_s - kFloor);
                T keep_bar = g_s_bar * (*old.g.at(s, i) - g[i]);
                // k_{s+1} = sqrt(k_s). Decays of 0 are those before the first step, which are constants.
                if (s + 1 < kScales && *keep.at(s + 1, i) > 0)
                    keep_bar += next_keep_bar / (2 * *keep.at(s + 1, i));
                next_keep_bar = keep_bar;
                gradient += (1 - k) * g_s_bar;
                if (old_bar.l.data != nullptr) *old_bar.l.at(s, i) += r * l_bar;
                if (old_bar.g.data != nullptr) *old_bar.g.at(s, i) += k * g_s_bar;
            }
            if (g_bar != nullptr) g_bar[i] += gradient;
            if (scale_decay_bar != nullptr) scale_decay_bar[i] += r_bar;
            if (input_decay_bar != nullptr) input_decay_bar[i] += next_keep_bar;
        }
    }

  private:
    static constexpr Index kLogs = 2 * kScales - 1;
};

/// What the features are computed of: numbers of every coordinate, planes of every scale, and one number for
/// a row. A decay is 0 where there is none, as before the first step.
template <class T>
struct ScaleState {
    layers::Value<T> g, input_decay, scale_decay, log_rate, means, mean_squares, mean_log_rate;
};

/// Planes of the features, and those of the new means and mean squares.
template <class T>
class ScaleNode final : public layers::Node<T> {
  public:
    ScaleNode(layers::Tape<T>& tape, const ScaleState<T>& of)
        : layers::Node<T>(tape, true, (kScaleInputs + 2 * kScales) * of.g->cols(), true, false),
          of_(of),
          n_(of.g->cols()),
          features_(tape.scratch()) {
        for (const layers::Value<T>& v :
             {of.g, of.input_decay, of.scale_decay, of.log_rate, of.means, of.mean_squares, of.mean_log_rate})
            if (v) v->use();
    }

  private:
    template <class V>
    static auto at(const V& view, std::int64_t r, Index first) -> decltype(view.data) {
        return view ? view.row(r) + first : nullptr;
    }
    static View<const T> value(layers::Value<T> v) { return v ? v->value() : View<const T>{}; }
    static View<T> bar_of(layers::Value<T> v) { return v && v->is_wanted() ? v->own_bar() : View<T>{}; }
    /// Features of a tile of row r.
    void run(std::int64_t r, const Tile& tile) {
        features_.forward(tile.count,
                          at(of_.g->value(), r, tile.first),
                          at(value(of_.input_decay), r, tile.first),
                          at(value(of_.scale_decay), r, tile.first),
                          at(of_.log_rate->value(), r, tile.first),
                          before(r, tile),
                          of_.mean_log_rate->value()(r, 0));
    }
    ScaleMeans<const T> before(std::int64_t r, const Tile& tile) {
        return {{at(of_.means->value(), r, tile.first), n_},
                {at(of_.mean_squares->value(), r, tile.first), n_}};
    }
    void compute(const View<T>& to, T, bool) override {
        for (std::int64_t r = 0; r < to.rows; ++r)
            nets::for_each_tile(n_, [&](const Tile& tile) {
                run(r, tile);
                T* plane = to.row(r) + tile.first;
                const auto write = [&](const Block<T>& from, Index rows) {
                    for (Index i = 0; i < rows; ++i, plane += n_)
                        std::copy_n(from.at(i, 0), tile.count, plane);
                };
                write(features_.inputs, kScaleInputs);
                write(features_.mean, kScales), write(features_.size, kScales);
            });
    }
    void back(const View<const T>& bar) override {
        const View<T> g_bar = bar_of(of_.g), in_bar = bar_of(of_.input_decay),
                      scale_bar = bar_of(of_.scale_decay);
        const View<T> rate_bar = bar_of(of_.log_rate), mean_rate_bar = bar_of(of_.mean_log_rate);
        const View<T> means_bar = bar_of(of_.means), squares_bar = bar_of(of_.mean_squares);
        for (std::int64_t r = 0; r < bar.rows; ++r)
            nets::for_each_tile(n_, [&](const Tile& tile) {
                const Index first = tile.first;
                const auto planes = [&](Index from) {
                    return Block<const T>{bar.row(r) + from * n_ + first, n_};
                };
                run(r, tile);
                features_.reverse(tile.count,
                                  at(of_.g->value(), r, first),
                                  before(r, tile),
                                  planes(0),
                                  {planes(kScaleInputs), planes(kScaleInputs + kScales)},
                                  {{at(means_bar, r, first), n_}, {at(squares_bar, r, first), n_}},
                                  at(g_bar, r, first),
                                  at(in_bar, r, first),
                                  at(scale_bar, r, first));
                const T* last = planes(kScaleInputs - 1).data;
                double sum = 0;
                for (Index j = 0; j < tile.count; ++j) {
                    if (rate_bar) rate_bar(r, first + j) += last[j];
                    sum += double(last[j]);
                }
                if (mean_rate_bar) mean_rate_bar(r, 0) -= T(sum);
            });
    }

    ScaleState<T> of_;
    Index n_;
    ScaleFeatures<T> features_;
};
template <class T>
layers::Value<T> scale_features(const ScaleState<T>& of) {
    return layers::Value<T>(of.g->tape().template add<ScaleNode<T>>(of));
}

}  // namespace l2o::recurrent
