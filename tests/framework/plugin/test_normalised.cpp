// Tables and descriptions of plugins that were built for another minor, or are wrong.
#include <doctest/doctest.h>

#include <cstddef>
#include <l2o/sdk/normalised.hpp>
#include <limits>
#include <string>
#include <utility>

#include "framework/error.hpp"
#include "framework/plugin/specs.hpp"

namespace {

using namespace l2o::framework;
using l2o::normalised;

constexpr std::int64_t kTwo = 2;

l2o_spec sound() {
    l2o_spec spec{};
    spec.struct_size = sizeof spec;
    spec.dtype = L2O_DTYPE_F64;
    spec.flags = L2O_SPEC_BATCHED;
    spec.name = "x";
    spec.shape = &kTwo;
    spec.ndim = 1;
    return spec;
}

/// What the second of two specs is refused with.
std::string refusal(const l2o_spec* spec) {
    l2o_spec first = sound();
    first.name = "first";
    Specs specs;
    try {
        specs.read(
            2, "optimizee 'bowl'", "block_spec", [&](std::uint32_t i) { return i == 0 ? &first : spec; });
    } catch (const Error& error) {
        CHECK(error.code() == ExitCode::kPlugin);
        return error.what();
    }
    return "";
}

}  // namespace

TEST_CASE("a table of an older minor has zeros where it ends, one of a newer minor is cut") {
    l2o_spec older = sound();
    older.struct_size = offsetof(l2o_spec, block);
    older.block = 7;
    CHECK(normalised(older).block == 0);
    CHECK(normalised(older).ndim == 1);
    CHECK(normalised(older).struct_size == sizeof(l2o_spec));
    struct {
        l2o_spec known;
        std::uint64_t more;
    } newer{sound(), 7};
    newer.known.struct_size = sizeof newer;
    newer.known.block = 7;
    CHECK(normalised(newer.known).block == 7);
    CHECK(normalised(newer.known).struct_size == sizeof(l2o_spec));
}

TEST_CASE("specs are taken over in order, whatever size they have") {
    l2o_spec older = sound();
    older.struct_size = offsetof(l2o_spec, block);
    older.name = "y";
    older.block = 7;
    const l2o_spec own = sound();
    Specs specs;
    specs.read(2, "optimizee 'bowl'", "block_spec", [&](std::uint32_t i) { return i == 0 ? &own : &older; });
    REQUIRE(specs.all().size() == 2);
    CHECK(specs.all()[0]->name == std::string("x"));
    CHECK(specs.all()[1]->name == std::string("y"));
    CHECK(specs.all()[1]->block == 0);
    CHECK(shape_of(*specs.all()[1], 3) == Shape{3, 2});
}

TEST_CASE("a spec that makes no sense is refused by the function that returned it") {
    const std::string where = "optimizee 'bowl': block_spec(1) ";
    CHECK(refusal(nullptr) == where + "returned NULL");
    l2o_spec spec = sound();
    CHECK(refusal(&spec).empty());
    spec.dtype = L2O_DTYPE(2, 16);
    CHECK(refusal(&spec) ==
          where + "'x' has the element type 0x11002; expected an L2O_DTYPE_* of l2o/abi/tensor.h");
    spec.dtype = 0;
    CHECK(refusal(&spec) ==
          where + "'x' has the element type 0x0; expected an L2O_DTYPE_* of l2o/abi/tensor.h");
    spec = sound();
    spec.shape = nullptr;
    CHECK(refusal(&spec) == where + "'x' has 1 axes and no shape");
    spec.ndim = 0;
    CHECK(refusal(&spec).empty());
    spec.ndim = -1;
    CHECK(refusal(&spec) == where + "'x' has -1 axes and no shape");
    for (const char* none : {static_cast<const char*>(nullptr), ""}) {
        spec.name = none;
        CHECK(refusal(&spec) == where + "has no name");
    }
}

TEST_CASE("specs of one name are refused by both places") {
    l2o_spec spec = sound();
    spec.name = "first";
    CHECK(refusal(&spec) ==
          "optimizee 'bowl': block_spec(0) and block_spec(1) are both called 'first'; expected "
          "a name of its own for each");
}

TEST_CASE("bounds that no number is between are refused, those of a spec that is not bounded are not read") {
    constexpr double kNone = std::numeric_limits<double>::quiet_NaN(),
                     kInfinity = std::numeric_limits<double>::infinity();
    l2o_spec spec = sound();
    spec.lower = 2;
    spec.upper = 1;
    CHECK(refusal(&spec).empty());
    spec.flags |= L2O_SPEC_BOUNDED;
    CHECK(refusal(&spec) ==
          "optimizee 'bowl': block_spec(1) 'x' has the bounds [2, 1]; expected a number between them");
    for (const auto& [lower, upper] :
         {std::pair{kNone, 1.0}, {0.0, kNone}, {kInfinity, kInfinity}, {-kInfinity, -kInfinity}}) {
        spec.lower = lower;
        spec.upper = upper;
        CHECK(refusal(&spec).find("'x' has the bounds [") != std::string::npos);
    }
    for (const auto& [lower, upper] : {std::pair{-kInfinity, kInfinity}, {0.0, kInfinity}, {2.0, 2.0}}) {
        spec.lower = lower;
        spec.upper = upper;
        CHECK(refusal(&spec).empty());
    }
}

TEST_CASE("a cost that is no number, infinite or negative is refused by its name") {
    const auto refused = [](double cost) {
        try {
            check_cost(cost, "cost_hvp", "optimizee 'bowl'");
        } catch (const Error& error) {
            CHECK(error.code() == ExitCode::kPlugin);
            return std::string(error.what());
        }
        return std::string();
    };
    CHECK(refused(-0.5) == "optimizee 'bowl': cost_hvp is -0.5; expected a finite number, at least 0");
    CHECK(refused(std::numeric_limits<double>::quiet_NaN()).find("cost_hvp is ") != std::string::npos);
    CHECK(refused(std::numeric_limits<double>::infinity()).find("cost_hvp is inf;") != std::string::npos);
    for (const double cost : {0.0, 0.25, 3.0}) CHECK(refused(cost).empty());
}
