// What L2O-Scale keeps, and where: numbers of its parameters and states, sizes of its levels and blocks.
#pragma once

#include <array>
#include <cstdint>
#include <l2o/numerics/gru.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <string>
#include <vector>

#include "lstm_net.hpp"
#include "scale_features.hpp"

namespace l2o::recurrent {

inline constexpr std::size_t kLevels = 3;

/// Parameters, in the order of their declaration.
enum ScaleParam : std::size_t {
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

struct ScaleLayout {
    bool reads_all_tensors = true;  ///< the global cell; else the last one only

    std::array<Index, kLevels> hidden{}, inputs{};  ///< of the cells
    std::array<Index, kParams> param_sizes{};
    std::vector<Index> sizes, offsets;  ///< of the blocks
    Index total = 0;
    std::array<Param, kParams> params;
    BlockStates h0, means, mean_squares, input_decay, scale_decay, log_rate, h1;
    State global;

    [[nodiscard]] std::size_t blocks() const { return sizes.size(); }
    [[nodiscard]] Index coordinates() const { return total; }
    /// Calls f(level, hidden state of a cell).
    template <class F>
    void for_each_cell(F&& f) const {
        for (std::size_t k = 0; k < blocks(); ++k) f(0, h0[k]);
        for (std::size_t k = 0; k < blocks(); ++k) f(1, h1[k]);
        f(2, global);
    }
    /// Weights of a call.
    template <class T>
    [[nodiscard]] const T* weights(const StepIn<T>& in, std::size_t param) const {
        return in.param(params[param]).data;
    }
    /// Of tensor k in what the global cell reads.
    [[nodiscard]] double share(std::size_t k) const {
        if (!reads_all_tensors) return k + 1 == blocks() ? 1 : 0;
        return 1 / static_cast<double>(blocks());
    }

    void declare_state(OptimizerSpec& spec) {
        for (std::size_t k = 0; k < spec.blocks(); ++k) sizes.push_back(element_count(spec.block(k)));
        for (const Index size : sizes) offsets.push_back(total), total += size;
        const auto per_block = [&](const char* name, const char* doc, auto shape_of_block) {
            State first;
            for (std::size_t k = 0; k < spec.blocks(); ++k) {
                const std::string suffix = spec.blocks() == 1 ? "" : std::string(".") + spec.block(k).name;
                const State state = spec.state(
                    {.name = name + suffix, .doc = doc, .shape = shape_of_block(sizes[k]), .batched = true});
                if (k == 0) first = state;
            }
            return BlockStates(first, spec.blocks());
        };
        const auto rows = [](Index count) { return [count](Index n) { return Shape{count, n}; }; };
        h0 = per_block("h0", "cells of the coordinates: unit, coordinate", rows(hidden[0]));
        means = per_block("mean", "of g: time scale, coordinate", rows(kScales));
        mean_squares = per_block("mean_square", "of the means: time scale, coordinate", rows(kScales));
        const auto one = [](Index n) { return Shape{n}; };
        input_decay = per_block("inp_decay", "of the fastest mean; 0 at reset", one);
        scale_decay = per_block("scl_decay", "of the mean squares; 0 at reset", one);
        log_rate = per_block("log_rate", "moving average of the logarithm of the step size", one);
        h1 = per_block("h1", "cell of the tensor", [&](Index) { return Shape{hidden[1]}; });
        global = spec.state({.name = "h2", .doc = "the global cell", .shape = {hidden[2]}, .batched = true});
    }

    template <class T>
    [[nodiscard]] numerics::GruCell<T> cell(const StepIn<T>& in, std::size_t level, const T* bias) const {
        return {inputs[level],
                hidden[level],
                weights(in, kCells + 4 * level),
                weights(in, kCells + 4 * level + 2),
                bias};
    }
    template <class T>
    [[nodiscard]] ScaleMeans<const T> means_of(const StepIn<T>& in,
                                               Index r,
                                               std::size_t k,
                                               Index first) const {
        return {{in.state(means[k]).row(r) + first, sizes[k]},
                {in.state(mean_squares[k]).row(r) + first, sizes[k]}};
    }
};

}  // namespace l2o::recurrent
