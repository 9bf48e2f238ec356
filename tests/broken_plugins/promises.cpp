#include <cmath>

#include "bowl.hpp"

// Optimizees whose functions are right, and whose claims about their instances are not.
namespace {

using l2o::broken::Bowl;

/// f(x) = 1/2 |w (x - c)|^2 with a scale w that all instances share, its derivatives, a metric and the
/// optimum.
struct Scaled : Bowl {
    void declare(l2o::OptimizeeSpec& spec) { declare_on(spec, {.name = "x"}); }
    void declare_on(l2o::OptimizeeSpec& spec, l2o::TensorSpec block) {
        block.axes = "n", block.shape = {n};
        spec.block(block);
        c = spec.data({.name = "c", .doc = "the minimum", .axes = "n", .shape = {n}, .batched = true});
        w = spec.data({.name = "w", .doc = "scale", .axes = "n", .shape = {n}});
        f_star = spec.solution({.name = "f_star", .batched = true, .flags = L2O_SPEC_OPTIMUM});
        distance = spec.metric("distance", "|x - c|");
    }
    template <class T>
    void sample(const l2o::Draw& draw, const l2o::DataOut<T>& data) const {
        Bowl::sample(draw, data);
        if (data[w]) l2o::fill(data[w], T(2));
        if (data[f_star]) l2o::fill(data[f_star], T(0));
    }
    template <class T>
    void eval(const l2o::EvalIn<T>& in, const l2o::EvalOut<T>& out) const {
        for (std::int64_t row = 0; row < in.rows(); ++row) {
            T f = 0;
            for (std::int64_t i = 0; i < n; ++i) {
                const T scale = in.data(w)[i], d = scale * (in.x(0)(row, i) - in.row(c, row)[i]);
                f += d * d / 2;
                if (out.g(0)) out.g(0)(row, i) = scale * d;
            }
            if (out.f()) out.f()[row] = f;
        }
    }
    template <class T>
    void hvp(const l2o::EvalIn<T>& in, const l2o::Tensors<const T>& v, const l2o::Tensors<T>& hv) const {
        for (std::int64_t row = 0; row < in.rows(); ++row)
            for (std::int64_t i = 0; i < n; ++i) hv[0](row, i) = in.data(w)[i] * in.data(w)[i] * v[0](row, i);
    }
    template <class T>
    void metrics(const l2o::EvalIn<T>& in, const l2o::MetricsOut<T>& out) const {
        for (std::int64_t row = 0; row < in.rows() && out[distance]; ++row) {
            T sum = 0;
            for (std::int64_t i = 0; i < n; ++i)
                sum += (in.x(0)(row, i) - in.row(c, row)[i]) * (in.x(0)(row, i) - in.row(c, row)[i]);
            out[distance][row] = std::sqrt(sum);
        }
    }

    l2o::Data w, f_star;
    l2o::Metric distance;
};

struct ClaimsSoundly : Scaled {
    static constexpr l2o::About about = about_as("claims_soundly");
};

struct WritesShared : Scaled {
    static constexpr l2o::About about = about_as("writes_shared");
    template <class T>
    void sample(const l2o::Draw& draw, const l2o::DataOut<T>& data) const {
        Scaled::sample(draw, data);
        for (std::int64_t i = 0; i < n; ++i) data[w][i] = 2;
    }
};

struct ReadsSolution : Scaled {
    static constexpr l2o::About about = about_as("reads_solution");
    template <class T>
    void eval(const l2o::EvalIn<T>& in, const l2o::EvalOut<T>& out) const {
        Scaled::eval(in, out);
        for (std::int64_t row = 0; row < in.rows() && out.f(); ++row) out.f()[row] += in.row(f_star, row)[0];
    }
};

struct SharedBySplit : Scaled {
    static constexpr l2o::About about = about_as("shared_by_split");
    template <class T>
    void sample(const l2o::Draw& draw, const l2o::DataOut<T>& data) const {
        Scaled::sample(draw, data);
        if (data[w]) l2o::fill(data[w], T(2 + draw.split));
    }
};

struct SharedByCount : Scaled {
    static constexpr l2o::About about = about_as("shared_by_count");
    template <class T>
    void sample(const l2o::Draw& draw, const l2o::DataOut<T>& data) const {
        Scaled::sample(draw, data);
        if (data[w]) l2o::fill(data[w], T(draw.count > 16 ? 3 : 2));
    }
};

struct InstancesByCount : Scaled {
    static constexpr l2o::About about = about_as("instances_by_count");
    template <class T>
    void sample(const l2o::Draw& draw, const l2o::DataOut<T>& data) const {
        Scaled::sample(draw, data);
        if (draw.count > 16) data[c](3, 0) += 1;
    }
};

// A population sees the gradient at the minimum of the first instance.
struct WrongGradientOfPopulations : Scaled {
    static constexpr l2o::About about = about_as("wrong_gradient_of_populations");
    template <class T>
    void eval(const l2o::EvalIn<T>& in, const l2o::EvalOut<T>& out) const {
        Scaled::eval(in, out);
        for (std::int64_t row = 0; row < in.rows() && out.g(0) && !in.one_row_per_instance(); ++row)
            for (std::int64_t i = 0; i < n; ++i)
                out.g(0)(row, i) = in.data(w)[i] * in.data(w)[i] * (in.x(0)(row, i) - in.data(c)(0, i));
    }
};

struct WrongHvpOfPopulations : Scaled {
    static constexpr l2o::About about = about_as("wrong_hvp_of_populations");
    template <class T>
    void hvp(const l2o::EvalIn<T>& in, const l2o::Tensors<const T>& v, const l2o::Tensors<T>& hv) const {
        Scaled::hvp(in, v, hv);
        for (std::int64_t row = 0; row < in.rows() && !in.one_row_per_instance(); ++row) hv[0](row, 0) *= 3;
    }
};

struct WrongMetricsOfPopulations : Scaled {
    static constexpr l2o::About about = about_as("wrong_metrics_of_populations");
    template <class T>
    void metrics(const l2o::EvalIn<T>& in, const l2o::MetricsOut<T>& out) const {
        Scaled::metrics(in, out);
        const std::int64_t each = in.raw().rows_per_instance;
        for (std::int64_t row = 0; row < in.rows() && out[distance]; ++row)
            out[distance][row] = out[distance][row - row % each];
    }
};

template <int kTimes>
struct ProxOf : Scaled {
    template <class T>
    void prox(const l2o::EvalIn<T>& in, const l2o::View<const T>& tau, const l2o::Tensors<T>& u) const {
        for (std::int64_t row = 0; row < in.rows(); ++row) {
            for (std::int64_t i = 0; i < n; ++i) {
                const T step = kTimes * tau[row] * in.data(w)[i] * in.data(w)[i];
                u[0](row, i) = (in.x(0)(row, i) + step * in.row(c, row)[i]) / (1 + step);
            }
        }
    }
};
struct ProxOfF : ProxOf<1> {
    static constexpr l2o::About about = about_as("prox_of_f");
};
struct ProxOfThree : ProxOf<3> {
    static constexpr l2o::About about = about_as("prox_of_three");
};

struct MetricOfNone : Scaled {
    static constexpr l2o::About about = about_as("metric_of_none");
    template <class T>
    void metrics(const l2o::EvalIn<T>& in, const l2o::MetricsOut<T>& out) const {
        for (std::int64_t row = 0; row < in.rows() && out[distance]; ++row)
            out[distance][row] = std::sqrt(T(-1) - in.x(0)(row, 0) * in.x(0)(row, 0));
    }
};

struct SlopeOfNone : Scaled {
    static constexpr l2o::About about = about_as("slope_of_none");
    template <class T>
    void eval(const l2o::EvalIn<T>& in, const l2o::EvalOut<T>& out) const {
        Scaled::eval(in, out);
        for (std::int64_t row = 0; row < in.rows() && out.g(0); ++row) out.g(0)(row, 1) = std::sqrt(T(-1));
    }
};

struct StartsOutside : Scaled {
    static constexpr l2o::About about = about_as("starts_outside");
    void declare(l2o::OptimizeeSpec& spec) {
        declare_on(spec, {.name = "x", .flags = L2O_SPEC_BOUNDED, .lower = -1, .upper = 1});
    }
};

struct BoundsTurned : Scaled {
    static constexpr l2o::About about = about_as("bounds_turned");
    void declare(l2o::OptimizeeSpec& spec) {
        declare_on(spec, {.name = "x", .flags = L2O_SPEC_BOUNDED, .lower = 1, .upper = -1});
    }
};

struct CostsNoNumber : Scaled {
    static constexpr l2o::About about = about_as("costs_no_number");
    void declare(l2o::OptimizeeSpec& spec) {
        Scaled::declare(spec);
        spec.info.cost_gradient = std::nan("");
    }
};

// The minimum is 0.
template <class Claim>
struct ClaimsOptimum : Scaled {
    template <class T>
    void sample(const l2o::Draw& draw, const l2o::DataOut<T>& data) const {
        Scaled::sample(draw, data);
        if (data[f_star]) l2o::fill(data[f_star], T(Claim::kLeast));
    }
};
struct OptimumTooHigh : ClaimsOptimum<OptimumTooHigh> {
    static constexpr l2o::About about = about_as("optimum_too_high");
    static constexpr double kLeast = 1000;
};
struct OptimumABitTooHigh : ClaimsOptimum<OptimumABitTooHigh> {
    static constexpr l2o::About about = about_as("optimum_a_bit_too_high");
    static constexpr double kLeast = 1e-3;
};

// Three numbers of 1 to 9, or one bit, tell instances apart: some are the same by chance.
template <class Problem>
struct FewNumbers {
    void declare(l2o::OptimizeeSpec& spec) {
        spec.info.answers = L2O_ORACLE_VALUE;
        spec.block({.name = "x", .shape = {Problem::kNumbers}});
        c = spec.data<std::int64_t>({.name = "c", .shape = {Problem::kNumbers}, .batched = true});
    }
    template <class T>
    void sample(const l2o::Draw& draw, const l2o::DataOut<T>& data) const {
        for (std::int64_t row = 0; row < draw.count; ++row) {
            l2o::numerics::Stream random(draw.call.key,
                                         draw.first + static_cast<std::uint64_t>(row),
                                         Problem::kOfTrain ? 7 : draw.purpose(c));
            for (std::int64_t i = 0; i < Problem::kNumbers; ++i)
                data[c](row, i) = 1 + static_cast<std::int64_t>(random.below(Problem::kBelow));
        }
    }
    template <class T>
    void eval(const l2o::EvalIn<T>& in, const l2o::EvalOut<T>& out) const {
        for (std::int64_t row = 0; row < in.rows() && out.f(); ++row) {
            T f = 0;
            for (std::int64_t i = 0; i < Problem::kNumbers; ++i)
                f += T(in.row(c, row)[i]) * in.x(0)(row, i) * in.x(0)(row, i);
            out.f()[row] = f;
        }
    }
    l2o::DataOf<std::int64_t> c;
};

struct FewIntegers : FewNumbers<FewIntegers> {
    static constexpr l2o::About about = Bowl::about_as("few_integers");
    static constexpr std::int64_t kNumbers = 3, kBelow = 9;
    static constexpr bool kOfTrain = false;
};
struct OneBit : FewNumbers<OneBit> {
    static constexpr l2o::About about = Bowl::about_as("one_bit");
    static constexpr std::int64_t kNumbers = 1, kBelow = 2;
    static constexpr bool kOfTrain = false;
};
struct TwoBitsOfTrain : FewNumbers<TwoBitsOfTrain> {
    static constexpr l2o::About about = Bowl::about_as("two_bits_of_train");
    static constexpr std::int64_t kNumbers = 1, kBelow = 4;
    static constexpr bool kOfTrain = true;
};

// Test instance i is training instance i + 8.
struct ShiftsSplits : Bowl {
    static constexpr l2o::About about = about_as("shifts_splits");
    template <class T>
    void sample(const l2o::Draw& draw, const l2o::DataOut<T>& data) const {
        const bool is_test = draw.split == L2O_SPLIT_TEST;
        Bowl::sample(l2o::Draw{draw.call,
                               is_test ? L2O_SPLIT_TRAIN : draw.split,
                               draw.first + (is_test ? 8 : 0),
                               draw.count},
                     data);
    }
};

}  // namespace

L2O_PLUGIN(l2o::Optimizee<ClaimsSoundly>,
           l2o::Optimizee<WritesShared>,
           l2o::Optimizee<ReadsSolution>,
           l2o::Optimizee<SharedBySplit>,
           l2o::Optimizee<SharedByCount>,
           l2o::Optimizee<InstancesByCount>,
           l2o::Optimizee<WrongGradientOfPopulations>,
           l2o::Optimizee<WrongHvpOfPopulations>,
           l2o::Optimizee<WrongMetricsOfPopulations>,
           l2o::Optimizee<ProxOfF>,
           l2o::Optimizee<ProxOfThree>,
           l2o::Optimizee<MetricOfNone>,
           l2o::Optimizee<SlopeOfNone>,
           l2o::Optimizee<StartsOutside>,
           l2o::Optimizee<BoundsTurned>,
           l2o::Optimizee<CostsNoNumber>,
           l2o::Optimizee<OptimumTooHigh>,
           l2o::Optimizee<OptimumABitTooHigh>,
           l2o::Optimizee<FewIntegers>,
           l2o::Optimizee<OneBit>,
           l2o::Optimizee<TwoBitsOfTrain>,
           l2o::Optimizee<ShiftsSplits>)
