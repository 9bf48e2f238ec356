#include <fmt/core.h>
#include <malloc.h>
#include <unistd.h>

#include <barrier>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "framework/check/checks.hpp"
#include "framework/check/rounding.hpp"
#include "framework/plugin/process_watch.hpp"

// NOLINTNEXTLINE(bugprone-reserved-identifier): the sanitizers' own name.
extern "C" std::size_t __sanitizer_get_current_allocated_bytes() __attribute__((weak));

namespace l2o::framework {
namespace {

constexpr std::byte kPoison{0xFF}, kOtherPoison{0xA5};

using Cases = std::vector<std::unique_ptr<Case>>;

template <class Body>
std::string for_each_case(const Subject& subject, Body&& body) {
    std::vector<std::unique_ptr<Bench>> benches;
    for (const Dtype dtype : dtypes(subject)) {
        benches.push_back(make_bench(subject, dtype));
        for (const auto& one : benches.back()->cases()) body(*one);
    }
    for (const auto& bench : benches) (void)seen(*bench);
    return "";
}

void expect_same(const Case& a, const Case& b, const std::string& what) {
    if (const std::string text = difference(a, b); !text.empty()) throw Broken(what + ": " + text);
}

/// The element type that promises are looked at in: the one with fewer bits left to hide in.
std::unique_ptr<Bench> bench_of(const Subject& subject) { return make_bench(subject, narrowest(subject)); }

}  // namespace

std::string check_bounds(const Subject& subject) {
    return for_each_case(subject, [](Case& one) {
        one.run(kPoison);
        if (const std::string text = one.overrun(); !text.empty()) throw Broken(text);
    });
}

std::string check_inputs(const Subject& subject) {
    return for_each_case(subject, [](Case& one) {
        one.remember();
        one.run(kPoison);
        if (const std::string text = one.changed(); !text.empty()) throw Broken(text);
    });
}

std::string check_outputs(const Subject& subject) {
    std::vector<std::unique_ptr<Bench>> benches;
    for (const Dtype dtype : dtypes(subject)) {
        const auto& bench = benches.emplace_back(make_bench(subject, dtype));
        const Cases cases = bench->cases(), again = bench->cases();
        for (std::size_t i = 0; i < cases.size(); ++i) {
            cases[i]->run(kPoison);
            again[i]->run(kOtherPoison);
            // What was not written, or was added to, is different now; also what was read from the scratch.
            if ((bench->flags() & L2O_FLAG_DETERMINISTIC) != 0) {
                expect_same(
                    *cases[i], *again[i], "depends on what was in outputs or scratch before the call");
                continue;
            }
            for (std::size_t s = 0; s < cases[i]->outputs().size(); ++s) {
                const GuardedSet& set = *cases[i]->outputs()[s];
                const GuardedSet& other = *again[i]->outputs()[s];
                for (std::size_t t = 0; t < set.size(); ++t) {
                    if (!set[t]) continue;
                    const auto bytes = static_cast<std::size_t>(bytes_of(set[t].dtype()));
                    for (std::int64_t k = 0; k < set[t].size(); ++k) {
                        const auto holds = [&](const GuardedSet& from, std::byte poison) {
                            const auto* at = static_cast<const std::byte*>(from[t].data()) +
                                             static_cast<std::size_t>(k) * bytes;
                            return std::all_of(at, at + bytes, [&](std::byte b) { return b == poison; });
                        };
                        if (holds(set, kPoison) && holds(other, kOtherPoison))
                            throw Broken(fmt::format(
                                "{}: element {} of '{}' was not written", cases[i]->name(), k, set.name(t)));
                    }
                }
            }
        }
    }
    for (const auto& bench : benches) (void)seen(*bench);
    return "";
}

std::string check_deterministic(const Subject& subject) {
    const auto bench = bench_of(subject);
    if ((bench->flags() & L2O_FLAG_DETERMINISTIC) == 0)
        throw NotApplicable("does not promise L2O_FLAG_DETERMINISTIC");
    const Cases first = bench->cases(), second = bench->cases(), elsewhere = bench->cases();
    for (const auto& one : first) one->run();
    // The other way round: other calls came before.
    for (std::size_t i = second.size(); i-- > 0;) second[i]->run();
    for (std::size_t i = 0; i < first.size(); ++i) expect_same(*first[i], *second[i], "after other calls");
    std::string failure;
    std::jthread([&] {
        try {
            for (const auto& one : elsewhere) one->run();
        } catch (const Broken& broken) {
            failure = broken.what();
        }
    }).join();
    if (!failure.empty()) throw Broken("on another thread: " + failure);
    const auto twin = make_bench(subject, narrowest(subject));
    const Cases of_twin = twin->cases();
    for (const auto& one : of_twin) one->run();
    for (std::size_t i = 0; i < first.size(); ++i) {
        expect_same(*first[i], *elsewhere[i], "on another thread");
        expect_same(*first[i], *of_twin[i], "of another instance");
    }
    // A counter of calls that wraps shows after thousands; what takes long is not called as often.
    constexpr int kMostCalls = 10'000;
    constexpr std::chrono::milliseconds kLongest{500};
    for (std::size_t i = 0; i < first.size() && subject.thorough; ++i) {
        const auto end = std::chrono::steady_clock::now() + kLongest;
        for (int call = 0; call < kMostCalls && std::chrono::steady_clock::now() < end; ++call) {
            second[i]->run();
            expect_same(*first[i], *second[i], fmt::format("in call {}", call));
        }
    }
    return seen(*bench);
}

std::string check_row_invariant(const Subject& subject) {
    const auto bench = bench_of(subject);
    if ((bench->flags() & L2O_FLAG_ROW_INVARIANT) == 0)
        throw NotApplicable("does not promise L2O_FLAG_ROW_INVARIANT");
    const Cases whole = bench->cases_of_rows(all_rows(bench->batch()), 0);
    for (const auto& one : whole) one->run();
    const auto compare = [&](const std::vector<std::int64_t>& rows, std::uint64_t row0) {
        const Cases part = bench->cases_of_rows(rows, row0);
        for (std::size_t i = 0; i < part.size(); ++i) {
            // Draws go by row0 + b: a call that draws can be split, not permuted.
            const bool draws = part[i]->name() == "init_point" || (bench->flags() & L2O_FLAG_STOCHASTIC) != 0;
            if (draws && rows.size() > 1) continue;
            part[i]->run();
            expect_rows(*whole[i], bench->batch(), *part[i], rows);
        }
    };
    for (const std::int64_t row : some_rows(bench->batch())) compare({row}, static_cast<std::uint64_t>(row));
    // Fewer than all, so that the axis of the batch is told from one that has its length by chance.
    if (bench->batch() >= 5) compare({4, 2, 0, 3}, 0);
    return seen(*bench);
}

namespace {

/// Of what goes into and out of the largest call, a row.
std::int64_t bytes_of_row(const Subject& subject, Dtype dtype) {
    const auto bench = make_bench(subject, dtype);
    std::int64_t most = 0;
    for (const auto& one : bench->cases()) {
        std::int64_t bytes = 0;
        for (const auto* sets : {&one->inputs(), &one->outputs()})
            for (const GuardedSet* set : *sets)
                for (std::size_t t = 0; t < set->size(); ++t)
                    if (const Tensor& tensor = (*set)[t]) bytes += tensor.size() * bytes_of(tensor.dtype());
        most = std::max(most, bytes);
    }
    return most / bench->batch() + 1;
}

}  // namespace

std::string check_batch(const Subject& subject) {
    constexpr std::int64_t kMany = 37, kMore = 97, kMost = 131;
    // Of a population on a network a row is megabytes, and its calls take minutes where there are many.
    constexpr std::int64_t kFew = 9, kMostBytes = 64 << 20;
    const Dtype dtype = dtypes(subject).back();
    const std::int64_t bytes = bytes_of_row(subject, dtype), most = std::max(kFew, kMostBytes / bytes);
    std::vector<std::int64_t> batches{std::min(kMany, most)};
    for (const std::int64_t more : {kMore, kMost})
        if (subject.thorough && most > batches.back()) batches.push_back(std::min(more, most));
    const auto bench = make_bench(subject, dtype, batches.back());
    const bool is_invariant = (bench->flags() & L2O_FLAG_ROW_INVARIANT) != 0;
    for (const std::int64_t n : batches) {
        const Cases whole = bench->cases_of_rows(all_rows(n), 0);
        for (const auto& one : whole) one->run();
        for (const std::int64_t row : {std::int64_t{0}, n / 2, n - 1}) {
            const Cases alone = bench->cases_of_rows({row}, static_cast<std::uint64_t>(row));
            for (std::size_t i = 0; i < alone.size(); ++i) {
                alone[i]->run();
                expect_rows(*whole[i], n, *alone[i], {row}, is_invariant ? 0 : 1e-4);
            }
        }
    }
    const bool is_cut = most < (subject.thorough ? kMost : kMany);
    return seen(
        *bench,
        is_cut ? fmt::format("of {} rows at most: one is {:.1f} MB", most, 1e-6 * static_cast<double>(bytes))
               : "");
}

std::string check_key(const Subject& subject) {
    const auto bench = bench_of(subject);
    if ((bench->flags() & L2O_FLAG_STOCHASTIC) != 0) throw NotApplicable("declares L2O_FLAG_STOCHASTIC");
    if ((bench->flags() & L2O_FLAG_DETERMINISTIC) == 0)
        throw NotApplicable("does not promise L2O_FLAG_DETERMINISTIC");
    const Cases cases = bench->cases(), others = bench->cases();
    for (std::size_t i = 0; i < cases.size(); ++i) {
        if (cases[i]->draws()) continue;
        others[i]->key = {0xa17e5, 99};
        others[i]->minibatch = 7;
        cases[i]->run(), others[i]->run();
        expect_same(*cases[i], *others[i], "with another key");
    }
    return seen(*bench);
}

std::string check_float32(const Subject& subject) {
    if (dtypes(subject).size() < 2) throw NotApplicable("does not compute in float32 and in float64");
    const auto wide = make_bench(subject, Dtype::kF64), narrow = make_bench(subject, Dtype::kF32);
    if ((wide->flags() & L2O_FLAG_STOCHASTIC) != 0) throw NotApplicable("draws other numbers in float32");
    // Some lose digits by design: a logarithm of what is small, a difference.
    constexpr double kTolerance = 1e-3;
    const Cases in_float64 = wide->cases_of_rows(all_rows(wide->batch()), 0),
                in_float32 = narrow->cases_of_rows(all_rows(wide->batch()), 0);
    std::size_t compared = 0;
    for (std::size_t i = 0; i < std::min(in_float64.size(), in_float32.size()); ++i) {
        Case &one = *in_float64[i], &other = *in_float32[i];
        bool is_twin = one.name() == other.name() && !one.draws();
        for (std::size_t s = 0; is_twin && s < one.inputs().size(); ++s)
            is_twin = take_numbers(*other.inputs()[s], *one.inputs()[s]);
        if (!is_twin) continue;
        one.run(), other.run();
        if (!are_comparable(one, other)) continue;
        ++compared;
        const std::string text = difference_beyond_rounding(
            other.outputs(), one.outputs(), kTolerance, 1e-3, other.inputs(), kRoundingOfFloat32, [&] {
                other.run();
            });
        if (!text.empty()) throw Broken(fmt::format("{}, in float32 and float64: {}", one.name(), text));
    }
    if (compared == 0)
        throw NotApplicable(
            "no call decides the same in float32 and float64, with numbers that float32 holds");
    (void)seen(*wide);
    return seen(*narrow, fmt::format("{} calls", compared));
}

std::string check_threads(const Subject& subject) {
    const auto bench = bench_of(subject);
    if ((bench->flags() & L2O_FLAG_SERIAL) != 0) throw NotApplicable("declares L2O_FLAG_SERIAL");
    constexpr int kThreads = 2, kRepetitions = 10;
    const Cases alone = bench->cases();
    for (const auto& one : alone) one->run();
    std::vector<Cases> cases;
    cases.reserve(kThreads);
    for (int k = 0; k < kThreads; ++k) cases.push_back(bench->cases());
    std::vector<std::string> failures(kThreads);
    std::barrier together(kThreads);  // a short call would be over before the other thread has begun
    {
        std::vector<std::jthread> threads;
        for (std::size_t k = 0; k < kThreads; ++k) {
            threads.emplace_back([&, k] {
                try {
                    for (int repetition = 0; repetition < kRepetitions; ++repetition) {
                        for (std::size_t i = 0; i < alone.size(); ++i) {
                            together.arrive_and_wait();
                            cases[k][i]->run();
                            if ((bench->flags() & L2O_FLAG_DETERMINISTIC) != 0)
                                expect_same(*alone[i], *cases[k][i], "beside another thread");
                        }
                    }
                } catch (const Broken& broken) {
                    failures[k] = broken.what();
                }
                together.arrive_and_drop();
            });
        }
    }
    for (const std::string& failure : failures) {
        if (!failure.empty()) throw Broken(failure);
    }
    return seen(*bench);
}

std::string check_reads(const Subject& subject) {
    const auto bench = bench_of(subject);
    const std::string unread = bench->unread();
    if (unread.empty()) throw NotApplicable("reads all there is");
    for (const auto& one : bench->cases()) one->run();
    return seen(*bench, "not " + unread);
}

std::string check_environment(const Subject& subject) {
    const ProcessState start = ProcessState::now();
    return for_each_case(subject, [&](Case& one) {
        const ProcessState before = ProcessState::now();
        if (const std::string text = start.change_to(before); !text.empty()) throw Broken("create: " + text);
        one.run();
        if (const std::string text = before.change_to(ProcessState::now()); !text.empty())
            throw Broken(one.name() + ": " + text);
        // What is put back after every call.
        for (const std::string& text : take_process_notes()) throw Broken(one.name() + ": " + text);
    });
}

namespace {

std::size_t count_threads() {
    const std::filesystem::directory_iterator tasks("/proc/self/task");
    return static_cast<std::size_t>(std::distance(begin(tasks), end(tasks)));
}

/// Bytes that are allocated now.
std::size_t count_bytes() {
    // Sanitizers have an allocator of their own, of which mallinfo2() knows nothing.
    if (__sanitizer_get_current_allocated_bytes != nullptr) return __sanitizer_get_current_allocated_bytes();
    const struct mallinfo2 now = ::mallinfo2();
    return now.uordblks + now.hblkhd;
}

/// What a process holds.
struct Held {
    std::size_t bytes = 0, threads = 0, mapped = 0;  ///< mapped: with what no allocator knows of

    static Held now() {
        std::size_t pages = 0;
        std::ifstream("/proc/self/statm") >> pages;
        return {count_bytes(), count_threads(), pages * static_cast<std::size_t>(::getpagesize())};
    }
};

/// Makes calls and looks at what they leave. What is kept from the first ones on, a pool of threads or a
/// cache, is no leak; a cache that fills later grows once, what leaks again and again.
/// @throw Broken
template <class Body>
void expect_nothing_left(const std::string& who, int calls, Body&& body) {
    constexpr int kWarm = 3;
    // What allocators keep is less than this, per call; those of sanitizers keep what was freed for a while.
    constexpr std::size_t kKept = 4096, kMapped = 1 << 16, kMappedBySanitizer = 1 << 19;
    const std::size_t most_mapped =
        __sanitizer_get_current_allocated_bytes != nullptr ? kMappedBySanitizer : kMapped;
    for (int call = 0; call < kWarm; ++call) body();
    const int half = calls / 2;
    const auto run_half = [&] {
        for (int call = 0; call < half; ++call) body();
        return Held::now();
    };
    const Held first = Held::now(), second = run_half(), third = run_half();
    const auto grows = [&](std::size_t Held::*what, std::size_t most) {
        return second.*what > first.*what + most && third.*what > second.*what + most;
    };
    if (grows(&Held::bytes, kKept * half))
        throw Broken(fmt::format(
            "{}: {} calls keep {} bytes that are not given back", who, 2 * half, third.bytes - first.bytes));
    if (grows(&Held::threads, 0))
        throw Broken(fmt::format(
            "{}: {} threads run after {} calls, {} before", who, third.threads, 2 * half, first.threads));
    if (grows(&Held::mapped, most_mapped * half))
        throw Broken(fmt::format(
            "{}: {} calls leave {} bytes more mapped", who, 2 * half, third.mapped - first.mapped));
}

}  // namespace

std::string check_leaves(const Subject& subject) {
    constexpr int kCalls = 20, kInstances = 8;
    const auto bench = bench_of(subject);
    for (const auto& one : bench->cases()) expect_nothing_left(one->name(), kCalls, [&] { one->run(); });
    expect_nothing_left("create and destroy", kInstances, [&] { (void)bench->created_by(HostSize::kExact); });
    return seen(*bench);
}

std::string check_struct_size(const Subject& subject) {
    const auto bench = bench_of(subject);
    const Cases exact = bench->cases();
    for (const auto& one : exact) one->run();
    for (const auto& [size, what] : {std::pair{HostSize::kLarger, "with larger structs"},
                                     std::pair{HostSize::kSmaller, "with smaller structs"}}) {
        try {
            const std::shared_ptr<const void> instance = bench->created_by(size);
            const Cases other = bench->cases();
            for (std::size_t i = 0; i < other.size(); ++i) {
                other[i]->call_on(instance.get());
                other[i]->run(std::byte{0}, size);
                if ((bench->flags() & L2O_FLAG_DETERMINISTIC) != 0)
                    expect_same(*exact[i], *other[i], "another result");
            }
        } catch (const Broken& broken) {
            throw Broken(std::string(what) + ": " + broken.what());
        }
    }
    return seen(*bench);
}

}  // namespace l2o::framework
