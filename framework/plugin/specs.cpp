#include "framework/plugin/specs.hpp"

#include <fmt/core.h>

#include "framework/error.hpp"
#include "framework/text/printable.hpp"

namespace l2o::framework {

void Specs::add(const l2o_spec* given, const std::string& who, const char* what, std::uint32_t i) {
    const auto fail = [&](const std::string& text) {
        throw Error(ExitCode::kPlugin, fmt::format("{}: {}({}) {}", who, what, i, text));
    };
    if (given == nullptr) fail("returned NULL");
    const l2o_spec& spec = own_.emplace_back(normalised(*given));
    if (spec.name == nullptr) fail("has no name");
    if (spec.ndim < 0 || (spec.ndim > 0 && spec.shape == nullptr))
        fail(fmt::format("'{}' has {} axes and no shape", printable(spec.name), spec.ndim));
    if (!is_known(dtype_of(spec)))
        fail(fmt::format("'{}' has the element type {:#x}; expected an L2O_DTYPE_* of l2o/abi/tensor.h",
                         printable(spec.name),
                         spec.dtype));
    all_.push_back(&spec);
}

Shape shape_of(const l2o_spec& spec, std::int64_t batch, std::int64_t particles) {
    Shape shape;
    if (has(spec, L2O_SPEC_BATCHED)) shape.push_back(batch);
    if (has(spec, L2O_SPEC_PER_PARTICLE)) shape.push_back(particles);
    shape.insert(shape.end(), spec.shape, spec.shape + spec.ndim);
    return shape;
}

}  // namespace l2o::framework
