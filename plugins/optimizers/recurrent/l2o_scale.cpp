// Wichrowska et al. 2017, "Learned optimizers that scale and generalize" (arXiv:1703.04813): recurrent cells
// on three levels. Those of the coordinates hear those of their tensor and the global one (their messages are
// biases), a tensor's hears the mean of its coordinates, the global one the mean of the tensors. Symbols: h0,
// h1, h2 states of the levels; d update direction, with a mean square of 1 over a tensor; eta logarithm of
// the step size. Deviations from their code, where it is at fault: the global level reads all tensors, not
// the last one only (global_input last); everything is reset with the trajectory.
#include <cmath>
#include <l2o/numerics/gru.hpp>
#include <l2o/numerics/philox.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <l2o/sdk/scratch.hpp>
#include <span>
#include <string>
#include <vector>

#include "lstm_net.hpp"
#include "scale_features.hpp"

namespace {

using l2o::numerics::GruCell;
using l2o::recurrent::Block;
using l2o::recurrent::Index;
using l2o::recurrent::kLanes;
using l2o::recurrent::kScaleInputs;
using l2o::recurrent::kScales;
using l2o::recurrent::load_lanes;
using l2o::recurrent::ScaleFeatures;
using l2o::recurrent::ScaleMeans;
using l2o::recurrent::store_lanes;

constexpr Index kTile = 64;
constexpr std::size_t kLevels = 3;
constexpr double kTiny = 1e-16;

/// Parameters, in the order of their declaration.
enum Param : std::size_t {
    kCells = 0,  // of a level: gates, their bias, candidate, its bias
    kTensorToCoordinate = 12,
    kGlobalToCoordinate = 14,
    kGlobalToTensor = 16,
    kInitVectors = 18,
    kDirection = 21,
    kScaleDecay = 22,
    kInputDecay = 24,
    kRate = 26,
    kDirectionFromMeans = 28,
    kRateMomentum = 29,
    kStepOffset = 30,
    kParams = 31
};

class L2oScale {
  public:
    static constexpr l2o::About about{
        .id = "l2o_scale",
        .version = "1.0.0",
        .title = "L2O-Scale: a hierarchical recurrent optimizer with few numbers per coordinate",
        .doc =
            "Wichrowska et al. 2017 (arXiv:1703.04813). A GRU of 10 units per coordinate, one of 20 per "
            "tensor and a global one; the coordinates read gradients averaged over four time scales, each "
            "divided by its mean size, and choose direction, step size and decays themselves. The "
            "direction is normalised over a tensor, so one of a single element always moves by its step "
            "size. Reset draws the first step sizes from [init_rate_min, init_rate_max]"};

    static l2o::Options<L2oScale> options() {
        l2o::Options<L2oScale> o;
        o.integer("coordinate_hidden", &L2oScale::h0_size_, "units per coordinate", l2o::between(1, 256));
        o.integer("tensor_hidden", &L2oScale::h1_size_, "units per tensor", l2o::between(1, 256));
        o.integer("global_hidden", &L2oScale::h2_size_, "units of the global cell", l2o::between(1, 256));
        o.real("init_rate_min", &L2oScale::rate_min_, "smallest step size drawn at reset", l2o::kPositive);
        o.real("init_rate_max", &L2oScale::rate_max_, "largest step size drawn at reset", l2o::kPositive);
        o.choice("global_input",
                 &L2oScale::global_input_,
                 {"mean", "last"},
                 "what the global cell reads: the mean of all tensors' states, or that of the last tensor "
                 "only, as in the reference code");
        return o;
    }

    void declare(l2o::OptimizerSpec& spec) {
        if (rate_min_ > rate_max_)
            l2o::refuse("option 'init_rate_min' is " + std::to_string(rate_min_) +
                        ", above 'init_rate_max', which is " + std::to_string(rate_max_) +
                        "; expected a range");
        hidden_ = {h0_size_, h1_size_, h2_size_};
        inputs_ = {kScaleInputs, h0_size_ + kScaleInputs, h1_size_};
        declare_params(spec);
        declare_state(spec);
        spec.minimises().reads_g().flag(L2O_STOCHASTIC);
        l2o::Scratch scratch;
        if (spec.problem().dtype == L2O_F64)
            Row<double>(scratch, *this), Reverse<double>(scratch, *this);
        else
            Row<float>(scratch, *this), Reverse<float>(scratch, *this);
        spec.info.scratch_fixed = scratch.bytes();
    }

    template <class T>
    void init_params(const l2o_call& call,
                     const l2o::Tensors<const T>&,
                     const l2o::Tensors<T>& params) const {
        for (std::size_t i = 0; i < kParams; ++i) {
            if (!params[i]) continue;
            const Start& start = starts_[i];
            l2o::numerics::Stream random(call.key, i);
            l2o::each(
                [&](T& weight) {
                    weight = static_cast<T>(start.is_uniform ? 2 * random.uniform() - 1
                                                             : start.mean + start.spread * random.normal());
                },
                params[i]);
        }
    }

    /// Hidden states from the learned vectors, means and decays 0, step sizes drawn: one for the tensor and
    /// one for the coordinate, of equal weight.
    template <class T>
    void init_state(const l2o::StepIn<T>& in, const l2o::Tensors<T>& state) const {
        const double low = 0.5 * std::log(rate_min_), width = 0.5 * std::log(rate_max_) - low;
        for (std::size_t i = 0; i < in.states(); ++i) {
            const l2o::View<T> to = state[i];
            if (i >= first_log_rate_ && i < first_log_rate_ + blocks()) {
                for (Index r = 0; r < to.rows; ++r) {
                    l2o::numerics::Stream random(in.call.key,
                                                 in.call.row0 + static_cast<std::uint64_t>(r),
                                                 static_cast<std::uint32_t>(i));
                    const double tensor = low + width * random.uniform();
                    for (Index j = 0; j < to.cols; ++j)
                        to(r, j) = static_cast<T>(tensor + low + width * random.uniform());
                }
            } else if (const int level = level_of_state(i); level >= 0) {
                const T* start = in.param(kInitVectors + static_cast<std::size_t>(level)).data;
                const Index copies = to.cols / hidden_[static_cast<std::size_t>(level)];
                for (Index r = 0; r < to.rows; ++r)
                    for (Index j = 0; j < to.cols; ++j) to(r, j) = start[j / copies];
            } else {
                l2o::fill(to, T(0));
            }
        }
    }
    template <class T>
    void init_state_vjp(const l2o::StepIn<T>&,
                        const l2o::Tensors<const T>& cot,
                        const l2o::StepAcc<T>& acc) const {
        for (std::size_t i = 0; i <= global_; ++i) {
            const int level = level_of_state(i);
            if (level < 0 || !cot[i]) continue;
            const l2o::View<T> to = acc.param(kInitVectors + static_cast<std::size_t>(level));
            const Index copies = cot[i].cols / hidden_[static_cast<std::size_t>(level)];
            for (Index r = 0; to && r < cot[i].rows; ++r)
                for (Index j = 0; j < cot[i].cols; ++j) to[j / copies] += cot[i](r, j);
        }
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        l2o::Scratch scratch(in.call);
        Row<T> row(scratch, *this);
        for (Index r = 0; r < in.batch(); ++r) {
            row.sweep(in, r, &out);
            for (std::size_t k = 0; k < blocks(); ++k) {
                const T* x = in.x(k).row(r);
                T* x_next = out.x(k).row(r);
                for (Index j = 0; j < sizes_[k]; ++j)
                    x_next[j] = x[j] - row.step_size(k, j) * row.direction(k, j);
            }
        }
    }

    template <class T>
    void step_vjp(const l2o::StepIn<T>& in, const l2o::StepCot<T>& cot, const l2o::StepAcc<T>& acc) const {
        l2o::Scratch scratch(in.call);
        Row<T> row(scratch, *this);
        Reverse<T> reverse(scratch, *this);
        for (Index r = 0; r < in.batch(); ++r) {
            row.sweep(in, r, nullptr);
            reverse.sweep(row, in, cot, acc, r);
        }
        reverse.sums.add_to(acc, 0);
    }

  private:
    enum class GlobalInput { kMean, kLast };
    struct Start {
        double mean, spread;
        bool is_uniform = false;
    };

    [[nodiscard]] std::size_t blocks() const { return sizes_.size(); }
    [[nodiscard]] Index coordinates() const { return total_; }
    /// Of the tensor states, -1 if state i is no hidden state.
    [[nodiscard]] int level_of_state(std::size_t i) const {
        return i < blocks() ? 0 : i == global_ ? 2 : i >= global_ - blocks() ? 1 : -1;
    }

    void declare_params(l2o::OptimizerSpec& spec) {
        const auto add = [&](const std::string& name, const l2o::Shape& shape, const Start& start) {
            starts_.push_back(start);
            Index size = 1;
            for (const Index extent : shape) size *= extent;
            param_sizes_[spec.param({.name = name, .shape = shape})] = size;
        };
        const auto normal = [](double scale, Index fan_in) {
            return Start{0, scale / std::sqrt(double(fan_in))};
        };
        const auto affine = [&](const std::string& name, Index from, Index to) {
            add(name + "/Matrix", {from, to}, normal(0.5, from));
            add(name + "/Bias", {to}, {0, 0});
        };
        for (std::size_t level = 0; level < kLevels; ++level) {
            const std::string name = "level" + std::to_string(level);
            const Index rows = inputs_[level] + hidden_[level];
            add(name + "/gates/Matrix", {rows, 2 * hidden_[level]}, normal(0.5, rows));
            add(name + "/gates/Bias", {2 * hidden_[level]}, {2.2, 0});
            add(name + "/candidate/Matrix", {rows, hidden_[level]}, normal(0.5, rows));
            add(name + "/candidate/Bias", {hidden_[level]}, {0, 0});
        }
        affine("level0/param_bias", hidden_[1], 3 * hidden_[0]);
        affine("level0/global_bias", hidden_[2], 3 * hidden_[0]);
        affine("level1/global_bias", hidden_[2], 3 * hidden_[1]);
        for (std::size_t level = 0; level < kLevels; ++level)
            add("init_vector" + std::to_string(level), {hidden_[level]}, {0, 0, true});
        add("update_weights", {hidden_[0], 1}, normal(0.5, hidden_[0]));
        add("scl_decay_weights", {hidden_[0], 1}, normal(0.5, hidden_[0]));
        add("scl_decay_bias", {1}, {3.2, 0});
        add("inp_decay_weights", {hidden_[0], 1}, normal(0.5, hidden_[0]));
        add("inp_decay_bias", {1}, {2.2, 0});
        add("learning_rate_weights", {hidden_[0], 1}, {0, 0});
        add("learning_rate_bias", {1}, {0, 0});
        add("grads_to_delta", {kScales, 1}, {0.25, 0.05});
        add("lr_momentum_logit", {1}, {3.2, 0});
        add("param_stepsize_offset", {1}, {-1, 0});
    }

    void declare_state(l2o::OptimizerSpec& spec) {
        for (std::size_t k = 0; k < spec.blocks(); ++k) sizes_.push_back(l2o::element_count(spec.block(k)));
        for (const Index size : sizes_) offsets_.push_back(total_), total_ += size;
        const auto per_block = [&](const char* name, const char* doc, auto shape_of_block) {
            const std::size_t first = spec.states.size();
            for (std::size_t k = 0; k < spec.blocks(); ++k) {
                const std::string suffix = spec.blocks() == 1 ? "" : std::string(".") + spec.block(k).name;
                spec.state(
                    {.name = name + suffix, .doc = doc, .shape = shape_of_block(sizes_[k]), .batched = true});
            }
            return first;
        };
        const auto rows = [](Index count) { return [count](Index n) { return l2o::Shape{count, n}; }; };
        h0_ = per_block("h0", "cells of the coordinates: unit, coordinate", rows(hidden_[0]));
        means_ = per_block("mean", "of g: time scale, coordinate", rows(kScales));
        mean_squares_ = per_block("mean_square", "of the means: time scale, coordinate", rows(kScales));
        const auto one = [](Index n) { return l2o::Shape{n}; };
        input_decay_ = per_block("inp_decay", "of the fastest mean; 0 at reset", one);
        scale_decay_ = per_block("scl_decay", "of the mean squares; 0 at reset", one);
        first_log_rate_ = per_block("log_rate", "moving average of the logarithm of the step size", one);
        h1_ = per_block("h1", "cell of the tensor", [&](Index) { return l2o::Shape{hidden_[1]}; });
        global_ =
            spec.state({.name = "h2", .doc = "the global cell", .shape = {hidden_[2]}, .batched = true});
    }

    template <class T>
    [[nodiscard]] GruCell<T> cell(const l2o::StepIn<T>& in, std::size_t level, const T* bias) const {
        return {inputs_[level],
                hidden_[level],
                in.param(kCells + 4 * level).data,
                in.param(kCells + 4 * level + 2).data,
                bias};
    }

    /// A batch row: what the step computes, kept for x' and for the reverse.
    template <class T>
    struct Row {
        using Lanes = l2o::numerics::Lanes<T>;
        const L2oScale& method;
        ScaleFeatures<T> features;
        Block<T> h, tape;          // level 0, of a tile
        T *raw, *eta;              // [coordinates]: direction before it is normalised, log step size
        T *bias0, *bias1, *bias2;  // effective biases: [blocks, 3 h0], [blocks, 3 h1], [3 h2]
        T *x1, *h1, *tape1;        // [blocks, inputs], [blocks, h1], [blocks, 3 h1]
        T *x2, *h2, *tape2;
        T* rms;                                // [blocks]
        T *decay_in, *decay_scale, *log_rate;  // of a tile, after the step
        T mean_log_rate = 0, momentum = 0, offset = 0;

        Row(l2o::Scratch& scratch, const L2oScale& of) : method(of), features(scratch) {
            const Index n = of.coordinates(), k = static_cast<Index>(of.blocks());
            const auto& size = of.hidden_;
            h = {scratch.take<T>(size[0] * kTile), kTile};
            tape = {scratch.take<T>(l2o::numerics::kGruTapeRows * size[0] * kTile), kTile};
            raw = scratch.take<T>(n), eta = scratch.take<T>(n);
            bias0 = scratch.take<T>(k * 3 * size[0]), bias1 = scratch.take<T>(k * 3 * size[1]);
            bias2 = scratch.take<T>(3 * size[2]);
            x1 = scratch.take<T>(k * of.inputs_[1]), h1 = scratch.take<T>(k * size[1]);
            tape1 = scratch.take<T>(k * 3 * size[1]);
            x2 = scratch.take<T>(of.inputs_[2]), h2 = scratch.take<T>(size[2]);
            tape2 = scratch.take<T>(3 * size[2]);
            rms = scratch.take<T>(k);
            decay_in = scratch.take<T>(kTile), decay_scale = scratch.take<T>(kTile);
            log_rate = scratch.take<T>(kTile);
        }

        [[nodiscard]] T direction(std::size_t k, Index j) const {
            return raw[method.offsets_[k] + j] / rms[k];
        }
        [[nodiscard]] T step_size(std::size_t k, Index j) const {
            return std::exp(eta[method.offsets_[k] + j] + offset);
        }

        /// @param out  NULL: the reverse follows, the new state is not wanted.
        void sweep(const l2o::StepIn<T>& in, Index r, const l2o::StepOut<T>* out) {
            const T *old_h2 = in.state(method.global_).row(r), *logit = in.param(kRateMomentum).data;
            momentum = 1 / (1 + std::exp(-*logit));
            offset = *in.param(kStepOffset).data;
            double sum = 0;
            for (std::size_t k = 0; k < method.blocks(); ++k) {
                const T* rate = in.state(method.first_log_rate_ + k).row(r);
                for (Index j = 0; j < method.sizes_[k]; ++j) sum += double(rate[j]);
            }
            mean_log_rate = static_cast<T>(sum / double(method.coordinates()));

            std::fill_n(x2, method.inputs_[2], T(0));
            for (std::size_t k = 0; k < method.blocks(); ++k) {
                const T* old_h1 = in.state(method.h1_ + k).row(r);
                T* bias = own_bias(in, 0, bias0 + Index(k) * 3 * method.hidden_[0]);
                inject(in, kTensorToCoordinate, {old_h1, std::size_t(method.hidden_[1])}, 0, bias);
                inject(in, kGlobalToCoordinate, {old_h2, std::size_t(method.hidden_[2])}, 0, bias);
                sweep_coordinates(in, r, k, out);

                bias = own_bias(in, 1, bias1 + Index(k) * 3 * method.hidden_[1]);
                inject(in, kGlobalToTensor, {old_h2, std::size_t(method.hidden_[2])}, 1, bias);
                T* new_h1 = h1 + Index(k) * method.hidden_[1];
                l2o::numerics::gru_forward_single(method.cell(in, 1, static_cast<const T*>(bias)),
                                                  x1 + Index(k) * method.inputs_[1],
                                                  old_h1,
                                                  new_h1,
                                                  tape1 + Index(k) * 3 * method.hidden_[1]);
                if (out != nullptr) std::copy_n(new_h1, method.hidden_[1], out->state(method.h1_ + k).row(r));
                const T share = static_cast<T>(method.share(k));
                for (Index i = 0; i < method.hidden_[1]; ++i) x2[i] += share * new_h1[i];
            }
            own_bias(in, 2, bias2);
            l2o::numerics::gru_forward_single(
                method.cell(in, 2, static_cast<const T*>(bias2)), x2, old_h2, h2, tape2);
            if (out != nullptr) std::copy_n(h2, method.hidden_[2], out->state(method.global_).row(r));
        }

        /// Features, cells and read-outs of a tile of block k.
        void tile(const l2o::StepIn<T>& in, Index r, std::size_t k, Index first, Index count) const {
            const auto of = [&](std::size_t state) { return in.state(state + k).row(r) + first; };
            const bool is_first = in.t() == 0;  // decays of the first step are 0, whatever the state says
            features.forward(count,
                             in.g(k).row(r) + first,
                             is_first ? nullptr : of(method.input_decay_),
                             is_first ? nullptr : of(method.scale_decay_),
                             of(method.first_log_rate_),
                             method.means(in, r, k, first),
                             mean_log_rate);
            l2o::numerics::gru_forward(
                method.cell(in, 0, static_cast<const T*>(bias0 + Index(k) * 3 * method.hidden_[0])),
                count,
                features.inputs,
                {of(method.h0_), method.sizes_[k]},
                h,
                tape);
            T *raw_of = raw + method.offsets_[k] + first, *eta_of = eta + method.offsets_[k] + first;
            for (Index at = 0; at < count; at += kLanes<T>) {
                const Index n = std::min(kLanes<T>, count - at);
                const auto read = [&](std::size_t weights, Lanes sum) {
                    const T* w = in.param(weights).data;
                    for (Index i = 0; i < method.hidden_[0]; ++i) sum += w[i] * load_lanes(h.at(i, at), n);
                    return sum;
                };
                const auto bias = [&](std::size_t weights) {
                    return Lanes(Lanes::Constant(*in.param(weights + 1).data));
                };
                Lanes d = read(kDirection, Lanes::Zero());
                for (Index s = 0; s < kScales; ++s)
                    d += in.param(kDirectionFromMeans).data[s] * load_lanes(features.inputs.at(s, at), n);
                const Lanes rate = load_lanes(of(method.first_log_rate_) + at, n);
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
        void sweep_coordinates(const l2o::StepIn<T>& in, Index r, std::size_t k, const l2o::StepOut<T>* out) {
            const Index n = method.sizes_[k], units = method.hidden_[0];
            T* mean = x1 + Index(k) * method.inputs_[1];
            std::fill_n(mean, method.inputs_[1], T(0));
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
                const T* d = raw + method.offsets_[k] + first;
                for (Index j = 0; j < count; ++j) squares += double(d[j]) * double(d[j]);
                if (out == nullptr) continue;
                const auto write = [&](const Block<T>& block, Index rows, std::size_t state) {
                    for (Index i = 0; i < rows; ++i)
                        std::copy_n(block.at(i, 0), count, out->state(state + k).row(r) + i * n + first);
                };
                write(h, units, method.h0_);
                write(features.mean, kScales, method.means_);
                write(features.size, kScales, method.mean_squares_);
                write({decay_in, kTile}, 1, method.input_decay_);
                write({decay_scale, kTile}, 1, method.scale_decay_);
                write({log_rate, kTile}, 1, method.first_log_rate_);
            }
            for (Index i = 0; i < method.inputs_[1]; ++i) mean[i] /= T(n);
            rms[k] = static_cast<T>(std::sqrt(squares / double(n) + kTiny));
        }
        T* own_bias(const l2o::StepIn<T>& in, std::size_t level, T* to) const {
            const Index units = method.hidden_[level];
            std::copy_n(in.param(kCells + 4 * level + 1).data, 2 * units, to);
            std::copy_n(in.param(kCells + 4 * level + 3).data, units, to + 2 * units);
            return to;
        }
        /// bias += state Matrix + Bias
        void inject(const l2o::StepIn<T>& in,
                    std::size_t affine,
                    std::span<const T> state,
                    std::size_t level,
                    T* bias) const {
            const Index columns = 3 * method.hidden_[level];
            const T *matrix = in.param(affine).data, *own = in.param(affine + 1).data;
            for (Index c = 0; c < columns; ++c) bias[c] += own[c];
            for (std::size_t i = 0; i < state.size(); ++i)
                for (Index c = 0; c < columns; ++c) bias[c] += state[i] * matrix[Index(i) * columns + c];
        }
    };

    /// The way back through Row::sweep, top down.
    template <class T>
    struct Reverse {
        const L2oScale& method;
        l2o::recurrent::GradientSums<kParams> sums;
        double* bias_bar;                      // [3 hidden], of one cell
        T *h2_bar, *x2_bar, *h1_bar, *x1_bar;  // of the old states, and of the inputs
        Block<T> h_bar, inputs_bar;
        T *raw_bar, *eta_bar, *in_bar, *scale_bar, *workspace;

        Reverse(l2o::Scratch& scratch, const L2oScale& of) : method(of), sums(scratch, of.param_sizes_) {
            const auto& size = of.hidden_;
            const Index widest = std::max({size[0], size[1], size[2]});
            bias_bar = scratch.take<double>(3 * widest);
            h2_bar = scratch.take<T>(size[2]), x2_bar = scratch.take<T>(of.inputs_[2]);
            h1_bar = scratch.take<T>(size[1]), x1_bar = scratch.take<T>(of.inputs_[1]);
            h_bar = {scratch.take<T>(size[0] * kTile), kTile};
            inputs_bar = {scratch.take<T>(kScaleInputs * kTile), kTile};
            raw_bar = scratch.take<T>(kTile), eta_bar = scratch.take<T>(kTile);
            in_bar = scratch.take<T>(kTile), scale_bar = scratch.take<T>(kTile);
            workspace = scratch.take<T>(std::max(l2o::numerics::gru_vjp_workspace<T>(size[0], kTile),
                                                 l2o::numerics::gru_vjp_workspace<T>(widest, 1)));
        }

        void sweep(const Row<T>& row,
                   const l2o::StepIn<T>& in,
                   const l2o::StepCot<T>& cot,
                   const l2o::StepAcc<T>& acc,
                   Index r) {
            load(cot.state(method.global_), r, method.hidden_[2], h2_bar);
            const T* old_h2 = in.state(method.global_).row(r);
            cell_back(in, 2, row.bias2, row.x2, old_h2, row.tape2, h2_bar, x2_bar);
            double rate_bar = 0;  // of the mean over the problem
            for (std::size_t k = 0; k < method.blocks(); ++k) {
                load(cot.state(method.h1_ + k), r, method.hidden_[1], h1_bar);
                for (Index i = 0; i < method.hidden_[1]; ++i)
                    h1_bar[i] += static_cast<T>(method.share(k)) * x2_bar[i];
                const T* old_h1 = in.state(method.h1_ + k).row(r);
                cell_back(in,
                          1,
                          row.bias1 + Index(k) * 3 * method.hidden_[1],
                          row.x1 + Index(k) * method.inputs_[1],
                          old_h1,
                          row.tape1 + Index(k) * 3 * method.hidden_[1],
                          h1_bar,
                          x1_bar);
                inject_back(in, kGlobalToTensor, old_h2, 2, 1, h2_bar);

                std::fill_n(bias_bar, 3 * method.hidden_[0], 0.0);
                rate_bar += coordinates_back(row, in, cot, acc, r, k);
                own_bias_back(0);
                inject_back(in, kTensorToCoordinate, old_h1, 1, 0, h1_bar);
                inject_back(in, kGlobalToCoordinate, old_h2, 2, 0, h2_bar);
                add(h1_bar, method.hidden_[1], acc.state(method.h1_ + k), r);
            }
            add(h2_bar, method.hidden_[2], acc.state(method.global_), r);
            const T share = static_cast<T>(-rate_bar / double(method.coordinates()));
            for (std::size_t k = 0; k < method.blocks(); ++k)
                if (const l2o::View<T> to = acc.state(method.first_log_rate_ + k))
                    for (Index j = 0; j < method.sizes_[k]; ++j) to(r, j) += share;
        }

      private:
        static void load(const l2o::View<const T>& from, Index r, Index n, T* to) {
            if (from)
                std::copy_n(from.row(r), n, to);
            else
                std::fill_n(to, n, T(0));
        }
        static void add(const T* from, Index n, const l2o::View<T>& to, Index r) {
            for (Index i = 0; to && i < n; ++i) to(r, i) += from[i];
        }

        /// The cell of a tensor, or the global one. @param h_bar  of the new state, then of the old one.
        void cell_back(const l2o::StepIn<T>& in,
                       std::size_t level,
                       const T* bias,
                       const T* x,
                       const T* h,
                       const T* tape,
                       T* h_bar_of,
                       T* x_bar) {
            std::fill_n(bias_bar, 3 * method.hidden_[level], 0.0);
            std::fill_n(x_bar, method.inputs_[level], T(0));
            gru_back(in, level, bias, 1, {x, 1}, {h, 1}, {tape, 1}, {x_bar, 1}, {h_bar_of, 1});
            own_bias_back(level);
        }
        void gru_back(const l2o::StepIn<T>& in,
                      std::size_t level,
                      const T* bias,
                      Index n,
                      const Block<const T>& x,
                      const Block<const T>& h,
                      const Block<const T>& tape,
                      const Block<T>& x_bar,
                      const Block<T>& bar) {
            l2o::numerics::gru_vjp(
                method.cell(in, level, bias),
                n,
                x,
                h,
                tape,
                bar,
                l2o::numerics::GruGradient<T, double>{
                    sums[kCells + 4 * level], sums[kCells + 4 * level + 2], bias_bar, x_bar, bar},
                workspace);
        }
        void own_bias_back(std::size_t level) {
            const Index units = method.hidden_[level];
            for (Index i = 0; i < 2 * units; ++i) sums[kCells + 4 * level + 1][i] += bias_bar[i];
            for (Index i = 0; i < units; ++i) sums[kCells + 4 * level + 3][i] += bias_bar[2 * units + i];
        }
        /// Of the message from a level above, whose old state gets state_bar.
        void inject_back(const l2o::StepIn<T>& in,
                         std::size_t affine,
                         const T* state,
                         std::size_t from,
                         std::size_t level,
                         T* state_bar) {
            const Index columns = 3 * method.hidden_[level];
            const T* matrix = in.param(affine).data;
            for (Index c = 0; c < columns; ++c) sums[affine + 1][c] += bias_bar[c];
            for (Index i = 0; i < method.hidden_[from]; ++i) {
                double bar = 0;
                for (Index c = 0; c < columns; ++c) {
                    sums[affine][i * columns + c] += double(state[i]) * bias_bar[c];
                    bar += double(matrix[i * columns + c]) * bias_bar[c];
                }
                state_bar[i] += static_cast<T>(bar);
            }
        }

        /// @return the sum of the cotangents of log_rate - mean, which the mean gets with the other sign.
        double coordinates_back(const Row<T>& row,
                                const l2o::StepIn<T>& in,
                                const l2o::StepCot<T>& cot,
                                const l2o::StepAcc<T>& acc,
                                Index r,
                                std::size_t k) {
            const Index n = method.sizes_[k];
            const l2o::View<const T> x_bar = cot.x(k);
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
                    for (Index j = 0; j < count; ++j)
                        *inputs_bar.at(i, j) = share * x1_bar[method.hidden_[0] + i];
                const l2o::View<const T> h_cot = cot.state(method.h0_ + k);
                for (Index i = 0; i < method.hidden_[0]; ++i)
                    for (Index j = 0; j < count; ++j)
                        *h_bar.at(i, j) += share * x1_bar[i] + (h_cot ? h_cot(r, i * n + first + j) : T(0));
                gru_back(in,
                         0,
                         row.bias0 + Index(k) * 3 * method.hidden_[0],
                         count,
                         row.features.inputs,
                         {in.state(method.h0_ + k).row(r) + first, n},
                         row.tape,
                         inputs_bar,
                         h_bar);
                if (const l2o::View<T> to = acc.state(method.h0_ + k))
                    for (Index i = 0; i < method.hidden_[0]; ++i)
                        for (Index j = 0; j < count; ++j) to(r, i * n + first + j) += *h_bar.at(i, j);
                features_back(row, in, cot, acc, r, k, first, count);
                const l2o::View<T> to = acc.state(method.first_log_rate_ + k);
                for (Index j = 0; j < count; ++j) {
                    const T bar = *inputs_bar.at(kScaleInputs - 1, j);
                    rate_bar += double(bar);
                    if (to) to(r, first + j) += bar;
                }
            }
            return rate_bar;
        }
        static void add_x(const l2o::View<const T>& x_bar, const l2o::View<T>& to, Index r) {
            for (Index j = 0; x_bar && to && j < x_bar.cols; ++j) to(r, j) += x_bar(r, j);
        }

        /// Directions, step sizes and decays, and the moving average of log_rate; the clip of eta counts as
        /// the identity (straight through).
        void read_outs_back(const Row<T>& row,
                            const l2o::StepIn<T>& in,
                            const l2o::StepCot<T>& cot,
                            const l2o::StepAcc<T>& acc,
                            Index r,
                            std::size_t k,
                            Index first,
                            Index count) {
            const auto cotangent = [&](std::size_t state, Index j) {
                const l2o::View<const T> from = cot.state(state + k);
                return from ? from(r, first + j) : T(0);
            };
            const T* log_rate = in.state(method.first_log_rate_ + k).row(r) + first;
            const T* eta = row.eta + method.offsets_[k] + first;
            const l2o::View<T> rate_to = acc.state(method.first_log_rate_ + k);
            for (Index j = 0; j < count; ++j) {
                const T bar = cotangent(method.first_log_rate_, j);
                sums[kRateMomentum][0] +=
                    double(bar * (log_rate[j] - eta[j]) * row.momentum * (1 - row.momentum));
                eta_bar[j] += (1 - row.momentum) * bar;
                if (rate_to) rate_to(r, first + j) += row.momentum * bar + eta_bar[j];
                const T in_decay = row.decay_in[j], scale_decay = row.decay_scale[j];
                in_bar[j] = cotangent(method.input_decay_, j) * in_decay * (1 - in_decay);
                scale_bar[j] = cotangent(method.scale_decay_, j) * scale_decay * (1 - scale_decay);
                for (Index i = 0; i < method.hidden_[0]; ++i) *h_bar.at(i, j) = 0;
            }
            const auto back = [&](std::size_t weights, const T* bar, bool has_bias) {
                const T* w = in.param(weights).data;
                for (Index i = 0; i < method.hidden_[0]; ++i)
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

        void features_back(const Row<T>& row,
                           const l2o::StepIn<T>& in,
                           const l2o::StepCot<T>& cot,
                           const l2o::StepAcc<T>& acc,
                           Index r,
                           std::size_t k,
                           Index first,
                           Index count) {
            const Index n = method.sizes_[k];
            for (Index s = 0; s < kScales; ++s)
                for (Index j = 0; j < count; ++j)
                    *inputs_bar.at(s, j) += in.param(kDirectionFromMeans).data[s] * raw_bar[j];
            const auto at = [&](const auto& view) {
                return view ? view.row(r) + first : decltype(view.data){};
            };
            const bool is_first = in.t() == 0;
            row.features.reverse(
                count,
                in.g(k).row(r) + first,
                method.means(in, r, k, first),
                inputs_bar,
                {{at(cot.state(method.means_ + k)), n}, {at(cot.state(method.mean_squares_ + k)), n}},
                {{at(acc.state(method.means_ + k)), n}, {at(acc.state(method.mean_squares_ + k)), n}},
                at(acc.g(k)),
                is_first ? nullptr : at(acc.state(method.input_decay_ + k)),
                is_first ? nullptr : at(acc.state(method.scale_decay_ + k)));
        }
    };

    template <class T>
    [[nodiscard]] ScaleMeans<const T> means(const l2o::StepIn<T>& in,
                                            Index r,
                                            std::size_t k,
                                            Index first) const {
        return {{in.state(means_ + k).row(r) + first, sizes_[k]},
                {in.state(mean_squares_ + k).row(r) + first, sizes_[k]}};
    }
    /// Of tensor k in what the global cell reads.
    [[nodiscard]] double share(std::size_t k) const {
        if (global_input_ == GlobalInput::kLast) return k + 1 == blocks() ? 1 : 0;
        return 1 / static_cast<double>(blocks());
    }

    std::int64_t h0_size_ = 10, h1_size_ = 20, h2_size_ = 20;
    double rate_min_ = 1e-6, rate_max_ = 1e-2;
    GlobalInput global_input_ = GlobalInput::kMean;

    std::array<Index, kLevels> hidden_{}, inputs_{};
    std::array<Index, kParams> param_sizes_{};
    std::vector<Start> starts_;
    std::vector<Index> sizes_, offsets_;  // of the blocks
    Index total_ = 0;
    std::size_t h0_ = 0, means_ = 0, mean_squares_ = 0, input_decay_ = 0, scale_decay_ = 0,
                first_log_rate_ = 0, h1_ = 0, global_ = 0;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<L2oScale>)
