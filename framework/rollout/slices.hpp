#pragma once

#include <memory>
#include <vector>

#include "framework/plugin/call.hpp"
#include "framework/plugin/optimizer.hpp"
#include "framework/rollout/point.hpp"

namespace l2o::framework {

/// Coordinates first .. first + count - 1 of a block [B, shape].
struct Slice {
    std::size_t block;
    std::int64_t first, count;
};

/// How a coordinate-wise optimizer is called on many coordinates.
struct Slicing {
    std::int64_t length = 0;  ///< coordinates at a time; 0: all
    int threads = 1;
};

/// A coordinate-wise optimizer on slices of its blocks. An instance of the plugin that was made for one
/// coordinate sees a slice as `count` rows, which in every tensor lie together.
class Slices {
  public:
    /// @param length  coordinates per slice.
    /// @return null for an optimizer that cannot be sliced: it does not promise L2O_OPTIMIZER_COORDINATEWISE,
    /// reads f or data, draws, asks, must not be called by two threads, or has a state that is not one per
    /// coordinate.
    [[nodiscard]] static std::unique_ptr<const Slices> of(const Optimizer& optimizer,
                                                          const PointLayout& layout,
                                                          std::int64_t length);

    [[nodiscard]] const Optimizer& optimizer() const { return *optimizer_; }
    [[nodiscard]] const std::vector<Slice>& all() const { return all_; }
    [[nodiscard]] std::int64_t length() const { return length_; }
    /// Of state tensor i of one coordinate: its number among those of the whole optimizer.
    [[nodiscard]] std::size_t state_of(std::size_t block, std::size_t i) const {
        return state_of_[block * widths_.size() + i];
    }
    /// Elements per coordinate of its state tensors.
    [[nodiscard]] const std::vector<std::int64_t>& widths() const { return widths_; }

  private:
    explicit Slices(std::int64_t length) : length_(length) {}
    std::int64_t length_;
    std::unique_ptr<Optimizer> optimizer_;
    std::vector<Slice> all_;
    std::vector<std::size_t> state_of_;
    std::vector<std::int64_t> widths_;
};

/// x and state of a slice, wherever they are kept.
struct SliceMemory {
    void* x;
    std::vector<void*> state;
};

/// Calls of the optimizer of one coordinate. [one thread]
class SliceCall {
  public:
    /// @param length  most coordinates of a slice.
    SliceCall(const Slices& slices, Dtype dtype, std::int64_t length);
    SliceCall(const SliceCall&) = delete;
    SliceCall& operator=(const SliceCall&) = delete;

    /// Where the slice is in a point.
    [[nodiscard]] SliceMemory in(Point& point, const Slice& slice) const;
    [[nodiscard]] void* in(TensorSet& x_or_g, const Slice& slice) const;

    void copy(std::int64_t count, const SliceMemory& from, const SliceMemory& to) const;
    /// x and state of `to` from those of `from` and the gradient g.
    void step(const TensorSet& params,
              const Key& key,
              std::int64_t t,
              std::int64_t count,
              const SliceMemory& from,
              const void* g,
              const SliceMemory& to);
    /// From the cotangents of x', state' to those of x (NULL: not wanted) and state, which are added to, as
    /// is `gradient`.
    void step_back(const TensorSet& params,
                   const Key& key,
                   std::int64_t t,
                   std::int64_t count,
                   const SliceMemory& from,
                   const void* g,
                   const SliceMemory& to,
                   const SliceMemory& cot,
                   const SliceMemory& before,
                   const TensorSet& gradient);

  private:
    /// An l2o_tensor [count, ...] that is pointed at memory again and again.
    class Aimed {
      public:
        Aimed(Dtype dtype, Shape shape);  // of no rows
        l2o_tensor* at(const void* data, std::int64_t count);

      private:
        std::unique_ptr<Tensor> tensor_;
    };
    /// x and state of one side of a step.
    struct Side {
        Aimed x;
        std::vector<Aimed> state;
        l2o_tensor* x_pointer = nullptr;
        std::vector<l2o_tensor*> state_pointers;
    };
    Side make_side() const;
    static void aim(Side& side, const SliceMemory& memory, std::int64_t count);
    l2o_step_in step_in(const TensorSet& params, std::int64_t t, std::int64_t count, const void* g);
    l2o_step_out step_out(std::int64_t count);

    const Slices& slices_;
    Dtype dtype_;
    CallContext call_;
    Side from_, to_, cot_, before_;
    Aimed g_, x_is_;
    Tensor nobody_reads_;  // what x' is, coordinate by coordinate
    l2o_tensor* g_pointer_ = nullptr;
    std::vector<l2o_tensor*> nothing_;
};

/// What a thread needs to take slices through a window. [one thread]
class SliceWork {
  public:
    static constexpr std::int64_t kCotangents = 0, kPoints = 2;  ///< places: two cotangents, then points

    /// @param kept  points of a slice that are kept here.
    SliceWork(const Slices& slices, Dtype dtype, std::int64_t length, std::int64_t kept);

    /// x and state number `index`.
    SliceMemory place(std::int64_t index);
    void zero(std::int64_t index);
    [[nodiscard]] std::int64_t bytes() const { return memory_.bytes(); }

    SliceCall call;

  private:
    Dtype dtype_;
    std::int64_t length_;
    std::vector<std::int64_t> widths_;
    Tensor memory_;
};

}  // namespace l2o::framework
