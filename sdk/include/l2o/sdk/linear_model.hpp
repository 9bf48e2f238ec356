#pragma once

#include <cstdint>
#include <l2o/sdk/failure.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <string>

namespace l2o {

/// Sizes of b = A x, the problem of the methods that compute their own gradient: A [m, n] shared by all
/// instances, b [B, m], and one variable block x [B, n].
struct LinearModel {
    std::int64_t m = 0, n = 0;
    Need a, b;
};

namespace detail {

inline bool is_batched(const l2o_spec& spec) { return (spec.flags & L2O_SPEC_BATCHED) != 0; }
inline std::string shape_text(const l2o_spec& spec) {
    std::string text = is_batched(spec) ? "[B" : "[";
    for (std::int32_t i = 0; i < spec.ndim; ++i)
        text += (i > 0 || is_batched(spec) ? ", " : "") + std::to_string(spec.shape[i]);
    return text + "]";
}

}  // namespace detail

/// Reads the sizes off the specs; refuses, in one sentence, a problem of another form.
/// @pre  About::needs has A and b.
inline LinearModel linear_model(const OptimizerSpec& spec) {
    if (spec.blocks() != 1)
        refuse("the problem has " + std::to_string(spec.blocks()) +
               " variable blocks; expected one block x [B, n]");
    const Need a_need = spec.needs("A"), b_need = spec.needs("b");
    const l2o_spec &a = a_need.spec(), &b = b_need.spec(), &x = spec.block(0);
    const std::string found = detail::shape_text(a);
    if (detail::is_batched(a))
        refuse("every instance has a matrix A of its own, " + found +
               "; expected one A [m, n] shared by all instances");
    if (a.ndim != 2) refuse("A is " + found + "; expected a matrix [m, n]");
    const LinearModel model{a.shape[0], a.shape[1], a_need, b_need};
    if (!detail::is_batched(b) || b.ndim != 1 || b.shape[0] != model.m)
        refuse("b is " + detail::shape_text(b) + "; expected [B, " + std::to_string(model.m) + "], as A is " +
               found);
    if (x.ndim != 1 || x.shape[0] != model.n)
        refuse("the variable is " + detail::shape_text(x) + "; expected [B, " + std::to_string(model.n) +
               "], as A is " + found);
    return model;
}

}  // namespace l2o
