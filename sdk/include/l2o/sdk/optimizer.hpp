#pragma once

#include <l2o/abi/optimizer.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <l2o/sdk/failure.hpp>
#include <l2o/sdk/handle.hpp>
#include <l2o/sdk/member.hpp>
#include <l2o/sdk/plugin.hpp>
#include <l2o/sdk/problem.hpp>
#include <l2o/sdk/scratch.hpp>
#include <l2o/sdk/spec.hpp>
#include <l2o/sdk/step.hpp>
#include <l2o/sdk/view.hpp>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace l2o {

/// What an optimizer declares once its options are known: `void declare(l2o::OptimizerSpec& spec)`.
class OptimizerSpec {
  public:
    /// @param needs  About::needs
    explicit OptimizerSpec(const l2o_problem& problem, const char* needs = "")
        : problem_(problem), needs_(needs) {
        info.struct_size = sizeof info;
        info.flags = L2O_FLAG_DETERMINISTIC | L2O_FLAG_ROW_INVARIANT;
    }

    l2o_optimizer_info info{};

    [[nodiscard]] const l2o_problem& problem() const { return problem_; }
    [[nodiscard]] std::size_t blocks() const { return problem_.n_blocks; }
    [[nodiscard]] const l2o_spec& block(std::size_t k) const { return *problem_.blocks[k]; }
    /// A data tensor of About::needs, for StepIn::data.   @throw Failure if it is not among them
    template <class E = void>
    [[nodiscard]] NeedOf<E> needs(const std::string& name) const {
        return need_of<E>(problem_, needs_, name);
    }

    OptimizerSpec& flag(std::uint64_t flags) { return info.flags |= flags, *this; }
    OptimizerSpec& drop(std::uint64_t flags) { return info.flags &= ~flags, *this; }
    OptimizerSpec& reads_f() { return info.reads |= L2O_ORACLE_VALUE, *this; }
    OptimizerSpec& reads_g() { return info.reads |= L2O_ORACLE_GRADIENT, *this; }
    OptimizerSpec& ends_rows() { return flag(L2O_OPTIMIZER_ENDS_ROWS); }
    /// Every x' lies within the bounds of its block; a method that does not say so is refused where there are
    /// some.
    OptimizerSpec& keeps_bounds() { return flag(L2O_OPTIMIZER_KEEPS_BOUNDS); }
    OptimizerSpec& coordinatewise() { return flag(L2O_OPTIMIZER_COORDINATEWISE); }
    /// Refuses a minimax problem: every block is moved down its gradient.
    OptimizerSpec& minimises() {
        for (std::size_t k = 0; k < blocks(); ++k) {
            if ((block(k).flags & L2O_SPEC_MAXIMISED) != 0)
                refuse(
                    "block '" + std::string(block(k).name) +
                    "' is to be maximised, and this method only minimises; use one that is made for minimax "
                    "problems, for example 'extragradient'");
        }
        return *this;
    }
    /// Announces up to `questions` questions per round, of `kinds` (L2O_ORACLE_VALUE | L2O_ORACLE_GRADIENT);
    /// refuses a problem that does not answer them.
    OptimizerSpec& asks(std::uint32_t questions, std::uint32_t kinds) {
        if ((kinds & ~problem_.answers) != 0)
            refuse(
                "this method asks for values or gradients at points of its own, and the problem does not "
                "answer such questions");
        info.max_questions = questions;
        info.question_kinds = kinds;
        return *this;
    }

    Param param(TensorSpec spec) {
        const std::uint32_t index = params.add(std::move(spec), problem_.dtype);
        return {index, params.at(index)->dtype};
    }
    /// @tparam E  element type: counters and indices are no numbers of the problem
    template <class E = void>
    StateOf<E> state(TensorSpec spec) {
        if constexpr (!std::is_void_v<E>) spec.dtype = dtype_of<E>();
        if constexpr (std::is_integral_v<E>) {
            if (!(spec.start >= double(std::numeric_limits<E>::min()) &&
                  spec.start < double(std::numeric_limits<E>::max()) && spec.start == std::floor(spec.start)))
                invalid("state '" + spec.name + "' starts at " + std::to_string(spec.start) +
                        "; expected a whole number that its element type holds");
        }
        const std::uint32_t index = states.add(std::move(spec), problem_.dtype);
        const l2o_spec& added = *states.at(index);
        return {index, added.dtype, (added.flags & L2O_SPEC_PER_PARTICLE) != 0 ? 2 : 1};
    }
    /// A state that belongs to block k: it stays when the block does. It is named "<name>", or
    /// "<name>.<block>" where there are several.
    State state_of(std::size_t k, TensorSpec spec) {
        if (blocks() > 1) spec.name += std::string(".") + block(k).name;
        spec.block = static_cast<std::int32_t>(k) + 1;
        return state(std::move(spec));
    }
    /// One for every block, each of a shape of its own: shape(k).
    template <class ShapeOf>
    BlockStates state_of_each(TensorSpec spec, ShapeOf&& shape) {
        State first;
        for (std::size_t k = 0; k < blocks(); ++k) {
            spec.shape = shape(k);
            const State added = state_of(k, spec);
            if (k == 0) first = added;
        }
        return {first, blocks()};
    }
    /// One state tensor [B, shape] per block, or [B, P, shape] of a population: set info.particles before.
    BlockStates state_like_x(const std::string& name, const std::string& doc = "", double start = 0) {
        particles_of_states_ = info.particles;
        return state_of_each({.name = name,
                              .doc = doc,
                              .batched = true,
                              .flags = info.particles > 0 ? L2O_SPEC_PER_PARTICLE : 0,
                              .start = start},
                             [this](std::size_t k) { return shape_of(block(k)); });
    }

    /// @throw Failure if there was another number of them at a state_like_x().
    void check_particles() const {
        if (particles_of_states_ && (*particles_of_states_ > 0) != (info.particles > 0))
            invalid(
                "declare() sets info.particles behind a state_like_x(), which is made for one point each; "
                "expected it before the first state");
    }

    /// Scratch memory of the calls, measured by the code that takes it: take(l2o::Scratch&, rows, T{}) does
    /// with T float or double what a call does to its Scratch. Called once for each kind of call.
    template <class Take>
    OptimizerSpec& scratch(Take&& take) {
        return cover_scratch(info, problem_.dtype, std::forward<Take>(take)), *this;
    }

    SpecList params, states;

  private:
    std::optional<std::uint32_t> particles_of_states_;
    const l2o_problem& problem_;
    const char* needs_;
};

// clang-format off
/// Makes a component of a class `Method` with
///   static constexpr l2o::About about;              static l2o::Options<Method> options();   (optional)
///   void declare(l2o::OptimizerSpec&);
///   template <class T> void step(const StepIn<T>&, const StepOut<T>&) const;
/// and, found by presence,
///   template <class T> void init_params(const l2o_call&, const NeedsIn<T>& data, const ParamsOut<T>& params) const;
///   template <class T> void init_state(const StepIn<T>&, const StatesOut<T>& state) const;    (default: TensorSpec::start)
///   template <class T> void step_vjp(const StepIn<T>&, const StepCot<T>&, const StepAcc<T>&) const;
///   template <class T> void init_state_vjp(const StepIn<T>&, const StatesCot<T>& cot, const StepAcc<T>&) const;
///   template <class T> void recommend(const StepIn<T>&, const Tensors<T>& x) const;           (default: x)
///   static constexpr bool learned = false;          init_params only derives buffers from the problem
// clang-format on
template <class M>
class Optimizer {
  public:
    using Method = M;
    static_assert(detail::kCanBeLookedInto<M>, "the class is final; expected one that can be inherited from");
    static constexpr const char* kKind = L2O_KIND_OPTIMIZER;

    static std::vector<const char*> tags() {
        std::vector<const char*> tags;
        bool learned = kHasInitParams;
        if constexpr (requires { M::learned; }) learned = M::learned;
        if (learned) tags.push_back("learned");
        if constexpr (kHasVjp) tags.push_back("differentiable");
        if constexpr (requires { M::tags; }) tags.insert(tags.end(), std::begin(M::tags), std::end(M::tags));
        tags.push_back(nullptr);
        return tags;
    }

  private:
    struct Instance {
        explicit Instance(const l2o_problem& given) : problem(given), spec(problem.abi(), M::about.needs) {}
        M method{};
        Problem problem;
        OptimizerSpec spec;
        std::uint32_t dtype = 0;
        int lead = 1;
        std::size_t blocks = 0;
    };

    template <class T>
    static constexpr bool kHasStep = requires(const M m, const StepIn<T> in, const StepOut<T> out) {
        m.step(in, out);
    };
    template <class T>
    static constexpr bool kCanVjp =
        requires(const M m, const StepIn<T> in, const StepCot<T> cot, const StepAcc<T> acc) {
        m.step_vjp(in, cot, acc);
    };
    template <class T>
    static constexpr bool kCanInitParams =
        requires(const M m, const l2o_call call, const NeedsIn<T> data, const ParamsOut<T> out) {
        m.init_params(call, data, out);
    };
    template <class T>
    static constexpr bool kCanInitState = requires(const M m, const StepIn<T> in, const StatesOut<T> out) {
        m.init_state(in, out);
    };
    template <class T>
    static constexpr bool kCanInitStateVjp =
        requires(const M m, const StepIn<T> in, const StatesCot<T> cot, const StepAcc<T> acc) {
        m.init_state_vjp(in, cot, acc);
    };
    template <class T>
    static constexpr bool kCanRecommend = requires(const M m, const StepIn<T> in, const Tensors<T> x) {
        m.recommend(in, x);
    };
    /// Of the element types that the method steps in.
    static constexpr bool everywhere(bool in_float, bool in_double) {
        return (!kHasStep<float> || in_float) && (!kHasStep<double> || in_double);
    }
    static constexpr bool kHasVjp = detail::has_step_vjp<M>, kHasInitParams = detail::has_init_params<M>,
                          kHasInitState = detail::has_init_state<M>,
                          kHasInitStateVjp = detail::has_init_state_vjp<M>,
                          kHasRecommend = detail::has_recommend<M>;
    static_assert(kHasStep<float> || kHasStep<double>,
                  "step is missing or cannot be called; expected 'template <class T> void step(const "
                  "l2o::StepIn<T>&, const l2o::StepOut<T>&) const'");
    static_assert(
        requires(M m, OptimizerSpec spec) { m.declare(spec); },
        "declare is missing or cannot be called; expected 'void declare(l2o::OptimizerSpec&)'");
    static_assert(
        !kHasInitParams || everywhere(kCanInitParams<float>, kCanInitParams<double>),
        "init_params is there and cannot be called; expected 'template <class T> void "
        "init_params(const l2o_call&, const l2o::NeedsIn<T>& data, const l2o::ParamsOut<T>& params) "
        "const'");
    static_assert(!kHasInitState || everywhere(kCanInitState<float>, kCanInitState<double>),
                  "init_state is there and cannot be called; expected 'template <class T> void "
                  "init_state(const l2o::StepIn<T>&, const l2o::StatesOut<T>& state) const'");
    static_assert(!kHasVjp || everywhere(kCanVjp<float>, kCanVjp<double>),
                  "step_vjp is there and cannot be called; expected 'template <class T> void step_vjp(const "
                  "l2o::StepIn<T>&, const l2o::StepCot<T>&, const l2o::StepAcc<T>&) const'");
    static_assert(!kHasInitStateVjp || everywhere(kCanInitStateVjp<float>, kCanInitStateVjp<double>),
                  "init_state_vjp is there and cannot be called; expected 'template <class T> void "
                  "init_state_vjp(const l2o::StepIn<T>&, const l2o::StatesCot<T>& cot, const "
                  "l2o::StepAcc<T>&) const'");
    static_assert(
        !kHasRecommend || everywhere(kCanRecommend<float>, kCanRecommend<double>),
        "recommend is there and cannot be called; expected 'template <class T> void recommend(const "
        "l2o::StepIn<T>&, const l2o::Tensors<T>& x) const'");
    static_assert(!kHasInitStateVjp || kHasVjp,
                  "init_state_vjp is there without step_vjp; nobody would call it");

    static const Instance& of(const l2o_optimizer* o) { return *reinterpret_cast<const Instance*>(o); }

    /// Calls body with a value of the instance's scalar type.
    template <class Body>
    static void by_dtype(const Instance& self, Body&& body) {
        if constexpr (kHasStep<float>) {
            if (self.dtype == L2O_DTYPE_F32) return body(float{});
        }
        if constexpr (kHasStep<double>) {
            if (self.dtype == L2O_DTYPE_F64) return body(double{});
        }
        refuse(std::string(M::about.id) + " does not compute in this element type");
    }

    template <class T>
    static StepIn<T> step_in(const l2o_optimizer* o,
                             const l2o_call* call,
                             const l2o_step_in* in,
                             const l2o_step_out* out = nullptr) {
        const Instance& self = of(o);
        return {in, call, self.lead, self.blocks, self.spec.info.n_state, out};
    }

    static l2o_status L2O_CALL create(l2o_call* call,
                                      const l2o_value* const* options,
                                      std::uint32_t n,
                                      const l2o_problem* problem,
                                      l2o_optimizer** out) noexcept {
        return detail::guard(call, [&] {
            auto self = std::make_unique<Instance>(*problem);
            self->dtype = self->problem.abi().dtype;
            detail::options_of<M>().apply(self->method, options, n);
            self->method.declare(self->spec);
            self->spec.check_particles();
            if (!kHasInitParams && self->spec.params.size() > 0)
                invalid("declare() has the parameter '" + std::string(self->spec.params.at(0)->name) +
                        "' and the class no init_params that gives it a first value; expected 'template "
                        "<class T> void init_params(const l2o_call&, const l2o::NeedsIn<T>& data, const "
                        "l2o::ParamsOut<T>& params) const'");
            if constexpr (requires { self->method.check_declared(self->spec); })  // of l2o/layers
                self->method.check_declared(self->spec);
            self->lead = self->spec.info.particles > 0 ? 2 : 1;
            self->blocks = self->problem.abi().n_blocks;
            self->spec.info.n_params = self->spec.params.size();
            self->spec.info.n_state = self->spec.states.size();
            by_dtype(*self, [](auto) {});
            *out = reinterpret_cast<l2o_optimizer*>(self.release());
        });
    }
    static void L2O_CALL destroy(l2o_optimizer* o) noexcept { delete reinterpret_cast<Instance*>(o); }
    static const l2o_optimizer_info* L2O_CALL info(const l2o_optimizer* o) noexcept {
        return &of(o).spec.info;
    }
    static const l2o_spec* L2O_CALL param_spec(const l2o_optimizer* o, std::uint32_t i) noexcept {
        return of(o).spec.params.at(i);
    }
    static const l2o_spec* L2O_CALL state_spec(const l2o_optimizer* o, std::uint32_t i) noexcept {
        return of(o).spec.states.at(i);
    }
    static l2o_status L2O_CALL init_params(const l2o_optimizer* o,
                                           l2o_call* call,
                                           l2o_in data,
                                           l2o_out params) noexcept {
        return detail::guard(call, [&] {
            if constexpr (kHasInitParams) {
                by_dtype(of(o), [&](auto scalar) {
                    using T = decltype(scalar);
                    of(o).method.init_params(*call, NeedsIn<T>(data), ParamsOut<T>(params));
                });
            } else {
                static_cast<void>(o), static_cast<void>(data), static_cast<void>(params);
            }
        });
    }
    static l2o_status L2O_CALL init_state(const l2o_optimizer* o,
                                          l2o_call* call,
                                          const l2o_step_in* in,
                                          l2o_out state) noexcept {
        return detail::guard(call, [&] {
            by_dtype(of(o), [&](auto scalar) {
                using T = decltype(scalar);
                if constexpr (kHasInitState) {
                    of(o).method.init_state(step_in<T>(o, call, in), StatesOut<T>(state));
                } else {
                    const SpecList& states = of(o).spec.states;
                    for (std::uint32_t i = 0; i < states.size(); ++i)
                        with_view(*state[i],
                                  [&]<class U>(const View<U>& to) { fill(to, U(states.start(i))); });
                }
            });
        });
    }
    static l2o_status L2O_CALL step(const l2o_optimizer* o,
                                    l2o_call* call,
                                    const l2o_step_in* in,
                                    l2o_step_out* out) noexcept {
        return detail::guard(call, [&] {
            by_dtype(of(o), [&](auto scalar) {
                using T = decltype(scalar);
                of(o).method.step(step_in<T>(o, call, in), StepOut<T>(out, of(o).lead));
            });
        });
    }
    static l2o_status L2O_CALL recommend(const l2o_optimizer* o,
                                         l2o_call* call,
                                         const l2o_step_in* in,
                                         l2o_out x) noexcept {
        return detail::guard(call, [&] {
            by_dtype(of(o), [&](auto scalar) {
                using T = decltype(scalar);
                if constexpr (kHasRecommend)
                    of(o).method.recommend(step_in<T>(o, call, in), Tensors<T>(x, of(o).lead));
            });
        });
    }
    static l2o_status L2O_CALL step_vjp(const l2o_optimizer* o,
                                        l2o_call* call,
                                        const l2o_step_in* in,
                                        const l2o_step_out* out,
                                        const l2o_step_cot* cot,
                                        const l2o_step_acc* acc) noexcept {
        return detail::guard(call, [&] {
            by_dtype(of(o), [&](auto scalar) {
                using T = decltype(scalar);
                const int lead = of(o).lead;
                if constexpr (kHasVjp) {
                    of(o).method.step_vjp(
                        step_in<T>(o, call, in, out), StepCot<T>(cot, lead), StepAcc<T>(acc, lead));
                }
            });
        });
    }
    static l2o_status L2O_CALL init_state_vjp(const l2o_optimizer* o,
                                              l2o_call* call,
                                              const l2o_step_in* in,
                                              l2o_in cot,
                                              const l2o_step_acc* acc) noexcept {
        return detail::guard(call, [&] {
            by_dtype(of(o), [&](auto scalar) {
                using T = decltype(scalar);
                if constexpr (kHasInitStateVjp) {
                    of(o).method.init_state_vjp(
                        step_in<T>(o, call, in), StatesCot<T>(cot), StepAcc<T>(acc, of(o).lead));
                }
            });
        });
    }
    static const void* L2O_CALL get_extension(const l2o_optimizer*, const char* id) noexcept {
        static constexpr l2o_optimizer_vjp kVjp{
            sizeof(l2o_optimizer_vjp), 0, &step_vjp, kHasInitStateVjp ? &init_state_vjp : nullptr};
        return kHasVjp && std::strcmp(id, L2O_EXT_OPTIMIZER_VJP) == 0 ? &kVjp : nullptr;
    }

  public:
    static constexpr l2o_optimizer_api kApi{sizeof(l2o_optimizer_api),
                                            0,
                                            &create,
                                            &destroy,
                                            &info,
                                            &param_spec,
                                            &state_spec,
                                            &init_params,
                                            &init_state,
                                            &step,
                                            kHasRecommend ? &recommend : nullptr,
                                            &get_extension};
};

}  // namespace l2o
