#pragma once

#include <l2o/abi/optimizer.h>

#include <cstdint>
#include <deque>
#include <l2o/sdk/handle.hpp>
#include <l2o/sdk/normalised.hpp>
#include <l2o/sdk/spec.hpp>
#include <string>
#include <vector>

namespace l2o {

/// A problem as create is told it, and its specs, in structs of this header. Names, docs and shapes stay the
/// host's, and are gone after create.
class Problem {
  public:
    explicit Problem(const l2o_problem& given) : abi_(normalised(given)) {
        abi_.blocks = own(abi_.blocks, abi_.n_blocks, blocks_);
        abi_.data = own(abi_.data, abi_.n_data, data_);
    }
    Problem(const Problem&) = delete;
    Problem& operator=(const Problem&) = delete;

    [[nodiscard]] const l2o_problem& abi() const { return abi_; }

  private:
    const l2o_spec* const* own(const l2o_spec* const* given,
                               std::uint32_t count,
                               std::vector<const l2o_spec*>& pointers) {
        for (std::uint32_t i = 0; i < count; ++i)
            pointers.push_back(given[i] == nullptr ? nullptr : &specs_.emplace_back(normalised(*given[i])));
        return pointers.data();
    }

    std::deque<l2o_spec> specs_;
    std::vector<const l2o_spec*> blocks_, data_;
    l2o_problem abi_;
};

/// A data tensor of a problem by its name among About::needs.   @throw Failure if it is not among them
template <class E>
[[nodiscard]] NeedOf<E> need_of(const l2o_problem& problem, const char* needs, const std::string& name) {
    const std::uint32_t place = place_of(name, needs);
    return {place, problem.data[place]};
}

}  // namespace l2o
