// What L2O-Scale learns and keeps: its parameters and states.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <l2o/nets/gru.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <string>
#include <vector>

#include "scale_features.hpp"

namespace l2o::recurrent {

inline constexpr std::size_t kLevels = 3;

/// state Matrix + Bias: what a level hears of one above.
struct Message {
    Param matrix, bias;

    void declare(OptimizerSpec& spec, const std::string& name, Index from, Index to) {
        matrix = spec.param({.name = name + "/Matrix", .shape = {from, to}});
        bias = spec.param({.name = name + "/Bias", .shape = {to}});
    }
    template <class T>
    layers::Value<T> operator()(layers::Step<T>& step, layers::Value<T> state) const {
        const auto sum = [](auto a, auto b) { return a + b; };
        return map(sum, state * by_row(step.matrix(matrix)), step.param(bias));
    }
};

struct ScaleLayout {
    std::array<nets::Gru, kLevels> cells;  ///< of the coordinates, the tensors, the whole
    Message tensor_to_coordinate, global_to_coordinate, global_to_tensor;
    std::array<Param, kLevels> starts;
    Param direction, direction_from_means, rate_momentum, step_offset;
    /// Read-outs of the coordinates' cells.
    struct ReadOut {
        Param weights, bias;
    };
    ReadOut scale_decay_of, input_decay_of, rate_of;

    std::vector<Index> sizes;  ///< of the blocks
    Index total = 0;
    BlockStates h0, means, mean_squares, input_decay, scale_decay, log_rate, h1;
    State global;

    [[nodiscard]] std::size_t blocks() const { return sizes.size(); }
    void declare(OptimizerSpec& spec, const std::array<Index, kLevels>& hidden) {
        const Index inputs[] = {kScaleInputs, hidden[0] + kScaleInputs, hidden[1]};
        for (std::size_t level = 0; level < kLevels; ++level)
            cells[level].declare(spec, "level" + std::to_string(level), inputs[level], hidden[level]);
        tensor_to_coordinate.declare(spec, "level0/param_bias", hidden[1], 3 * hidden[0]);
        global_to_coordinate.declare(spec, "level0/global_bias", hidden[2], 3 * hidden[0]);
        global_to_tensor.declare(spec, "level1/global_bias", hidden[2], 3 * hidden[1]);
        const auto add = [&](const std::string& name, const Shape& shape) {
            return spec.param({.name = name, .shape = shape});
        };
        for (std::size_t level = 0; level < kLevels; ++level)
            starts[level] = add("init_vector" + std::to_string(level), {hidden[level]});
        direction = add("update_weights", {hidden[0], 1});
        scale_decay_of = {add("scl_decay_weights", {hidden[0], 1}), add("scl_decay_bias", {1})};
        input_decay_of = {add("inp_decay_weights", {hidden[0], 1}), add("inp_decay_bias", {1})};
        rate_of = {add("learning_rate_weights", {hidden[0], 1}), add("learning_rate_bias", {1})};
        direction_from_means = add("grads_to_delta", {kScales, 1});
        rate_momentum = add("lr_momentum_logit", {1});
        step_offset = add("param_stepsize_offset", {1});
        declare_state(spec, hidden);
    }

    /// As in the authors' code.
    template <class T>
    void init_params(const l2o_call& call, const ParamsOut<T>& params) const {
        const auto normal = [&](const Param& param, double sigma, double mean = 0) {
            nets::fill_normal(params, param, sigma, call, mean);
        };
        const auto fan_in = [&](std::size_t level) { return 0.5 / std::sqrt(double(cells[level].hidden())); };
        for (const nets::Gru& cell : cells) cell.init_params(call, params);
        normal(tensor_to_coordinate.matrix, fan_in(1)), normal(tensor_to_coordinate.bias, 0);
        normal(global_to_coordinate.matrix, fan_in(2)), normal(global_to_coordinate.bias, 0);
        normal(global_to_tensor.matrix, fan_in(2)), normal(global_to_tensor.bias, 0);
        for (const Param& start : starts) nets::fill_uniform(params, start, 1, call);
        for (const Param& w : {direction, scale_decay_of.weights, input_decay_of.weights})
            normal(w, fan_in(0));
        normal(scale_decay_of.bias, 0, 3.2), normal(input_decay_of.bias, 0, 2.2);
        normal(rate_of.weights, 0), normal(rate_of.bias, 0);
        normal(direction_from_means, 0.05, 0.25), normal(rate_momentum, 0, 3.2), normal(step_offset, 0, -1);
    }

    /// What block k reads of the state.
    template <class T>
    ScaleState<T> before(layers::Step<T>& step, std::size_t k, layers::Value<T> mean_log_rate) const {
        ScaleState<T> of;
        of.g = step.g(k), of.log_rate = step.state(log_rate[k]), of.mean_log_rate = mean_log_rate;
        of.means = step.state(means[k]), of.mean_squares = step.state(mean_squares[k]);
        if (step.t() == 0) return of;  // the decays of the first step are 0, whatever the state says
        of.input_decay = step.state(input_decay[k]), of.scale_decay = step.state(scale_decay[k]);
        return of;
    }

    /// Hidden states from the learned vectors, means and decays 0, step sizes drawn: one for the tensor and
    /// one for the coordinate, of equal weight.
    template <class T>
    void init_state(const StepIn<T>& in, const StatesOut<T>& state, double least, double most) const {
        for (std::size_t k = 0; k < blocks(); ++k) {
            for (const BlockStates* zero : {&means, &mean_squares, &input_decay, &scale_decay})
                fill(state[(*zero)[k]], T(0));
            const View<T> to = state[log_rate[k]];
            const double low = 0.5 * std::log(least), width = 0.5 * std::log(most) - low;
            for (Index r = 0; r < to.rows; ++r) {
                const auto row = in.call.row0 + static_cast<std::uint64_t>(r);
                numerics::Stream random(in.call.key, row, log_rate[k].index());
                const double tensor = low + width * random.uniform();
                for (Index j = 0; j < to.cols; ++j)
                    to(r, j) = static_cast<T>(tensor + low + width * random.uniform());
            }
        }
        for_each_cell([&](std::size_t level, const State& cell) {
            const View<T> to = state[cell];
            const T* start = in.param(starts[level]).data;
            const Index copies = to.cols / cells[level].hidden();
            for (Index r = 0; r < to.rows; ++r)
                for (Index j = 0; j < to.cols; ++j) to(r, j) = start[j / copies];
        });
    }
    template <class T>
    void init_state_vjp(const StatesCot<T>& cot, const StepAcc<T>& acc) const {
        for_each_cell([&](std::size_t level, const State& cell) {
            const View<const T> bar = cot[cell];
            const View<T> to = acc.param(starts[level]);
            if (!bar || !to) return;
            const Index copies = bar.cols / cells[level].hidden();
            for (Index r = 0; r < bar.rows; ++r)
                for (Index j = 0; j < bar.cols; ++j) to[j / copies] += bar(r, j);
        });
    }

  private:
    /// Calls f(level, hidden state of a cell).
    template <class F>
    void for_each_cell(F&& f) const {
        for (std::size_t k = 0; k < blocks(); ++k) f(0, h0[k]);
        for (std::size_t k = 0; k < blocks(); ++k) f(1, h1[k]);
        f(2, global);
    }
    void declare_state(OptimizerSpec& spec, const std::array<Index, kLevels>& hidden) {
        for (std::size_t k = 0; k < spec.blocks(); ++k) sizes.push_back(element_count(spec.block(k)));
        for (const Index size : sizes) total += size;
        const auto per_block = [&](const char* name, const char* doc, auto shape) {
            return spec.state_of_each({.name = name, .doc = doc, .batched = true}, shape);
        };
        const auto rows = [&](Index count) {
            return [=, this](std::size_t k) { return Shape{count, sizes[k]}; };
        };
        h0 = per_block("h0", "cells of the coordinates: unit, coordinate", rows(hidden[0]));
        means = per_block("mean", "of g: time scale, coordinate", rows(kScales));
        mean_squares = per_block("mean_square", "of the means: time scale, coordinate", rows(kScales));
        const auto one = [&](std::size_t k) { return Shape{sizes[k]}; };
        input_decay = per_block("inp_decay", "of the fastest mean; 0 at reset", one);
        scale_decay = per_block("scl_decay", "of the mean squares; 0 at reset", one);
        log_rate = per_block("log_rate", "moving average of the logarithm of the step size", one);
        h1 = per_block("h1", "cell of the tensor", [&](std::size_t) { return Shape{hidden[1]}; });
        global = spec.state({.name = "h2", .doc = "the global cell", .shape = {hidden[2]}, .batched = true});
    }
};

}  // namespace l2o::recurrent
