#pragma once

#include <cstdint>
#include <string>

#include "framework/tensor/tensor.hpp"

namespace l2o::framework {

/// Where element i of a tensor is, for a message: " [2, 0]"; "" in a scalar.
[[nodiscard]] std::string place_text(const Tensor& tensor, std::int64_t i);
/// Element i as a text: the shortest that reads back as it, "nan", "inf", "-inf".
[[nodiscard]] std::string number_text(const Tensor& tensor, std::int64_t i);

/// A user's tensor of numbers as float32 or float64: finite, and integers become what they are, never a
/// neighbour.
/// @param who  opens messages: "p.safetensors: tensor 'A'".
/// @throw Error kUsage that says which element of it is none, and what is expected.
[[nodiscard]] Tensor numbers_of(const Tensor& tensor, Dtype dtype, const std::string& who);

}  // namespace l2o::framework
