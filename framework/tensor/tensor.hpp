#pragma once

#include <l2o/abi/tensor.h>

#include <cassert>
#include <concepts>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace l2o::framework {

using Shape = std::vector<std::int64_t>;

/// Number of elements of a shape; 1 for a scalar. Throws Error(kUsage) if a size is negative or the sizes
/// other than 0 multiply to more than 2^59, so that bytes and strides always fit std::int64_t.
[[nodiscard]] std::int64_t element_count(const Shape& shape);
/// "[3, 4]"; "[]" for a scalar.
[[nodiscard]] std::string to_string(const Shape& shape);

/// Element types that cross the ABI; values are those of L2O_DTYPE_F32 ...
enum class Dtype : std::uint32_t {
    kF32 = L2O_DTYPE_F32,
    kF64 = L2O_DTYPE_F64,
    kI32 = L2O_DTYPE_I32,
    kI64 = L2O_DTYPE_I64,
    kU8 = L2O_DTYPE_U8
};
/// Whether it is one of those, which a number that came from a plugin need not be.
[[nodiscard]] bool is_known(Dtype dtype);
[[nodiscard]] std::int64_t bytes_of(Dtype dtype);
[[nodiscard]] constexpr bool is_real(Dtype dtype) { return dtype == Dtype::kF32 || dtype == Dtype::kF64; }
/// "float32", "float64", "int32", "int64", "uint8".
[[nodiscard]] const char* name_of(Dtype dtype);
/// Inverse of name_of; throws Error(kUsage) that lists the known names.
[[nodiscard]] Dtype dtype_from_name(const std::string& name);

template <class T>
concept Element = std::same_as<T, float> || std::same_as<T, double> || std::same_as<T, std::int32_t> ||
    std::same_as<T, std::int64_t> || std::same_as<T, std::uint8_t>;

/// The Dtype of a C++ type.
template <Element T>
[[nodiscard]] constexpr Dtype dtype_of() {
    if constexpr (std::same_as<T, float>) return Dtype::kF32;
    if constexpr (std::same_as<T, double>) return Dtype::kF64;
    if constexpr (std::same_as<T, std::int32_t>) return Dtype::kI32;
    if constexpr (std::same_as<T, std::int64_t>) return Dtype::kI64;
    if constexpr (std::same_as<T, std::uint8_t>) return Dtype::kU8;
}

/// A dense row-major tensor that owns 64-byte aligned memory, or borrows somebody else's; movable, copied on
/// request only. `abi()` is the view that plugins see; it stays valid while the Tensor lives, also when
/// moved. A default-constructed or moved-from Tensor is false and has nothing else.
class Tensor {
  public:
    Tensor() = default;
    /// Zero-filled.
    Tensor(Dtype dtype, Shape shape);
    /// A view of memory that outlives it (a mapped file, a slice of another tensor).
    /// @param data        element_count(shape) elements, aligned to their size.
    /// @param keep_alive  released with the last tensor that views the memory; null: the caller sees to it.
    static Tensor borrow(Dtype dtype,
                         Shape shape,
                         void* data,
                         std::shared_ptr<const void> keep_alive = nullptr);

    Tensor(Tensor&&) noexcept = default;
    Tensor& operator=(Tensor&&) noexcept = default;
    Tensor(const Tensor&) = delete;
    Tensor& operator=(const Tensor&) = delete;
    ~Tensor() = default;

    /// An owned copy.
    [[nodiscard]] Tensor clone() const;
    /// An owned copy in another floating-point type (float32 <-> float64); a clone if it is the same.
    /// Throws Error(kUsage) for any other pair.
    [[nodiscard]] Tensor to(Dtype dtype) const;
    /// Rows [first, first + count) of axis 0, borrowed: *this must outlive it.
    [[nodiscard]] Tensor rows(std::int64_t first, std::int64_t count) const;

    [[nodiscard]] explicit operator bool() const { return state_ != nullptr; }
    [[nodiscard]] Dtype dtype() const { return state_->dtype; }
    [[nodiscard]] const Shape& shape() const { return state_->shape; }
    [[nodiscard]] std::int64_t size() const { return state_->size; }
    [[nodiscard]] std::int64_t bytes() const { return state_->size * bytes_of(state_->dtype); }
    [[nodiscard]] void* data() { return state_->view.data; }
    [[nodiscard]] const void* data() const { return state_->view.data; }

    /// Elements as T; asserts that T is the dtype.
    template <Element T>
    [[nodiscard]] std::span<T> values() {
        assert(dtype() == dtype_of<T>());
        return {static_cast<T*>(data()), static_cast<std::size_t>(size())};
    }
    template <Element T>
    [[nodiscard]] std::span<const T> values() const {
        assert(dtype() == dtype_of<T>());
        return {static_cast<const T*>(data()), static_cast<std::size_t>(size())};
    }
    /// Element i as a double, whatever the dtype.
    [[nodiscard]] double value(std::int64_t i) const;
    /// Sets every byte to zero.
    void zero();

    /// As the ABI sees it; NULL, its word for "absent", for an empty Tensor.
    [[nodiscard]] l2o_tensor* abi() { return state_ ? &state_->view : nullptr; }
    [[nodiscard]] const l2o_tensor* abi() const { return state_ ? &state_->view : nullptr; }

  private:
    // On the heap, so that the pointers in `view` survive a move of the Tensor.
    struct State {
        Dtype dtype;
        Shape shape, strides;
        std::int64_t size;
        l2o_tensor view;
        std::shared_ptr<const void> memory;
    };
    std::unique_ptr<State> state_;
};

}  // namespace l2o::framework
