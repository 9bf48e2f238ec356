#pragma once

#include <Eigen/Core>
#include <concepts>
#include <span>
#include <type_traits>

namespace l2o::numerics {

using Eigen::Index;

template <class Scalar>
using RowMatrix = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Anything that says where a row-major matrix lies: row r starts at data + r * stride, stride in elements.
template <class View>
concept MatrixView = requires(const View& v) {
    requires std::is_pointer_v<std::remove_cvref_t<decltype(v.data)>>;
    { v.rows } -> std::convertible_to<Index>;
    { v.cols } -> std::convertible_to<Index>;
    { v.stride } -> std::convertible_to<Index>;
};

/// The view as an Eigen expression, without a copy; read only if `data` points to const.
template <MatrixView View>
auto matrix(const View& v) {
    using Element = std::remove_pointer_t<std::remove_cvref_t<decltype(v.data)>>;
    using Plain = RowMatrix<std::remove_const_t<Element>>;
    using Mapped = std::conditional_t<std::is_const_v<Element>, const Plain, Plain>;
    return Eigen::Map<Mapped, Eigen::Unaligned, Eigen::OuterStride<>>(
        v.data, Index(v.rows), Index(v.cols), Eigen::OuterStride<>(Index(v.stride)));
}

/// n contiguous elements as an Eigen row vector, without a copy; read only if they are const.
template <class Element>
auto row_vector(Element* data, Index n) {
    using Plain = Eigen::Matrix<std::remove_const_t<Element>, 1, Eigen::Dynamic>;
    return Eigen::Map<std::conditional_t<std::is_const_v<Element>, const Plain, Plain>>(data, n);
}

/// Row r of the view, as the row kernels (soft threshold, support selection) take it.
template <MatrixView View>
auto row(const View& v, Index r) {
    return std::span(v.data + r * Index(v.stride), std::size_t(v.cols));
}

}  // namespace l2o::numerics
