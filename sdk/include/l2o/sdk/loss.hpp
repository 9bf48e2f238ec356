#pragma once

#include <l2o/abi/loss.h>

#include <cstddef>
#include <cstdint>
#include <l2o/sdk/failure.hpp>
#include <l2o/sdk/member.hpp>
#include <l2o/sdk/plugin.hpp>
#include <l2o/sdk/view.hpp>
#include <memory>
#include <string>
#include <vector>

namespace l2o {

/// Points t0 .. t0 + len - 1 of a batch of trajectories; point j of the window is global point t0 + j.
template <class T>
class Trajectory {
  public:
    explicit Trajectory(const l2o_trajectory* trajectory) : trajectory_(trajectory) {}

    [[nodiscard]] std::int64_t batch() const { return trajectory_->batch; }
    [[nodiscard]] std::int64_t t0() const { return trajectory_->t0; }
    [[nodiscard]] std::int64_t len() const { return trajectory_->len; }
    [[nodiscard]] std::int64_t horizon() const { return trajectory_->horizon; }
    [[nodiscard]] std::size_t blocks() const { return trajectory_->n_blocks; }
    /// Objective at point j: [B] rows of one, or of P for a population. Empty as an accumulator: not wanted.
    [[nodiscard]] View<T> f(std::int64_t j) const { return member<T>(trajectory_->f, j); }
    /// Iterate at point j: B rows, or B * P for a population.
    [[nodiscard]] View<T> x(std::size_t block, std::int64_t j) const {
        return member<T>(trajectory_->x[block], j, trajectory_->particles > 0 ? 2 : 1);
    }
    /// Gradient of the objective at point j, like x. Empty as an accumulator: not wanted.
    [[nodiscard]] View<T> g(std::size_t block, std::int64_t j) const {
        if (!has_g()) return {};
        return member<T>(trajectory_->g[block], j, trajectory_->particles > 0 ? 2 : 1);
    }
    [[nodiscard]] View<const T> data(std::size_t i) const { return view<const T>(trajectory_->data[i]); }
    [[nodiscard]] const l2o_trajectory& raw() const { return *trajectory_; }

  private:
    /// A host of before this field has a smaller struct.
    [[nodiscard]] bool has_g() const {
        return trajectory_->struct_size >= offsetof(l2o_trajectory, g) + sizeof trajectory_->g &&
               trajectory_->g != nullptr;
    }

    const l2o_trajectory* trajectory_;
};

/// Makes a component of a class `Score` with
///   static constexpr l2o::About about;              static l2o::Options<Score> options();     (optional)
///   void declare(l2o_loss_info&);                   flags (L2O_ADDITIVE) and needs (L2O_LOSS_NEEDS_*)
///   template <class T> void eval(const Trajectory<const T>&, const View<T>& per_row) const;
/// and, found by presence,
///   template <class T> void vjp(const Trajectory<const T>&, const View<const T>& cot_row,
///                               const Trajectory<T>& acc) const;
template <class L>
class Loss {
  public:
    using Method = L;
    static_assert(detail::kCanBeLookedInto<L>, "the class is final; expected one that can be inherited from");
    static constexpr const char* kKind = L2O_KIND_LOSS;

    static std::vector<const char*> tags() {
        std::vector<const char*> tags;
        if constexpr (kHasVjp) tags.push_back("differentiable");
        tags.push_back(nullptr);
        return tags;
    }

  private:
    struct Instance {
        L loss{};
        l2o_loss_info info{sizeof(l2o_loss_info), 0, L2O_DETERMINISTIC | L2O_ROW_INVARIANT};
    };
    static constexpr bool kHasVjp = detail::has_vjp<L>;

    template <class T>
    static constexpr void check_members() {
        static_assert(
            requires(const L l, const Trajectory<const T> t, const View<T> per_row) { l.eval(t, per_row); },
            "eval is missing or cannot be called; expected 'template <class T> void eval(const "
            "l2o::Trajectory<const T>&, const l2o::View<T>& per_row) const'");
        static_assert(
            !kHasVjp || requires(const L l,
                                 const Trajectory<const T> t,
                                 const View<const T> cot,
                                 const Trajectory<T> acc) { l.vjp(t, cot, acc); },
            "vjp is there and cannot be called; expected 'template <class T> void vjp(const "
            "l2o::Trajectory<const T>&, const l2o::View<const T>& cot, const l2o::Trajectory<T>& acc) "
            "const'");
    }
    static_assert(
        requires(L l, l2o_loss_info info) { l.declare(info); },
        "declare is missing or cannot be called; expected 'void declare(l2o_loss_info&)'");

    static const Instance& of(const l2o_loss* o) { return *reinterpret_cast<const Instance*>(o); }

    template <class Body>
    static void by_dtype(const l2o_tensor* tensor, Body&& body) {
        return tensor->bits == 32 ? body(float{}) : body(double{});
    }

    static l2o_status L2O_CALL create(l2o_call* call,
                                      const l2o_value* const* options,
                                      std::uint32_t n,
                                      l2o_loss** out) noexcept {
        return detail::guard(call, [&] {
            check_members<float>();
            check_members<double>();
            auto self = std::make_unique<Instance>();
            detail::options_of<L>().apply(self->loss, options, n);
            self->loss.declare(self->info);
            *out = reinterpret_cast<l2o_loss*>(self.release());
        });
    }
    static void L2O_CALL destroy(l2o_loss* o) noexcept { delete reinterpret_cast<Instance*>(o); }
    static const l2o_loss_info* L2O_CALL info(const l2o_loss* o) noexcept { return &of(o).info; }
    static l2o_status L2O_CALL eval(const l2o_loss* o,
                                    l2o_call* call,
                                    const l2o_trajectory* trajectory,
                                    l2o_tensor* per_row) noexcept {
        return detail::guard(call, [&] {
            by_dtype(per_row, [&](auto scalar) {
                using T = decltype(scalar);
                of(o).loss.eval(Trajectory<const T>(trajectory), view<T>(per_row));
            });
        });
    }
    static l2o_status L2O_CALL vjp(const l2o_loss* o,
                                   l2o_call* call,
                                   const l2o_trajectory* trajectory,
                                   const l2o_tensor* cot_row,
                                   const l2o_trajectory* acc) noexcept {
        return detail::guard(call, [&] {
            by_dtype(cot_row, [&](auto scalar) {
                using T = decltype(scalar);
                if constexpr (kHasVjp) {
                    of(o).loss.vjp(
                        Trajectory<const T>(trajectory), view<const T>(cot_row), Trajectory<T>(acc));
                }
            });
        });
    }
    static const void* L2O_CALL get_extension(const l2o_loss*, const char*) noexcept { return nullptr; }

  public:
    static constexpr l2o_loss_api kApi{
        sizeof(l2o_loss_api), 0, &create, &destroy, &info, &eval, kHasVjp ? &vjp : nullptr, &get_extension};
};

}  // namespace l2o
