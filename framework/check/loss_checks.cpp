#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "framework/check/checks.hpp"
#include "framework/check/cotangents.hpp"
#include "framework/check/loss_bench.hpp"
#include "framework/check/rounding.hpp"

namespace l2o::framework {
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
    Said said;
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
        check_slopes(vjp.name(), "f", vjp.eval.f, gradient.f, phi, said);
        check_slopes(vjp.name(), "x", vjp.eval.x, gradient.x, phi, said);
        check_slopes(vjp.name(), "g", vjp.eval.g, gradient.g, phi, said);
    }
    check_batch_of_loss(subject);
    check_float32_of_loss(subject, *bench);
    return said.text();
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
