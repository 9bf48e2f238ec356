#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <l2o/layers/layered.hpp>
#include <l2o/layers/rows.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <optional>
#include <string>
#include <vector>

#include "mlp_method.hpp"

namespace l2o::recurrent {

/// y' = d y + (1 - d) input; there is no y before the first step, and no infinite slope of its root.
template <class T>
layers::Value<T> follow(layers::Step<T>& step, const State& y, layers::Value<T> d, layers::Value<T> input) {
    if (step.t() == 0) return step.set(y, map([](auto d_i, auto in) { return (1 - d_i) * in; }, d, input));
    const auto mean = [](auto d_i, auto before, auto in) { return d_i * before + (1 - d_i) * in; };
    return step.set(y, map(mean, d, step.state(y), input));
}
/// 1 / sqrt(v + tiny)
template <class T>
layers::Value<T> inverse_root(layers::Value<T> v, double tiny) {
    const auto rule = [tiny = T(tiny)](auto e) {
        using std::sqrt;
        return 1 / sqrt(e + tiny);
    };
    return map(rule, v);
}

/// Means of the squares of a tensor over its two largest dimensions, and what they say of an element's size:
///   a = mean of g^2 over the largest dimension, b = the same over the second,
///   1 / sqrt(size^2 of an element) = factor_a factor_b,
///   factor_a = max(a / (mean of a over the second dimension + 1e-9), 1e-9)^(-1/2),
///   factor_b = max(b, 1e-9)^(-1/2).
/// Each follows with several decays, in states of its own. P and Q are what g and its mean are multiplied by:
/// the inverse size; without factors a and b are the mean of g^2 itself, P = 1 / sqrt(a + 1e-9), Q = 1 /
/// sqrt(a + 1e-6).
/// Source: Adafactor (Shazeer & Stern 2018, arXiv:1804.04235), with the constants of learned_optimization.
class FactoredSquares {
  public:
    /// A tensor of less than two dimensions has no factors; of equal dimensions the last is the largest.
    explicit FactoredSquares(const Shape& shape) : shape_(shape) {
        if (shape.size() < 2) return;
        std::size_t largest = 0, second = shape.size();
        for (std::size_t i = 1; i < shape.size(); ++i)
            if (shape[i] >= shape[largest]) largest = i;
        for (std::size_t i = 0; i < shape.size(); ++i)
            if (i != largest && (second == shape.size() || shape[i] >= shape[second])) second = i;
        Shape without_largest = shape;
        without_largest.erase(without_largest.begin() + std::ptrdiff_t(largest));
        largest_.emplace(shape, largest), second_.emplace(shape, second);
        second_of_a_.emplace(without_largest, second - (second > largest ? 1 : 0));
    }
    /// Declares the state of block k and decay i.
    void declare(OptimizerSpec& spec, std::size_t k, std::size_t i) {
        const auto add = [&](const char* name, const char* doc, const Shape& shape) {
            return spec.state_of(
                k, {.name = name + std::to_string(i), .doc = doc, .shape = shape, .batched = true});
        };
        if (!exist()) return a_.push_back(add("factored", "mean of g^2", shape_));
        a_.push_back(add("factored_a", "mean of g^2 over the largest dimension", {largest_->rest()}));
        b_.push_back(add("factored_b", "mean of g^2 over the second dimension", {second_->rest()}));
    }

    /// At every element: P and Q, and along one dimension the same: a, b and their inverse roots.
    template <class T>
    struct At {
        Feature<T> a, b, root_a, root_b;
        layers::Value<T> p, q;
    };
    /// @param squares  g^2, above 0   @param d  decay i
    template <class T>
    At<T> at(layers::Step<T>& step, std::size_t i, layers::Value<T> d, layers::Value<T> squares) const {
        if (!exist()) {
            const auto v = follow(step, a_[i], d, squares);
            const auto root = inverse_root(v, 1e-8);
            return {v, v, root, root, inverse_root(v, 1e-9), inverse_root(v, 1e-6)};
        }
        const auto a = follow(step, a_[i], d, mean_over(squares, *largest_));
        const auto b = follow(step, b_[i], d, mean_over(squares, *second_));
        const auto p = inverse_size(a, b), root_a = inverse_root(a, 1e-8), root_b = inverse_root(b, 1e-8);
        const auto *of_a = &*largest_, *of_b = &*second_;
        return {{a, of_a}, {b, of_b}, {root_a, of_a}, {root_b, of_b}, p, p};
    }

  private:
    [[nodiscard]] bool exist() const { return largest_.has_value(); }

    /// factor_a factor_b of every element.
    template <class T>
    layers::Value<T> inverse_size(layers::Value<T> a, layers::Value<T> b) const {
        const auto factor = [](auto square) {
            using std::max, std::sqrt;
            return 1 / sqrt(max(square, decltype(square)(T(1e-9))));
        };
        const auto ratio = [](auto a_e, auto mean) { return a_e / (mean + T(1e-9)); };
        const auto mean = along(mean_over(a, *second_of_a_), *second_of_a_);
        const auto product = [](auto of_a, auto of_b) { return of_a * of_b; };
        return map(
            product, along(map(factor, map(ratio, a, mean)), *largest_), along(map(factor, b), *second_));
    }

    std::optional<layers::Axis> largest_, second_, second_of_a_;
    Shape shape_;
    std::vector<State> a_, b_;
};

}  // namespace l2o::recurrent
