#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "framework/check/bench.hpp"

namespace l2o::framework {

/// A random but legal case for a component.
struct FuzzCase {
    Subject subject;       ///< with the options that were drawn, of the component and of the problem
    std::string in_words;  ///< "rate=0.3, on quadratic with n=7; float64, 33 rows, ..."
};

/// An optimizee that a component suits, and the sizes that its problems are made small with.
struct Partner {
    Catalog::Entry entry;
    std::map<std::string, std::string> settings;  ///< that are given
    std::map<std::string, std::string> sizes;
};

/// Draws case `index` of `seed`: values of options that are not given, from the ranges of the schema with
/// their ends; an optimizee; element type, number of rows and of blocks, iterations, data, points, their
/// size, that of the objective, cotangents. A case depends on its seed, its index and the number of partners
/// only.
/// @param subject   with what is given, also the sizes of an optimizee that is checked itself.
/// @param partners  not empty for an optimizer or a loss.
[[nodiscard]] FuzzCase fuzz_case(const Subject& subject,
                                 const std::vector<Partner>& partners,
                                 std::uint64_t seed,
                                 std::uint64_t index);

}  // namespace l2o::framework
