#pragma once

#include <cstring>
#include <string>
#include <vector>

#include "framework/plugin/optimizee.hpp"
#include "framework/plugin/optimizer.hpp"

namespace l2o::framework {

/// A set of tensors with the pointer array that plugins take.
class TensorSet {
  public:
    TensorSet() = default;
    explicit TensorSet(std::vector<Tensor> tensors) : tensors_(std::move(tensors)) {
        for (Tensor& tensor : tensors_) pointers_.push_back(tensor.abi());
    }

    [[nodiscard]] bool empty() const { return tensors_.empty(); }
    [[nodiscard]] std::size_t size() const { return tensors_.size(); }
    Tensor& operator[](std::size_t i) { return tensors_[i]; }
    const Tensor& operator[](std::size_t i) const { return tensors_[i]; }
    [[nodiscard]] l2o_in in() const { return pointers_.data(); }
    [[nodiscard]] l2o_out out() const { return pointers_.data(); }
    [[nodiscard]] std::vector<Tensor>& tensors() { return tensors_; }
    [[nodiscard]] const std::vector<Tensor>& tensors() const { return tensors_; }
    [[nodiscard]] std::int64_t bytes() const {
        std::int64_t sum = 0;
        for (const Tensor& tensor : tensors_) sum += tensor ? tensor.bytes() : 0;
        return sum;
    }
    void zero() {
        for (Tensor& tensor : tensors_) {
            if (tensor) tensor.zero();
        }
    }
    void copy_from(const TensorSet& other) {
        for (std::size_t i = 0; i < tensors_.size(); ++i) {
            if (!tensors_[i]) continue;
            std::memcpy(
                tensors_[i].data(), other.tensors_[i].data(), static_cast<std::size_t>(tensors_[i].bytes()));
        }
    }

  private:
    std::vector<Tensor> tensors_;
    std::vector<l2o_tensor*> pointers_;
};

/// The shapes of everything at one point of a batch of trajectories. A population of P particles has blocks
/// [B, P, shape]; the optimizee sees the same memory as B * P rows.
struct PointLayout {
    PointLayout() = default;
    PointLayout(const Optimizer& optimizer, const Optimizee& optimizee, std::int64_t batch);

    std::int64_t batch = 0, particles = 0, rows = 0;  ///< rows = B * max(P, 1)
    Dtype dtype{};
    std::vector<Shape> blocks, blocks_as_rows, state;
    std::vector<Dtype> state_dtypes;
    Shape f;
};

/// Which parts of a Point to allocate.
struct PointParts {
    bool g = false, f = false, state = true;
    bool is_cotangent = false;  ///< states that are counted in whole numbers have none: absent
};

/// Iterate, objective, gradient and optimizer state at one t.
class Point {
  public:
    Point() = default;
    Point(const PointLayout& layout, PointParts parts);

    TensorSet x, g, state;
    Tensor f;
    TensorSet x_rows, g_rows;  ///< the same memory, as the optimizee sees it
    Tensor f_rows;
    bool has_f = false, has_g = false;  ///< whether all rows are known
    /// Else of which rows, as the optimizee sees them, what is known: L2O_ORACLE_VALUE, _GRADIENT. Empty: of
    /// none more than of all.
    std::vector<std::uint8_t> known;
    /// What has been paid for: of all rows, and of which rows more. Who looks at a point knows without
    /// paying.
    std::uint32_t paid_by_all = 0;
    std::vector<std::uint8_t> paid;

    [[nodiscard]] std::uint32_t known_at(std::int64_t row) const {
        const std::uint32_t all = (has_f ? L2O_ORACLE_VALUE : 0U) | (has_g ? L2O_ORACLE_GRADIENT : 0U);
        return known.empty() ? all : all | known[static_cast<std::size_t>(row)];
    }
    [[nodiscard]] std::uint32_t paid_at(std::int64_t row) const {
        return paid.empty() ? paid_by_all : paid_by_all | paid[static_cast<std::size_t>(row)];
    }
    /// The row has paid for f, or g, here.
    void pay(std::int64_t row, std::uint32_t kinds);
    /// f, or g, of a row has been put where it belongs; to be followed by settle().
    void know(std::int64_t row, std::uint32_t kinds);
    /// Rows that are known one by one may be all of them.
    void settle();
    /// Nothing is known of f and g in a row; to be followed by settle() where something is known all the
    /// same.
    void forget_row(std::int64_t row);
    /// Nothing is known of f and g.
    void forget() {
        has_f = has_g = false;
        known.clear();
        paid_by_all = 0;
        paid.clear();
    }

    [[nodiscard]] std::int64_t bytes() const {
        return x.bytes() + g.bytes() + state.bytes() + (f ? f.bytes() : 0);
    }
};

/// x and state; what was evaluated at `to` is void.
void copy_x_and_state(const Point& from, Point& to);
/// What is known of f and g in a row of `from` (as the optimizee sees them), whose x is that of `to`, is
/// known there, and what has been paid for is paid for; to be followed by settle().
void take_known(const Point& from, Point& to, std::int64_t row);

/// Member j of a leading axis [N, ...], borrowed.
[[nodiscard]] inline Tensor point_of(const Tensor& tensor, std::int64_t j) { return tensor.rows(j, 1); }
/// Member j of every block [N, ...], borrowed, as rows of the optimizee.
[[nodiscard]] TensorSet rows_of(const TensorSet& blocks, std::int64_t j, const PointLayout& layout);

}  // namespace l2o::framework
