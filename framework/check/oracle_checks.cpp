// What an optimizee answers: f, g, Hessian products, proximal points, its optimum.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "framework/check/checks.hpp"
#include "framework/check/first_nan.hpp"
#include "framework/check/optimizee_bench.hpp"
#include "framework/check/rounding.hpp"
#include "framework/check/slopes.hpp"

namespace l2o::framework {
namespace {

double dot(const GuardedSet& a, const GuardedSet& b) {
    double sum = 0;
    for (std::size_t k = 0; k < a.size(); ++k) {
        for (std::int64_t i = 0; i < a[k].size(); ++i) sum += a[k].value(i) * b[k].value(i);
    }
    return sum;
}

}  // namespace

std::string check_finite_start(const Subject& subject) {
    const auto bench = optimizee_bench(subject);
    const std::vector<std::int64_t> rows = all_rows(bench->batch());
    const std::vector<Tensor> data = bench->solved_data_of(rows);
    StartCase start(bench->optimizee(), data, bench->batch());
    start.run();
    const std::vector<Tensor> x = start.x.clone();
    EvalCase eval(bench->optimizee(), x, data, 1, Oracle::kEval, {.f = true, .g = bench->has_gradient()});
    eval.run();
    for (const GuardedSet* set : {&start.x, &eval.f, &eval.g}) {
        for (std::size_t i = 0; i < set->size(); ++i) {
            if (const std::int64_t e = first_nan((*set)[i]); e >= 0)
                throw Broken(
                    fmt::format("element {} of {} is nan at a start; expected a number", e, set->name(i)));
        }
    }
    if (bench->optimizee().metrics().empty()) return "";
    MetricsCase metrics(bench->optimizee(), x, data, 1, true);
    metrics.run();
    for (std::size_t i = 0; i < metrics.metrics.size(); ++i) {
        const Tensor& metric = metrics.metrics[i];
        std::int64_t numbers = 0;
        for (std::int64_t e = 0; e < metric.size(); ++e) numbers += std::isnan(metric.value(e)) ? 0 : 1;
        if (metric.size() > 0 && numbers == 0)
            throw Broken(
                fmt::format("metric '{}' is nan at the start of every row; expected a number where "
                            "it is known",
                            metrics.metrics.name(i)));
    }
    return "";
}

std::string check_parts(const Subject& subject) {
    const auto bench = optimizee_bench(subject);
    if (!bench->has_gradient()) throw NotApplicable("has no gradient");
    const auto fused = bench->eval_case(Oracle::kEval), f = bench->eval_case(Oracle::kEval, {true, false}),
               g = bench->eval_case(Oracle::kEval, {false, true});
    fused->run(), f->run(), g->run();
    const double tolerance = bench->optimizee().dtype() == Dtype::kF64 ? 1e-12 : 1e-5;
    const auto compare = [&](const GuardedSet& one, const GuardedSet& other, const std::string& what) {
        for (std::size_t k = 0; k < one.size(); ++k) {
            double size = 0;
            for (std::int64_t i = 0; i < one[k].size(); ++i) size = std::max(size, std::abs(one[k].value(i)));
            for (std::int64_t i = 0; i < one[k].size(); ++i) {
                if (!(std::abs(one[k].value(i) - other[k].value(i)) <= tolerance * (1 + size)))
                    throw Broken(fmt::format("element {} of {} is {:.17g} with the other, {:.17g} alone",
                                             i,
                                             what,
                                             one[k].value(i),
                                             other[k].value(i)));
            }
        }
    };
    compare(fused->f, f->f, "f");
    compare(fused->g, g->g, "g");
    return "";
}

std::string check_particles(const Subject& subject) {
    constexpr std::int64_t kRows = 4;
    const auto bench = optimizee_bench(subject, kRows);
    const Optimizee& optimizee = bench->optimizee();
    if ((bench->flags() & L2O_FLAG_STOCHASTIC) != 0 && !is_any_batched(optimizee))
        throw NotApplicable("its instances have no data of their own");
    // Two instances with two rows each, and four instances.
    std::vector<Tensor> x;
    for (const Tensor& block : bench->x()) x.push_back(gather(block, 0, all_rows(kRows)));
    const auto compare = [&](Case& together, Case& apart) {
        const double rounding = optimizee.dtype() == Dtype::kF64 ? kRoundingOfFloat64 : kRoundingOfFloat32;
        together.run(), apart.run();
        const std::string text = difference_beyond_rounding(
            apart.outputs(), together.outputs(), 1e-5, 1, apart.inputs(), rounding, [&] { apart.run(); });
        if (!text.empty())
            throw Broken(
                fmt::format("{} with rows_per_instance 2, and of each row alone: {}", together.name(), text));
    };
    const std::vector<Tensor> two = bench->solved_data_of({0, 1});
    std::vector<Tensor> four;
    for (std::size_t i = 0; i < two.size(); ++i)
        four.push_back(has(*optimizee.data()[i], L2O_SPEC_BATCHED) ? gather(two[i], 0, {0, 0, 1, 1})
                                                                   : two[i].clone());
    const auto compare_evals = [&](Oracle oracle, EvalCase::Want want) {
        EvalCase together(optimizee, x, two, 2, oracle, want), apart(optimizee, x, four, 1, oracle, want);
        compare(together, apart);
    };
    compare_evals(Oracle::kEval, {true, false});
    if (bench->has_gradient()) compare_evals(Oracle::kEval, {true, true});
    if (bench->has_gradient()) compare_evals(Oracle::kEval, {false, true});
    for (const Oracle oracle : {Oracle::kHvp, Oracle::kProx})
        if (bench->has(oracle)) compare_evals(oracle, {});
    if (!optimizee.metrics().empty()) {
        MetricsCase together(optimizee, x, two, 2, true), apart(optimizee, x, four, 1, true);
        compare(together, apart);
    }
    return "";
}

std::string check_gradient(const Subject& subject) {
    const auto bench = float64_bench<OptimizeeBench>(subject);
    if (!bench->has_gradient()) throw NotApplicable("has no gradient");
    Said said;
    // Row by row: a gradient that is wrong in one row is not outvoted by the others.
    for (const std::int64_t row : some_rows(bench->batch())) {
        EvalCase fused(
            bench->optimizee(), row_of(bench->x(), row), bench->data_of({row}), 1, Oracle::kEval, {});
        EvalCase value(bench->optimizee(),
                       row_of(bench->x(), row),
                       bench->data_of({row}),
                       1,
                       Oracle::kEval,
                       {true, false});
        fused.row0 = value.row0 = static_cast<std::uint64_t>(row);
        fused.run();
        std::vector<Slope> slopes;
        for (std::size_t k = 0; k < value.x.size(); ++k) slopes.push_back({&value.x[k], &fused.g[k]});
        const bool is_said = check_slopes(fmt::format("g of row {}", row), slopes, [&] {
            value.run();
            Sum sum;
            sum.add(value.f[0].value(0));
            return sum;
        });
        said.add("x", is_said);
    }
    return said.text();
}

std::string check_hvp(const Subject& subject) {
    const auto bench = float64_bench<OptimizeeBench>(subject);
    if (!bench->has(Oracle::kHvp)) throw NotApplicable("has no hvp");
    if (!bench->has_gradient()) throw NotApplicable("has no gradient");
    Said said;
    for (const std::int64_t row : some_rows(bench->batch())) {
        const auto at_row = [&](Oracle oracle) {
            auto one = std::make_unique<EvalCase>(bench->optimizee(),
                                                  row_of(bench->x(), row),
                                                  bench->data_of({row}),
                                                  1,
                                                  oracle,
                                                  EvalCase::Want{});
            one->row0 = static_cast<std::uint64_t>(row);
            return one;
        };
        // d <w, g> = H w.
        const auto product = at_row(Oracle::kHvp), other = at_row(Oracle::kHvp),
                   gradient = at_row(Oracle::kEval);
        product->run();
        std::vector<Slope> slopes;
        for (std::size_t k = 0; k < gradient->x.size(); ++k)
            slopes.push_back({&gradient->x[k], &product->g[k]});
        const bool is_said = check_slopes(fmt::format("hvp of row {}", row), slopes, [&] {
            gradient->run();
            Sum sum;
            for (std::size_t k = 0; k < gradient->g.size(); ++k) {
                for (std::int64_t i = 0; i < gradient->g[k].size(); ++i)
                    sum.add(gradient->g[k].value(i) * product->v[k].value(i));
            }
            return sum;
        });
        said.add("x", is_said);
        for (std::size_t k = 0; k < other->v.size(); ++k) {
            const std::vector<double> draws = normals(other->v[k].size(), 500 + k);
            for (std::int64_t i = 0; i < other->v[k].size(); ++i)
                set(other->v[k], i, draws[static_cast<std::size_t>(i)]);
        }
        other->run();
        const double one = dot(product->g, other->v), two = dot(other->g, product->v);
        const double size = std::sqrt(dot(product->g, product->g) * dot(other->v, other->v));
        if (!(std::abs(one - two) <= 1e-9 * (1 + size)))
            throw Broken(fmt::format("row {}: w' H v is {:.12g}, v' H w is {:.12g}", row, one, two));
    }
    return said.text();
}

std::string check_prox(const Subject& subject) {
    const auto bench = optimizee_bench(subject);
    if (!bench->has(Oracle::kProx)) throw NotApplicable("has no prox");
    const double tolerance = bench->optimizee().dtype() == Dtype::kF64 ? 1e-9 : 1e-4;
    const auto one = bench->eval_case(Oracle::kProx), other = bench->eval_case(Oracle::kProx),
               again = bench->eval_case(Oracle::kProx);
    one->run();
    for (std::size_t k = 0; k < other->x.size(); ++k) {
        const std::vector<double> draws = normals(other->x[k].size(), 700 + k);
        for (std::int64_t i = 0; i < other->x[k].size(); ++i)
            set(other->x[k], i, other->x[k].value(i) + draws[static_cast<std::size_t>(i)]);
    }
    other->run();
    for (std::int64_t r = 0; r < bench->batch(); ++r) {
        const double tau = one->tau[0].value(r), next = 2.5 * tau;
        double apart = 0, aligned = 0;
        set(again->tau[0], r, next);
        for (std::size_t k = 0; k < one->x.size(); ++k) {
            const std::int64_t n = one->x[k].size() / bench->batch();
            for (std::int64_t i = r * n; i < (r + 1) * n; ++i) {
                const double u = one->g[k].value(i), w = other->g[k].value(i);
                apart += (u - w) * (u - w);
                aligned += (u - w) * (one->x[k].value(i) - other->x[k].value(i));
                // (x - u) / tau is a subgradient at u, whatever the step.
                set(again->x[k], i, u + next * (one->x[k].value(i) - u) / tau);
            }
        }
        // Moreau 1965: ||u - w||^2 <= <u - w, x - y>.
        if (!(apart <= aligned + tolerance * (1 + apart)))
            throw Broken(
                fmt::format("row {}: ||u - w||^2 is {:.9g}, <u - w, x - y> is {:.9g}", r, apart, aligned));
    }
    again->run();
    for (std::size_t k = 0; k < one->g.size(); ++k) {
        for (std::int64_t i = 0; i < one->g[k].size(); ++i) {
            const double want = one->g[k].value(i), got = again->g[k].value(i);
            if (!(std::abs(got - want) <= tolerance * (1 + std::abs(want))))
                throw Broken(
                    fmt::format("element {}: u is {:.9g}; prox of u + s (x - u) / tau with step s is {:.9g}",
                                i,
                                want,
                                got));
        }
    }
    if (!bench->has_gradient()) return "";
    EvalCase at_u(bench->optimizee(),
                  one->g.clone(),
                  bench->data_of(all_rows(bench->batch())),
                  1,
                  Oracle::kEval,
                  {false, true});
    at_u.run();
    for (std::size_t k = 0; k < one->g.size(); ++k) {
        const std::int64_t n = one->g[k].size() / bench->batch();
        for (std::int64_t i = 0; i < one->g[k].size(); ++i) {
            const double slope = (one->x[k].value(i) - one->g[k].value(i)) / one->tau[0].value(i / n);
            const double g = at_u.g[k].value(i);
            // No defect: of lasso it is that of the non-smooth term, and where f has a kink g is one of many.
            if (!(std::abs(slope - g) <= 1e3 * tolerance * (1 + std::abs(g))))
                return fmt::format(
                    "of a term of f, or f has a kink: at u (x - u) / tau is {:.9g} and g is {:.9g}",
                    slope,
                    g);
        }
    }
    return "of f";
}

std::string check_optimum(const Subject& subject) {
    const auto bench = optimizee_bench(subject);
    const Optimizee& optimizee = bench->optimizee();
    std::size_t optimum = 0;
    while (optimum < optimizee.data().size() && !has(*optimizee.data()[optimum], L2O_SPEC_OPTIMUM)) ++optimum;
    if (optimum == optimizee.data().size()) throw NotApplicable("does not say what the least value of f is");
    if ((bench->flags() & L2O_FLAG_STOCHASTIC) != 0) throw NotApplicable("f is that of a minibatch");
    for (const l2o_spec* block : optimizee.blocks())
        if (has(*block, L2O_SPEC_MAXIMISED)) throw NotApplicable("a block is maximised");
    const std::vector<std::int64_t> rows = all_rows(bench->batch());
    const std::vector<Tensor> solved = bench->solved_data_of(rows), data = bench->data_of(rows);
    const Tensor& f_star = solved[optimum];
    const double tolerance = optimizee.dtype() == Dtype::kF64 ? 1e-6 : 1e-4;
    std::vector<double> size;  // of f, by row, at the start

    // f and g at a point moved within its bounds; the rows are judged by the way.
    const auto at = [&](std::vector<Tensor> x, const std::string& place) {
        for (std::size_t k = 0; k < x.size(); ++k) {
            const auto [lower, upper] = bounds_of(optimizee, k);
            for (std::int64_t i = 0; i < x[k].size(); ++i)
                set(x[k], i, std::max(lower, std::min(upper, x[k].value(i))));
        }
        auto eval = std::make_unique<EvalCase>(
            optimizee, x, data, 1, Oracle::kEval, EvalCase::Want{true, bench->has_gradient()});
        eval->run();
        for (const std::int64_t row : rows) {
            const double f = eval->f[0].value(row), least = f_star.value(row);
            if (size.size() <= static_cast<std::size_t>(row)) size.push_back(std::abs(f));
            const double scale = std::abs(least) + size[static_cast<std::size_t>(row)];
            // NaN where it is not certified; f is infinite outside of its domain.
            if (std::isfinite(f) && f < least - tolerance * scale)
                throw Broken(fmt::format("f of row {} is {:.9g} {}; '{}' says that the least is {:.9g}",
                                         row,
                                         f,
                                         place,
                                         optimizee.data()[optimum]->name,
                                         least));
        }
        return eval;
    };

    StartCase start(optimizee, data, bench->batch());
    start.run();
    std::unique_ptr<EvalCase> now = at(start.x.clone(), "at its start");
    for (std::size_t i = 0; i < solved.size() && optimizee.blocks().size() == 1; ++i) {
        const l2o_spec& spec = *optimizee.data()[i];
        const bool is_point = has(spec, L2O_SPEC_SOLUTION) && has(spec, L2O_SPEC_BATCHED) &&
                              is_real(solved[i].dtype()) && solved[i].shape() == start.x[0].shape();
        if (!is_point) continue;
        std::vector<Tensor> x;
        x.push_back(solved[i].to(start.x[0].dtype()));
        (void)at(std::move(x), fmt::format("at '{}'", spec.name));
    }
    for (std::uint64_t draw = 0; draw < 8; ++draw) {
        std::vector<Tensor> x = start.x.clone();
        for (std::size_t k = 0; k < x.size(); ++k) {
            const std::vector<double> noise = normals(x[k].size(), 900 + 100 * draw + k);
            const double spread = std::ldexp(1.0, static_cast<int>(draw) - 5);
            for (std::int64_t i = 0; i < x[k].size(); ++i)
                set(x[k], i, x[k].value(i) + spread * noise[static_cast<std::size_t>(i)]);
        }
        (void)at(std::move(x), "at a random point");
    }
    // Downhill, each row with a step of its own.
    std::vector<double> steps(rows.size(), 1.0);
    for (int round = 0; round < 60 && bench->has_gradient(); ++round) {
        std::vector<Tensor> x = now->x.clone();
        const auto along = [&](std::int64_t row, auto&& each) {
            for (std::size_t k = 0; k < now->x.size(); ++k) {
                const std::int64_t n = now->x[k].size() / bench->batch();
                for (std::int64_t i = row * n; i < (row + 1) * n; ++i) each(k, i);
            }
        };
        for (const std::int64_t row : rows)
            along(row, [&](std::size_t k, std::int64_t i) {
                set(x[k], i, x[k].value(i) - steps[static_cast<std::size_t>(row)] * now->g[k].value(i));
            });
        auto next = at(std::move(x), "downhill from its start");
        for (const std::int64_t row : rows) {
            double& step = steps[static_cast<std::size_t>(row)];
            if (next->f[0].value(row) < now->f[0].value(row)) {
                step *= 2;
            } else {
                step /= 4;
                set(next->f[0], row, now->f[0].value(row));
                along(row, [&](std::size_t k, std::int64_t i) {
                    set(next->x[k], i, now->x[k].value(i));
                    set(next->g[k], i, now->g[k].value(i));
                });
            }
        }
        now = std::move(next);
    }
    return "";
}

}  // namespace l2o::framework
