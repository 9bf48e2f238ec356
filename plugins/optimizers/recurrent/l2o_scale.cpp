// Wichrowska et al. 2017, "Learned optimizers that scale and generalize" (arXiv:1703.04813): recurrent cells
// on three levels. Those of the coordinates hear those of their tensor and the global one (their messages are
// biases), a tensor's hears the mean of its coordinates, the global one the mean of the tensors. Symbols: h0,
// h1, h2 states of the levels; d update direction, with a mean square of 1 over a tensor; eta logarithm of
// the step size. Deviations from their code, where it is at fault: the global level reads all tensors, not
// the last one only (global_input last); everything is reset with the trajectory.
#include <cmath>
#include <cstdint>
#include <l2o/numerics/philox.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <l2o/sdk/scratch.hpp>
#include <string>
#include <vector>

#include "scale_layout.hpp"
#include "scale_reverse.hpp"
#include "scale_row.hpp"

namespace {

using l2o::recurrent::Index;
using l2o::recurrent::kInitVectors;
using l2o::recurrent::kLevels;
using l2o::recurrent::kParams;
using l2o::recurrent::kScaleInputs;
using l2o::recurrent::kScales;
using l2o::recurrent::ScaleLayout;
using l2o::recurrent::ScaleReverse;
using l2o::recurrent::ScaleRow;

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
        layout_.hidden = {h0_size_, h1_size_, h2_size_};
        layout_.inputs = {kScaleInputs, h0_size_ + kScaleInputs, h1_size_};
        layout_.reads_all_tensors = global_input_ == GlobalInput::kMean;
        declare_params(spec);
        layout_.declare_state(spec);
        spec.minimises().reads_g().flag(L2O_FLAG_STOCHASTIC);
        spec.scratch([this](l2o::Scratch& scratch, Index, auto scalar) {
            using T = decltype(scalar);
            ScaleRow<T>(scratch, layout_), ScaleReverse<T>(scratch, layout_);
        });
    }

    template <class T>
    void init_params(const l2o_call& call, const l2o::NeedsIn<T>&, const l2o::ParamsOut<T>& params) const {
        for (std::size_t i = 0; i < kParams; ++i) {
            const l2o::View<T> param = params[layout_.params[i]];
            if (!param) continue;
            const Start& start = starts_[i];
            l2o::numerics::Stream random(call.key, i);
            l2o::each(
                [&](T& weight) {
                    weight = static_cast<T>(start.is_uniform ? 2 * random.uniform() - 1
                                                             : start.mean + start.spread * random.normal());
                },
                param);
        }
    }

    /// Hidden states from the learned vectors, means and decays 0, step sizes drawn: one for the tensor and
    /// one for the coordinate, of equal weight.
    template <class T>
    void init_state(const l2o::StepIn<T>& in, const l2o::StatesOut<T>& state) const {
        layout_.for_each_cell([&](std::size_t level, const l2o::State& cell) {
            const l2o::View<T> to = state[cell];
            const T* start = layout_.weights(in, kInitVectors + level);
            const Index copies = to.cols / layout_.hidden[level];
            for (Index r = 0; r < to.rows; ++r)
                for (Index j = 0; j < to.cols; ++j) to(r, j) = start[j / copies];
        });
        for (std::size_t k = 0; k < layout_.blocks(); ++k) {
            for (const l2o::BlockStates* zero :
                 {&layout_.means, &layout_.mean_squares, &layout_.input_decay, &layout_.scale_decay})
                l2o::fill(state[(*zero)[k]], T(0));
            draw_rates(in, layout_.log_rate[k].index(), state[layout_.log_rate[k]]);
        }
    }
    template <class T>
    void init_state_vjp(const l2o::StepIn<T>&,
                        const l2o::StatesCot<T>& cot,
                        const l2o::StepAcc<T>& acc) const {
        layout_.for_each_cell([&](std::size_t level, const l2o::State& cell) {
            const l2o::View<const T> bar = cot[cell];
            const l2o::View<T> to = acc.param(layout_.params[kInitVectors + level]);
            if (!bar || !to) return;
            const Index copies = bar.cols / layout_.hidden[level];
            for (Index r = 0; r < bar.rows; ++r)
                for (Index j = 0; j < bar.cols; ++j) to[j / copies] += bar(r, j);
        });
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        l2o::Scratch scratch(in.call);
        ScaleRow<T> row(scratch, layout_);
        for (Index r = 0; r < in.batch(); ++r) {
            row.sweep(in, r, &out);
            for (std::size_t k = 0; k < layout_.blocks(); ++k) {
                const T* x = in.x(k).row(r);
                T* x_next = out.x(k).row(r);
                for (Index j = 0; j < layout_.sizes[k]; ++j)
                    x_next[j] = x[j] - row.step_size(k, j) * row.direction(k, j);
            }
        }
    }

    template <class T>
    void step_vjp(const l2o::StepIn<T>& in, const l2o::StepCot<T>& cot, const l2o::StepAcc<T>& acc) const {
        l2o::Scratch scratch(in.call);
        ScaleRow<T> row(scratch, layout_);
        ScaleReverse<T> reverse(scratch, layout_);
        for (Index r = 0; r < in.batch(); ++r) {
            row.sweep(in, r, nullptr);
            reverse.sweep(row, in, cot, acc, r);
        }
        reverse.sums.add_to(acc, layout_.params);
    }

  private:
    enum class GlobalInput { kMean, kLast };
    struct Start {
        double mean, spread;
        bool is_uniform = false;
    };

    template <class T>
    void draw_rates(const l2o::StepIn<T>& in, std::uint32_t purpose, const l2o::View<T>& to) const {
        const double low = 0.5 * std::log(rate_min_), width = 0.5 * std::log(rate_max_) - low;
        for (Index r = 0; r < to.rows; ++r) {
            l2o::numerics::Stream random(in.call.key, in.call.row0 + static_cast<std::uint64_t>(r), purpose);
            const double tensor = low + width * random.uniform();
            for (Index j = 0; j < to.cols; ++j)
                to(r, j) = static_cast<T>(tensor + low + width * random.uniform());
        }
    }

    void declare_params(l2o::OptimizerSpec& spec) {
        const auto& hidden = layout_.hidden;
        const auto add = [&](const std::string& name, const l2o::Shape& shape, const Start& start) {
            Index size = 1;
            for (const Index extent : shape) size *= extent;
            layout_.params[starts_.size()] = spec.param({.name = name, .shape = shape});
            layout_.param_sizes[starts_.size()] = size;
            starts_.push_back(start);
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
            const Index rows = layout_.inputs[level] + hidden[level];
            add(name + "/gates/Matrix", {rows, 2 * hidden[level]}, normal(0.5, rows));
            add(name + "/gates/Bias", {2 * hidden[level]}, {2.2, 0});
            add(name + "/candidate/Matrix", {rows, hidden[level]}, normal(0.5, rows));
            add(name + "/candidate/Bias", {hidden[level]}, {0, 0});
        }
        affine("level0/param_bias", hidden[1], 3 * hidden[0]);
        affine("level0/global_bias", hidden[2], 3 * hidden[0]);
        affine("level1/global_bias", hidden[2], 3 * hidden[1]);
        for (std::size_t level = 0; level < kLevels; ++level)
            add("init_vector" + std::to_string(level), {hidden[level]}, {0, 0, true});
        add("update_weights", {hidden[0], 1}, normal(0.5, hidden[0]));
        add("scl_decay_weights", {hidden[0], 1}, normal(0.5, hidden[0]));
        add("scl_decay_bias", {1}, {3.2, 0});
        add("inp_decay_weights", {hidden[0], 1}, normal(0.5, hidden[0]));
        add("inp_decay_bias", {1}, {2.2, 0});
        add("learning_rate_weights", {hidden[0], 1}, {0, 0});
        add("learning_rate_bias", {1}, {0, 0});
        add("grads_to_delta", {kScales, 1}, {0.25, 0.05});
        add("lr_momentum_logit", {1}, {3.2, 0});
        add("param_stepsize_offset", {1}, {-1, 0});
    }

    std::int64_t h0_size_ = 10, h1_size_ = 20, h2_size_ = 20;
    double rate_min_ = 1e-6, rate_max_ = 1e-2;
    GlobalInput global_input_ = GlobalInput::kMean;

    ScaleLayout layout_;
    std::vector<Start> starts_;  // of the parameters
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<L2oScale>)
