#pragma once

#include <l2o/abi/tensor.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace l2o {

/// The ABI's name of an element type.
template <class T>
constexpr std::uint32_t dtype_of() {
    using U = std::remove_const_t<T>;
    if constexpr (std::is_same_v<U, float>) {
        return L2O_DTYPE_F32;
    } else if constexpr (std::is_same_v<U, double>) {
        return L2O_DTYPE_F64;
    } else if constexpr (std::is_same_v<U, std::int32_t>) {
        return L2O_DTYPE_I32;
    } else if constexpr (std::is_same_v<U, std::int64_t>) {
        return L2O_DTYPE_I64;
    } else {
        static_assert(std::is_same_v<U, std::uint8_t>, "not an element type of the ABI");
        return L2O_DTYPE_U8;
    }
}

/// A borrowed matrix: `rows` rows of `cols` contiguous elements, `stride` elements apart. A tensor [B, shape]
/// has B rows of prod(shape); a vector [n] has n rows of one; a scalar one row of one. Empty (false) where
/// the host gave NULL: an input that is absent, or an output that is not wanted.
template <class T>
struct View {
    T* data = nullptr;
    std::int64_t rows = 0, cols = 0, stride = 0;

    explicit operator bool() const { return data != nullptr; }
    T* row(std::int64_t r) const { return data + r * stride; }
    T& operator()(std::int64_t r, std::int64_t c) const { return data[r * stride + c]; }
    /// Element i of a vector, or row i of a one-column matrix.
    T& operator[](std::int64_t i) const { return data[i * stride]; }
    /// The value of a 0-d tensor.
    T& scalar() const { return *data; }
};

namespace detail {
template <class T>
[[gnu::noinline]] View<T> view_of_any(const l2o_tensor& tensor, int lead) {
    View<T> v{static_cast<T*>(tensor.data), 1, 1, 1};
    if (tensor.ndim == 0) return v;
    const int split = lead < tensor.ndim ? lead : tensor.ndim;
    for (int i = 0; i < split; ++i) v.rows *= tensor.shape[i];
    for (int i = split; i < tensor.ndim; ++i) v.cols *= tensor.shape[i];
    v.stride = tensor.strides[split - 1];
    return v;
}
}  // namespace detail

/// View of a tensor whose first `lead` axes count as rows (2 for [B, P, shape]); empty if tensor is NULL.
template <class T>
[[gnu::always_inline]] inline View<T> view(const l2o_tensor* tensor, int lead = 1) {
    if (tensor == nullptr) return {};
    if (tensor->ndim == 2 && lead == 1) [[likely]]
        return {static_cast<T*>(tensor->data), tensor->shape[0], tensor->shape[1], tensor->strides[0]};
    return detail::view_of_any<T>(*tensor, lead);
}

/// Member j of a leading axis: question j of [K, B, shape], point j of [len, B, shape].
template <class T>
View<T> member(const l2o_tensor* tensor, std::int64_t j, int lead = 1) {
    if (tensor == nullptr) return {};
    l2o_tensor inner = *tensor;
    inner.data = static_cast<std::remove_const_t<T>*>(tensor->data) + j * tensor->strides[0];
    inner.ndim -= 1;
    inner.shape += 1;
    inner.strides += 1;
    return view<T>(&inner, lead);
}

/// Calls f(element...) for every coordinate of views of the same shape, row by row. Two views are the same or
/// do not overlap.
template <class F, class First, class... Rest>
void each(F&& f, const View<First>& first, const View<Rest>&... rest) {
    // Rows without gaps are one: of a coordinate-wise method every row may be one coordinate.
    const bool is_dense = ((first.stride == first.cols) && ... && (rest.stride == rest.cols));
    const std::int64_t rows = is_dense ? 1 : first.rows,
                       cols = is_dense ? first.rows * first.cols : first.cols;
    for (std::int64_t r = 0; r < rows; ++r) {
        const auto loop = [&](First* a, Rest*... more) {
        // Tensors of a call never overlap; checking that at run time is too much for the vectoriser.
#if defined(__clang__)
#pragma clang loop vectorize(assume_safety)
#elif defined(__GNUC__)
#pragma GCC ivdep
#endif
            for (std::int64_t c = 0; c < cols; ++c) f(a[c], more[c]...);
        };
        loop(first.row(r), rest.row(r)...);
    }
}

/// Copies a view of the same shape.
template <class From, class To>
void copy(const View<From>& from, const View<To>& to) {
    each([](const From& a, To& b) { b = a; }, from, to);
}

template <class T>
void fill(const View<T>& to, std::type_identity_t<T> value) {
    each([value](T& a) { a = value; }, to);
}

/// Calls body with the view of a tensor, whatever its element type.
template <class Body>
void with_view(const l2o_tensor& tensor, Body&& body) {
    switch (tensor.dtype) {
        case L2O_DTYPE_F32:
            return body(view<float>(&tensor));
        case L2O_DTYPE_F64:
            return body(view<double>(&tensor));
        case L2O_DTYPE_I32:
            return body(view<std::int32_t>(&tensor));
        case L2O_DTYPE_I64:
            return body(view<std::int64_t>(&tensor));
        default:
            return body(view<std::uint8_t>(&tensor));
    }
}

}  // namespace l2o
