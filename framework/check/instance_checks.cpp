// What an optimizee draws: instances, their splits, starts.
#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "framework/check/checks.hpp"
#include "framework/check/optimizee_bench.hpp"

namespace l2o::framework {
namespace {

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

}  // namespace

std::string check_sample(const Subject& subject) {
    const auto bench = optimizee_bench(subject);
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
    const auto bench = optimizee_bench(subject);
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
    const auto bench = optimizee_bench(subject);
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
    const auto bench = optimizee_bench(subject);
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
    const auto larger = optimizee_bench(subject, 37);
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

}  // namespace l2o::framework
