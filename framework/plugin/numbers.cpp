#include "framework/plugin/numbers.hpp"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "framework/config/value_text.hpp"
#include "framework/error.hpp"

namespace l2o::framework {
namespace {

/// Whether a float or a double is exactly this integer.
bool holds(Dtype dtype, std::int64_t integer) {
    const int mantissa =
        dtype == Dtype::kF32 ? std::numeric_limits<float>::digits : std::numeric_limits<double>::digits;
    const auto magnitude =
        integer < 0 ? ~static_cast<std::uint64_t>(integer) + 1 : static_cast<std::uint64_t>(integer);
    const int digits = static_cast<int>(std::bit_width(magnitude)) - std::countr_zero(magnitude);
    return magnitude == 0 || digits <= mantissa;
}

}  // namespace

std::string place_text(const Tensor& tensor, std::int64_t i) {
    if (tensor.shape().empty()) return "";
    Shape place(tensor.shape().size());
    for (std::size_t axis = place.size(); axis-- > 0; i /= tensor.shape()[axis])
        place[axis] = i % tensor.shape()[axis];
    return " " + to_string(place);
}

std::string number_text(const Tensor& tensor, std::int64_t i) {
    if (tensor.dtype() == Dtype::kI64)
        return std::to_string(tensor.values<std::int64_t>()[static_cast<std::size_t>(i)]);
    const double value = tensor.value(i);
    if (std::isfinite(value)) return format_real(value);
    return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
}

Tensor numbers_of(const Tensor& tensor, Dtype dtype, const std::string& who) {
    const auto fail = [&](std::int64_t i, const std::string& expected) {
        throw Error(ExitCode::kUsage,
                    who + place_text(tensor, i) + " is " + number_text(tensor, i) + "; expected " + expected);
    };
    if (is_real(tensor.dtype())) {
        Tensor out = tensor.to(dtype);
        for (std::int64_t i = 0; i < out.size(); ++i) {
            if (!std::isfinite(tensor.value(i))) fail(i, "finite numbers");
            if (!std::isfinite(out.value(i)))
                fail(i, std::string("numbers in the range of ") + name_of(dtype));
        }
        return out;
    }
    Tensor out(dtype, tensor.shape());
    for (std::int64_t i = 0; i < out.size(); ++i) {
        const auto index = static_cast<std::size_t>(i);
        const std::int64_t integer = tensor.dtype() == Dtype::kI64
                                         ? tensor.values<std::int64_t>()[index]
                                         : static_cast<std::int64_t>(tensor.value(i));
        if (!holds(dtype, integer))
            fail(i,
                 std::string("an integer that ") + name_of(dtype) + " holds without rounding" +
                     (dtype == Dtype::kF32 ? "; store the file's float32 tensors as float64" : ""));
        if (dtype == Dtype::kF32) {
            out.values<float>()[index] = static_cast<float>(integer);
        } else {
            out.values<double>()[index] = static_cast<double>(integer);
        }
    }
    return out;
}

}  // namespace l2o::framework
