#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "framework/check/checks.hpp"
#include "framework/check/loss_bench.hpp"
#include "framework/check/optimizer_bench.hpp"
#include "framework/check/rounding.hpp"
#include "framework/check/slopes.hpp"

namespace l2o::framework {
namespace {

/// Cotangents, and what a vjp adds them up to: one tensor per input, absent where none is asked for.
struct Gradient {
    GuardedSet params, state, x, g, f, q, qg, qf;

    [[nodiscard]] std::vector<GuardedSet*> sets() { return {&params, &state, &x, &g, &f, &q, &qg, &qf}; }
    void fill_with(double value) {
        for (GuardedSet* one : sets()) {
            for (std::size_t i = 0; i < one->size(); ++i) {
                if (!(*one)[i]) continue;
                for (std::int64_t k = 0; k < (*one)[i].size(); ++k) set((*one)[i], k, value);
            }
        }
    }
};

GuardedSet zeros_like(const GuardedSet& like) {
    GuardedSet out;
    for (std::size_t i = 0; i < like.size(); ++i) {
        // A counter of a state has no derivative.
        if (like[i] && is_real(like[i].dtype())) {
            out.add("cotangent of " + like.name(i), like[i].dtype(), like[i].shape());
        } else {
            out.add_absent(like.name(i));
        }
    }
    return out;
}

GuardedSet random_like(const GuardedSet& like, std::uint64_t index) {
    GuardedSet out = zeros_like(like);
    for (std::size_t i = 0; i < out.size(); ++i) {
        if (!out[i]) continue;
        const std::vector<double> draws = normals(out[i].size(), index + i);
        for (std::int64_t k = 0; k < out[i].size(); ++k) set(out[i], k, draws[static_cast<std::size_t>(k)]);
    }
    return out;
}

/// to = factor from + other add
void copy(const GuardedSet& from,
          GuardedSet& to,
          double factor = 1,
          double other = 0,
          const GuardedSet* add = nullptr) {
    for (std::size_t i = 0; i < from.size(); ++i) {
        if (!from[i]) continue;
        for (std::int64_t k = 0; k < from[i].size(); ++k)
            set(to[i], k, factor * from[i].value(k) + (add == nullptr ? 0 : other * (*add)[i].value(k)));
    }
}

void add_products(const GuardedSet& a, const GuardedSet& b, Sum& sum) {
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (!a[i] || !b[i]) continue;
        for (std::int64_t k = 0; k < b[i].size(); ++k) sum.add(a[i].value(k) * b[i].value(k));
    }
}

/// |a - b| against the size of the whole set of numbers: they were added up in different orders.
void expect_near(const GuardedSet& got, const GuardedSet& want, const std::string& what) {
    for (std::size_t i = 0; i < got.size(); ++i) {
        if (!got[i] || !want[i] || got.in()[i] == nullptr) continue;
        double size = 0;
        for (std::int64_t k = 0; k < want[i].size(); ++k) size = std::max(size, std::abs(want[i].value(k)));
        for (std::int64_t k = 0; k < want[i].size(); ++k) {
            if (!(std::abs(got[i].value(k) - want[i].value(k)) <= 1e-9 * (size + 1)))
                throw Broken(fmt::format("{}: element {} of the {} is {:.12g}; expected {:.12g}",
                                         what,
                                         k,
                                         got.name(i),
                                         got[i].value(k),
                                         want[i].value(k)));
        }
    }
}

void expect_near(Gradient& got, Gradient& want, const std::string& what) {
    const auto a = got.sets(), b = want.sets();
    for (std::size_t i = 0; i < a.size(); ++i) expect_near(*a[i], *b[i], what);
}

std::unique_ptr<OptimizerBench> float64_bench(const Subject& subject) {
    const std::vector<Dtype> offered = dtypes(subject);
    if (std::find(offered.begin(), offered.end(), Dtype::kF64) == offered.end())
        throw NotApplicable("does not compute in float64");
    auto bench = std::make_unique<OptimizerBench>(subject, Dtype::kF64);
    if (bench->optimizer().vjp() == nullptr) throw NotApplicable("has no derivative");
    return bench;
}

/// A moment where differences can be taken: with numbers for NaN where an answer was not wanted, away from
/// the start's parameters, where many derivatives are zero and many kinks are, and away from x where
/// iterations have converged.
Moment prepared(const OptimizerBench& bench, const Moment& moment) {
    constexpr double kMoved = 0.1;
    Moment out = moment.clone();
    out.spoil(0.25);
    for (std::size_t i = 0; i < out.params.size(); ++i) {
        Tensor& param = out.params[i];
        if (has(*bench.optimizer().params()[i], L2O_SPEC_DERIVED) || !is_real(param.dtype())) continue;
        double square = 0;
        for (std::int64_t k = 0; k < param.size(); ++k) square += param.value(k) * param.value(k);
        const double rms = std::sqrt(square / static_cast<double>(std::max<std::int64_t>(param.size(), 1)));
        const std::vector<double> draws = normals(param.size(), 500 + i);
        for (std::int64_t k = 0; k < param.size(); ++k) {
            const double value = param.value(k), size = value != 0 ? std::abs(value)
                                                        : rms > 0  ? 0.1 * rms
                                                                   : 0.1;
            set(param, k, value + kMoved * size * draws[static_cast<std::size_t>(k)]);
        }
    }
    for (std::size_t k = 0; k < out.x.size() && moment.t > 0; ++k) {
        const std::vector<double> draws = normals(out.x[k].size(), 600 + k);
        for (std::int64_t i = 0; i < out.x[k].size(); ++i)
            set(out.x[k], i, out.x[k].value(i) + kMoved * draws[static_cast<std::size_t>(i)]);
    }
    return out;
}

/// step_vjp at one moment.
class StepVjp {
  public:
    StepVjp(const Optimizer& optimizer, const Moment& moment)
        : optimizer_(optimizer), step(optimizer, moment) {
        step.run();
        set_cotangents(1);
    }

    void set_cotangents(std::uint64_t index) {
        state_cot = random_like(step.state_out, index * 7919);
        x_cot = random_like(step.x_out, index * 7919 + 100);
        q_cot = random_like(step.q_out, index * 7919 + 200);
        // While questions are open nobody takes x', afterwards there is no question.
        for (std::size_t k = 0; k < x_cot.size(); ++k)
            if (step.n_questions() > 0) x_cot.hide(k);
        for (std::size_t k = 0; k < q_cot.size(); ++k) {
            if (step.n_questions() == 0) q_cot.hide(k);
            // What is not wanted is not evaluated.
            const std::int64_t n = step.q_wanted[0].size(), size = q_cot[k].size() / n;
            for (std::int64_t i = 0; i < q_cot[k].size(); ++i)
                if (step.q_wanted[0].value(i / size) == 0) set(q_cot[k], i, 0);
        }
    }

    [[nodiscard]] Gradient zero_gradient() const {
        Gradient out{.params = zeros_like(step.params),
                     .state = zeros_like(step.state),
                     .x = zeros_like(step.x),
                     .g = zeros_like(step.g),
                     .f = zeros_like(step.f),
                     .q = zeros_like(step.q),
                     .qg = zeros_like(step.qg),
                     .qf = zeros_like(step.qf)};
        for (std::size_t i = 0; i < out.params.size(); ++i)
            if (has(*optimizer_.params()[i], L2O_SPEC_DERIVED)) out.params.hide(i);
        return out;
    }

    /// @param with_out  the plugin gets what its step wrote, too.
    void add_to(Gradient& gradient, bool with_out = false) {
        const std::vector<l2o_tensor*> nothing(std::max(
            {step.x.size(), step.params.size(), step.state.size(), step.data.size(), std::size_t{1}}));
        const l2o_step_in in = step.step_in();
        l2o_step_out out{};
        out.state = step.state_out.out();
        out.x = step.x_out.out();
        const l2o_step_cot cot{
            .state = state_cot.in(), .x = x_cot.in(), .q = q_cot.empty() ? nullptr : q_cot.in()};
        const l2o_step_acc acc{.params = gradient.params.out(),
                               .state = gradient.state.out(),
                               .x = gradient.x.out(),
                               .g = gradient.g.empty() ? nothing.data() : gradient.g.out(),
                               .f = gradient.f.out()[0],
                               .q = gradient.q.empty() ? nothing.data() : gradient.q.out(),
                               .qg = gradient.qg.empty() ? nothing.data() : gradient.qg.out(),
                               .qf = gradient.qf.out()[0]};
        GuardedCall context(step.key, step.row0, step.scratch_bytes);
        context.poison(std::byte{0xFF});
        const l2o_status status = optimizer_.vjp()->step_vjp(
            optimizer_.raw(), context.get(), &in, with_out ? &out : nullptr, &cot, &acc);
        const std::string who = "step_vjp of " + step.name();
        if (status != L2O_STATUS_OK)
            throw Broken(fmt::format("{}: returned status {}: {}", who, status, context.text()));
        for (const GuardedSet* one : gradient.sets()) {
            if (const std::string text = one->overrun(); !text.empty()) throw Broken(who + ": " + text);
        }
        if (const std::string text = context.overrun(); !text.empty()) throw Broken(who + ": " + text);
    }

    /// <cotangents, outputs>, of the step run again.
    Sum phi() {
        step.run();
        Sum sum;
        add_products(state_cot, step.state_out, sum);
        add_products(x_cot, step.x_out, sum);
        add_products(q_cot, step.q_out, sum);
        return sum;
    }

  private:
    const Optimizer& optimizer_;

  public:
    StepCase step;
    GuardedSet state_cot, x_cot, q_cot;
};

/// The pairs of a set of inputs and their derivatives that are wanted.
std::vector<Slope> slopes_of(GuardedSet& inputs, const GuardedSet& gradient) {
    std::vector<Slope> out;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        if (inputs[i] && gradient.in()[i] != nullptr) out.push_back({&inputs[i], &gradient[i]});
    }
    return out;
}

void check_init_state_vjp(const OptimizerBench& bench) {
    const auto init_state_vjp = bench.optimizer().vjp()->init_state_vjp;
    InitStateCase init(bench.optimizer(), bench.start());
    init.run();
    GuardedSet cot = random_like(init.state_out, 31);
    GuardedSet params = zeros_like(init.params), x = zeros_like(init.x);
    for (std::size_t i = 0; i < params.size(); ++i)
        if (has(*bench.optimizer().params()[i], L2O_SPEC_DERIVED)) params.hide(i);
    if (init_state_vjp != nullptr) {
        const std::vector<l2o_tensor*> nothing(
            std::max({init.state_out.size(), init.x.size(), init.data.size(), std::size_t{1}}));
        const l2o_step_in in = init.step_in();
        const l2o_step_acc acc{.params = params.out(),
                               .state = nothing.data(),
                               .x = x.out(),
                               .g = nothing.data(),
                               .f = nullptr,
                               .q = nullptr,
                               .qg = nullptr,
                               .qf = nullptr};
        GuardedCall context(init.key, init.row0, init.scratch_bytes);
        const l2o_status status = init_state_vjp(bench.optimizer().raw(), context.get(), &in, cot.in(), &acc);
        if (status != L2O_STATUS_OK)
            throw Broken(fmt::format("init_state_vjp: returned status {}: {}", status, context.text()));
    }
    const auto phi = [&] {
        init.run();
        Sum sum;
        add_products(cot, init.state_out, sum);
        return sum;
    };
    const std::string who = init_state_vjp == nullptr ? "init_state_vjp, which is NULL," : "init_state_vjp";
    if (!init.params.empty()) check_slopes(who + " by params", slopes_of(init.params, params), phi);
    check_slopes(who + " by x", slopes_of(init.x, x), phi);
}

void check_step_vjp(const OptimizerBench& bench, const Moment& moment) {
    StepVjp vjp(bench.optimizer(), moment);
    Gradient gradient = vjp.zero_gradient();
    vjp.add_to(gradient);
    const std::string who = "step_vjp of " + vjp.step.name();
    if (bench.optimizer().info().max_questions == 0) {
        Gradient with_out = vjp.zero_gradient();
        vjp.add_to(with_out, true);
        expect_near(with_out, gradient, who + " gives another result with the step's own outputs");
    }
    const auto check = [&](const char* name, GuardedSet& inputs, const GuardedSet& derivative) {
        const std::vector<Slope> slopes = slopes_of(inputs, derivative);
        if (!slopes.empty()) check_slopes(who + " by " + name, slopes, [&] { return vjp.phi(); });
    };
    check("params", vjp.step.params, gradient.params);
    // The first state is a constant where init_state has no derivative: often zeros, which are the edge of a
    // square.
    if (moment.t > 0 || bench.optimizer().vjp()->init_state_vjp != nullptr)
        check("state", vjp.step.state, gradient.state);
    // From x_0 = 0 nothing comes back: the start is no result of anything learned.
    if (moment.t > 0 || (bench.flags() & L2O_OPTIMIZER_STARTS_AT_ZERO) == 0)
        check("x", vjp.step.x, gradient.x);
    check("g", vjp.step.g, gradient.g);
    check("f", vjp.step.f, gradient.f);
    check("q", vjp.step.q, gradient.q);
    check("qg", vjp.step.qg, gradient.qg);
    check("qf", vjp.step.qf, gradient.qf);
}

}  // namespace

namespace {

/// Rows of a derivative by what has rows are those of the rows alone; by parameters it is their sum.
void check_batch_vjp(const Subject& subject) {
    constexpr std::int64_t kMany = 37;
    const OptimizerBench bench(subject, Dtype::kF64, kMany);
    const Moment moment = prepared(bench, bench.moments().back());
    StepVjp whole(bench.optimizer(), moment);
    Gradient together = whole.zero_gradient(), sum = whole.zero_gradient();
    whole.add_to(together);
    for (std::int64_t row = 0; row < kMany; ++row) {
        StepVjp alone(bench.optimizer(), bench.rows_of(moment, {row}));
        alone.step.row0 = static_cast<std::uint64_t>(row);
        alone.step.run();
        const auto take = [&](const GuardedSet& from, GuardedSet& to, std::size_t axis) {
            for (std::size_t i = 0; i < to.size(); ++i) {
                if (!to[i] || from[i].shape() == to[i].shape()) continue;
                const Tensor part = gather(from[i], axis, {row});
                std::memcpy(to[i].data(), part.data(), static_cast<std::size_t>(part.bytes()));
            }
        };
        take(whole.state_cot, alone.state_cot, 0);
        take(whole.x_cot, alone.x_cot, 0);
        take(whole.q_cot, alone.q_cot, 1);
        if (alone.step.n_questions() != whole.step.n_questions()) return;  // of a later round: it is done
        Gradient part = alone.zero_gradient();
        alone.add_to(part);
        const auto sums = sum.sets(), parts = part.sets();
        for (std::size_t s = 0; s < sums.size(); ++s) {
            for (std::size_t i = 0; i < sums[s]->size(); ++i) {
                if (!(*sums[s])[i] || !(*parts[s])[i]) continue;
                Tensor& to = (*sums[s])[i];
                const Tensor& from = (*parts[s])[i];
                const bool has_rows = from.shape() != to.shape();
                // [B, ...], or [K, B, ...] of q, qg and qf
                const std::int64_t questions = s >= 5 ? from.shape()[0] : 1, n = from.size() / questions;
                for (std::int64_t k = 0; k < from.size(); ++k) {
                    const std::int64_t at = has_rows ? (k / n * kMany + row) * n + k % n : k;
                    set(to, at, to.value(at) + from.value(k));
                }
            }
        }
    }
    expect_near(together,
                sum,
                fmt::format("step_vjp of {} of {} rows, and of each alone,", whole.step.name(), kMany));
}

double largest_of(Gradient& gradient) {
    double largest = 0;
    for (const GuardedSet* set : gradient.sets())
        for (std::size_t i = 0; i < set->size(); ++i)
            for (std::int64_t k = 0; (*set)[i] && k < (*set)[i].size(); ++k)
                if (std::isfinite((*set)[i].value(k)))
                    largest = std::max(largest, std::abs((*set)[i].value(k)));
    return largest;
}

/// The derivative in float32 is the one in float64, to rounding.
void check_float32_vjp(const Subject& subject, const OptimizerBench& bench) {
    const std::vector<Dtype> offered = dtypes(subject);
    if (offered.front() != Dtype::kF32 || (bench.flags() & L2O_FLAG_STOCHASTIC) != 0) return;
    const OptimizerBench narrow(subject, Dtype::kF32);
    const std::vector<Moment>&in_float64 = bench.moments(), &in_float32 = narrow.moments();
    for (std::size_t m = 0; m < std::min(in_float64.size(), in_float32.size()); ++m) {
        StepVjp other(narrow.optimizer(), prepared(narrow, in_float32[m])),
            one(bench.optimizer(), prepared(bench, in_float64[m]));
        const auto from = other.step.inputs();
        const auto to = one.step.inputs();
        bool is_twin = one.step.name() == other.step.name();
        for (std::size_t s = 0; is_twin && s < from.size(); ++s) is_twin = take_numbers(*from[s], *to[s]);
        if (!is_twin) continue;
        one.step.run(), other.step.run();
        if (!difference(one.step.q_wanted, other.step.q_wanted).empty()) continue;
        one.set_cotangents(1), other.set_cotangents(1);
        Gradient want = one.zero_gradient(), got = other.zero_gradient();
        one.add_to(want), other.add_to(got);
        // What cancels on the way (1 - sigma of a saturated gate) is off by its share of the largest number.
        const double floor = std::max(1e-3, 1e-2 * largest_of(want));
        const std::string text = difference_beyond_rounding(
            got.sets(), want.sets(), 1e-3, floor, other.step.inputs(), kRoundingOfFloat32, [&] {
                got.fill_with(0);
                other.step.run();
                other.add_to(got);
            });
        if (!text.empty())
            throw Broken(fmt::format("step_vjp of {}, in float32 and float64: {}", one.step.name(), text));
    }
}

}  // namespace

std::string check_optimizer_vjp(const Subject& subject) {
    const auto bench = float64_bench(subject);
    for (const Moment& moment : bench->moments()) check_step_vjp(*bench, prepared(*bench, moment));
    check_batch_vjp(subject);
    check_float32_vjp(subject, *bench);
    check_init_state_vjp(*bench);
    return "";
}

std::string check_optimizer_vjp_sums(const Subject& subject) {
    const auto bench = float64_bench(subject);
    for (const Moment& moment : bench->moments()) {
        StepVjp vjp(bench->optimizer(), prepared(*bench, moment));
        const std::string who = "step_vjp of " + vjp.step.name();
        Gradient first = vjp.zero_gradient();
        vjp.add_to(first);

        Gradient onto = vjp.zero_gradient(), want = vjp.zero_gradient();
        constexpr double kThere = 0.5;
        onto.fill_with(kThere);
        vjp.add_to(onto);
        const auto wanted = want.sets(), ones = first.sets();
        want.fill_with(kThere);
        for (std::size_t i = 0; i < wanted.size(); ++i) copy(*wanted[i], *wanted[i], 1, 1, ones[i]);
        expect_near(onto, want, who + " does not add to what is there");

        // c1 + 2 c2
        GuardedSet state1 = zeros_like(vjp.state_cot), x1 = zeros_like(vjp.x_cot), q1 = zeros_like(vjp.q_cot);
        copy(vjp.state_cot, state1), copy(vjp.x_cot, x1), copy(vjp.q_cot, q1);
        vjp.set_cotangents(2);
        Gradient second = vjp.zero_gradient();
        vjp.add_to(second);
        copy(vjp.state_cot, vjp.state_cot, 2, 1, &state1);
        copy(vjp.x_cot, vjp.x_cot, 2, 1, &x1);
        copy(vjp.q_cot, vjp.q_cot, 2, 1, &q1);
        Gradient both = vjp.zero_gradient(), sum = vjp.zero_gradient();
        vjp.add_to(both);
        const auto sums = sum.sets(), seconds = second.sets();
        for (std::size_t i = 0; i < sums.size(); ++i) copy(*ones[i], *sums[i], 1, 2, seconds[i]);
        expect_near(both, sum, who + " is not linear in the cotangent");

        // Without one entry the others are the same.
        for (std::size_t s = 0; s < ones.size(); ++s) {
            for (std::size_t i = 0; i < ones[s]->size(); ++i) {
                Gradient less = vjp.zero_gradient();
                GuardedSet& hidden = *less.sets()[s];
                if (hidden.in()[i] == nullptr) continue;
                hidden.hide(i);
                vjp.add_to(less);
                expect_near(less, both, who + " with a NULL accumulator '" + hidden.name(i) + "'");
            }
        }
        // A NULL cotangent is a zero one.
        for (GuardedSet* cot : {&vjp.state_cot, &vjp.x_cot}) {
            for (std::size_t i = 0; i < cot->size(); ++i) {
                if (cot->in()[i] == nullptr) continue;
                (*cot)[i].zero();
                Gradient with_zero = vjp.zero_gradient(), with_null = vjp.zero_gradient();
                vjp.add_to(with_zero);
                cot->hide(i);
                vjp.add_to(with_null);
                expect_near(with_null, with_zero, who + " with a NULL '" + cot->name(i) + "'");
            }
        }
    }
    return "";
}

namespace {

/// What a vjp of a loss adds to.
struct LossGradient {
    GuardedSet f, x, g;

    [[nodiscard]] std::vector<GuardedSet*> sets() { return {&f, &x, &g}; }
};

/// vjp of a loss on one trajectory.
class LossVjp {
  public:
    LossVjp(const LossBench& bench, LossCase& trajectory)
        : loss_(bench.loss()), blocks_(bench.optimizee().blocks().size()), eval(trajectory) {
        eval.run();
        cot = random_like(eval.per_row, 1);
    }

    [[nodiscard]] LossGradient zero() const {
        return {zeros_like(eval.f), zeros_like(eval.x), zeros_like(eval.g)};
    }
    [[nodiscard]] std::string name() const { return "vjp" + eval.name().substr(std::strlen("eval")); }

    /// @param with_entries  a host that wants nothing of x or g says so with entries, not without the array.
    void add_to(LossGradient& result, bool with_entries = false) {
        const std::vector<l2o_tensor*> nothing(blocks_);
        const auto wanted = [&](const GuardedSet& set) {
            return !set.empty() ? set.out() : with_entries ? nothing.data() : nullptr;
        };
        const l2o_trajectory points = eval.trajectory();
        const l2o_trajectory_acc acc{.f = result.f.out()[0], .x = wanted(result.x), .g = wanted(result.g)};
        GuardedCall context(eval.key, eval.row0, 0);
        const l2o_status status = loss_.api().vjp(loss_.raw(), context.get(), &points, cot.in()[0], &acc);
        if (status != L2O_STATUS_OK)
            throw Broken(fmt::format("{}: returned status {}: {}", name(), status, context.text()));
        for (const GuardedSet* one : result.sets()) {
            if (const std::string text = one->overrun(); !text.empty()) throw Broken(name() + ": " + text);
        }
    }

  private:
    const Loss& loss_;
    std::size_t blocks_;

  public:
    LossCase& eval;
    GuardedSet cot;
};

std::unique_ptr<LossBench> float64_loss(const Subject& subject) {
    const std::vector<Dtype> offered = dtypes(subject);
    if (std::find(offered.begin(), offered.end(), Dtype::kF64) == offered.end())
        throw NotApplicable("does not compute in float64");
    auto bench = std::make_unique<LossBench>(subject, Dtype::kF64);
    if (bench->loss().api().vjp == nullptr) throw NotApplicable("has no derivative");
    return bench;
}

/// Row by row the derivative is that of the row alone.
void check_batch_of_loss(const Subject& subject) {
    constexpr std::int64_t kMany = 37;
    const LossBench bench(subject, Dtype::kF64, kMany);
    const auto together = bench.trajectories(all_rows(kMany));
    for (const std::int64_t row : {std::int64_t{0}, kMany / 2, kMany - 1}) {
        const auto alone = bench.trajectories({row});
        for (std::size_t i = 0; i < together.size(); ++i) {
            alone[i]->row0 = static_cast<std::uint64_t>(row);
            LossVjp whole(bench, *together[i]), part(bench, *alone[i]);
            set(part.cot[0], 0, whole.cot[0].value(row));
            LossGradient all = whole.zero(), got = part.zero();
            whole.add_to(all), part.add_to(got);
            const auto alls = all.sets(), gots = got.sets();
            for (std::size_t s = 0; s < alls.size(); ++s) {
                GuardedSet want;
                for (std::size_t k = 0; k < alls[s]->size(); ++k)
                    want.add(alls[s]->name(k), gather((*alls[s])[k], 1, {row}));
                expect_near(
                    *gots[s], want, fmt::format("{}, of row {} of {} alone", whole.name(), row, kMany));
            }
        }
    }
}

/// In float32 the derivative is that in float64, to rounding.
void check_float32_of_loss(const Subject& subject, const LossBench& wide) {
    if (dtypes(subject).front() != Dtype::kF32) return;
    const LossBench narrow(subject, Dtype::kF32);
    const auto ones = wide.trajectories(all_rows(wide.batch())),
               others = narrow.trajectories(all_rows(wide.batch()));
    for (std::size_t i = 0; i < std::min(ones.size(), others.size()); ++i) {
        bool is_twin = ones[i]->name() == others[i]->name();
        for (std::size_t s = 0; is_twin && s < ones[i]->inputs().size(); ++s)
            is_twin = take_numbers(*others[i]->inputs()[s], *ones[i]->inputs()[s]);
        if (!is_twin) continue;
        LossVjp one(wide, *ones[i]), other(narrow, *others[i]);
        LossGradient want = one.zero(), got = other.zero();
        one.add_to(want), other.add_to(got);
        const std::string text = difference_beyond_rounding(
            got.sets(), want.sets(), 1e-3, 1e-3, other.eval.inputs(), kRoundingOfFloat32, [&] {
                for (GuardedSet* set : got.sets()) set->fill(std::byte{0});
                other.eval.run();
                other.add_to(got);
            });
        if (!text.empty()) throw Broken(fmt::format("{}, in float32 and float64: {}", one.name(), text));
    }
}

}  // namespace

std::string check_loss_vjp(const Subject& subject) {
    const auto bench = float64_loss(subject);
    for (const auto& trajectory : bench->trajectories(all_rows(bench->batch()))) {
        LossVjp vjp(*bench, *trajectory);
        LossGradient gradient = vjp.zero();
        vjp.add_to(gradient);
        const auto phi = [&] {
            vjp.eval.run();
            Sum sum;
            add_products(vjp.cot, vjp.eval.per_row, sum);
            return sum;
        };
        if (vjp.eval.f[0]) check_slopes(vjp.name() + " by f", slopes_of(vjp.eval.f, gradient.f), phi);
        if (!vjp.eval.x.empty()) check_slopes(vjp.name() + " by x", slopes_of(vjp.eval.x, gradient.x), phi);
        if (!vjp.eval.g.empty()) check_slopes(vjp.name() + " by g", slopes_of(vjp.eval.g, gradient.g), phi);
    }
    check_batch_of_loss(subject);
    check_float32_of_loss(subject, *bench);
    return "";
}

std::string check_loss_vjp_sums(const Subject& subject) {
    const auto bench = float64_loss(subject);
    for (const auto& trajectory : bench->trajectories(all_rows(bench->batch()))) {
        LossVjp vjp(*bench, *trajectory);
        const std::string who = vjp.name();
        const auto expect = [](LossGradient& got, LossGradient& want, const std::string& what) {
            const auto gots = got.sets(), wants = want.sets();
            for (std::size_t s = 0; s < gots.size(); ++s) expect_near(*gots[s], *wants[s], what);
        };
        LossGradient first = vjp.zero(), twice = vjp.zero(), want = vjp.zero(), with_entries = vjp.zero();
        vjp.add_to(first);
        vjp.add_to(twice);
        vjp.add_to(twice);
        vjp.add_to(with_entries, true);
        const auto combine = [](LossGradient& to, LossGradient& a, double factor, LossGradient& b) {
            const auto tos = to.sets(), as = a.sets(), bs = b.sets();
            for (std::size_t s = 0; s < tos.size(); ++s) copy(*as[s], *tos[s], 1, factor, bs[s]);
        };
        combine(want, first, 1, first);
        expect(twice, want, who + " does not add to what is there");
        expect(with_entries, first, who + " with NULL entries in place of NULL arrays");

        GuardedSet kept = zeros_like(vjp.cot);
        copy(vjp.cot, kept);
        vjp.cot = random_like(vjp.eval.per_row, 2);
        LossGradient second = vjp.zero(), both = vjp.zero(), sum = vjp.zero();
        vjp.add_to(second);
        copy(vjp.cot, vjp.cot, 2, 1, &kept);
        vjp.add_to(both);
        combine(sum, first, 2, second);
        expect(both, sum, who + " is not linear in the cotangent");

        LossGradient none = vjp.zero();
        for (GuardedSet* set : none.sets())
            for (std::size_t i = 0; i < set->size(); ++i) set->hide(i);
        vjp.add_to(none);
    }
    return "";
}

std::string check_additive(const Subject& subject) {
    const LossBench bench(subject, dtypes(subject).back());
    if (!bench.loss().is_additive()) throw NotApplicable("does not promise L2O_LOSS_ADDITIVE");
    const std::vector<std::int64_t> rows = all_rows(bench.batch());
    for (const auto& whole : bench.trajectories(rows)) {
        const l2o_trajectory points = whole->trajectory();
        const bool is_population = points.particles > 0;
        const std::int64_t last = points.t0 + points.len - 1;
        whole->run();
        for (std::int64_t at = points.t0 + 1; at < last; ++at) {
            // They share a point, which is the last of one and the start of the other.
            const auto first = bench.window(points.t0, at - points.t0 + 1, rows, is_population),
                       second = bench.window(at, last - at + 1, rows, is_population);
            first->run(), second->run();
            for (std::int64_t row = 0; row < bench.batch(); ++row) {
                const double want = whole->per_row[0].value(row),
                             got = first->per_row[0].value(row) + second->per_row[0].value(row);
                if (!(std::abs(got - want) <= 1e-4 * (1 + std::abs(want))))
                    throw Broken(
                        fmt::format("{}, row {}: {:.9g}; points {} .. {} and {} .. {} together {:.9g}",
                                    whole->name(),
                                    row,
                                    want,
                                    points.t0,
                                    at,
                                    at,
                                    last,
                                    got));
            }
        }
    }
    return "";
}

}  // namespace l2o::framework
