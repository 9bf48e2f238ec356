#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "framework/check/checks.hpp"
#include "framework/check/optimizee_bench.hpp"
#include "framework/check/rounding.hpp"
#include "framework/check/slopes.hpp"

namespace l2o::framework {
namespace {

std::unique_ptr<OptimizeeBench> bench_of(const Subject& subject, std::int64_t batch = 0) {
    return std::make_unique<OptimizeeBench>(subject, widest(subject), batch);
}

std::unique_ptr<OptimizeeBench> float64_bench(const Subject& subject) {
    if (dtypes(subject).back() != Dtype::kF64) throw NotApplicable("does not compute in float64");
    return std::make_unique<OptimizeeBench>(subject, Dtype::kF64);
}

/// Row `row` of a set of tensors, a set of its own.
std::vector<Tensor> row_of(const std::vector<Tensor>& tensors, std::int64_t row) {
    std::vector<Tensor> out;
    out.reserve(tensors.size());
    for (const Tensor& tensor : tensors) out.push_back(gather(tensor, 0, {row}));
    return out;
}

/// The batched data that sample fills: what tells instances apart.
bool differ(
    const GuardedSet& a, std::int64_t i, const GuardedSet& b, std::int64_t k, const Optimizee& optimizee) {
    for (std::size_t t = 0; t < a.size(); ++t) {
        if (!a[t] || !has(*optimizee.data()[t], L2O_SPEC_BATCHED)) continue;
        const Tensor one = gather(a[t], 0, {i}), other = gather(b[t], 0, {k});
        if (std::memcmp(one.data(), other.data(), static_cast<std::size_t>(one.bytes())) != 0) return true;
    }
    return false;
}

void expect_same(const std::string& what, const GuardedSet& want, const GuardedSet& got) {
    if (const std::string text = difference(want, got); !text.empty()) throw Broken(what + ": " + text);
}

bool is_any_batched(const Optimizee& optimizee) {
    return std::any_of(optimizee.data().begin(), optimizee.data().end(), [](const l2o_spec* spec) {
        return has(*spec, L2O_SPEC_BATCHED) && !has(*spec, L2O_SPEC_BY_SOLVE);
    });
}

/// Of a block, in its element type; infinite without any.
std::pair<double, double> bounds_of(const Optimizee& optimizee, std::size_t block) {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    const l2o_spec& spec = *optimizee.blocks()[block];
    if (!has(spec, L2O_SPEC_BOUNDED)) return {-kInfinity, kInfinity};
    if (dtype_of(spec) == Dtype::kF64) return {spec.lower, spec.upper};
    return {static_cast<float>(spec.lower), static_cast<float>(spec.upper)};
}

double dot(const GuardedSet& a, const GuardedSet& b) {
    double sum = 0;
    for (std::size_t k = 0; k < a.size(); ++k) {
        for (std::int64_t i = 0; i < a[k].size(); ++i) sum += a[k].value(i) * b[k].value(i);
    }
    return sum;
}

}  // namespace

std::string check_sample(const Subject& subject) {
    const auto bench = bench_of(subject);
    const Optimizee& optimizee = bench->optimizee();
    // Of `count` instances from `first` on, against the first of those or of another split.
    const auto compare = [&](const std::string& what,
                             const SampleCase& whole,
                             const SampleCase& part,
                             std::int64_t first,
                             std::int64_t count,
                             bool shared_alone) {
        GuardedSet want, got;
        std::vector<std::int64_t> rows = all_rows(count);
        const std::vector<std::int64_t> own = rows;
        for (std::int64_t& row : rows) row += first;
        for (std::size_t t = 0; t < whole.data.size(); ++t) {
            const bool batched = has(*optimizee.data()[t], L2O_SPEC_BATCHED);
            if (!whole.data[t] || (batched && shared_alone)) continue;
            want.add(whole.data.name(t), batched ? gather(whole.data[t], 0, rows) : whole.data[t].clone());
            got.add(whole.data.name(t), batched ? gather(part.data[t], 0, own) : part.data[t].clone());
        }
        expect_same(what, want, got);
    };
    std::unique_ptr<SampleCase> train;
    for (const Split split : {Split::kTrain, Split::kValidation, Split::kTest}) {
        auto whole = std::make_unique<SampleCase>(optimizee, split, 0, 16);
        SampleCase first(optimizee, split, 0, 8), second(optimizee, split, 8, 8);
        whole->run(), first.run(), second.run();
        const std::string of = fmt::format("split {}: [0,16) and ", static_cast<int>(split));
        compare(of + "[0,8)", *whole, first, 0, 8, false);
        compare(of + "[8,16)", *whole, second, 8, 8, false);
        if (!train) {
            train = std::move(whole);
            SampleCase many(optimizee, split, 0, 37);
            many.run();
            compare(of + "[0,37)", *train, many, 0, 16, false);
        } else {
            compare(fmt::format("split 0 and split {}, what all instances share", static_cast<int>(split)),
                    *train,
                    *whole,
                    0,
                    16,
                    true);
        }
    }
    return "";
}

std::string check_unwanted(const Subject& subject) {
    const auto bench = bench_of(subject);
    const Optimizee& optimizee = bench->optimizee();
    const auto is_solution = [&](std::size_t i) { return has(*optimizee.data()[i], L2O_SPEC_SOLUTION); };
    const auto is_shared = [&](std::size_t i) { return !has(*optimizee.data()[i], L2O_SPEC_BATCHED); };
    struct Unwanted {
        bool solutions, shared;
        const char* text;
    };
    SampleCase whole(optimizee, Split::kTrain, 3, bench->batch());
    whole.run();
    bool is_any = !optimizee.metrics().empty();
    // As trainings do: no solutions, and of what all instances share one copy.
    for (const Unwanted& unwanted : {Unwanted{true, false, "solution tensors"},
                                     Unwanted{false, true, "shared tensors"},
                                     Unwanted{true, true, "shared and solution tensors"}}) {
        SampleCase without(optimizee, Split::kTrain, 3, bench->batch());
        GuardedSet want, got;
        std::vector<std::size_t> kept;
        bool hides = false;
        for (std::size_t i = 0; i < whole.data.size(); ++i) {
            if (!whole.data[i]) continue;
            if ((unwanted.solutions && is_solution(i)) || (unwanted.shared && is_shared(i))) {
                without.data.hide(i);
                hides = true;
            } else {
                kept.push_back(i);
            }
        }
        if (!hides) continue;
        is_any = true;
        without.run();
        for (const std::size_t i : kept) {
            want.add(whole.data.name(i), whole.data[i]);
            got.add(whole.data.name(i), without.data[i]);
        }
        expect_same(fmt::format("sample with and without {}", unwanted.text), want, got);
    }
    for (const Oracle oracle : {Oracle::kEval, Oracle::kHvp, Oracle::kProx}) {
        if (!bench->has(oracle)) continue;
        const auto with = bench->eval_case(oracle), without = bench->eval_case(oracle);
        bool hides = false;
        for (std::size_t i = 0; i < without->data.size(); ++i) {
            if (!is_solution(i)) continue;
            without->data.hide(i);
            hides = true;
        }
        if (!hides) continue;
        with->run(), without->run();
        const std::string text = difference(*with, *without);
        if (!text.empty() && (bench->flags() & L2O_FLAG_DETERMINISTIC) != 0)
            throw Broken("with and without solution tensors: " + text);
    }
    if (!optimizee.metrics().empty()) {
        const std::vector<Tensor> data = bench->data_of(all_rows(bench->batch()));
        MetricsCase one(optimizee, bench->x(), data, 1, false), again(optimizee, bench->x(), data, 1, false);
        one.run(), again.run(std::byte{0x5a});
        if ((bench->flags() & L2O_FLAG_DETERMINISTIC) != 0)
            expect_same(one.name(), one.metrics, again.metrics);
    }
    if (!is_any) throw NotApplicable("sample() fills nothing that may be unwanted, and there are no metrics");
    return "";
}

std::string check_splits(const Subject& subject) {
    const auto bench = bench_of(subject);
    const Optimizee& optimizee = bench->optimizee();
    if (!is_any_batched(optimizee)) throw NotApplicable("its instances have no data of their own");
    constexpr std::int64_t kCount = 16, kPairs = 3 * kCount * (kCount - 1) / 2;
    SampleCase train(optimizee, Split::kTrain, 0, kCount),
        validation(optimizee, Split::kValidation, 0, kCount), test(optimizee, Split::kTest, 0, kCount);
    train.run(), validation.run(), test.run();
    const std::pair<const SampleCase*, const char*> splits[] = {
        {&train, "train"}, {&validation, "validation"}, {&test, "test"}};
    // Where little data tells instances apart, independent ones are the same by chance: within a split too.
    std::int64_t by_chance = 0;
    for (const auto& [split, name] : splits)
        for (std::int64_t i = 0; i < kCount; ++i)
            for (std::int64_t k = i + 1; k < kCount; ++k)
                by_chance += differ(split->data, i, split->data, k, optimizee) ? 0 : 1;
    if (by_chance == kPairs) throw NotApplicable("with these options all instances are the same");
    for (std::size_t a = 0; a < 3; ++a) {
        for (std::size_t b = a + 1; b < 3; ++b) {
            std::int64_t shared = 0, at_same_index = 0, i_shared = 0, k_shared = 0;
            for (std::int64_t i = 0; i < kCount; ++i) {
                const auto is_in = [&](std::int64_t k) {
                    return !differ(splits[a].first->data, i, splits[b].first->data, k, optimizee);
                };
                at_same_index += is_in(i) ? 1 : 0;
                for (std::int64_t k = 0; k < kCount; ++k) {
                    if (!is_in(k)) continue;
                    if (shared++ == 0) i_shared = i, k_shared = k;
                    break;
                }
            }
            if ((at_same_index == kCount && by_chance <= kPairs / 2) ||
                (shared >= kCount / 2 && by_chance == 0))
                throw Broken(fmt::format("instance {} of {} is instance {} of {}, as are {} of {}",
                                         i_shared,
                                         splits[a].second,
                                         k_shared,
                                         splits[b].second,
                                         shared,
                                         kCount));
        }
    }
    return "";
}

std::string check_starts(const Subject& subject) {
    const auto bench = bench_of(subject);
    StartCase whole(bench->optimizee(), bench->data_of(all_rows(bench->batch())), bench->batch());
    whole.row0 = 10;
    whole.run();
    const std::vector<Tensor> x = whole.x.clone();
    for (const std::int64_t row : some_rows(bench->batch())) {
        StartCase alone(bench->optimizee(), bench->data_of({row}), 1);
        alone.row0 = 10 + static_cast<std::uint64_t>(row);
        alone.run();
        GuardedSet want;
        const std::vector<Tensor> rows = row_of(x, row);
        for (std::size_t k = 0; k < rows.size(); ++k) want.add(whole.x.name(k), rows[k]);
        if (const std::string text = difference(want, alone.x); !text.empty())
            throw Broken(fmt::format("row {} of a batch of {}, and alone: {}", row, bench->batch(), text));
    }
    const std::vector<const l2o_spec*>& blocks = bench->optimizee().blocks();
    if (std::none_of(
            blocks.begin(), blocks.end(), [](const l2o_spec* b) { return has(*b, L2O_SPEC_BOUNDED); }))
        return "";
    const auto larger = bench_of(subject, 37);
    StartCase many(larger->optimizee(), larger->data_of(all_rows(larger->batch())), larger->batch());
    many.run();
    for (std::size_t k = 0; k < blocks.size(); ++k) {
        const auto [lower, upper] = bounds_of(larger->optimizee(), k);
        for (std::int64_t i = 0; i < many.x[k].size(); ++i) {
            const double value = many.x[k].value(i);
            if (!(lower <= value && value <= upper))
                throw Broken(
                    fmt::format("element {} of '{}' starts at {:.17g}; expected a number in [{}, {}]",
                                i,
                                blocks[k]->name,
                                value,
                                blocks[k]->lower,
                                blocks[k]->upper));
        }
    }
    return "";
}

std::string check_parts(const Subject& subject) {
    const auto bench = bench_of(subject);
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
    const auto bench = bench_of(subject, kRows);
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
    const auto bench = float64_bench(subject);
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
    const auto bench = float64_bench(subject);
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
    const auto bench = bench_of(subject);
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
    const auto bench = bench_of(subject);
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
