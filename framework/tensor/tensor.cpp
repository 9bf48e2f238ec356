#include "framework/tensor/tensor.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <new>
#include <utility>

#include "framework/error.hpp"

namespace l2o::framework {
namespace {

struct DtypeTraits {
    Dtype dtype;
    const char* name;
    std::int64_t bytes;
};

constexpr std::array kDtypes{
    DtypeTraits{.dtype = Dtype::kF32, .name = "float32", .bytes = 4},
    DtypeTraits{.dtype = Dtype::kF64, .name = "float64", .bytes = 8},
    DtypeTraits{.dtype = Dtype::kI32, .name = "int32", .bytes = 4},
    DtypeTraits{.dtype = Dtype::kI64, .name = "int64", .bytes = 8},
    DtypeTraits{.dtype = Dtype::kU8, .name = "uint8", .bytes = 1},
};

const DtypeTraits& traits_of(Dtype dtype) {
    const auto* traits = std::ranges::find(kDtypes, dtype, &DtypeTraits::dtype);
    assert(traits != kDtypes.end());
    return *traits;
}

constexpr std::size_t kBufferAlignment = 64;  // what sdk/include/l2o/abi/tensor.h promises

std::shared_ptr<void> allocate_zeroed(std::size_t bytes) {
    // At least one byte, so that the data pointer of an empty tensor is not null.
    const std::size_t allocated = std::max<std::size_t>(bytes, 1);
    constexpr std::align_val_t alignment{kBufferAlignment};
    std::shared_ptr<void> memory(::operator new(allocated, alignment),
                                 [](void* p) { ::operator delete (p, std::align_val_t{kBufferAlignment}); });
    std::memset(memory.get(), 0, allocated);
    return memory;
}

template <class From, class To>
void convert(const Tensor& from, Tensor& to) {
    std::ranges::transform(
        from.values<From>(), to.values<To>().begin(), [](From x) { return static_cast<To>(x); });
}

}  // namespace

std::int64_t element_count(const Shape& shape) {
    constexpr std::int64_t kLimit = std::int64_t{1} << 59;  // times 8 bytes fits std::int64_t
    std::int64_t count = 1;
    std::int64_t nonzero_product = 1;  // strides are products of a part of the shape, also when a size is 0
    for (std::size_t axis = 0; axis < shape.size(); ++axis) {
        const std::int64_t extent = shape[axis];
        if (extent < 0)
            throw Error(
                ExitCode::kUsage,
                fmt::format("shape {}: axis {} is {}; expected 0 or more", to_string(shape), axis, extent));
        if (std::max<std::int64_t>(extent, 1) > kLimit / nonzero_product)
            throw Error(ExitCode::kUsage,
                        fmt::format("shape {}: too large; expected at most 2^59 elements", to_string(shape)));
        nonzero_product *= std::max<std::int64_t>(extent, 1);
        count *= extent;
    }
    return count;
}

std::string to_string(const Shape& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

bool is_known(Dtype dtype) { return std::ranges::find(kDtypes, dtype, &DtypeTraits::dtype) != kDtypes.end(); }

std::int64_t bytes_of(Dtype dtype) { return traits_of(dtype).bytes; }

const char* name_of(Dtype dtype) { return traits_of(dtype).name; }

Dtype dtype_from_name(const std::string& name) {
    std::string known;
    for (const DtypeTraits& traits : kDtypes) {
        if (name == traits.name) return traits.dtype;
        known += fmt::format("{}{}", known.empty() ? "" : ", ", traits.name);
    }
    throw Error(ExitCode::kUsage, fmt::format("unknown dtype '{}'; known: {}", name, known));
}

Tensor::Tensor(Dtype dtype, Shape shape) {
    const std::int64_t bytes = element_count(shape) * bytes_of(dtype);
    std::shared_ptr<void> memory;
    try {
        memory = allocate_zeroed(static_cast<std::size_t>(bytes));
    } catch (const std::bad_alloc&) {
        throw Error(ExitCode::kUsage,
                    fmt::format("out of memory: there are no {:.3g} GiB for a tensor {} {}; use fewer "
                                "instances, a smaller batch, horizon or problem, or set train.memory",
                                static_cast<double>(bytes) / (1 << 30),
                                name_of(dtype),
                                to_string(shape)));
    }
    void* data = memory.get();
    *this = borrow(dtype, std::move(shape), data, std::move(memory));
}

Tensor Tensor::borrow(Dtype dtype, Shape shape, void* data, std::shared_ptr<const void> keep_alive) {
    const std::int64_t size = element_count(shape);
    assert(size == 0 || data != nullptr);
    assert(reinterpret_cast<std::uintptr_t>(data) % static_cast<std::uintptr_t>(bytes_of(dtype)) == 0);

    Tensor tensor;
    tensor.state_ = std::make_unique<State>();
    State& state = *tensor.state_;
    state.dtype = dtype;
    state.shape = std::move(shape);
    state.size = size;
    state.memory = std::move(keep_alive);

    const std::size_t rank = state.shape.size();
    state.shape.reserve(1);  // the ABI forbids null strides; a scalar would have them
    state.strides.reserve(1);
    state.strides.assign(rank, 1);
    for (std::size_t axis = rank; axis-- > 1;)
        state.strides[axis - 1] = state.strides[axis] * std::max<std::int64_t>(state.shape[axis], 1);

    state.view = {.data = data,
                  .device_type = 1,
                  .device_id = 0,
                  .ndim = static_cast<std::int32_t>(rank),
                  .dtype = static_cast<std::uint32_t>(dtype),
                  .shape = state.shape.data(),
                  .strides = state.strides.data(),
                  .byte_offset = 0};
    return tensor;
}

Tensor Tensor::clone() const {
    Tensor copy(dtype(), shape());
    if (size() > 0) std::memcpy(copy.data(), data(), static_cast<std::size_t>(bytes()));
    return copy;
}

Tensor Tensor::to(Dtype wanted) const {
    if (wanted == dtype()) return clone();
    if (dtype() == Dtype::kF32 && wanted == Dtype::kF64) {
        Tensor copy(wanted, shape());
        convert<float, double>(*this, copy);
        return copy;
    }
    if (dtype() == Dtype::kF64 && wanted == Dtype::kF32) {
        Tensor copy(wanted, shape());
        convert<double, float>(*this, copy);
        return copy;
    }
    throw Error(ExitCode::kUsage,
                fmt::format("cannot convert {} to {}; expected float32 or float64 on both sides",
                            name_of(dtype()),
                            name_of(wanted)));
}

Tensor Tensor::rows(std::int64_t first, std::int64_t count) const {
    assert(!shape().empty());
    assert(first >= 0 && count >= 0 && first <= shape()[0] - count);
    Shape part = shape();
    part[0] = count;
    const std::int64_t offset = first * state_->strides[0] * bytes_of(dtype());
    return borrow(dtype(), std::move(part), static_cast<char*>(state_->view.data) + offset, state_->memory);
}

double Tensor::value(std::int64_t i) const {
    assert(i >= 0 && i < size());
    const auto index = static_cast<std::size_t>(i);
    switch (dtype()) {
        case Dtype::kF32:
            return values<float>()[index];
        case Dtype::kF64:
            return values<double>()[index];
        case Dtype::kI32:
            return values<std::int32_t>()[index];
        case Dtype::kI64:
            return static_cast<double>(values<std::int64_t>()[index]);
        case Dtype::kU8:
            return values<std::uint8_t>()[index];
    }
    assert(false);
    return std::numeric_limits<double>::quiet_NaN();
}

void Tensor::zero() {
    if (size() > 0) std::memset(data(), 0, static_cast<std::size_t>(bytes()));
}

}  // namespace l2o::framework
