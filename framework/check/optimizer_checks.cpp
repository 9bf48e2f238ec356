#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "framework/check/checks.hpp"
#include "framework/check/optimizer_bench.hpp"
#include "framework/error.hpp"

namespace l2o::framework {
namespace {

Dtype widest(const Subject& subject) { return dtypes(subject).back(); }

/// The blocks of a task with other sizes along their axes: coordinates [first, first + count) of vectors.
class SizedBlocks {
  public:
    SizedBlocks(const std::vector<const l2o_spec*>& like, std::int64_t size) : size_(size) {
        for (const l2o_spec* spec : like) {
            specs_.push_back(*spec);
            specs_.back().ndim = 1;
            specs_.back().shape = &size_;
            specs_.back().axes = nullptr;
        }
        for (const l2o_spec& spec : specs_) pointers_.push_back(&spec);
    }
    SizedBlocks(const SizedBlocks&) = delete;
    SizedBlocks& operator=(const SizedBlocks&) = delete;
    ~SizedBlocks() = default;
    [[nodiscard]] const std::vector<const l2o_spec*>& specs() const { return pointers_; }

  private:
    std::int64_t size_;
    std::vector<l2o_spec> specs_;
    std::vector<const l2o_spec*> pointers_;
};

/// An optimizer for made-up vectors of `size` coordinates. Throws Error if it refuses.
std::unique_ptr<Optimizer> for_vectors(const Subject& subject,
                                       const OptimizerBench& bench,
                                       std::int64_t size) {
    const SizedBlocks blocks(bench.optimizee().blocks(), size);
    Task task = task_of(bench.optimizee(), OptimizerBench::kHorizon);
    task.blocks = blocks.specs();
    return std::make_unique<Optimizer>(subject.entry, resolve(subject.entry, subject.settings), task);
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
    if ((bench.flags() & L2O_COORDINATEWISE) == 0) throw NotApplicable("does not promise L2O_COORDINATEWISE");
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

std::string check_params(const Subject& subject) {
    const OptimizerBench bench(subject, widest(subject));
    if (bench.optimizer().params().empty()) throw NotApplicable("has no parameters");
    if ((bench.flags() & L2O_PARAMS_BY_PROBLEM) != 0) throw NotApplicable("declares L2O_PARAMS_BY_PROBLEM");
    std::unique_ptr<Optimizer> other;
    try {
        other = for_vectors(subject, bench, 13);
    } catch (const Error&) {
        throw NotApplicable("refuses vectors of another size");
    }
    const auto learned = [](const Optimizer& optimizer) {
        std::string text;
        for (const l2o_spec* spec : optimizer.params())
            if (spec->role == L2O_PARAM_LEARNED) text += "\n" + describe_spec(*spec);
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
    Moment uninterrupted = bench.first(bench.optimizer());
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
    return "";
}

std::string check_questions(const Subject& subject) {
    const OptimizerBench bench(subject, widest(subject));
    if (bench.optimizer().info().max_questions == 0) throw NotApplicable("asks no questions");
    std::vector<Moment> seen;
    Moment moment = bench.first(bench.optimizer());
    for (std::int64_t t = 0; t < bench.steps(3); ++t) {
        // iterate() refuses questions beyond the declaration, and too many rounds.
        bench.iterate(bench.optimizer(), moment, &seen);
    }
    std::size_t named = 0;
    for (const Moment& round : seen) {
        StepCase step(bench.optimizer(), round);
        step.run();
        if (step.n_questions() > 0) continue;
        const auto chosen = step.x_from_q[0].values<std::int32_t>();
        for (std::size_t b = 0; b < chosen.size(); ++b) {
            if (chosen[b] < 0) continue;
            if (chosen[b] >= static_cast<std::int32_t>(round.n_answers))
                throw Broken(fmt::format("{}: x_from_q of row {} is {}; there were {} questions",
                                         step.name(),
                                         b,
                                         chosen[b],
                                         round.n_answers));
            ++named;
            for (std::size_t k = 0; k < round.q.size(); ++k) {
                const Tensor& x = step.x_out[k];
                const auto row = static_cast<std::size_t>(x.bytes()) / chosen.size();
                const auto* q = static_cast<const std::byte*>(round.q[k].data()) +
                                (static_cast<std::size_t>(chosen[b]) * chosen.size() + b) * row;
                if (std::memcmp(static_cast<const std::byte*>(x.data()) + b * row, q, row) != 0)
                    throw Broken(fmt::format("{}: x' of row {} is not question {}, which x_from_q names",
                                             step.name(),
                                             b,
                                             chosen[b]));
            }
        }
    }
    // Rows alone end in other rounds than the batch: their result is the same if a row that is done repeats.
    for (std::int64_t b = 0; b < Bench::kBatch && (bench.flags() & L2O_ROW_INVARIANT) != 0; ++b) {
        for (std::size_t r = 0; r + 1 < seen.size(); ++r) {
            if (seen[r + 1].t != seen[r].t) continue;
            StepCase alone(bench.optimizer(), bench.rows_of(seen[r], {b})),
                later(bench.optimizer(), bench.rows_of(seen[r + 1], {b}));
            alone.row0 = later.row0 = static_cast<std::uint64_t>(b);
            alone.run();
            if (alone.n_questions() > 0) continue;
            later.run();
            const std::string text = difference(alone.x_out, later.x_out);
            if (!text.empty())
                throw Broken(
                    fmt::format("{}: row {} is done, and in the next round {}", alone.name(), b, text));
        }
    }
    return fmt::format(
        "{} rounds in {} iterations, {} rows taken from a question", seen.size(), bench.steps(3), named);
}

}  // namespace l2o::framework
