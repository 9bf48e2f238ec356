#include "framework/check/bench.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <l2o/numerics/philox.hpp>
#include <limits>
#include <numeric>
#include <optional>

#include "framework/check/loss_bench.hpp"
#include "framework/check/optimizee_bench.hpp"
#include "framework/check/optimizer_bench.hpp"
#include "framework/check/rounding.hpp"
#include "framework/error.hpp"

namespace l2o::framework {

ResolvedOptions resolve(const Catalog::Entry& entry, const std::map<std::string, std::string>& settings) {
    const OptionContext context{.origin = "l2o check",
                                .path = "options",
                                .kind = name_of(entry.component.kind),
                                .id = entry.component.id};
    return resolve_options(entry.component.options, settings_from(settings, {.file = "--set"}), context);
}

l2o_status Case::attempt(std::byte poison, HostSize host) {
    context_ = std::make_unique<GuardedCall>(key, row0, scratch_bytes, host);
    context_->poison(poison);
    for (GuardedSet* set : outputs_) set->fill(poison);
    return call(context_->get());
}

void Case::run(std::byte poison, HostSize host) {
    const l2o_status status = attempt(poison, host);
    const std::string text = fmt::format("{}: returned status {}: {}", name_, status, context_->text());
    const bool is_refused = status == L2O_STATUS_INVALID || status == L2O_STATUS_UNSUPPORTED;
    if (is_refused && !context_->text().empty()) throw Refused(text);
    if (status != L2O_STATUS_OK) throw Broken(text);
    after();
}

std::string Case::refusal() {
    const l2o_status status = attempt(std::byte{0}, HostSize::kExact);
    const bool is_refused = status == L2O_STATUS_INVALID || status == L2O_STATUS_UNSUPPORTED;
    return is_refused ? context_->text() : "";
}

std::string Case::overrun() const {
    for (const auto& sets : {inputs_, outputs_}) {
        for (const GuardedSet* set : sets) {
            if (const std::string text = set->overrun(); !text.empty()) return name_ + ": " + text;
        }
    }
    const std::string text = context_->overrun();
    return text.empty() ? text : name_ + ": " + text;
}

void Case::remember() {
    for (GuardedSet* set : inputs_) set->remember();
}

std::string Case::changed() const {
    for (const GuardedSet* set : inputs_) {
        if (const std::string text = set->changed(); !text.empty()) return name_ + ": " + text;
    }
    return "";
}

bool are_comparable(const Case& in_float64, const Case& in_float32) {
    const auto here = in_float64.decisions(), there = in_float32.decisions();
    for (std::size_t i = 0; i < here.size(); ++i)
        if (!difference(*here[i], *there[i]).empty()) return false;
    for (const GuardedSet* set : in_float64.outputs())
        for (std::size_t t = 0; t < set->size(); ++t)
            for (std::int64_t i = 0; (*set)[t] && i < (*set)[t].size(); ++i)
                if (const double size = std::abs((*set)[t].value(i));
                    std::isfinite(size) && size > double(std::numeric_limits<float>::max()))
                    return false;
    return true;
}

std::string difference(const Case& a, const Case& b) {
    for (std::size_t i = 0; i < a.outputs().size(); ++i) {
        const std::string text = difference(*a.outputs()[i], *b.outputs()[i]);
        if (!text.empty()) return a.name() + ": " + text;
    }
    return "";
}

void expect_rows(const Case& whole,
                 std::int64_t batch,
                 Case& part,
                 const std::vector<std::int64_t>& rows,
                 double tolerance) {
    std::vector<GuardedSet> wants(whole.outputs().size());
    Results want;
    double rounding = kRoundingOfFloat64;
    for (std::size_t s = 0; s < whole.outputs().size(); ++s) {
        const GuardedSet &from = *whole.outputs()[s], &got = *part.outputs()[s];
        for (std::size_t t = 0; t < from.size(); ++t) {
            if (from[t] && from[t].dtype() == Dtype::kF32) rounding = kRoundingOfFloat32;
            // The batch is the first axis, or the second one behind the questions; a shared tensor has none.
            std::optional<std::size_t> axis;
            for (std::size_t a = 0; from[t] && !axis && a < std::min<std::size_t>(2, from[t].shape().size());
                 ++a)
                if (from[t].shape()[a] == batch &&
                    got[t].shape()[a] == static_cast<std::int64_t>(rows.size()))
                    axis = a;
            if (axis) {
                wants[s].add(from.name(t), gather(from[t], *axis, rows));
            } else {
                wants[s].add_absent(from.name(t));
            }
        }
        want.push_back(&wants[s]);
    }
    std::string text;
    if (tolerance > 0) {
        text = difference_beyond_rounding(
            part.outputs(), want, tolerance, 1, part.inputs(), rounding, [&] { part.run(); });
    } else {
        for (std::size_t s = 0; s < want.size() && text.empty(); ++s)
            text = difference(*want[s], *part.outputs()[s]);
    }
    if (!text.empty())
        throw Broken(fmt::format("{}: row {} of {} alone: {}",
                                 whole.name(),
                                 rows.size() == 1 ? std::to_string(rows[0]) : "subset",
                                 batch,
                                 text));
}

std::unique_ptr<Optimizee> make_optimizee(const Subject& subject, Dtype dtype) {
    if (!subject.optimizee) throw Error(ExitCode::kPlugin, subject.unsuited);
    return std::make_unique<Optimizee>(
        *subject.optimizee, resolve(*subject.optimizee, subject.optimizee_settings), dtype);
}

std::map<std::string, std::string>& problem_settings(Subject& subject) {
    return subject.entry.component.kind == Kind::kOptimizee ? subject.settings : subject.optimizee_settings;
}

namespace {

/// Of a few instances with their points, in float64.
double bytes_of_problem(const Catalog::Entry& entry, const std::map<std::string, std::string>& settings) {
    std::unique_ptr<Optimizee> optimizee;
    try {
        optimizee = std::make_unique<Optimizee>(entry, resolve(entry, settings), Dtype::kF64);
    } catch (const Error&) {
        optimizee = std::make_unique<Optimizee>(entry, resolve(entry, settings), Dtype::kF32);
    }
    double bytes = 0;
    for (const auto* specs : {&optimizee->data(), &optimizee->blocks()})
        for (const l2o_spec* spec : *specs)
            bytes += static_cast<double>(element_count(shape_of(*spec, Circumstances{}.batch)) *
                                         bytes_of(dtype_of(*spec)));
    return bytes;
}

}  // namespace

std::map<std::string, std::string> sizes_of(const Subject& subject, double most_bytes) {
    Subject copy = subject;
    const bool is_problem = subject.entry.component.kind == Kind::kOptimizee;
    if (!is_problem && !subject.optimizee) return {};
    const Catalog::Entry& entry = is_problem ? subject.entry : *subject.optimizee;
    const std::map<std::string, std::string>& given = problem_settings(copy);
    std::map<std::string, std::string> sizes;
    double bytes = bytes_of_problem(entry, given);
    for (const int size : {64, 32, 16, 8, 4, 2}) {
        for (const OptionSchema& option : entry.component.options) {
            const bool is_size = option.type == L2O_OPTION_INT || option.type == L2O_OPTION_INTS;
            if (!is_size || given.contains(option.key) || bytes <= most_bytes) continue;
            std::map<std::string, std::string> smaller = sizes;
            smaller[option.key] = std::to_string(size);
            try {
                std::map<std::string, std::string> settings = smaller;
                settings.insert(given.begin(), given.end());
                const double other = bytes_of_problem(entry, settings);
                if (other < bytes) bytes = other, sizes = smaller;
            } catch (const Error&) {
                // Not of this one.
            }
        }
    }
    return sizes;
}

bool is_reasoned(const std::string& refusal) {
    return !refusal.ends_with("no reason given") && refusal.find("internal error") == std::string::npos;
}

std::string refusal_of(const Subject& subject) {
    std::string refusal;
    for (const Dtype dtype : {Dtype::kF32, Dtype::kF64}) {
        try {
            (void)make_bench(subject, dtype);
            return "";
        } catch (const Error& error) {
            refusal = error.what();
        } catch (const std::exception&) {
            return "";
        }
    }
    return is_reasoned(refusal) ? refusal : "";
}

std::unique_ptr<Bench> make_bench(const Subject& subject, Dtype dtype, std::int64_t batch) {
    switch (subject.entry.component.kind) {
        case Kind::kOptimizer:
            return std::make_unique<OptimizerBench>(subject, dtype, batch);
        case Kind::kOptimizee:
            return std::make_unique<OptimizeeBench>(subject, dtype, batch);
        case Kind::kLoss:
            return std::make_unique<LossBench>(subject, dtype, batch);
    }
    throw std::logic_error("kind");
}

std::string seen(const Bench& bench, std::string text) {
    if (const std::string unseen = bench.unseen(); !unseen.empty()) throw NotApplicable(unseen);
    return text;
}

std::vector<Dtype> dtypes(const Subject& subject) {
    std::vector<Dtype> out;
    std::string refusal;
    for (const Dtype dtype : {Dtype::kF32, Dtype::kF64}) {
        try {
            (void)make_bench(subject, dtype);
            out.push_back(dtype);
        } catch (const Error& error) {
            refusal = error.what();
        }
    }
    if (out.empty()) throw Broken(refusal);
    return out;
}

Tensor gather(const Tensor& tensor, std::size_t axis, const std::vector<std::int64_t>& rows) {
    if (!tensor) return {};
    Shape shape = tensor.shape();
    std::int64_t outer = 1, inner = bytes_of(tensor.dtype());
    for (std::size_t i = 0; i < axis; ++i) outer *= shape[i];
    for (std::size_t i = axis + 1; i < shape.size(); ++i) inner *= shape[i];
    const std::int64_t before = shape[axis], after = static_cast<std::int64_t>(rows.size());
    shape[axis] = after;
    Tensor out(tensor.dtype(), shape);
    for (std::int64_t o = 0; o < outer && inner > 0; ++o) {
        for (std::int64_t r = 0; r < after; ++r) {
            std::memcpy(static_cast<std::byte*>(out.data()) + (o * after + r) * inner,
                        static_cast<const std::byte*>(tensor.data()) +
                            (o * before + rows[static_cast<std::size_t>(r)]) * inner,
                        static_cast<std::size_t>(inner));
        }
    }
    return out;
}

std::vector<std::int64_t> all_rows(std::int64_t n) {
    std::vector<std::int64_t> rows(static_cast<std::size_t>(n));
    std::iota(rows.begin(), rows.end(), 0);
    return rows;
}

std::vector<std::int64_t> some_rows(std::int64_t n) {
    constexpr std::int64_t kMost = 5;
    if (n <= kMost) return all_rows(n);
    std::vector<std::int64_t> rows;
    for (std::int64_t i = 0; i < kMost; ++i) rows.push_back(i * (n - 1) / (kMost - 1));
    return rows;
}

namespace {
std::uint64_t the_seed = 0;
}  // namespace

void seed_draws(std::uint64_t seed) { the_seed = seed; }

std::vector<double> normals(std::int64_t n, std::uint64_t index) {
    numerics::Stream stream(Key{271828 ^ the_seed, 314159}, index);
    std::vector<double> out(static_cast<std::size_t>(n));
    for (double& value : out) value = stream.normal();
    return out;
}

Key seeded(const Key& key) { return {key[0] ^ the_seed, key[1]}; }

namespace {

Dtype preferred(const Subject& subject, const std::vector<Dtype>& offered, Dtype otherwise) {
    const std::optional<Dtype> wanted = subject.circumstances.dtype;
    return wanted && std::find(offered.begin(), offered.end(), *wanted) != offered.end() ? *wanted
                                                                                         : otherwise;
}

}  // namespace

Dtype narrowest(const Subject& subject) {
    const std::vector<Dtype> offered = dtypes(subject);
    return preferred(subject, offered, offered.front());
}

Dtype widest(const Subject& subject) {
    const std::vector<Dtype> offered = dtypes(subject);
    return preferred(subject, offered, offered.back());
}

GuardedSet guarded(const std::vector<Tensor>& tensors, const std::vector<const l2o_spec*>& specs) {
    GuardedSet set;
    for (std::size_t i = 0; i < tensors.size(); ++i) set.add(specs[i]->name, tensors[i]);
    return set;
}

void set(Tensor& tensor, std::int64_t i, double value) {
    const auto at = static_cast<std::size_t>(i);
    if (tensor.dtype() == Dtype::kF32) {
        tensor.values<float>()[at] = static_cast<float>(value);
    } else {
        tensor.values<double>()[at] = value;
    }
}

std::string joined(std::initializer_list<const char*> words) {
    std::string text;
    for (const char* word : words)
        if (*word != '\0') text += (text.empty() ? "" : " and ") + std::string(word);
    return text;
}

std::string describe_spec(const l2o_spec& spec) {
    const auto text = [](const char* t) { return t == nullptr ? std::string("NULL") : std::string(t); };
    std::string shape;
    for (std::int32_t i = 0; i < spec.ndim; ++i) shape += (i > 0 ? "," : "") + std::to_string(spec.shape[i]);
    return fmt::format("{} [{}{}{}] dtype {:#x} flags {:#x} block {} layer {} bounds [{}, {}] axes {} doc {}",
                       text(spec.name),
                       has(spec, L2O_SPEC_BATCHED) ? "B;" : "",
                       has(spec, L2O_SPEC_PER_PARTICLE) ? "P;" : "",
                       shape,
                       spec.dtype,
                       spec.flags,
                       spec.block,
                       spec.layer,
                       spec.lower,
                       spec.upper,
                       text(spec.axes),
                       text(spec.doc));
}

}  // namespace l2o::framework
