#pragma once

#include <l2o/abi/loss.h>

#include <cstddef>
#include <cstdint>
#include <l2o/sdk/failure.hpp>
#include <l2o/sdk/handle.hpp>
#include <l2o/sdk/member.hpp>
#include <l2o/sdk/plugin.hpp>
#include <l2o/sdk/problem.hpp>
#include <l2o/sdk/view.hpp>
#include <memory>
#include <string>
#include <vector>

namespace l2o {

/// Points t0 .. t0 + len - 1 of a batch of trajectories; point j of the window is global point t0 + j.
template <class T>
class Trajectory {
  public:
    Trajectory(const l2o_trajectory* trajectory, std::size_t blocks)
        : trajectory_(trajectory), blocks_(blocks) {}

    [[nodiscard]] std::int64_t batch() const { return trajectory_->batch; }
    [[nodiscard]] std::int64_t t0() const { return trajectory_->t0; }
    [[nodiscard]] std::int64_t len() const { return trajectory_->len; }
    [[nodiscard]] std::int64_t horizon() const { return trajectory_->horizon; }
    [[nodiscard]] std::size_t blocks() const { return blocks_; }
    /// Objective at point j: [B] rows of one, or of P for a population.
    [[nodiscard]] View<const T> f(std::int64_t j) const { return member<const T>(trajectory_->f, j); }
    /// Iterate at point j: B rows, or B * P for a population.
    [[nodiscard]] View<const T> x(std::size_t block, std::int64_t j) const {
        return member<const T>(trajectory_->x[block], j, lead());
    }
    /// Gradient of the objective at point j, like x.
    [[nodiscard]] View<const T> g(std::size_t block, std::int64_t j) const {
        return member<const T>(trajectory_->g[block], j, lead());
    }
    template <class E>
    [[nodiscard]] View<const detail::ElementOf<T, E>> data(const NeedOf<E>& need) const {
        return need.template in<const T>(trajectory_->data);
    }
    [[nodiscard]] const l2o_trajectory& raw() const { return *trajectory_; }

  private:
    [[nodiscard]] int lead() const { return trajectory_->particles > 0 ? 2 : 1; }

    const l2o_trajectory* trajectory_;
    std::size_t blocks_;
};

/// Accumulators of the cotangents of a trajectory: add to them, skip the empty ones.
template <class T>
class TrajectoryAcc {
  public:
    TrajectoryAcc(const l2o_trajectory_acc* acc, int lead) : acc_(acc), lead_(lead) {}

    [[nodiscard]] View<T> f(std::int64_t j) const { return member<T>(acc_->f, j); }
    [[nodiscard]] View<T> x(std::size_t block, std::int64_t j) const { return of(acc_->x, block, j); }
    [[nodiscard]] View<T> g(std::size_t block, std::int64_t j) const { return of(acc_->g, block, j); }

  private:
    [[nodiscard]] View<T> of(l2o_out tensors, std::size_t block, std::int64_t j) const {
        return tensors == nullptr ? View<T>{} : member<T>(tensors[block], j, lead_);
    }

    const l2o_trajectory_acc* acc_;
    int lead_;
};

/// What a loss declares once its options are known: `void declare(l2o::LossSpec& spec)`.
class LossSpec {
  public:
    /// @param needs  About::needs
    explicit LossSpec(const l2o_problem& problem, const char* needs = "") : problem_(problem), needs_(needs) {
        info.struct_size = sizeof info;
        info.flags = L2O_FLAG_DETERMINISTIC | L2O_FLAG_ROW_INVARIANT;
    }

    l2o_loss_info info{};

    [[nodiscard]] const l2o_problem& problem() const { return problem_; }
    [[nodiscard]] std::size_t blocks() const { return problem_.n_blocks; }
    [[nodiscard]] const l2o_spec& block(std::size_t k) const { return *problem_.blocks[k]; }
    /// A data tensor of About::needs, for Trajectory::data.   @throw Failure if it is not among them
    template <class E = void>
    [[nodiscard]] NeedOf<E> needs(const std::string& name) const {
        return need_of<E>(problem_, needs_, name);
    }

    LossSpec& reads(std::uint32_t what) { return info.reads |= what, *this; }
    /// The scores of windows add up to that of the trajectory.
    LossSpec& additive() { return info.flags |= L2O_LOSS_ADDITIVE | L2O_LOSS_WINDOWS, *this; }
    /// A window may be scored by itself.
    LossSpec& windows() { return info.flags |= L2O_LOSS_WINDOWS, *this; }
    /// Refuses a minimax problem: a low f is good.
    LossSpec& minimises() {
        if (const l2o_spec* block = maximised())
            refuse("block '" + std::string(block->name) +
                   "' is to be maximised, and this loss only says how low f is; use one that is made for "
                   "minimax problems, for example 'residual_ratio'");
        return *this;
    }
    /// Refuses any other than a minimax problem.
    LossSpec& needs_players() {
        if (maximised() == nullptr)
            refuse(
                "no block is to be maximised, and this loss says what two players gain; use one that is made "
                "for minimization, for example 'trajectory_sum'");
        return *this;
    }
    LossSpec& drop(std::uint64_t flags) { return info.flags &= ~flags, *this; }

  private:
    [[nodiscard]] const l2o_spec* maximised() const {
        for (std::size_t k = 0; k < blocks(); ++k)
            if ((block(k).flags & L2O_SPEC_MAXIMISED) != 0) return &block(k);
        return nullptr;
    }

    const l2o_problem& problem_;
    const char* needs_;
};

// clang-format off
/// Makes a component of a class `Score` with
///   static constexpr l2o::About about;              static l2o::Options<Score> options();     (optional)
///   void declare(l2o::LossSpec&);                   what it reads (L2O_LOSS_READS_*), and whether it is additive
///   template <class T> void eval(const Trajectory<T>&, const View<T>& per_row) const;
/// and, found by presence,
///   template <class T> void vjp(const Trajectory<T>&, const View<const T>& cot_row, const TrajectoryAcc<T>& acc) const;
// clang-format on
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
        explicit Instance(const l2o_problem& given)
            : problem(given), spec(problem.abi(), L::about.needs), blocks(problem.abi().n_blocks) {}
        L loss{};
        Problem problem;
        LossSpec spec;
        std::size_t blocks;
    };
    static constexpr bool kHasVjp = detail::has_vjp<L>;

    template <class T>
    static constexpr void check_members() {
        static_assert(
            requires(const L l, const Trajectory<T> t, const View<T> per_row) { l.eval(t, per_row); },
            "eval is missing or cannot be called; expected 'template <class T> void eval(const "
            "l2o::Trajectory<T>&, const l2o::View<T>& per_row) const'");
        static_assert(
            !kHasVjp || requires(const L l,
                                 const Trajectory<T> t,
                                 const View<const T> cot,
                                 const TrajectoryAcc<T> acc) { l.vjp(t, cot, acc); },
            "vjp is there and cannot be called; expected 'template <class T> void vjp(const "
            "l2o::Trajectory<T>&, const l2o::View<const T>& cot, const l2o::TrajectoryAcc<T>& acc) const'");
    }
    static_assert(
        requires(L l, LossSpec spec) { l.declare(spec); },
        "declare is missing or cannot be called; expected 'void declare(l2o::LossSpec&)'");

    static const Instance& of(const l2o_loss* o) { return *reinterpret_cast<const Instance*>(o); }

    template <class Body>
    static void by_dtype(const l2o_tensor* tensor, Body&& body) {
        return tensor->dtype == L2O_DTYPE_F32 ? body(float{}) : body(double{});
    }

    static l2o_status L2O_CALL create(l2o_call* call,
                                      const l2o_value* const* options,
                                      std::uint32_t n,
                                      const l2o_problem* problem,
                                      l2o_loss** out) noexcept {
        return detail::guard(call, [&] {
            check_members<float>();
            check_members<double>();
            auto self = std::make_unique<Instance>(*problem);
            detail::options_of<L>().apply(self->loss, options, n);
            self->loss.declare(self->spec);
            *out = reinterpret_cast<l2o_loss*>(self.release());
        });
    }
    static void L2O_CALL destroy(l2o_loss* o) noexcept { delete reinterpret_cast<Instance*>(o); }
    static const l2o_loss_info* L2O_CALL info(const l2o_loss* o) noexcept { return &of(o).spec.info; }
    static l2o_status L2O_CALL eval(const l2o_loss* o,
                                    l2o_call* call,
                                    const l2o_trajectory* trajectory,
                                    l2o_tensor* per_row) noexcept {
        return detail::guard(call, [&] {
            by_dtype(per_row, [&](auto scalar) {
                using T = decltype(scalar);
                of(o).loss.eval(Trajectory<T>(trajectory, of(o).blocks), view<T>(per_row));
            });
        });
    }
    static l2o_status L2O_CALL vjp(const l2o_loss* o,
                                   l2o_call* call,
                                   const l2o_trajectory* trajectory,
                                   const l2o_tensor* cot_row,
                                   const l2o_trajectory_acc* acc) noexcept {
        return detail::guard(call, [&] {
            by_dtype(cot_row, [&](auto scalar) {
                using T = decltype(scalar);
                if constexpr (kHasVjp) {
                    of(o).loss.vjp(Trajectory<T>(trajectory, of(o).blocks),
                                   view<const T>(cot_row),
                                   TrajectoryAcc<T>(acc, trajectory->particles > 0 ? 2 : 1));
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
