#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <tuple>
#include <utility>

#include "framework/check/checks.hpp"
#include "framework/check/first_nan.hpp"
#include "framework/check/optimizer_bench.hpp"
#include "framework/error.hpp"
#include "framework/rollout/arithmetic.hpp"

namespace l2o::framework {
namespace {

/// An optimizer for the problem of a bench with other blocks, which `change(spec, index)` makes of its own.
/// Throws Error if it refuses.
template <class Change>
std::unique_ptr<Optimizer> for_blocks(const Subject& subject, const OptimizerBench& bench, Change&& change) {
    std::vector<l2o_spec> specs;
    for (const l2o_spec* spec : bench.optimizee().blocks()) {
        specs.push_back(*spec);
        change(specs.back(), specs.size() - 1);
    }
    Task task = task_of(bench.optimizee(), OptimizerBench::kHorizon);
    task.blocks.clear();
    for (const l2o_spec& spec : specs) task.blocks.push_back(&spec);
    return std::make_unique<Optimizer>(subject.entry, resolve(subject.entry, subject.settings), task);
}

/// An optimizer for made-up vectors of `size` coordinates. Throws Error if it refuses.
std::unique_ptr<Optimizer> for_vectors(const Subject& subject,
                                       const OptimizerBench& bench,
                                       std::int64_t size) {
    return for_blocks(subject, bench, [&](l2o_spec& spec, std::size_t) {
        spec.ndim = 1;
        spec.shape = &size;
        spec.axes = nullptr;
    });
}

std::string compare(const std::vector<Tensor>& a, const std::vector<Tensor>& b, const std::string& name) {
    GuardedSet one, other;
    for (std::size_t i = 0; i < a.size(); ++i) {
        one.add(name + " " + std::to_string(i), a[i]);
        other.add(name + " " + std::to_string(i), b[i]);
    }
    return difference(one, other);
}

}  // namespace

std::string check_coordinatewise(const Subject& subject) {
    const OptimizerBench bench(subject, widest(subject));
    if ((bench.flags() & L2O_OPTIMIZER_COORDINATEWISE) == 0)
        throw NotApplicable("does not promise L2O_OPTIMIZER_COORDINATEWISE");
    const l2o_optimizer_info& info = bench.optimizer().info();
    if (info.particles > 0 || info.max_questions > 0)
        throw NotApplicable("is a population, or asks questions");
    constexpr std::int64_t kWhole = 13, kFirst = 3, kPart = 6, kBatch = 2;
    const auto whole = for_vectors(subject, bench, kWhole), part = for_vectors(subject, bench, kPart);
    const Dtype dtype = bench.optimizee().dtype();

    const auto vectors = [&](std::int64_t size, std::uint64_t index) {
        std::vector<Tensor> out;
        for (std::size_t k = 0; k < bench.optimizee().blocks().size(); ++k) {
            out.emplace_back(dtype, Shape{kBatch, size});
            const std::vector<double> draws = normals(kBatch * kWhole, index + k);
            for (std::int64_t i = 0; i < kBatch * size; ++i) {
                const std::int64_t from = size == kWhole ? i : i / size * kWhole + kFirst + i % size;
                set(out[k], i, draws[static_cast<std::size_t>(from)]);
            }
        }
        return out;
    };
    std::vector<Tensor> x_of[2];
    for (const bool is_part : {false, true}) {
        const Optimizer& optimizer = is_part ? *part : *whole;
        const std::int64_t size = is_part ? kPart : kWhole;
        Moment moment = bench.start().clone();
        moment.batch = kBatch;
        moment.x = vectors(size, 1);
        InitStateCase init(optimizer, moment);
        init.run();
        moment.state = init.state_out.clone();
        for (moment.t = 0; moment.t < bench.steps(5); ++moment.t) {
            if (optimizer.reads_g())
                moment.g = vectors(size, 100 + 10 * static_cast<std::uint64_t>(moment.t));
            if (optimizer.reads_f()) moment.f = Tensor(dtype, {kBatch});
            StepCase step(optimizer, moment);
            step.run();
            moment.x = step.x_out.clone();
            moment.state = step.state_out.clone();
        }
        x_of[is_part ? 1 : 0] = std::move(moment.x);
    }
    // Not bit for bit: a vectorised loop and its remainder may round differently.
    const double tolerance = dtype == Dtype::kF64 ? 1e-12 : 1e-5;
    for (std::size_t k = 0; k < x_of[0].size(); ++k) {
        for (std::int64_t i = 0; i < kBatch * kPart; ++i) {
            const double want = x_of[0][k].value(i / kPart * kWhole + kFirst + i % kPart),
                         got = x_of[1][k].value(i);
            if (!(std::abs(got - want) <= tolerance * (1 + std::abs(want))))
                throw Broken(
                    fmt::format("coordinate {} of {} is {:.17g} after {} steps; as coordinate {} of a slice "
                                "of {} it is {:.17g}",
                                kFirst + i % kPart,
                                kWhole,
                                want,
                                bench.steps(5),
                                i % kPart,
                                kPart,
                                got));
        }
    }
    return "";
}

std::string check_finite_step(const Subject& subject) {
    const OptimizerBench bench(subject, widest(subject));
    Moment moment = bench.first(bench.optimizer());
    const auto expect_numbers = [](const std::string& what, const Tensor& tensor) {
        if (const std::int64_t i = first_nan(tensor); i >= 0)
            throw Broken(
                fmt::format("element {} of {} is nan, after numbers alone; expected a number", i, what));
    };
    for (const Tensor& g : moment.g)
        if (!all_finite(g)) throw NotApplicable("the gradient at the start is not finite");
    for (std::size_t i = 0; i < moment.state.size(); ++i)
        expect_numbers(std::string("state '") + bench.optimizer().state()[i]->name + "' at the start",
                       moment.state[i]);
    bench.iterate(bench.optimizer(), moment);
    for (const Tensor& x : moment.x) expect_numbers("x' after the step at t = 0", x);
    return "";
}

std::string check_box(const Subject& subject) {
    const OptimizerBench bench(subject, widest(subject));
    if ((bench.flags() & L2O_OPTIMIZER_KEEPS_BOUNDS) == 0)
        throw NotApplicable("does not promise L2O_OPTIMIZER_KEEPS_BOUNDS");
    constexpr std::int64_t kSteps = 8;
    constexpr double kLeastWidth = 0.01;
    constexpr int kSteep = 12;
    // The smallest box around the starts: some are on its edge, and a step outwards leaves it.
    std::vector<std::pair<double, double>> boxes;
    for (const Tensor& block : bench.start().x) {
        double lower = block.size() > 0 ? block.value(0) : 0, upper = lower;
        for (std::int64_t i = 0; i < block.size(); ++i) {
            lower = std::min(lower, block.value(i));
            upper = std::max(upper, block.value(i));
        }
        if (upper - lower < kLeastWidth) lower -= kLeastWidth, upper += kLeastWidth;
        boxes.emplace_back(lower, upper);
    }
    std::unique_ptr<Optimizer> bounded;
    try {
        bounded = for_blocks(subject, bench, [&](l2o_spec& spec, std::size_t k) {
            spec.flags |= L2O_SPEC_BOUNDED;
            std::tie(spec.lower, spec.upper) = boxes[k];
        });
    } catch (const Error& error) {
        throw NotApplicable(error.what());
    }
    for (const int slope : {0, kSteep}) {
        Moment moment = bench.first(*bounded, slope);
        while (moment.t < bench.steps(kSteps)) {
            bench.iterate(*bounded, moment);
            for (std::size_t k = 0; k < boxes.size(); ++k) {
                for (std::int64_t i = 0; i < moment.x[k].size(); ++i) {
                    const double x = moment.x[k].value(i);
                    if (!(x >= boxes[k].first && x <= boxes[k].second))
                        throw Broken(fmt::format(
                            "step at t = {}: element {} of x' of block {} is {:.9g}; its bounds are [{:.9g}, "
                            "{:.9g}]",
                            moment.t - 1,
                            i,
                            k,
                            x,
                            boxes[k].first,
                            boxes[k].second));
                }
            }
        }
    }
    return "";
}

std::string check_layers(const Subject& subject) {
    const OptimizerBench bench(subject, widest(subject));
    const std::vector<const l2o_spec*>& params = bench.optimizer().params();
    if (std::ranges::none_of(params, [](const l2o_spec* spec) { return spec->layer > 0; }))
        throw NotApplicable("has no parameter that some steps do not use");
    if ((bench.flags() & L2O_FLAG_DETERMINISTIC) == 0)
        throw NotApplicable("does not promise L2O_FLAG_DETERMINISTIC");
    for (const Moment& moment : bench.moments()) {
        StepCase step(bench.optimizer(), moment);
        step.run();
        for (std::size_t i = 0; i < params.size(); ++i) {
            if (params[i]->layer <= moment.t || !is_real(moment.params[i].dtype())) continue;
            Moment other = moment.clone();
            for (std::int64_t k = 0; k < other.params[i].size(); ++k)
                set(other.params[i], k, 1.5 * other.params[i].value(k) + 0.5);
            StepCase changed(bench.optimizer(), other);
            changed.run();
            if (const std::string text = difference(step, changed); !text.empty())
                throw Broken(fmt::format("uses parameter '{}', whose first step is to be {}: {}",
                                         params[i]->name,
                                         params[i]->layer,
                                         text));
        }
    }
    return seen(bench);
}

namespace {

/// What init_params computes from the data is the same with every key.
void check_derived(const OptimizerBench& bench) {
    const std::vector<const l2o_spec*>& params = bench.optimizer().params();
    const auto drawn = [&](const Key& key) {
        std::vector<Tensor> out;
        for (const auto& one : bench.cases()) {
            if (one->name() != "init_params") continue;
            one->key = key;
            one->run();
            out = one->outputs()[0]->clone();
        }
        return out;
    };
    const std::vector<Tensor> one = drawn({0x5eed, 0}), other = drawn({0xa17e5, 99});
    for (std::size_t i = 0; i < params.size(); ++i) {
        if (!has(*params[i], L2O_SPEC_DERIVED)) continue;
        GuardedSet a, b;
        a.add(params[i]->name, one[i]), b.add(params[i]->name, other[i]);
        if (const std::string text = difference(a, b); !text.empty())
            throw Broken("declares L2O_SPEC_DERIVED, and with another key " + text);
    }
}

}  // namespace

std::string check_params(const Subject& subject) {
    const OptimizerBench bench(subject, widest(subject));
    if (bench.optimizer().params().empty()) throw NotApplicable("has no parameters");
    if ((bench.flags() & L2O_FLAG_DETERMINISTIC) != 0) check_derived(bench);
    if ((bench.flags() & L2O_OPTIMIZER_PARAMS_BY_PROBLEM) != 0)
        throw NotApplicable("declares L2O_OPTIMIZER_PARAMS_BY_PROBLEM");
    std::unique_ptr<Optimizer> other;
    try {
        other = for_vectors(subject, bench, 13);
    } catch (const Error&) {
        throw NotApplicable("refuses vectors of another size");
    }
    const auto learned = [](const Optimizer& optimizer) {
        std::string text;
        for (const l2o_spec* spec : optimizer.params())
            if (!has(*spec, L2O_SPEC_DERIVED)) text += "\n" + describe_spec(*spec);
        return text;
    };
    if (learned(bench.optimizer()) != learned(*other))
        throw Broken("for one problem they are" + learned(bench.optimizer()) + "\nfor another one" +
                     learned(*other));
    return "";
}

std::string check_resume(const Subject& subject) {
    const OptimizerBench bench(subject, widest(subject));
    const std::int64_t n = bench.steps(OptimizerBench::kHorizon);
    if (n < 2) throw NotApplicable("takes one step");
    Moment uninterrupted = bench.first(bench.optimizer(), bench.calm_slope(n));
    Moment saved;
    for (std::int64_t t = 0; t < n; ++t) {
        if (t == n / 2) saved = uninterrupted.clone();
        bench.iterate(bench.optimizer(), uninterrupted);
    }
    // Of an instance of its own, so that nothing kept in the first one helps.
    const OptimizerBench other(subject, widest(subject));
    for (std::int64_t t = n / 2; t < n; ++t) bench.iterate(other.optimizer(), saved);
    std::string text = compare(uninterrupted.x, saved.x, "x of block");
    if (text.empty()) text = compare(uninterrupted.state, saved.state, "state");
    if (!text.empty())
        throw Broken(
            fmt::format("{} steps, and {} steps from a copy after {}: {}", n, n - n / 2, n / 2, text));
    return seen(bench);
}

namespace {

bool is_row(const Tensor& a, std::int64_t row, const Tensor& b, std::int64_t row_of_b, std::int64_t rows) {
    const auto bytes = static_cast<std::size_t>(a.bytes() / rows);
    return std::memcmp(static_cast<const std::byte*>(a.data()) + static_cast<std::size_t>(row) * bytes,
                       static_cast<const std::byte*>(b.data()) + static_cast<std::size_t>(row_of_b) * bytes,
                       bytes) == 0;
}

/// What x_is says of a row that has its x' since this round. @return whether it says something.
bool check_x_is(const StepCase& step, const Moment& round, std::int64_t row) {
    const std::int64_t rows = step.x_is[0].size();
    const auto is = static_cast<std::int32_t>(step.x_is[0].value(row));
    const auto fail = [&](const std::string& text) {
        throw Broken(fmt::format("{}: x_is of row {} is {}; {}", step.name(), row, is, text));
    };
    if (is == L2O_X_IS_NEW) return false;
    if (is < L2O_X_IS_UNCHANGED || is >= static_cast<std::int32_t>(round.n_answers))
        fail(fmt::format("there were {} questions before", round.n_answers));
    for (std::size_t k = 0; k < round.x.size(); ++k) {
        if (is == L2O_X_IS_UNCHANGED && !is_row(step.x_out[k], row, round.x[k], row, rows))
            fail("x' is not x");
        if (is >= 0 && !is_row(step.x_out[k], row, round.q[k], is * rows + row, rows))
            fail("x' is not that question");
    }
    return true;
}

/// What a row that wants nothing has to repeat.
void check_repeats(const StepCase& now, const StepCase& then, const Optimizer& optimizer, std::int64_t row) {
    const auto compare = [&](const GuardedSet& a, const GuardedSet& b, std::size_t i) {
        if (!is_row(a[i], row, b[i], row, now.batch()))
            throw Broken(fmt::format("{}: row {} wanted nothing at {}, and its '{}' differs",
                                     now.name(),
                                     row,
                                     then.name(),
                                     a.name(i)));
    };
    for (std::size_t k = 0; k < now.x_out.size(); ++k) compare(now.x_out, then.x_out, k);
    for (std::size_t i = 0; i < now.state_out.size(); ++i)
        if (has(*optimizer.state()[i], L2O_SPEC_BATCHED)) compare(now.state_out, then.state_out, i);
    compare(now.x_is, then.x_is, 0);
}

}  // namespace

std::string check_questions(const Subject& subject) {
    const OptimizerBench bench(subject, widest(subject));
    const Optimizer& optimizer = bench.optimizer();
    std::vector<Moment> rounds;
    Moment moment = bench.first(optimizer, bench.calm_slope(bench.steps(3)));
    for (std::int64_t t = 0; t < bench.steps(3); ++t) {
        // iterate() refuses questions beyond the declaration, and too many rounds.
        bench.iterate(optimizer, moment, &rounds);
    }
    std::size_t named = 0;
    std::vector<std::shared_ptr<const StepCase>> done(
        bench.batch());  // where a row wanted nothing for the first time
    for (const Moment& round : rounds) {
        if (round.round == 0) std::fill(done.begin(), done.end(), nullptr);
        const auto step = std::make_shared<StepCase>(optimizer, round);
        step->run();
        Moment spoiled = round.clone();
        spoiled.spoil(1e30);
        bench.spoil_unused(spoiled, 1e30);
        StepCase other(optimizer, spoiled);
        other.run();
        if ((bench.flags() & L2O_FLAG_DETERMINISTIC) != 0)
            if (const std::string text = difference(*step, other); !text.empty())
                throw Broken("depends on an answer that was not wanted: " + text);
        const std::int64_t particles = step->x_is[0].size() / bench.batch();
        for (std::int64_t row = 0; row < bench.batch(); ++row) {
            std::shared_ptr<const StepCase>& then = done[static_cast<std::size_t>(row)];
            if (step->is_open(row)) {
                if (then)
                    throw Broken(fmt::format(
                        "{}: row {} wanted nothing at {}, and asks again", step->name(), row, then->name()));
                continue;
            }
            if (then) {
                check_repeats(*step, *then, optimizer, row);
                continue;
            }
            for (std::int64_t p = row * particles; p < (row + 1) * particles; ++p)
                if (check_x_is(*step, round, p)) ++named;
            then = step;
        }
        // What a row asks, and when it is done, is its own.
        const bool is_asked_alone =
            optimizer.info().max_questions > 0 && (bench.flags() & L2O_FLAG_ROW_INVARIANT) != 0;
        for (const std::int64_t row : some_rows(bench.batch())) {
            if (!is_asked_alone) break;
            StepCase alone(optimizer, bench.rows_of(round, {row}));
            alone.row0 = static_cast<std::uint64_t>(row);
            alone.run();
            expect_rows(*step, bench.batch(), alone, {row});
        }
    }
    // What is said late may be wrong late.
    for (const Moment& round : bench.moments()) {
        if (round.round > 0) continue;
        StepCase step(optimizer, round);
        step.run();
        for (std::int64_t i = 0; i < step.x_is[0].size(); ++i)
            if (!step.is_open(i * bench.batch() / step.x_is[0].size())) (void)check_x_is(step, round, i);
    }
    return seen(bench,
                fmt::format("{} rounds in {} iterations, {} rows taken from a question or left",
                            rounds.size(),
                            bench.steps(3),
                            named));
}

std::string check_rows(const Subject& subject) {
    const OptimizerBench bench(subject, widest(subject));
    if ((bench.flags() & L2O_OPTIMIZER_ENDS_ROWS) == 0) throw NotApplicable("does not end rows");
    const std::int64_t n = bench.steps(std::max<std::int64_t>(50, subject.circumstances.far + 1));
    std::vector<Moment> seen;
    Moment moment = bench.first(bench.optimizer());
    for (std::int64_t t = 0; t < n; ++t) {
        seen.clear();
        bench.iterate(bench.optimizer(), moment, &seen);
        StepCase last(bench.optimizer(), seen.back());
        last.run();
        for (std::int64_t row = 0; row < bench.batch(); ++row) {
            const auto status = static_cast<std::int32_t>(last.row_status[0].value(row));
            if (status < L2O_ROW_GOES_ON || status > L2O_ROW_FAILED)
                throw Broken(fmt::format(
                    "{}: row_status of row {} is {}; expected an L2O_ROW_*", last.name(), row, status));
        }
    }
    const auto ended = std::count_if(
        moment.status.begin(), moment.status.end(), [](std::int32_t s) { return s != L2O_ROW_GOES_ON; });
    return fmt::format("{} of {} rows end within {} steps", ended, bench.batch(), n);
}

std::string check_second_block(const Subject& subject) {
    Subject two = subject;
    two.two_blocks = true;
    // Where the other term has long converged its state is next to nothing, and so are its differences.
    two.circumstances.far = 0;
    try {
        if (OptimizerBench(subject, dtypes(subject).back()).optimizee().blocks().size() > 1)
            throw NotApplicable("the other checks were with several");
        (void)OptimizerBench(two, dtypes(two).back());
    } catch (const Error& error) {
        throw NotApplicable(error.what());
    } catch (const Broken& refused) {
        throw NotApplicable(refused.what());
    }
    std::string unseen;
    bool is_any = false;
    for (const auto check :
         {&check_outputs, &check_row_invariant, &check_float32, &check_questions, &check_optimizer_vjp}) {
        try {
            check(two);
            is_any = true;
        } catch (const NotApplicable& reason) {
            unseen = reason.what();  // neither is it then with one block
        } catch (const Broken& broken) {
            try {
                check(subject);
            } catch (const std::exception&) {
                continue;  // that is what the check itself says
            }
            throw Broken(std::string("with two blocks: ") + broken.what());
        }
    }
    if (!is_any) throw NotApplicable(unseen);
    return "";
}

}  // namespace l2o::framework
