#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <l2o/abi/call.h>
#include <l2o/abi/tensor.h>
#include <torch/version.h>

#include <algorithm>
#include <cstdint>
#include <l2o/sdk/failure.hpp>
#include <l2o/sdk/view.hpp>
#include <string>
#include <type_traits>

namespace l2o::th {

/// For About::runtime: a process has one LibTorch, so the host refuses a second version before loading it.
inline constexpr const char* kRuntime = "libtorch=" TORCH_VERSION;

template <class T>
constexpr at::ScalarType scalar_type() {
    return c10::CppTypeToScalarType<std::remove_const_t<T>>::value;
}

inline at::ScalarType scalar_type(const l2o_tensor& tensor) {
    switch (tensor.dtype) {
        case L2O_DTYPE_F32:
            return at::kFloat;
        case L2O_DTYPE_F64:
            return at::kDouble;
        case L2O_DTYPE_I32:
            return at::kInt;
        case L2O_DTYPE_I64:
            return at::kLong;
        case L2O_DTYPE_U8:
            return at::kByte;
        default:
            break;
    }
    invalid("a tensor has the element type " + std::to_string(tensor.dtype) +
            ", which is not one of the ABI");
}

/// The host's tensor as LibTorch sees it: the same memory, valid until the call returns. What is an input of
/// the call must not be written through it.
inline at::Tensor tensor(const l2o_tensor& source) {
    const auto n = static_cast<std::size_t>(source.ndim);
    return at::from_blob(source.data,
                         at::IntArrayRef(source.shape, n),
                         at::IntArrayRef(source.strides, n),
                         at::TensorOptions().dtype(scalar_type(source)));
}

/// Contiguous memory as a tensor of the given shape.
template <class T>
at::Tensor tensor(T* data, at::IntArrayRef shape) {
    return at::from_blob(
        const_cast<std::remove_const_t<T>*>(data), shape, at::TensorOptions().dtype(scalar_type<T>()));
}

/// A matrix [rows, cols], whose rows may be padded.
template <class T>
at::Tensor tensor(const View<T>& v) {
    return at::from_blob(const_cast<std::remove_const_t<T>*>(v.data),
                         {v.rows, v.cols},
                         {v.stride, 1},
                         at::TensorOptions().dtype(scalar_type<T>()));
}

/// Gives LibTorch the threads that the host allows to this call; call it first. The count belongs to the
/// calling thread (OpenMP) and stays as it is set, so that it costs something only when it changes.
inline void use_threads(const l2o_call& call) {
    const int allowed = static_cast<int>(std::max(call.max_threads, 1U));
    if (at::get_num_threads() != allowed) at::set_num_threads(allowed);
}

}  // namespace l2o::th
