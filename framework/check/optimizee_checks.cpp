#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "framework/check/checks.hpp"
#include "framework/check/optimizee_bench.hpp"
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

/// Whether nothing but zeros tells an instance from others: sparse ones may be so by chance.
bool is_zero(const GuardedSet& set, std::int64_t i, const Optimizee& optimizee) {
    for (std::size_t t = 0; t < set.size(); ++t) {
        if (!set[t] || !has(*optimizee.data()[t], L2O_SPEC_BATCHED)) continue;
        const Tensor one = gather(set[t], 0, {i});
        for (std::int64_t k = 0; k < one.size(); ++k)
            if (one.value(k) != 0) return false;
    }
    return true;
}

bool is_any_batched(const Optimizee& optimizee) {
    return std::any_of(optimizee.data().begin(), optimizee.data().end(), [](const l2o_spec* spec) {
        return has(*spec, L2O_SPEC_BATCHED) && !has(*spec, L2O_SPEC_BY_SOLVE);
    });
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
    for (const Split split : {Split::kTrain, Split::kValidation, Split::kTest}) {
        SampleCase whole(optimizee, split, 0, 16), first(optimizee, split, 0, 8),
            second(optimizee, split, 8, 8);
        whole.run(), first.run(), second.run();
        for (std::size_t t = 0; t < whole.data.size(); ++t) {
            if (!whole.data[t]) continue;
            const bool batched = has(*optimizee.data()[t], L2O_SPEC_BATCHED);
            for (const std::int64_t half : {0, 1}) {
                std::vector<std::int64_t> rows = all_rows(8);
                for (std::int64_t& row : rows) row += 8 * half;
                GuardedSet want, got;
                want.add(whole.data.name(t),
                         batched ? gather(whole.data[t], 0, rows) : whole.data[t].clone());
                got.add(whole.data.name(t), (half == 0 ? first : second).data[t]);
                if (const std::string text = difference(want, got); !text.empty())
                    throw Broken(fmt::format("split {}: [0,16) and [{},{}): {}",
                                             static_cast<int>(split),
                                             8 * half,
                                             8 * half + 8,
                                             text));
            }
        }
    }
    return "";
}

std::string check_unwanted(const Subject& subject) {
    const auto bench = bench_of(subject);
    const Optimizee& optimizee = bench->optimizee();
    const auto is_solution = [&](std::size_t i) { return has(*optimizee.data()[i], L2O_SPEC_SOLUTION); };
    const auto expect_same = [](const std::string& what, const GuardedSet& want, const GuardedSet& got) {
        if (const std::string text = difference(want, got); !text.empty()) throw Broken(what + ": " + text);
    };
    SampleCase whole(optimizee, Split::kTrain, 3, bench->batch()),
        without(optimizee, Split::kTrain, 3, bench->batch());
    bool has_solutions = false;
    for (std::size_t i = 0; i < whole.data.size(); ++i) {
        if (!is_solution(i) || !whole.data[i]) continue;
        has_solutions = true;
        without.data.hide(i);
    }
    if (has_solutions) {
        whole.run(), without.run();
        GuardedSet want, got;
        for (std::size_t i = 0; i < whole.data.size(); ++i) {
            if (is_solution(i) || !whole.data[i]) continue;
            want.add(whole.data.name(i), whole.data[i]);
            got.add(whole.data.name(i), without.data[i]);
        }
        expect_same("sample with and without solution tensors", want, got);
    }
    if (optimizee.api().metrics != nullptr) {
        const std::vector<Tensor> data = bench->data_of(all_rows(bench->batch()));
        MetricsCase one(optimizee, bench->x(), data, false), again(optimizee, bench->x(), data, false);
        one.run(), again.run(std::byte{0x5a});
        if ((bench->flags() & L2O_FLAG_DETERMINISTIC) != 0)
            expect_same(one.name(), one.metrics, again.metrics);
    }
    if (!has_solutions && optimizee.api().metrics == nullptr)
        throw NotApplicable("has neither solutions that sample() knows nor metrics");
    return "";
}

std::string check_splits(const Subject& subject) {
    const auto bench = bench_of(subject);
    const Optimizee& optimizee = bench->optimizee();
    if (!is_any_batched(optimizee)) throw NotApplicable("its instances have no data of their own");
    constexpr std::int64_t kCount = 8;
    SampleCase train(optimizee, Split::kTrain, 0, kCount),
        validation(optimizee, Split::kValidation, 0, kCount), test(optimizee, Split::kTest, 0, kCount);
    train.run(), validation.run(), test.run();
    bool varies = false;
    for (std::int64_t i = 1; i < kCount; ++i)
        varies = varies || differ(train.data, 0, train.data, i, optimizee);
    if (!varies) throw NotApplicable("with these options all instances are the same");
    const std::pair<const SampleCase*, const char*> splits[] = {
        {&train, "train"}, {&validation, "validation"}, {&test, "test"}};
    for (std::size_t a = 0; a < 3; ++a) {
        for (std::size_t b = a + 1; b < 3; ++b) {
            for (std::int64_t i = 0; i < kCount * kCount; ++i) {
                if (is_zero(splits[a].first->data, i / kCount, optimizee)) continue;
                if (!differ(splits[a].first->data, i / kCount, splits[b].first->data, i % kCount, optimizee))
                    throw Broken(fmt::format("instance {} of {} is instance {} of {}",
                                             i / kCount,
                                             splits[a].second,
                                             i % kCount,
                                             splits[b].second));
            }
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
    const std::vector<std::int64_t> rows{0, 1, 2, 3};
    std::vector<Tensor> x;
    for (const Tensor& block : bench->x()) x.push_back(gather(block, 0, rows));
    EvalCase together(optimizee, x, bench->data_of({0, 1}), 2, Oracle::kEval, {true, false});
    EvalCase apart(optimizee, x, bench->data_of({0, 0, 1, 1}), 1, Oracle::kEval, {true, false});
    together.run(), apart.run();
    for (std::int64_t r = 0; r < 4; ++r) {
        const double want = apart.f[0].value(r), got = together.f[0].value(r);
        if (!(std::abs(got - want) <= 1e-5 * (1 + std::abs(want))))
            throw Broken(fmt::format(
                "f of row {} with rows_per_instance 2 is {:.9g}; on its instance alone it is {:.9g}",
                r,
                got,
                want));
    }
    return "";
}

std::string check_gradient(const Subject& subject) {
    const auto bench = float64_bench(subject);
    if (!bench->has_gradient()) throw NotApplicable("has no gradient");
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
        check_slopes(fmt::format("g of row {}", row), slopes, [&] {
            value.run();
            Sum sum;
            sum.add(value.f[0].value(0));
            return sum;
        });
    }
    return "";
}

std::string check_hvp(const Subject& subject) {
    const auto bench = float64_bench(subject);
    if (!bench->has(Oracle::kHvp)) throw NotApplicable("has no hvp");
    if (!bench->has_gradient()) throw NotApplicable("has no gradient");
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
        check_slopes(fmt::format("hvp of row {}", row), slopes, [&] {
            gradient->run();
            Sum sum;
            for (std::size_t k = 0; k < gradient->g.size(); ++k) {
                for (std::int64_t i = 0; i < gradient->g[k].size(); ++i)
                    sum.add(gradient->g[k].value(i) * product->v[k].value(i));
            }
            return sum;
        });
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
    return "";
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
    return "";
}

}  // namespace l2o::framework
