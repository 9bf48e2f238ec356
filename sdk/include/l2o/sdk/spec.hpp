#pragma once

#include <l2o/abi/spec.h>
#include <l2o/abi/tensor.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <l2o/sdk/failure.hpp>
#include <string>
#include <utility>
#include <vector>

namespace l2o {

using Shape = std::vector<std::int64_t>;

/// What a method says of one tensor; doc and axes as in l2o_spec.
struct TensorSpec {
    std::string name, doc{}, axes{};
    Shape shape{};
    bool batched = false;
    std::uint32_t dtype = 0;  ///< 0: that of the problem
    std::uint64_t flags = 0;  ///< L2O_SPEC_*
    std::int32_t block = 0;   ///< state: see l2o_spec
    std::int32_t layer = 0;
    double lower = 0, upper = 0;  ///< with L2O_SPEC_BOUNDED
    double start = 0;             ///< state: its elements at t = 0, where the method has no init_state
};

/// Owns tensor specs in the form that the ABI hands out; addresses stay valid.
class SpecList {
  public:
    /// @return index of the new entry.
    std::uint32_t add(TensorSpec spec, std::uint32_t problem_dtype) {
        owned_.push_back(std::move(spec));
        const TensorSpec& own = owned_.back();
        l2o_spec out{};
        out.struct_size = sizeof out;
        out.dtype = own.dtype != 0 ? own.dtype : problem_dtype;
        out.flags = own.flags | (own.batched ? L2O_SPEC_BATCHED : 0);
        out.name = own.name.c_str();
        out.doc = own.doc.c_str();
        out.axes = own.axes.empty() ? nullptr : own.axes.c_str();
        out.shape = own.shape.data();
        out.ndim = static_cast<std::int32_t>(own.shape.size());
        out.block = own.block;
        out.layer = own.layer;
        out.lower = own.lower;
        out.upper = own.upper;
        abi_.push_back(out);
        return static_cast<std::uint32_t>(abi_.size() - 1);
    }
    [[nodiscard]] std::uint32_t size() const { return static_cast<std::uint32_t>(abi_.size()); }
    [[nodiscard]] std::vector<const l2o_spec*> all() const {
        std::vector<const l2o_spec*> all;
        for (const l2o_spec& spec : abi_) all.push_back(&spec);
        return all;
    }
    [[nodiscard]] double start(std::uint32_t i) const { return owned_[i].start; }
    /// NULL if there is no entry i.
    [[nodiscard]] const l2o_spec* at(std::uint32_t i) const { return i < abi_.size() ? &abi_[i] : nullptr; }

  private:
    std::deque<TensorSpec> owned_;
    std::deque<l2o_spec> abi_;
};

/// Place of a name in About::needs, "A,b?,lambda".   @throw Failure if it is not there
[[nodiscard]] inline std::uint32_t place_of(const std::string& name, const std::string& needs) {
    std::uint32_t place = 0;
    for (std::size_t at = 0; at < needs.size(); ++place) {
        const std::size_t end = std::min(needs.find(',', at), needs.size());
        std::string found = needs.substr(at, end - at);
        if (!found.empty() && found.back() == '?') found.pop_back();
        if (found == name) return place;
        at = end + 1;
    }
    invalid("'" + name + "' is asked for by declare() and not among About::needs, \"" + needs +
            "\"; expected it there, with a ? behind it if the method also works without");
}

[[nodiscard]] inline std::int64_t element_count(const l2o_spec& spec) {
    std::int64_t n = 1;
    for (std::int32_t i = 0; i < spec.ndim; ++i) n *= spec.shape[i];
    return n;
}
[[nodiscard]] inline Shape shape_of(const l2o_spec& spec) { return {spec.shape, spec.shape + spec.ndim}; }

}  // namespace l2o
