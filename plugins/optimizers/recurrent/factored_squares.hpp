#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <l2o/layers/layered.hpp>
#include <l2o/layers/rows.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <string>
#include <vector>

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
        if (shape.size() >= 2) find_groups(shape);
    }
    /// Declares the state of block k and decay i.
    void declare(OptimizerSpec& spec, std::size_t k, std::size_t i) {
        const auto add = [&](const char* name, const char* doc, const Shape& shape) {
            return spec.state_of(
                k, {.name = name + std::to_string(i), .doc = doc, .shape = shape, .batched = true});
        };
        if (!exist()) return a_.push_back(add("factored", "mean of g^2", shape_));
        a_.push_back(add("factored_a", "mean of g^2 over the largest dimension", {size_a_}));
        b_.push_back(add("factored_b", "mean of g^2 over the second dimension", {size_b_}));
    }

    /// At every element: a, b, their inverse roots, P and Q.
    template <class T>
    struct At {
        layers::Value<T> a, b, root_a, root_b, p, q;
    };
    /// @param squares  g^2, above 0   @param d  decay i
    template <class T>
    At<T> at(layers::Step<T>& step, std::size_t i, layers::Value<T> d, layers::Value<T> squares) const {
        if (!exist()) {
            const auto v = follow(step, a_[i], d, squares);
            const auto root = inverse_root(v, 1e-8);
            return {v, v, root, root, inverse_root(v, 1e-9), inverse_root(v, 1e-6)};
        }
        const auto a = follow(step, a_[i], d, group_means<T>(squares, a_of_, size_a_));
        const auto b = follow(step, b_[i], d, group_means<T>(squares, b_of_, size_b_));
        const auto p = inverse_size(a, b), at_a = of_groups<T>(a, a_of_), at_b = of_groups<T>(b, b_of_);
        return {at_a, at_b, inverse_root(at_a, 1e-8), inverse_root(at_b, 1e-8), p, p};
    }

  private:
    [[nodiscard]] bool exist() const { return !a_of_.empty(); }
    void find_groups(const Shape& shape) {
        std::size_t largest = 0, second = shape.size();
        for (std::size_t i = 1; i < shape.size(); ++i)
            if (shape[i] >= shape[largest]) largest = i;
        for (std::size_t i = 0; i < shape.size(); ++i)
            if (i != largest && (second == shape.size() || shape[i] >= shape[second])) second = i;
        std::int64_t n = 1;
        for (const std::int64_t extent : shape) n *= extent;
        size_a_ = n / shape[largest], size_b_ = n / shape[second], groups_ = size_a_ / shape[second];
        group_of_.resize(static_cast<std::size_t>(size_a_));
        for (std::int64_t j = 0; j < n; ++j) {
            a_of_.push_back(index_without(shape, j, largest, largest));
            b_of_.push_back(index_without(shape, j, second, second));
            group_of_[static_cast<std::size_t>(a_of_.back())] = index_without(shape, j, largest, second);
        }
    }

    /// factor_a factor_b of every element.
    template <class T>
    layers::Value<T> inverse_size(layers::Value<T> a, layers::Value<T> b) const {
        const auto factor = [](auto square) {
            using std::max, std::sqrt;
            return 1 / sqrt(max(square, decltype(square)(T(1e-9))));
        };
        const auto ratio = [](auto a_e, auto mean) { return a_e / (mean + T(1e-9)); };
        const auto mean = of_groups<T>(group_means<T>(a, group_of_, groups_), group_of_);
        const auto product = [](auto of_a, auto of_b) { return of_a * of_b; };
        return map(product,
                   of_groups<T>(map(factor, map(ratio, a, mean)), a_of_),
                   of_groups<T>(map(factor, b), b_of_));
    }

    /// Index of element j in the tensor without the dimensions `one` and `other`.
    static std::int64_t index_without(const Shape& shape,
                                      std::int64_t j,
                                      std::size_t one,
                                      std::size_t other) {
        std::int64_t index = 0, stride = 1;
        for (std::size_t i = shape.size(); i-- > 0; j /= shape[i]) {
            if (i == one || i == other) continue;
            index += j % shape[i] * stride;
            stride *= shape[i];
        }
        return index;
    }

    std::vector<std::int64_t> a_of_, b_of_, group_of_;
    std::int64_t size_a_ = 0, size_b_ = 0, groups_ = 0;
    Shape shape_;
    std::vector<State> a_, b_;
};

}  // namespace l2o::recurrent
