#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "framework/check/guarded.hpp"
#include "framework/check/slopes.hpp"

namespace l2o::framework {

/// Zeros for the cotangents of a set of tensors; absent for those of whole numbers, and for absent ones.
[[nodiscard]] GuardedSet zeros_like(const GuardedSet& like);
[[nodiscard]] GuardedSet random_like(const GuardedSet& like, std::uint64_t index);
/// to = factor from + other add
void copy(const GuardedSet& from,
          GuardedSet& to,
          double factor = 1,
          double other = 0,
          const GuardedSet* add = nullptr);
void add_products(const GuardedSet& a, const GuardedSet& b, Sum& sum);
/// |got - want| against the size of the whole set of numbers: they were added up in different orders.
/// @throw Broken  what: the element that differs
void expect_near(const GuardedSet& got, const GuardedSet& want, const std::string& what);
/// Compares the derivative by all of them at once; where it is not right there, one by one, which is as
/// sharp: a quotient of two that are 0 is smooth in each and not along both.
void check_slopes(const std::string& who,
                  const std::string& name,
                  GuardedSet& inputs,
                  const GuardedSet& gradient,
                  const std::function<Sum()>& phi,
                  Said& said);

}  // namespace l2o::framework
