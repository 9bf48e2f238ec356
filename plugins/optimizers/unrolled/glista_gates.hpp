// GLISTA's gates and forms.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <l2o/layers/rule.hpp>
#include <tuple>
#include <utility>

namespace l2o::plugins {

enum class Gate { kRelu, kInv, kExp, kSigm, kNone, kCombine };

namespace gate_rules {

using std::abs, std::exp, std::max;

/// H(q) of each; that of inv is 0.2 / (0.001 + |q|).
inline constexpr std::tuple kAll{
    std::pair{Gate::kRelu, [](auto q) { return max(1 - max(q, decltype(q)(0)), decltype(q)(0)); }},
    std::pair{Gate::kInv, [](auto q) { return 200 / (1 + 1000 * abs(q)); }},
    std::pair{Gate::kExp, [](auto q) { return exp(-q); }},
    std::pair{Gate::kSigm, [](auto q) { return 1 / (1 + exp(q)); }}};

}  // namespace gate_rules

/// Whether theta_k is a vector, and how many layers before k lies the one whose threshold is in o.
struct GlistaForm {
    bool has_thetas;
    std::int64_t layers_back;
};
inline constexpr GlistaForm kGlistaForms[] = {{false, 0}, {true, 1}};

/// u = x (1 + a H(D |x|)), H that of the gate: 0 of kNone, and kCombine is two of them.
template <class T>
layers::Value<T> magnified(layers::Value<T> x, Gate gate, layers::Value<T> a, layers::Value<T> d) {
    auto u = x;
    const auto with = [&](Gate name, auto h) {
        const auto gain = [h](auto x_i, auto a_k, auto d_i) {
            using std::abs;
            return x_i * (1 + a_k * h(d_i * abs(x_i)));
        };
        if (x && name == gate) u = map(gain, x, a, d);
    };
    std::apply([&](auto... gate_of) { (with(gate_of.first, gate_of.second), ...); }, gate_rules::kAll);
    return u;
}

}  // namespace l2o::plugins
