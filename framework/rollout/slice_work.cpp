#include "framework/rollout/slice_work.hpp"

#include <cstring>
#include <numeric>

namespace l2o::framework {
namespace {

/// Elements per coordinate of x and the state.
std::int64_t width_of(const Slices& slices) {
    return std::accumulate(slices.widths().begin(), slices.widths().end(), std::int64_t{1});
}

}  // namespace

SliceWork::SliceWork(const Slices& slices, Dtype dtype, std::int64_t kept)
    : call(slices, dtype),
      dtype_(dtype),
      length_(slices.length()),
      widths_(slices.widths()),
      memory_(dtype, {kPoints + kept, length_, width_of(slices)}) {}

std::int64_t SliceWork::bytes(const Slices& slices, Dtype dtype, std::int64_t kept) {
    return (kPoints + kept) * slices.length() * width_of(slices) * bytes_of(dtype);
}

SliceMemory SliceWork::place(std::int64_t index) {
    auto* at = static_cast<std::byte*>(memory_.data());
    const std::int64_t step = length_ * bytes_of(dtype_);
    at += index * (memory_.bytes() / memory_.shape()[0]);
    SliceMemory place{.x = at, .state = {}};
    at += step;
    for (const std::int64_t width : widths_) {
        place.state.push_back(at);
        at += step * width;
    }
    return place;
}

void SliceWork::zero(std::int64_t index) {
    const std::int64_t bytes = memory_.bytes() / memory_.shape()[0];
    std::memset(static_cast<std::byte*>(memory_.data()) + index * bytes, 0, static_cast<std::size_t>(bytes));
}

}  // namespace l2o::framework
