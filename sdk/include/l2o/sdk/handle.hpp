#pragma once

#include <l2o/abi/tensor.h>

#include <cstddef>
#include <cstdint>
#include <l2o/sdk/failure.hpp>
#include <l2o/sdk/spec.hpp>
#include <l2o/sdk/view.hpp>
#include <string>
#include <type_traits>

namespace l2o {

namespace detail {

inline std::string dtype_text(std::uint32_t dtype) {
    const char* const code[] = {"int", "uint", "float"};
    return (dtype & 0xFF) < 3 ? code[dtype & 0xFF] + std::to_string(dtype >> 8 & 0xFF) : "unknown elements";
}

[[noreturn, gnu::cold, gnu::noinline]] inline void misused(bool is_declared,
                                                           std::uint32_t dtype,
                                                           std::uint32_t read_as) {
    if (!is_declared)
        invalid(
            "a tensor is asked for by a handle that declare() never set; expected one that the spec gave");
    invalid("a tensor of " + dtype_text(dtype) + " is read as one of " + dtype_text(read_as) +
            "; expected a handle of its own element type, as spec.state<std::int64_t>() gives");
}

[[noreturn, gnu::cold, gnu::noinline]] inline void not_declared(const char* text) { invalid(text); }

/// T, or E if there is one, const where T is.
template <class T, class E>
using ElementOf =
    std::conditional_t<std::is_void_v<E>, T, std::conditional_t<std::is_const_v<T>, const E, E>>;

struct OfParams;
struct OfState;
struct OfMetrics;
struct OfData;
struct OfNeeds;

}  // namespace detail

/// Names a tensor of a list: what OptimizerSpec, OptimizeeSpec and LossSpec return in declare(), to be kept
/// by the method and given to the calls. Handles of the different lists (Of) are different types.
/// @tparam E  element type; void: that of the problem
template <class Of, class E = void>
class Handle {
  public:
    Handle() = default;
    /// @param dtype  of its elements; 0: an optional tensor that this problem does not have.
    Handle(std::uint32_t index, std::uint32_t dtype, int lead = 1)
        : index_(index), dtype_(dtype), lead_(lead) {}

    /// Whether it was declared and, of an optional tensor, whether the problem has it.
    explicit operator bool() const { return dtype_ != 0; }
    /// Place in the list.
    [[nodiscard]] std::uint32_t index() const { return index_; }
    /// The tensor in a list of its kind; empty if it is absent, or not wanted.
    /// @tparam T  the problem's element type, const for an input
    /// @throw Failure if the handle was never set, or the tensor has another element type
    template <class T>
    [[nodiscard]] View<detail::ElementOf<T, E>> in(const l2o_tensor* const* list) const {
        using Element = detail::ElementOf<T, E>;
        if (dtype_ != dtype_of<Element>()) [[unlikely]] {
            if (index_ != kUndeclared && dtype_ == 0) return {};
            detail::misused(index_ != kUndeclared, dtype_, dtype_of<Element>());
        }
        if (list == nullptr) return {};
        // Rows are one axis but of a state per particle: a number that the compiler knows is faster.
        if constexpr (std::is_same_v<Of, detail::OfState>) return view<Element>(list[index_], lead_);
        return view<Element>(list[index_]);
    }
    /// The one `by` places on, of the same form.
    [[nodiscard]] Handle moved(std::uint32_t by) const { return {index_ + by, dtype_, lead_}; }
    friend bool operator==(const Handle&, const Handle&) = default;

  private:
    static constexpr std::uint32_t kUndeclared = UINT32_MAX;

    std::uint32_t index_ = kUndeclared, dtype_ = 0;
    int lead_ = 1;
};

/// A parameter, a state of an optimizer, a metric of an optimizee.
using Param = Handle<detail::OfParams>;
template <class E>
using StateOf = Handle<detail::OfState, E>;
using State = StateOf<void>;
using Metric = Handle<detail::OfMetrics>;
/// A data tensor, for the optimizee that publishes it.
template <class E>
using DataOf = Handle<detail::OfData, E>;
using Data = DataOf<void>;

/// A data tensor for the optimizer or the loss that asked for it by name: false if it is optional and the
/// problem has none.
template <class E>
class NeedOf : public Handle<detail::OfNeeds, E> {
  public:
    NeedOf() = default;
    /// @param spec  NULL: absent.
    NeedOf(std::uint32_t index, const l2o_spec* spec)
        : Handle<detail::OfNeeds, E>(index, spec == nullptr ? 0 : spec->dtype), spec_(spec) {}
    /// Name, doc and shape are gone after declare().   @throw Failure if it is not there
    [[nodiscard]] const l2o_spec& spec() const {
        if (spec_ == nullptr)
            invalid(
                "the spec of a tensor is read that the problem does not have; ask the handle first, which "
                "is false then");
        return *spec_;
    }

  private:
    const l2o_spec* spec_ = nullptr;
};
using Need = NeedOf<void>;

/// A state for every block, as OptimizerSpec::state_like_x() declares them.
class BlockStates {
  public:
    BlockStates() = default;
    BlockStates(const State& first, std::size_t blocks) : first_(first), blocks_(blocks) {}
    /// Never set beyond the last block.
    State operator[](std::size_t block) const {
        return block < blocks_ ? first_.moved(static_cast<std::uint32_t>(block)) : State();
    }

  private:
    State first_;
    std::size_t blocks_ = 0;
};

/// An array of tensors, each seen as a View. Tensors<const T> is read only, every view of a Tensors<T> is to
/// be written in full. An empty view is absent, or not wanted.
/// @tparam Of  the list, whose handles name its tensors; void: blocks, which are counted from 0
template <class T, class Of = void>
class Tensors {
  public:
    /// @param lead  of blocks, axes that are rows: 2 for the points of a population.
    explicit Tensors(const l2o_tensor* const* list, int lead = 1) : list_(list), lead_(lead) {}
    View<T> operator[](std::size_t block) const requires std::is_void_v<Of> {
        return list_ == nullptr ? View<T>{} : view<T>(list_[block], lead_);
    }
    template <class E>
    View<detail::ElementOf<T, E>> operator[](const Handle<Of, E>& handle) const
        requires(!std::is_void_v<Of>) {
        return handle.template in<T>(list_);
    }

  private:
    const l2o_tensor* const* list_;
    int lead_;
};

template <class T>
using NeedsIn = Tensors<const T, detail::OfNeeds>;
template <class T>
using ParamsOut = Tensors<T, detail::OfParams>;
template <class T>
using StatesOut = Tensors<T, detail::OfState>;
template <class T>
using StatesCot = Tensors<const T, detail::OfState>;
template <class T>
using DataIn = Tensors<const T, detail::OfData>;
template <class T>
using DataOut = Tensors<T, detail::OfData>;
template <class T>
using MetricsOut = Tensors<T, detail::OfMetrics>;

}  // namespace l2o
