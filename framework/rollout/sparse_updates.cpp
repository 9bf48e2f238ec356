#include "framework/rollout/sparse_updates.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <l2o/numerics/philox.hpp>
#include <utility>

#include "framework/error.hpp"

namespace l2o::framework {
namespace {

constexpr std::uint64_t kUpdateTag = 0x757064;

/// Layer of every block, counted from 0.
std::vector<std::uint64_t> layers_of(const std::vector<const l2o_spec*>& blocks) {
    std::vector<std::int32_t> names;
    for (const l2o_spec* block : blocks) names.push_back(block->layer);
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    std::vector<std::uint64_t> out;
    for (std::size_t k = 0; k < blocks.size(); ++k) {
        const auto named = std::lower_bound(names.begin(), names.end(), blocks[k]->layer) - names.begin();
        out.push_back(names.size() == 1 ? k : static_cast<std::uint64_t>(named));
    }
    return out;
}

/// Of n, the third in which the middle of a layer lies: of two layers one is first and one is last.
std::uint64_t third_of(std::uint64_t layer, std::uint64_t n) { return 3 * (2 * layer + 1) / (2 * n); }

void copy(const Tensor& from, Tensor& to) {
    std::memcpy(to.data(), from.data(), static_cast<std::size_t>(to.bytes()));
}

}  // namespace

void check_update_probability(const UpdateProbability& probability, const Optimizee& optimizee) {
    const std::vector<std::uint64_t> layers = layers_of(optimizee.blocks());
    const std::uint64_t n = *std::max_element(layers.begin(), layers.end()) + 1;
    const std::pair<const char*, double> thirds[] = {
        {"first", probability.first}, {"middle", probability.middle}, {"last", probability.last}};
    for (std::uint64_t third = 0; third < std::size(thirds); ++third) {
        bool has_layers = false;
        for (std::uint64_t layer = 0; layer < n; ++layer)
            has_layers = has_layers || third_of(layer, n) == third;
        if (has_layers || thirds[third].second == 1) continue;
        throw Error(
            ExitCode::kUsage,
            fmt::format("train.update_probability.{} is {:g}, and '{}' has no layer in that third: it "
                        "has {}; set it to 1{}",
                        thirds[third].first,
                        thirds[third].second,
                        optimizee.id(),
                        n == 1 ? "one, which is the middle" : "two, the first and the last",
                        n == 1 ? ", and middle instead" : ""));
    }
}

SparseUpdates::SparseUpdates(const Optimizer& optimizer,
                             const Optimizee& optimizee,
                             const UpdateProbability& probability) {
    if (probability.is_one()) return;
    const std::vector<const l2o_spec*>& blocks = optimizee.blocks();
    const std::vector<std::uint64_t> layers = layers_of(blocks);
    const std::uint64_t n = *std::max_element(layers.begin(), layers.end()) + 1;
    const double thirds[] = {probability.first, probability.middle, probability.last};
    for (std::size_t k = 0; k < blocks.size(); ++k) {
        Block block{.probability = thirds[third_of(layers[k], n)], .layer = layers[k], .states = {}};
        for (std::size_t i = 0; i < optimizer.state().size(); ++i)
            if (blocks.size() == 1 || optimizer.state()[i]->block == static_cast<std::int32_t>(k) + 1)
                block.states.push_back(i);
        blocks_.push_back(std::move(block));
    }
}

bool SparseUpdates::stays(const Key& key, std::int64_t t, std::size_t block) const {
    if (blocks_.empty()) return false;
    const Key step = numerics::derive_key(key, kUpdateTag, static_cast<std::uint64_t>(t));
    return numerics::Stream(step, blocks_[block].layer).uniform<double>() >= blocks_[block].probability;
}

bool SparseUpdates::any_stays(const Key& key, std::int64_t t) const {
    for (std::size_t k = 0; k < blocks_.size(); ++k)
        if (stays(key, t, k)) return true;
    return false;
}

void SparseUpdates::hold(const Key& key, std::int64_t t, const Point& from, Point& to) const {
    for (std::size_t k = 0; k < blocks_.size(); ++k) {
        if (!stays(key, t, k)) continue;
        copy(from.x[k], to.x[k]);
        for (const std::size_t i : blocks_[k].states) copy(from.state[i], to.state[i]);
    }
}

void SparseUpdates::hold_back(const Key& key, std::int64_t t, Point& after, Point& before) const {
    const auto move = [](Tensor& from, Tensor& to) {
        if (!from) return;
        copy(from, to);
        from.zero();
    };
    for (std::size_t k = 0; k < blocks_.size(); ++k) {
        if (!stays(key, t, k)) continue;
        move(after.x[k], before.x[k]);
        for (const std::size_t i : blocks_[k].states) move(after.state[i], before.state[i]);
    }
}

}  // namespace l2o::framework
