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
    /// States: the first one of each kind, one per block; the last one is global.
    std::size_t h0 = 0, means = 0, mean_squares = 0, input_decay = 0, scale_decay = 0, log_rate = 0, h1 = 0,
                global = 0;

    [[nodiscard]] std::size_t blocks() const { return sizes.size(); }
    [[nodiscard]] Index coordinates() const { return total; }
    /// Whose hidden state state i is; -1: of none.
    [[nodiscard]] int level_of_state(std::size_t i) const {
        return i < blocks() ? 0 : i == global ? 2 : i >= global - blocks() ? 1 : -1;
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
            const std::size_t first = spec.states.size();
            for (std::size_t k = 0; k < spec.blocks(); ++k) {
                const std::string suffix = spec.blocks() == 1 ? "" : std::string(".") + spec.block(k).name;
                spec.state(
                    {.name = name + suffix, .doc = doc, .shape = shape_of_block(sizes[k]), .batched = true});
            }
            return first;
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
                in.param(kCells + 4 * level).data,
                in.param(kCells + 4 * level + 2).data,
                bias};
    }
    template <class T>
    [[nodiscard]] ScaleMeans<const T> means_of(const StepIn<T>& in,
                                               Index r,
                                               std::size_t k,
                                               Index first) const {
        return {{in.state(means + k).row(r) + first, sizes[k]},
                {in.state(mean_squares + k).row(r) + first, sizes[k]}};
    }
};

}  // namespace l2o::recurrent
