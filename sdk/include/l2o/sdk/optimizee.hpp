#pragma once

#include <l2o/abi/optimizee.h>

#include <cstdint>
#include <l2o/sdk/failure.hpp>
#include <l2o/sdk/handle.hpp>
#include <l2o/sdk/member.hpp>
#include <l2o/sdk/plugin.hpp>
#include <l2o/sdk/problem.hpp>
#include <l2o/sdk/scratch.hpp>
#include <l2o/sdk/spec.hpp>
#include <l2o/sdk/view.hpp>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace l2o {

/// Which instances to draw: first .. first + count - 1 of a split; instance i depends on (key, split, i)
/// only.
struct Draw {
    const l2o_call& call;
    std::int32_t split;
    std::uint64_t first;
    std::int64_t count;

    /// Tells the draws of tensor i of this split from those of all other tensors and splits, and from those
    /// of start points, whose purpose is the number of the block: numerics::Stream(call.key, row,
    /// purpose(i)).
    [[nodiscard]] std::uint32_t purpose(std::uint32_t i) const {
        return (static_cast<std::uint32_t>(split) + 1) << 16 | i;
    }
    template <class E>
    [[nodiscard]] std::uint32_t purpose(const DataOf<E>& tensor) const {
        return purpose(tensor.index());
    }
};

/// Where an objective is evaluated: `rows` points; row r belongs to row instance(r) of the per-instance data.
template <class T>
class EvalIn {
  public:
    EvalIn(const l2o_points* points, const l2o_call* context) : call(*context), points_(points) {}

    const l2o_call& call;

    [[nodiscard]] std::int64_t rows() const { return points_->batch; }
    [[nodiscard]] std::int64_t instance(std::int64_t row) const { return row / points_->rows_per_instance; }
    /// True if every row has per-instance data of its own, so that whole batches can be multiplied at once.
    [[nodiscard]] bool one_row_per_instance() const { return points_->rows_per_instance == 1; }
    [[nodiscard]] View<const T> x(std::size_t block) const { return view<const T>(points_->x[block]); }
    template <class E>
    [[nodiscard]] View<const detail::ElementOf<T, E>> data(const DataOf<E>& tensor) const {
        return tensor.template in<const T>(points_->data);
    }
    /// The row of a per-instance tensor that belongs to a row.
    template <class E>
    [[nodiscard]] const detail::ElementOf<T, E>* row(const DataOf<E>& tensor, std::int64_t row) const {
        return data(tensor).row(instance(row));
    }
    [[nodiscard]] const l2o_points& raw() const { return *points_; }

  private:
    const l2o_points* points_;
};

/// Results of an evaluation; an empty view is not wanted, any other is written in full.
template <class T>
class EvalOut {
  public:
    explicit EvalOut(const l2o_eval_out* out) : out_(out) {}
    [[nodiscard]] View<T> f() const { return view<T>(out_->f); }
    [[nodiscard]] View<T> g(std::size_t block) const {
        return out_->g == nullptr ? View<T>{} : view<T>(out_->g[block]);
    }

  private:
    const l2o_eval_out* out_;
};

/// What an optimizee declares once its options are known: `void declare(l2o::OptimizeeSpec& spec)`.
class OptimizeeSpec {
  public:
    explicit OptimizeeSpec(std::uint32_t dtype) : dtype_(dtype) {
        info.struct_size = sizeof info;
        info.flags = L2O_FLAG_DETERMINISTIC | L2O_FLAG_ROW_INVARIANT;
        info.answers = L2O_ORACLE_VALUE | L2O_ORACLE_GRADIENT;
    }

    l2o_optimizee_info info{};

    [[nodiscard]] std::uint32_t dtype() const { return dtype_; }
    OptimizeeSpec& flag(std::uint64_t flags) { return info.flags |= flags, *this; }
    OptimizeeSpec& drop(std::uint64_t flags) { return info.flags &= ~flags, *this; }

    /// @return its number.
    std::size_t block(TensorSpec spec) { return spec.batched = true, blocks.add(std::move(spec), dtype_); }
    /// Shared by all instances unless spec.batched.   @tparam E  element type: labels, images
    template <class E = void>
    DataOf<E> data(TensorSpec spec) {
        if constexpr (!std::is_void_v<E>) spec.dtype = dtype_of<E>();
        const std::uint32_t index = datas.add(std::move(spec), dtype_);
        return {index, datas.at(index)->dtype};
    }
    template <class E = void>
    DataOf<E> solution(TensorSpec spec) {
        return spec.flags |= L2O_SPEC_SOLUTION, data<E>(std::move(spec));
    }
    Metric metric(std::string name, std::string doc, std::uint64_t flags = 0) {
        return add_metric({.name = std::move(name), .doc = std::move(doc), .batched = true, .flags = flags});
    }

    /// A metric that is a ratio u / w, of many rows that of their sums: metrics() writes u and w of row r to
    /// (r, 0) and (r, 1).   @param flags  also L2O_SPEC_DECIBEL
    Metric ratio(std::string name, std::string doc, std::uint64_t flags = 0) {
        return add_metric({.name = std::move(name),
                           .doc = std::move(doc),
                           .shape = {2},
                           .batched = true,
                           .flags = flags | L2O_SPEC_RATIO});
    }

    /// Scratch memory of the calls, measured by the code that takes it: take(l2o::Scratch&, rows, T{}) does
    /// with T float or double what a call does to its Scratch. Called once for each kind of call.
    template <class Take>
    OptimizeeSpec& scratch(Take&& take) {
        return cover_scratch(info, dtype_, std::forward<Take>(take)), *this;
    }

    SpecList blocks, datas, metrics;

  private:
    Metric add_metric(TensorSpec spec) {
        const std::uint32_t index = metrics.add(std::move(spec), dtype_);
        return {index, metrics.at(index)->dtype};
    }

    std::uint32_t dtype_;
};

// clang-format off
/// Makes a component of a class `Problem` with
///   static constexpr l2o::About about;              static l2o::Options<Problem> options();   (optional)
///   void declare(l2o::OptimizeeSpec&);
///   template <class T> void sample(const Draw&, const DataOut<T>& data) const;
///   template <class T> void eval(const EvalIn<T>&, const EvalOut<T>&) const;
/// and, found by presence,
///   template <class T> void init_point(const l2o_call&, const DataIn<T>& data, const Tensors<T>& x) const;   (default: 0)
///   template <class T> void hvp(const EvalIn<T>&, const Tensors<const T>& v, const Tensors<T>& hv) const;
///   template <class T> void prox(const EvalIn<T>&, const View<const T>& tau, const Tensors<T>& u) const;
///   template <class T> void metrics(const EvalIn<T>&, const MetricsOut<T>&) const;   [rows], of a ratio [rows, 2]
///   template <class T> void solve(const l2o_call&, const DataIn<T>& data, const DataOut<T>& solution) const.
// clang-format on
template <class P>
class Optimizee {
  public:
    using Method = P;
    static_assert(detail::kCanBeLookedInto<P>, "the class is final; expected one that can be inherited from");
    static constexpr const char* kKind = L2O_KIND_OPTIMIZEE;

    static std::vector<const char*> tags() {
        std::vector<const char*> tags;
        if constexpr (kHasHvp) tags.push_back("hvp");
        if constexpr (kHasProx) tags.push_back("prox");
        if constexpr (requires { P::tags; }) tags.insert(tags.end(), std::begin(P::tags), std::end(P::tags));
        tags.push_back(nullptr);
        return tags;
    }

  private:
    struct Instance {
        explicit Instance(std::uint32_t dtype) : spec(dtype) {}
        P problem{};
        OptimizeeSpec spec;
    };
    static constexpr bool kHasHvp = detail::has_hvp<P>, kHasProx = detail::has_prox<P>,
                          kHasMetrics = detail::has_metrics<P>, kHasSolve = detail::has_solve<P>,
                          kHasInitPoint = detail::has_init_point<P>;

    template <class T>
    static constexpr void check_members() {
        static_assert(
            requires(const P p, const Draw draw, const DataOut<T> data) { p.sample(draw, data); },
            "sample is missing or cannot be called; expected 'template <class T> void sample(const "
            "l2o::Draw&, const l2o::DataOut<T>& data) const'");
        static_assert(
            !kHasInitPoint ||
                requires(const P p, const l2o_call call, const DataIn<T> data, const Tensors<T> x) {
                    p.init_point(call, data, x);
                },
            "init_point is there and cannot be called; expected 'template <class T> void init_point(const "
            "l2o_call&, const l2o::DataIn<T>& data, const l2o::Tensors<T>& x) const'");
        static_assert(
            requires(const P p, const EvalIn<T> in, const EvalOut<T> out) { p.eval(in, out); },
            "eval is missing or cannot be called; expected 'template <class T> void eval(const "
            "l2o::EvalIn<T>&, const l2o::EvalOut<T>&) const'");
        static_assert(
            !kHasHvp ||
                requires(const P p, const EvalIn<T> in, const Tensors<const T> v, const Tensors<T> hv) {
                    p.hvp(in, v, hv);
                },
            "hvp is there and cannot be called; expected 'template <class T> void hvp(const l2o::EvalIn<T>&, "
            "const "
            "l2o::Tensors<const T>& v, const l2o::Tensors<T>& hv) const'");
        static_assert(
            !kHasProx ||
                requires(const P p, const EvalIn<T> in, const View<const T> tau, const Tensors<T> u) {
                    p.prox(in, tau, u);
                },
            "prox is there and cannot be called; expected 'template <class T> void prox(const "
            "l2o::EvalIn<T>&, "
            "const l2o::View<const T>& tau, const l2o::Tensors<T>& u) const'");
        static_assert(
            !kHasMetrics ||
                requires(const P p, const EvalIn<T> in, const MetricsOut<T> out) { p.metrics(in, out); },
            "metrics is there and cannot be called; expected 'template <class T> void metrics(const "
            "l2o::EvalIn<T>&, const l2o::MetricsOut<T>&) const'");
        static_assert(
            !kHasSolve ||
                requires(const P p, const l2o_call call, const DataIn<T> data, const DataOut<T> out) {
                    p.solve(call, data, out);
                },
            "solve is there and cannot be called; expected 'template <class T> void solve(const l2o_call&, "
            "const l2o::DataIn<T>& data, const l2o::DataOut<T>& solution) const'");
    }
    static_assert(
        requires(P p, OptimizeeSpec spec) { p.declare(spec); },
        "declare is missing or cannot be called; expected 'void declare(l2o::OptimizeeSpec&)'");

    static const Instance& of(const l2o_optimizee* o) { return *reinterpret_cast<const Instance*>(o); }

    template <class Body>
    static void by_dtype(const Instance& self, Body&& body) {
        if (self.spec.dtype() == L2O_DTYPE_F32) return body(float{});
        if (self.spec.dtype() == L2O_DTYPE_F64) return body(double{});
        refuse(std::string(P::about.id) + " computes in float32 or float64 only");
    }
    template <class Body>
    static l2o_status at_points(const l2o_optimizee* o,
                                l2o_call* call,
                                const l2o_points* points,
                                Body&& body) noexcept {
        return detail::guard(call, [&] {
            by_dtype(of(o), [&](auto scalar) {
                body(of(o).problem, EvalIn<decltype(scalar)>(points, call), scalar);
            });
        });
    }

    static l2o_status L2O_CALL create(l2o_call* call,
                                      const l2o_value* const* options,
                                      std::uint32_t n,
                                      const l2o_optimizee_setting* setting,
                                      l2o_optimizee** out) noexcept {
        return detail::guard(call, [&] {
            check_members<float>();
            check_members<double>();
            auto self = std::make_unique<Instance>(normalised(*setting).dtype);
            detail::options_of<P>().apply(self->problem, options, n);
            self->problem.declare(self->spec);
            l2o_optimizee_info& info = self->spec.info;
            info.n_blocks = self->spec.blocks.size();
            info.n_data = self->spec.datas.size();
            info.n_metrics = self->spec.metrics.size();
            info.answers |= (kHasHvp ? L2O_ORACLE_HVP : 0U) | (kHasProx ? L2O_ORACLE_PROX : 0U);
            by_dtype(*self, [](auto) {});
            *out = reinterpret_cast<l2o_optimizee*>(self.release());
        });
    }
    static void L2O_CALL destroy(l2o_optimizee* o) noexcept { delete reinterpret_cast<Instance*>(o); }
    static const l2o_optimizee_info* L2O_CALL info(const l2o_optimizee* o) noexcept {
        return &of(o).spec.info;
    }
    static const l2o_spec* L2O_CALL block_spec(const l2o_optimizee* o, std::uint32_t i) noexcept {
        return of(o).spec.blocks.at(i);
    }
    static const l2o_spec* L2O_CALL data_spec(const l2o_optimizee* o, std::uint32_t i) noexcept {
        return of(o).spec.datas.at(i);
    }
    static const l2o_spec* L2O_CALL metric_spec(const l2o_optimizee* o, std::uint32_t i) noexcept {
        return of(o).spec.metrics.at(i);
    }
    static l2o_status L2O_CALL sample(const l2o_optimizee* o,
                                      l2o_call* call,
                                      std::int32_t split,
                                      std::uint64_t first,
                                      std::uint32_t count,
                                      l2o_out data) noexcept {
        return detail::guard(call, [&] {
            by_dtype(of(o), [&](auto scalar) {
                of(o).problem.sample(Draw{*call, split, first, count}, DataOut<decltype(scalar)>(data));
            });
        });
    }
    static l2o_status L2O_CALL
    init_point(const l2o_optimizee* o, l2o_call* call, std::uint32_t, l2o_in data, l2o_out x) noexcept {
        return detail::guard(call, [&] {
            by_dtype(of(o), [&](auto scalar) {
                using T = decltype(scalar);
                if constexpr (kHasInitPoint) {
                    of(o).problem.init_point(*call, DataIn<T>(data), Tensors<T>(x));
                } else {
                    for (std::uint32_t k = 0; k < of(o).spec.blocks.size(); ++k) fill(view<T>(x[k]), T(0));
                }
            });
        });
    }
    static l2o_status L2O_CALL eval(const l2o_optimizee* o,
                                    l2o_call* call,
                                    const l2o_points* points,
                                    const l2o_eval_out* out) noexcept {
        return at_points(o, call, points, [&](const P& p, const auto& in, auto scalar) {
            p.eval(in, EvalOut<decltype(scalar)>(out));
        });
    }
    static l2o_status L2O_CALL
    hvp(const l2o_optimizee* o, l2o_call* call, const l2o_points* points, l2o_in v, l2o_out hv) noexcept {
        return at_points(o, call, points, [&](const P& p, const auto& in, auto scalar) {
            using T = decltype(scalar);
            if constexpr (kHasHvp) p.hvp(in, Tensors<const T>(v), Tensors<T>(hv));
        });
    }
    static l2o_status L2O_CALL prox(const l2o_optimizee* o,
                                    l2o_call* call,
                                    const l2o_points* points,
                                    const l2o_tensor* tau,
                                    l2o_out u) noexcept {
        return at_points(o, call, points, [&](const P& p, const auto& in, auto scalar) {
            using T = decltype(scalar);
            if constexpr (kHasProx) p.prox(in, view<const T>(tau), Tensors<T>(u));
        });
    }
    static l2o_status L2O_CALL metrics(const l2o_optimizee* o,
                                       l2o_call* call,
                                       const l2o_points* points,
                                       l2o_out out) noexcept {
        return at_points(o, call, points, [&](const P& p, const auto& in, auto scalar) {
            if constexpr (kHasMetrics) p.metrics(in, MetricsOut<decltype(scalar)>(out));
        });
    }
    static l2o_status L2O_CALL
    solve(const l2o_optimizee* o, l2o_call* call, std::uint32_t, l2o_in data, l2o_out solution) noexcept {
        return detail::guard(call, [&] {
            by_dtype(of(o), [&](auto scalar) {
                using T = decltype(scalar);
                if constexpr (kHasSolve) of(o).problem.solve(*call, DataIn<T>(data), DataOut<T>(solution));
            });
        });
    }
    static const void* L2O_CALL get_extension(const l2o_optimizee*, const char*) noexcept { return nullptr; }

  public:
    static constexpr l2o_optimizee_api kApi{sizeof(l2o_optimizee_api),
                                            0,
                                            &create,
                                            &destroy,
                                            &info,
                                            &block_spec,
                                            &data_spec,
                                            &metric_spec,
                                            &sample,
                                            &init_point,
                                            &eval,
                                            kHasHvp ? &hvp : nullptr,
                                            kHasProx ? &prox : nullptr,
                                            kHasMetrics ? &metrics : nullptr,
                                            kHasSolve ? &solve : nullptr,
                                            &get_extension};
};

}  // namespace l2o
