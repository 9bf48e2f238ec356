#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "framework/check/checks.hpp"
#include "framework/check/cotangents.hpp"
#include "framework/check/optimizer_bench.hpp"
#include "framework/check/rounding.hpp"

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

void expect_near(Gradient& got, Gradient& want, const std::string& what) {
    const auto a = got.sets(), b = want.sets();
    for (std::size_t i = 0; i < a.size(); ++i) expect_near(*a[i], *b[i], what);
}

std::unique_ptr<OptimizerBench> learned_bench(const Subject& subject) {
    auto bench = float64_bench<OptimizerBench>(subject);
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

    /// What a Gradient is by, in its order.
    [[nodiscard]] std::vector<GuardedSet*> inputs() {
        return {&step.params, &step.state, &step.x, &step.g, &step.f, &step.q, &step.qg, &step.qf};
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

void check_init_state_vjp(const OptimizerBench& bench, Said& said) {
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
    check_slopes(who, "params", init.params, params, phi, said);
    check_slopes(who, "x", init.x, x, phi, said);
}

void check_step_vjp(const OptimizerBench& bench, const Moment& moment, Said& said) {
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
        check_slopes(
            who, name, inputs, derivative, [&] { return vjp.phi(); }, said);
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
void check_batch_vjp(const Subject& subject, std::int64_t many) {
    const OptimizerBench bench(subject, Dtype::kF64, many);
    const Moment moment = prepared(bench, bench.moments().back());
    StepVjp whole(bench.optimizer(), moment);
    Gradient together = whole.zero_gradient(), sum = whole.zero_gradient();
    whole.add_to(together);
    for (std::int64_t row = 0; row < many; ++row) {
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
                    const std::int64_t at = has_rows ? (k / n * many + row) * n + k % n : k;
                    set(to, at, to.value(at) + from.value(k));
                }
            }
        }
    }
    expect_near(
        together, sum, fmt::format("step_vjp of {} of {} rows, and of each alone,", whole.step.name(), many));
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

/// Whether two derivatives by an input promise the same outputs, to the rounding of float32, however far it
/// goes: where what an input leads to is saturated, the derivative is a rounding error of 1 - sigma times a
/// slope that may be large, and no movement of the inputs changes it.
bool is_negligible(const Tensor& input, const Tensor& one, const Tensor& other, double size_of_outputs) {
    constexpr double kShare = 2e-5, kOfRms = 1e-3;
    double square = 0, promised = 0;
    for (std::int64_t k = 0; k < input.size(); ++k) square += input.value(k) * input.value(k);
    const double rms = std::sqrt(square / static_cast<double>(std::max<std::int64_t>(input.size(), 1)));
    for (std::int64_t k = 0; k < input.size(); ++k) {
        const double own = std::abs(input.value(k)), way = own > 0 ? own : rms > 0 ? kOfRms * rms : 1;
        promised += std::abs(one.value(k) - other.value(k)) * way;
    }
    return promised <= kShare * size_of_outputs;
}

/// The derivative in float32 is the one in float64, to rounding. @return whether there was one to compare.
bool check_float32_vjp(const Subject& subject, const OptimizerBench& bench) {
    const std::vector<Dtype> offered = dtypes(subject);
    if (offered.front() != Dtype::kF32 || (bench.flags() & L2O_FLAG_STOCHASTIC) != 0) return true;
    bool is_compared = false;
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
        if (!are_comparable(one.step, other.step)) continue;
        is_compared = true;
        one.set_cotangents(1), other.set_cotangents(1);
        Gradient want = one.zero_gradient(), got = other.zero_gradient();
        one.add_to(want), other.add_to(got);
        // What cancels on the way (1 - sigma of a saturated gate) is off by its share of the largest number.
        const double floor = std::max(1e-3, 1e-2 * largest_of(want));
        const std::vector<GuardedSet*> inputs = one.inputs();
        const auto compute = [&] {
            got.fill_with(0);
            other.step.run();
            other.add_to(got);
        };
        const auto excuses = [&](std::size_t s, std::size_t i) {
            return is_negligible((*inputs[s])[i], (*got.sets()[s])[i], (*want.sets()[s])[i], one.phi().size);
        };
        const std::string text = difference_beyond_rounding(
            got.sets(), want.sets(), 1e-3, floor, other.step.inputs(), kRoundingOfFloat32, compute, excuses);
        if (!text.empty())
            throw Broken(fmt::format("step_vjp of {}, in float32 and float64: {}", one.step.name(), text));
    }
    return is_compared;
}

}  // namespace

std::string check_optimizer_vjp(const Subject& subject) {
    const auto bench = learned_bench(subject);
    Said said;
    for (const Moment& moment : bench->moments()) check_step_vjp(*bench, prepared(*bench, moment), said);
    constexpr std::int64_t kMany = 37, kMost = 131;
    check_batch_vjp(subject, kMany);
    if (subject.thorough) check_batch_vjp(subject, kMost);
    const bool is_compared = check_float32_vjp(subject, *bench);
    check_init_state_vjp(*bench, said);
    const char* alone = is_compared ? "" : "in float64 alone: no step decides the same in float32";
    return seen(*bench, joined({said.text().c_str(), alone}));
}

std::string check_optimizer_vjp_sums(const Subject& subject) {
    const auto bench = learned_bench(subject);
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
    return seen(*bench);
}

}  // namespace l2o::framework
