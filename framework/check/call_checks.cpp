#include <fmt/core.h>

#include <barrier>
#include <thread>

#include "framework/check/checks.hpp"
#include "framework/plugin/process_watch.hpp"

namespace l2o::framework {
namespace {

constexpr std::byte kPoison{0xFF}, kOtherPoison{0xA5};

using Cases = std::vector<std::unique_ptr<Case>>;

template <class Body>
void for_each_case(const Subject& subject, Body&& body) {
    for (const Dtype dtype : dtypes(subject)) {
        const auto bench = make_bench(subject, dtype);
        for (const auto& one : bench->cases()) body(*one);
    }
}

void expect_same(const Case& a, const Case& b, const std::string& what) {
    if (const std::string text = difference(a, b); !text.empty()) throw Broken(what + ": " + text);
}

/// The element type that promises are looked at in: the one with fewer bits left to hide in.
std::unique_ptr<Bench> bench_of(const Subject& subject) {
    return make_bench(subject, dtypes(subject).front());
}

}  // namespace

std::string check_bounds(const Subject& subject) {
    for_each_case(subject, [](Case& one) {
        one.run(kPoison);
        if (const std::string text = one.overrun(); !text.empty()) throw Broken(text);
    });
    return "";
}

std::string check_inputs(const Subject& subject) {
    for_each_case(subject, [](Case& one) {
        one.remember();
        one.run(kPoison);
        if (const std::string text = one.changed(); !text.empty()) throw Broken(text);
    });
    return "";
}

std::string check_outputs(const Subject& subject) {
    for (const Dtype dtype : dtypes(subject)) {
        const auto bench = make_bench(subject, dtype);
        const Cases cases = bench->cases(), again = bench->cases();
        for (std::size_t i = 0; i < cases.size(); ++i) {
            cases[i]->run(kPoison);
            again[i]->run(kOtherPoison);
            // What was not written, or was added to, is different now; also what was read from the scratch.
            if ((bench->flags() & L2O_DETERMINISTIC) != 0) {
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
                    for (std::int64_t k = 0; k < set.required(t); ++k) {
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
    return "";
}

std::string check_deterministic(const Subject& subject) {
    const auto bench = bench_of(subject);
    if ((bench->flags() & L2O_DETERMINISTIC) == 0) throw NotApplicable("does not promise L2O_DETERMINISTIC");
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
    const auto twin = make_bench(subject, dtypes(subject).front());
    const Cases of_twin = twin->cases();
    for (const auto& one : of_twin) one->run();
    for (std::size_t i = 0; i < first.size(); ++i) {
        expect_same(*first[i], *elsewhere[i], "on another thread");
        expect_same(*first[i], *of_twin[i], "of another instance");
    }
    return "";
}

namespace {

/// Rows `rows` of the outputs of `whole` against those of `part`.
void expect_rows(const Case& whole, const Case& part, const std::vector<std::int64_t>& rows) {
    for (std::size_t s = 0; s < whole.outputs().size(); ++s) {
        const GuardedSet& from = *whole.outputs()[s];
        GuardedSet want;
        for (std::size_t t = 0; t < from.size(); ++t) {
            const GuardedSet& got = *part.outputs()[s];
            // The batch is the first axis, or the second one behind the questions; a shared tensor has none.
            const auto axis = [&]() -> std::optional<std::size_t> {
                if (!from[t] || from[t].shape().empty()) return std::nullopt;
                for (std::size_t a = 0; a < std::min<std::size_t>(2, from[t].shape().size()); ++a) {
                    if (from[t].shape()[a] == Bench::kBatch &&
                        got[t].shape()[a] == static_cast<std::int64_t>(rows.size()))
                        return a;
                }
                return std::nullopt;
            }();
            if (axis) {
                want.add(from.name(t), gather(from[t], *axis, rows));
                if (from[t].size() > 0) want.require(t, from.required(t) * want[t].size() / from[t].size());
            } else {
                want.add_absent(from.name(t));
            }
        }
        if (const std::string text = difference(want, *part.outputs()[s]); !text.empty())
            throw Broken(fmt::format("{}: row {} of {} alone: {}",
                                     whole.name(),
                                     rows.size() == 1 ? std::to_string(rows[0]) : "subset",
                                     Bench::kBatch,
                                     text));
    }
}

}  // namespace

std::string check_row_invariant(const Subject& subject) {
    const auto bench = bench_of(subject);
    if ((bench->flags() & L2O_ROW_INVARIANT) == 0) throw NotApplicable("does not promise L2O_ROW_INVARIANT");
    const Cases whole = bench->cases_of_rows(all_rows(Bench::kBatch), 0);
    for (const auto& one : whole) one->run();
    const auto compare = [&](const std::vector<std::int64_t>& rows, std::uint64_t row0) {
        const Cases part = bench->cases_of_rows(rows, row0);
        for (std::size_t i = 0; i < part.size(); ++i) {
            // Draws go by row0 + b: a call that draws can be split, not permuted.
            const bool draws = part[i]->name() == "init_point" || (bench->flags() & L2O_STOCHASTIC) != 0;
            if (draws && rows.size() > 1) continue;
            part[i]->run();
            expect_rows(*whole[i], *part[i], rows);
        }
    };
    for (std::int64_t row = 0; row < Bench::kBatch; ++row) compare({row}, static_cast<std::uint64_t>(row));
    // Fewer than all, so that the axis of the batch is told from one that has its length by chance.
    compare({4, 2, 0, 3}, 0);
    return "";
}

std::string check_threads(const Subject& subject) {
    const auto bench = bench_of(subject);
    if ((bench->flags() & L2O_SERIAL) != 0) throw NotApplicable("declares L2O_SERIAL");
    constexpr int kThreads = 2, kRepetitions = 10;
    const Cases alone = bench->cases();
    for (const auto& one : alone) one->run();
    std::vector<Cases> cases;
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
                            if ((bench->flags() & L2O_DETERMINISTIC) != 0)
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
    return "";
}

std::string check_environment(const Subject& subject) {
    const ProcessState start = ProcessState::now();
    for_each_case(subject, [&](Case& one) {
        const ProcessState before = ProcessState::now();
        if (const std::string text = start.change_to(before); !text.empty()) throw Broken("create: " + text);
        one.run();
        if (const std::string text = before.change_to(ProcessState::now()); !text.empty())
            throw Broken(one.name() + ": " + text);
        // What is put back after every call.
        for (const std::string& text : take_process_notes()) throw Broken(one.name() + ": " + text);
    });
    return "";
}

std::string check_struct_size(const Subject& subject) {
    const auto bench = bench_of(subject);
    const Cases exact = bench->cases();
    for (const auto& one : exact) one->run();
    for (const auto& [size, what] : {std::pair{HostSize::kLarger, "with larger structs"},
                                     std::pair{HostSize::kSmaller, "with smaller structs"}}) {
        const Cases other = bench->cases();
        for (std::size_t i = 0; i < other.size(); ++i) {
            try {
                other[i]->run(std::byte{0}, size);
            } catch (const Broken& broken) {
                throw Broken(std::string(what) + ": " + broken.what());
            }
            if ((bench->flags() & L2O_DETERMINISTIC) != 0) expect_same(*exact[i], *other[i], what);
        }
    }
    return "";
}

}  // namespace l2o::framework
