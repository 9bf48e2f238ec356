#pragma once

#include <cstdint>
#include <l2o/numerics/philox.hpp>
#include <l2o/numerics/view.hpp>
#include <type_traits>
#include <utility>

namespace l2o::numerics {

/// Fills row r of a matrix with draws of its own, Stream(key, row0 + r, purpose): the rows first .. first + n
/// - 1 of something large are the same numbers wherever the batch begins.
/// @param draw  Stream& -> number, called once per entry in order. Numbers drawn in double and rounded give
///              float32 and float64 the same instance.
template <MatrixView View, class Draw>
void fill_rows(
    const View& view, const std::uint64_t* key, std::uint64_t row0, std::uint32_t purpose, Draw&& draw) {
    using Scalar = std::remove_pointer_t<std::remove_cvref_t<decltype(view.data)>>;
    for (Index r = 0; r < Index(view.rows); ++r) {
        Stream stream(key, row0 + std::uint64_t(r), purpose);
        for (Scalar& entry : row(view, r)) entry = Scalar(draw(stream));
    }
}

/// The same for a data tensor of the instances of an l2o::Draw, with the draws that its handle names. Nothing
/// if the tensor is not wanted.
template <class Instances, class DataOut, class Handle, class Draw>
void fill_rows(const Instances& instances, const DataOut& data, const Handle& tensor, Draw&& draw) {
    fill_rows(data[tensor],
              instances.call.key,
              instances.first,
              instances.purpose(tensor),
              std::forward<Draw>(draw));
}

}  // namespace l2o::numerics
