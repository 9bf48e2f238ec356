// Means of the squares of a tensor over its two largest dimensions, and what they say of an element's size:
//   a = mean of g^2 over the largest dimension, b = the same over the second,
//   1 / sqrt(size^2 of an element) = factor_a factor_b,
//   factor_a = max(a / (mean of a over the second dimension + 1e-9), 1e-9)^(-1/2),
//   factor_b = max(b, 1e-9)^(-1/2).
// Source: Adafactor (Shazeer & Stern 2018, arXiv:1804.04235), with the constants of learned_optimization.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <l2o/sdk/spec.hpp>
#include <vector>

namespace l2o::recurrent {

class FactoredSquares {
  public:
    using Index = std::int64_t;

    /// A tensor of less than two dimensions has no factors; of equal dimensions the last is the largest.
    explicit FactoredSquares(const Shape& shape) {
        if (shape.size() < 2) return;
        std::size_t largest = 0, second = shape.size();
        for (std::size_t i = 1; i < shape.size(); ++i)
            if (shape[i] >= shape[largest]) largest = i;
        for (std::size_t i = 0; i < shape.size(); ++i)
            if (i != largest && (second == shape.size() || shape[i] >= shape[second])) second = i;
        Index n = 1;
        for (const Index extent : shape) n *= extent;
        over_a_ = shape[largest], over_b_ = shape[second];
        size_a_ = n / over_a_, size_b_ = n / over_b_;
        group_of_.resize(static_cast<std::size_t>(size_a_));
        for (Index j = 0; j < n; ++j) {
            const Index a = index_without(shape, j, largest, largest);
            a_of_.push_back(a);
            b_of_.push_back(index_without(shape, j, second, second));
            group_of_[static_cast<std::size_t>(a)] = index_without(shape, j, largest, second);
        }
    }

    [[nodiscard]] bool exist() const { return !a_of_.empty(); }
    [[nodiscard]] Index size_a() const { return size_a_; }
    [[nodiscard]] Index size_b() const { return size_b_; }
    /// Entries that element j belongs to.
    [[nodiscard]] Index a_of(Index j) const { return a_of_[static_cast<std::size_t>(j)]; }
    [[nodiscard]] Index b_of(Index j) const { return b_of_[static_cast<std::size_t>(j)]; }

    /// @param squares       [n]
    /// @param mean_a, mean_b  [size_a], [size_b], written.
    template <class T>
    void means(const T* squares, T* mean_a, T* mean_b) const {
        std::fill_n(mean_a, size_a_, T(0));
        std::fill_n(mean_b, size_b_, T(0));
        for (std::size_t j = 0; j < a_of_.size(); ++j) {
            mean_a[a_of_[j]] += squares[j] / T(over_a_);
            mean_b[b_of_[j]] += squares[j] / T(over_b_);
        }
    }
    /// Of element j, by the cotangents of the means.
    template <class T>
    [[nodiscard]] T means_vjp(Index j, const T* mean_a_bar, const T* mean_b_bar) const {
        return mean_a_bar[a_of(j)] / T(over_a_) + mean_b_bar[b_of(j)] / T(over_b_);
    }

    /// @param groups  workspace [size_a]
    template <class T>
    void factors(const T* a, const T* b, T* factor_a, T* factor_b, T* groups) const {
        group_means(a, groups);
        for (Index e = 0; e < size_a_; ++e)
            factor_a[e] = 1 / std::sqrt(std::max(a[e] / groups[group(e)], kLeast<T>));
        for (Index e = 0; e < size_b_; ++e) factor_b[e] = 1 / std::sqrt(std::max(b[e], kLeast<T>));
    }
    /// @param a_bar, b_bar  added to.
    /// @param groups        workspace [2 size_a]
    template <class T>
    void factors_vjp(const T* a,
                     const T* b,
                     const T* factor_a,
                     const T* factor_b,
                     const T* factor_a_bar,
                     const T* factor_b_bar,
                     T* a_bar,
                     T* b_bar,
                     T* groups) const {
        T* groups_bar = groups + size_a_;
        group_means(a, groups);
        std::fill_n(groups_bar, size_a_, T(0));
        for (Index e = 0; e < size_a_; ++e) {
            const T mean = groups[group(e)], ratio = a[e] / mean;
            if (ratio <= kLeast<T>) continue;
            const T ratio_bar = -factor_a_bar[e] * factor_a[e] / (2 * ratio);
            a_bar[e] += ratio_bar / mean;
            groups_bar[group(e)] -= ratio_bar * ratio / mean;
        }
        for (Index e = 0; e < size_a_; ++e) a_bar[e] += groups_bar[group(e)] / T(over_b_);
        for (Index e = 0; e < size_b_; ++e)
            if (b[e] > kLeast<T>) b_bar[e] -= factor_b_bar[e] * factor_b[e] / (2 * b[e]);
    }

  private:
    template <class T>
    static constexpr T kLeast = T(1e-9);

    /// Index of element j in the tensor without the dimensions `one` and `other`.
    static Index index_without(const Shape& shape, Index j, std::size_t one, std::size_t other) {
        Index index = 0, stride = 1;
        for (std::size_t i = shape.size(); i-- > 0; j /= shape[i]) {
            if (i == one || i == other) continue;
            index += j % shape[i] * stride;
            stride *= shape[i];
        }
        return index;
    }
    [[nodiscard]] Index group(Index e) const { return group_of_[static_cast<std::size_t>(e)]; }
    /// Mean of a over the second dimension, plus 1e-9.
    template <class T>
    void group_means(const T* a, T* groups) const {
        std::fill_n(groups, size_a_, T(1e-9));
        for (Index e = 0; e < size_a_; ++e) groups[group(e)] += a[e] / T(over_b_);
    }

    std::vector<Index> a_of_, b_of_, group_of_;
    Index over_a_ = 1, over_b_ = 1, size_a_ = 0, size_b_ = 0;
};

}  // namespace l2o::recurrent
