#pragma once

#include <l2o/abi/spec.h>

#include <deque>
#include <l2o/sdk/normalised.hpp>
#include <string>
#include <vector>

#include "framework/tensor/tensor.hpp"

namespace l2o::framework {

/// Specs of an instance as this header has them; what they point to belongs to the instance.
class Specs {
  public:
    Specs() = default;
    Specs(const Specs&) = delete;
    Specs& operator=(const Specs&) = delete;

    /// Takes over spec(0) .. spec(count - 1).
    /// @param who, what  "optimizee 'lasso'", "block_spec", for messages.
    /// @throw Error kPlugin: one is NULL, has no name or that of another, no shape, an element type that
    /// nobody
    ///        knows, or bounds that no number is between.
    template <class Spec>
    void read(std::uint32_t count, const std::string& who, const char* what, Spec&& spec) {
        for (std::uint32_t i = 0; i < count; ++i) add(spec(i), who, what, i);
        check_names(who, what);
    }
    [[nodiscard]] const std::vector<const l2o_spec*>& all() const { return all_; }

  private:
    void add(const l2o_spec* given, const std::string& who, const char* what, std::uint32_t i);
    void check_names(const std::string& who, const char* what) const;

    std::deque<l2o_spec> own_;
    std::vector<const l2o_spec*> all_;
};

[[nodiscard]] inline bool has(const l2o_spec& spec, std::uint64_t flag) { return (spec.flags & flag) != 0; }
[[nodiscard]] inline Dtype dtype_of(const l2o_spec& spec) { return static_cast<Dtype>(spec.dtype); }

/// @param cost, name  of an info: what something is charged as.   @param who  as Specs::read()
/// @throw Error kPlugin: it is no finite number, or is negative.
void check_cost(double cost, const char* name, const std::string& who);

/// The shape of a tensor described by spec for a batch: [B, shape] if batched, of a state per particle
/// [B, P, shape], else shape.
[[nodiscard]] Shape shape_of(const l2o_spec& spec, std::int64_t batch, std::int64_t particles = 0);

}  // namespace l2o::framework
