#include "framework/plugin/specs.hpp"

#include <fmt/core.h>

#include <cmath>
#include <limits>
#include <map>
#include <string_view>

#include "framework/error.hpp"
#include "framework/text/printable.hpp"

namespace l2o::framework {

void Specs::add(const l2o_spec* given, const std::string& who, const char* what, std::uint32_t i) {
    const auto fail = [&](const std::string& text) {
        throw Error(ExitCode::kPlugin, fmt::format("{}: {}({}) {}", who, what, i, text));
    };
    if (given == nullptr) fail("returned NULL");
    const l2o_spec& spec = own_.emplace_back(normalised(*given));
    if (spec.name == nullptr || *spec.name == '\0') fail("has no name");
    if (spec.ndim < 0 || (spec.ndim > 0 && spec.shape == nullptr))
        fail(fmt::format("'{}' has {} axes and no shape", printable(spec.name), spec.ndim));
    if (!is_known(dtype_of(spec)))
        fail(fmt::format("'{}' has the element type {:#x}; expected an L2O_DTYPE_* of l2o/abi/tensor.h",
                         printable(spec.name),
                         spec.dtype));
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    if (has(spec, L2O_SPEC_BOUNDED) &&
        !(spec.lower <= spec.upper && spec.lower < kInfinity && spec.upper > -kInfinity))
        fail(fmt::format("'{}' has the bounds [{}, {}]; expected a number between them",
                         printable(spec.name),
                         spec.lower,
                         spec.upper));
    all_.push_back(&spec);
}

void Specs::check_names(const std::string& who, const char* what) const {
    std::map<std::string_view, std::size_t> known;
    for (std::size_t i = 0; i < all_.size(); ++i) {
        const auto [other, is_new] = known.emplace(all_[i]->name, i);
        if (is_new) continue;
        throw Error(
            ExitCode::kPlugin,
            fmt::format("{}: {}({}) and {}({}) are both called '{}'; expected a name of its own for each",
                        who,
                        what,
                        other->second,
                        what,
                        i,
                        printable(all_[i]->name)));
    }
}

void check_cost(double cost, const char* name, const std::string& who) {
    if (cost >= 0 && std::isfinite(cost)) return;
    throw Error(ExitCode::kPlugin,
                fmt::format("{}: {} is {}; expected a finite number, at least 0", who, name, cost));
}

Shape shape_of(const l2o_spec& spec, std::int64_t batch, std::int64_t particles) {
    Shape shape;
    if (has(spec, L2O_SPEC_BATCHED)) shape.push_back(batch);
    if (has(spec, L2O_SPEC_PER_PARTICLE)) shape.push_back(particles);
    shape.insert(shape.end(), spec.shape, spec.shape + spec.ndim);
    return shape;
}

}  // namespace l2o::framework
