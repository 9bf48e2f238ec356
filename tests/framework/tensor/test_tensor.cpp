#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "framework/error.hpp"
#include "framework/tensor/tensor.hpp"

using namespace l2o::framework;

namespace {

constexpr Dtype kAllDtypes[] = {Dtype::kF32, Dtype::kF64, Dtype::kI32, Dtype::kI64, Dtype::kU8};

template <class Action>
std::string usage_error_text(Action&& action) {
    try {
        action();
    } catch (const Error& e) {
        return e.code() == ExitCode::kUsage ? e.what() : std::string("not kUsage: ") + e.what();
    }
    return "";
}

Tensor iota(Shape shape) {
    Tensor tensor(Dtype::kF32, std::move(shape));
    float next = 0;
    for (float& x : tensor.values<float>()) x = next++;
    return tensor;
}

}  // namespace

TEST_CASE("dtype: name, size and DLPack fields of each type are those of the ABI") {
    struct Row {
        Dtype dtype;
        std::uint32_t abi;
        const char* name;
        int code, bits;
    };
    const Row rows[] = {{Dtype::kF32, L2O_DTYPE_F32, "float32", 2, 32},
                        {Dtype::kF64, L2O_DTYPE_F64, "float64", 2, 64},
                        {Dtype::kI32, L2O_DTYPE_I32, "int32", 0, 32},
                        {Dtype::kI64, L2O_DTYPE_I64, "int64", 0, 64},
                        {Dtype::kU8, L2O_DTYPE_U8, "uint8", 1, 8}};
    for (const Row& row : rows) {
        CAPTURE(row.name);
        CHECK(static_cast<std::uint32_t>(row.dtype) == row.abi);
        CHECK(std::string(name_of(row.dtype)) == row.name);
        CHECK(dtype_from_name(row.name) == row.dtype);
        CHECK(bytes_of(row.dtype) * 8 == row.bits);
        const Tensor tensor(row.dtype, {1});
        struct {
            std::uint8_t code, bits;
            std::uint16_t lanes;
        } dlpack{};
        std::memcpy(&dlpack, &tensor.abi()->dtype, sizeof dlpack);
        CHECK(int{dlpack.code} == row.code);
        CHECK(int{dlpack.bits} == row.bits);
        CHECK(dlpack.lanes == 1);
    }
    CHECK(usage_error_text([] { (void)dtype_from_name("half"); }) ==
          "unknown dtype 'half'; known: float32, float64, int32, int64, uint8");
}

TEST_CASE("shape: the count is the product of the sizes, 1 for a scalar, 0 with an empty axis") {
    CHECK(element_count({}) == 1);
    CHECK(element_count({3, 4}) == 12);
    CHECK(element_count({3, 0, 4}) == 0);
    CHECK(element_count({std::int64_t{1} << 59}) == std::int64_t{1} << 59);
    CHECK(to_string(Shape{3, 4}) == "[3, 4]");
    CHECK(to_string(Shape{}) == "[]");
}

TEST_CASE("shape: negative and overflowing sizes are refused, also beside a 0") {
    CHECK(usage_error_text([] {
              (void)element_count({2, -1});
          }) == "shape [2, -1]: axis 1 is -1; expected 0 or more");
    const std::int64_t huge = std::int64_t{1} << 40;
    const std::string too_large = ": too large; expected at most 2^59 elements";
    CHECK(usage_error_text([&] {
              (void)element_count({huge, huge});
          }) == "shape [1099511627776, 1099511627776]" + too_large);
    CHECK(usage_error_text([&] {
              Tensor(Dtype::kU8, {0, huge, huge});
          }) == "shape [0, 1099511627776, 1099511627776]" + too_large);
}

TEST_CASE("tensor: a new one is zero, 64-byte aligned and compact row-major") {
    for (const Dtype dtype : kAllDtypes) {
        const Tensor tensor(dtype, {2, 3, 4});
        CHECK(reinterpret_cast<std::uintptr_t>(tensor.data()) % 64 == 0);
        CHECK(tensor.size() == 24);
        CHECK(tensor.bytes() == 24 * bytes_of(dtype));
        for (std::int64_t i = 0; i < tensor.size(); ++i) CHECK(tensor.value(i) == 0);
        const l2o_tensor& view = *tensor.abi();
        CHECK(view.data == tensor.data());
        CHECK(view.device_type == 1);
        CHECK(view.ndim == 3);
        CHECK(view.dtype == static_cast<std::uint32_t>(dtype));
        CHECK(Shape(view.shape, view.shape + 3) == Shape{2, 3, 4});
        CHECK(Shape(view.strides, view.strides + 3) == Shape{12, 4, 1});
    }
}

TEST_CASE("tensor: a scalar has one element, and its view no null pointer") {
    Tensor scalar(Dtype::kF64, {});
    scalar.values<double>()[0] = 2.5;
    CHECK(scalar.value(0) == 2.5);
    CHECK(scalar.abi()->ndim == 0);
    CHECK(scalar.abi()->shape != nullptr);
    CHECK(scalar.abi()->strides != nullptr);
}

TEST_CASE("tensor: an empty one has data, clones and clears") {
    Tensor empty(Dtype::kF32, {0, 3});
    CHECK(empty.data() != nullptr);
    empty.zero();
    CHECK(empty.clone().shape() == Shape{0, 3});
    CHECK(empty.values<float>().empty());
    CHECK(Shape(empty.abi()->strides, empty.abi()->strides + 2) == Shape{3, 1});
}

TEST_CASE("tensor: the view stays valid and in place when the tensor moves") {
    Tensor from = iota({2, 2});
    const l2o_tensor* view = from.abi();
    Tensor to = std::move(from);
    CHECK(to.abi() == view);
    CHECK(view->shape[1] == 2);
    CHECK(to.value(3) == 3);
    CHECK_FALSE(Tensor());
}

TEST_CASE("tensor: a clone has the values and memory of its own") {
    Tensor original = iota({3});
    Tensor copy = original.clone();
    original.zero();
    CHECK(copy.value(2) == 2);
    CHECK(original.value(2) == 0);
    CHECK(copy.shape() == Shape{3});
}

TEST_CASE("tensor: float64 -> float32 rounds to nearest, float32 -> float64 is exact") {
    Tensor wide(Dtype::kF64, {3});
    std::ranges::copy(std::initializer_list<double>{0.1, 1e300, -2.0}, wide.values<double>().begin());
    const Tensor narrow = wide.to(Dtype::kF32);
    CHECK(narrow.values<float>()[0] == 0.1F);
    CHECK(narrow.values<float>()[1] == std::numeric_limits<float>::infinity());
    const Tensor back = narrow.to(Dtype::kF64);
    CHECK(back.values<double>()[0] == double{0.1F});
    CHECK(back.values<double>()[2] == -2.0);
    CHECK(wide.to(Dtype::kF64).data() != wide.data());
    CHECK(usage_error_text([&] { (void)wide.to(Dtype::kI32); }) ==
          "cannot convert float64 to int32; expected float32 or float64 on both sides");
}

TEST_CASE("tensor: rows share memory with the whole, and first * stride is where they start") {
    Tensor whole = iota({4, 3});
    Tensor part = whole.rows(1, 2);
    CHECK(part.shape() == Shape{2, 3});
    CHECK(part.value(0) == 3);
    CHECK(part.value(5) == 8);
    part.values<float>()[0] = 100;
    CHECK(whole.value(3) == 100);
    CHECK(whole.rows(4, 0).size() == 0);
    CHECK(part.rows(1, 1).value(0) == 6);
}

TEST_CASE("tensor: every integer type reads as a double") {
    std::int32_t i32[] = {-7};
    std::int64_t i64[] = {std::int64_t{1} << 53};
    std::uint8_t u8[] = {255};
    CHECK(Tensor::borrow(Dtype::kI32, {1}, i32).value(0) == -7);
    CHECK(Tensor::borrow(Dtype::kI64, {1}, i64).value(0) == 9007199254740992.0);
    CHECK(Tensor::borrow(Dtype::kU8, {1}, u8).value(0) == 255);
}

TEST_CASE("tensor: borrowed memory is used in place and released with the last view of it") {
    auto memory = std::make_shared<double>(1.5);
    const std::weak_ptr<double> watch = memory;
    Tensor tensor = Tensor::borrow(Dtype::kF64, {1}, memory.get(), memory);
    CHECK(tensor.data() == memory.get());
    memory.reset();
    {
        const Tensor view = tensor.rows(0, 1);
        tensor = Tensor();
        CHECK(view.value(0) == 1.5);
    }
    CHECK(watch.expired());
}
