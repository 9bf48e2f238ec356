#pragma once

#include <memory>
#include <vector>

#include "framework/plugin/call.hpp"
#include "framework/rollout/slices.hpp"

namespace l2o::framework {

/// x and state of a slice, wherever they are kept.
struct SliceMemory {
    void* x;
    std::vector<void*> state;
};

/// Calls of the optimizer of one coordinate. [one thread]
class SliceCall {
  public:
    SliceCall(const Slices& slices, Dtype dtype);
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

}  // namespace l2o::framework
