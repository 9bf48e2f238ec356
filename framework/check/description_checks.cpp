#include <fmt/core.h>
#include <l2o/abi/draft/alternates.h>

#include <cmath>
#include <cstring>
#include <set>

#include "framework/check/checks.hpp"
#include "framework/check/loss_bench.hpp"
#include "framework/check/optimizee_bench.hpp"
#include "framework/check/optimizer_bench.hpp"
#include "framework/config/value_text.hpp"
#include "framework/error.hpp"
#include "framework/text/printable.hpp"

namespace l2o::framework {
namespace {

void check_option(const OptionSchema& option) {
    const auto fail = [&](const std::string& text) { throw Broken("option '" + option.key + "' " + text); };
    const auto is_word = [](const std::string& text) {
        return !text.empty() &&
               text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos;
    };
    if (!is_word(option.key)) fail("has a key that is no snake_case word");
    if (option.doc.empty()) fail("has no doc");
    if (option.type < L2O_OPTION_BOOL || option.type > L2O_OPTION_REALS)
        fail("has type " + std::to_string(option.type) + "; expected L2O_OPTION_BOOL .. L2O_OPTION_REALS");
    if (!(option.min <= option.max)) fail(fmt::format("has the bounds {} > {}", option.min, option.max));
    const bool is_required = (option.flags & L2O_OPTION_REQUIRED) != 0;
    if (is_required == option.def.has_value())
        fail(is_required ? "is required and has a default" : "has no default and is not required");
    if ((option.type == L2O_OPTION_CHOICE) == option.choices.empty())
        fail(option.type == L2O_OPTION_CHOICE ? "has no choices" : "has choices and is none");
    const std::set<std::string> choices(option.choices.begin(), option.choices.end());
    if (choices.size() != option.choices.size()) fail("has a choice twice");
}

/// Values at the edges of what the schema allows.
std::vector<std::string> edge_values(const OptionSchema& option) {
    const bool open_min = (option.flags & L2O_OPTION_OPEN_MIN) != 0,
               open_max = (option.flags & L2O_OPTION_OPEN_MAX) != 0;
    switch (option.type) {
        case L2O_OPTION_BOOL:
            return {"false", "true"};
        case L2O_OPTION_CHOICE:
            return option.choices;
        case L2O_OPTION_INT:
        case L2O_OPTION_REAL: {
            std::vector<std::string> out;
            // Sizes are taken as they are: an upper bound of an integer may be gigabytes.
            if (std::isfinite(option.min) && !open_min) out.push_back(fmt::format("{}", option.min));
            if (std::isfinite(option.max) && !open_max && option.type == L2O_OPTION_REAL)
                out.push_back(fmt::format("{}", option.max));
            return out;
        }
        default:
            return {};
    }
}

void check_edges(const Subject& subject) {
    for (const OptionSchema& option : subject.entry.component.options) {
        for (const std::string& value : edge_values(option)) {
            Subject edge = subject;
            edge.settings[option.key] = value;
            try {
                (void)make_bench(edge, Dtype::kF64);
            } catch (const Error& error) {
                if (!is_reasoned(error.what()))
                    throw Broken(fmt::format(
                        "{}={} is allowed by the schema and ends in: {}", option.key, value, error.what()));
            }
        }
    }
}

/// A name, a text: base.h R6, and of a size that can be shown.
void check_text(const char* text, const std::string& what, std::size_t most) {
    if (text == nullptr) return;
    const std::size_t bytes = ::strnlen(text, most + 1);
    if (bytes > most) throw Broken(fmt::format("{} has more than {} bytes", what, most));
    if (const std::string fault = text_fault({text, bytes}); !fault.empty())
        throw Broken(fmt::format("{} is no text: {}", what, fault));
}
void check_name(const char* name, const std::string& what) {
    constexpr std::size_t kMostName = 256;
    check_text(name, what, kMostName);
    if (name != nullptr && std::strpbrk(name, "\n\r\t") != nullptr)
        throw Broken(fmt::format("{} has an end of line or a tab in it", what));
}

/// @param known  the bits that its flags may have.
void check_spec(const l2o_spec& spec, const char* what, std::uint32_t i, std::uint64_t known) {
    const auto fail = [&](const std::string& text) { throw Broken(fmt::format("{} {} {}", what, i, text)); };
    constexpr std::size_t kMostDoc = 1 << 16;
    check_name(spec.name, fmt::format("the name of {} {}", what, i));
    check_name(spec.axes, fmt::format("axes of {} {}", what, i));
    check_text(spec.doc, fmt::format("doc of {} {}", what, i), kMostDoc);
    if ((spec.flags & ~known) != 0)
        fail(fmt::format("has flags {:#x}, of which {:#x} are none of it", spec.flags, spec.flags & ~known));
    for (std::int32_t k = 0; k < spec.ndim; ++k) {
        if (spec.shape[k] < 0) fail(fmt::format("has size {} along axis {}", spec.shape[k], k));
    }
}

void check_metric(const l2o_spec& spec, std::uint32_t i) {
    check_spec(spec,
               "metric",
               i,
               L2O_SPEC_BATCHED | L2O_SPEC_NEEDS_SOLUTION | L2O_SPEC_HIGHER_IS_BETTER | L2O_SPEC_RATIO |
                   L2O_SPEC_DECIBEL);
    const auto fail = [&](const std::string& text) {
        throw Broken(fmt::format("metric '{}' {}", spec.name, text));
    };
    const bool is_ratio = has(spec, L2O_SPEC_RATIO);
    const Shape expected = is_ratio ? Shape{2} : Shape{}, found(spec.shape, spec.shape + spec.ndim);
    if (!has(spec, L2O_SPEC_BATCHED) || found != expected)
        fail(fmt::format("has {}shape {}; expected a batch of {}",
                         !has(spec, L2O_SPEC_BATCHED) ? "no batch and " : "",
                         to_string(found),
                         is_ratio ? "[2], u and w of a ratio" : "[]"));
    if (!is_ratio && has(spec, L2O_SPEC_DECIBEL))
        fail("is in decibel and no ratio; L2O_SPEC_DECIBEL goes with L2O_SPEC_RATIO");
}

constexpr std::uint64_t kCommonFlags =
    L2O_FLAG_DETERMINISTIC | L2O_FLAG_ROW_INVARIANT | L2O_FLAG_SERIAL | L2O_FLAG_STOCHASTIC;

/// The state of an optimizer: what it says of blocks and particles.
void check_state(const l2o_spec& spec, const OptimizerBench& bench) {
    const auto fail = [&](const std::string& text) {
        throw Broken(fmt::format("state '{}' {}", spec.name, text));
    };
    const auto& blocks = bench.optimizee().blocks();
    if (has(spec, L2O_SPEC_PER_PARTICLE)) {
        if (bench.optimizer().info().particles == 0)
            fail("is per particle, and the optimizer is no population");
        if (!has(spec, L2O_SPEC_BATCHED)) fail("is per particle and not batched");
    }
    if (spec.block == 0) return;
    const l2o_spec& block = *blocks[static_cast<std::size_t>(spec.block) - 1];
    if (!has(spec, L2O_SPEC_BATCHED))
        fail(fmt::format("belongs to block '{}' and is not batched", block.name));
}

void check_optimizer_specs(const OptimizerBench& bench, const ComponentDescription& component) {
    const l2o_optimizer_info& info = bench.optimizer().info();
    constexpr std::uint64_t kKnown = kCommonFlags | L2O_OPTIMIZER_PARAMS_BY_PROBLEM |
                                     L2O_OPTIMIZER_COORDINATEWISE | L2O_OPTIMIZER_STARTS_AT_ZERO |
                                     L2O_OPTIMIZER_ENDS_ROWS | L2O_OPTIMIZER_KEEPS_BOUNDS |
                                     L2O_OPTIMIZER_ALTERNATES_DRAFT1 | L2O_OPTIMIZER_TAKES_TURNS_DRAFT1;
    constexpr std::uint32_t kAnswered = L2O_ORACLE_VALUE | L2O_ORACLE_GRADIENT;
    if ((info.flags & ~kKnown) != 0)
        throw Broken(fmt::format("flags {:#x} hold bits that are none of an optimizer", info.flags));
    if ((info.reads & ~kAnswered) != 0)
        throw Broken(fmt::format("reads {:#x}; expected L2O_ORACLE_VALUE and L2O_ORACLE_GRADIENT at most",
                                 info.reads));
    if ((info.max_questions > 0) != (info.question_kinds != 0))
        throw Broken(fmt::format(
            "max_questions is {}, question_kinds is {}", info.max_questions, info.question_kinds));
    if (info.max_steps < 0) throw Broken(fmt::format("max_steps is {}", info.max_steps));
    bool is_learned = false;
    for (std::uint32_t i = 0; i < info.n_params; ++i) {
        const l2o_spec& spec = *bench.optimizer().params()[i];
        check_spec(spec, "parameter", i, L2O_SPEC_DERIVED);
        if (info.max_steps > 0 && (spec.layer < 0 || spec.layer >= info.max_steps))
            throw Broken(
                fmt::format("parameter '{}' is of layer {} of {}", spec.name, spec.layer, info.max_steps));
        is_learned = is_learned || !has(spec, L2O_SPEC_DERIVED);
    }
    for (std::uint32_t i = 0; i < info.n_state; ++i) {
        const l2o_spec& spec = *bench.optimizer().state()[i];
        check_spec(spec, "state", i, L2O_SPEC_BATCHED | L2O_SPEC_PER_PARTICLE);
        check_state(spec, bench);
    }
    if (component.has_tag("learned") && !is_learned)
        throw Broken("has the tag 'learned' and no parameter to learn");
    if (component.has_tag("differentiable") && bench.optimizer().vjp() == nullptr)
        throw Broken("has the tag 'differentiable' and no extension '" L2O_EXT_OPTIMIZER_VJP "'");
}

void check_optimizee_specs(const OptimizeeBench& bench) {
    const Optimizee& optimizee = bench.optimizee();
    const l2o_optimizee_info& info = optimizee.info();
    if ((info.flags & ~kCommonFlags) != 0)
        throw Broken(fmt::format("flags {:#x} hold bits that are none of an optimizee", info.flags));
    for (std::uint32_t i = 0; i < info.n_blocks; ++i) {
        const l2o_spec& spec = *optimizee.blocks()[i];
        check_spec(spec, "block", i, L2O_SPEC_BATCHED | L2O_SPEC_MAXIMISED | L2O_SPEC_BOUNDED);
        if (!has(spec, L2O_SPEC_BATCHED)) throw Broken(fmt::format("block '{}' is not batched", spec.name));
        if (dtype_of(spec) != optimizee.dtype())
            throw Broken(fmt::format("block '{}' is {}; expected {}, which was asked for",
                                     spec.name,
                                     name_of(dtype_of(spec)),
                                     name_of(optimizee.dtype())));
    }
    bool by_solve = false, has_solution = false;
    for (std::uint32_t i = 0; i < info.n_data; ++i) {
        const l2o_spec& spec = *optimizee.data()[i];
        check_spec(spec,
                   "data tensor",
                   i,
                   L2O_SPEC_BATCHED | L2O_SPEC_BY_SOLVE | L2O_SPEC_SOLUTION | L2O_SPEC_OPTIMUM);
        by_solve = by_solve || has(spec, L2O_SPEC_BY_SOLVE);
        has_solution = has_solution || has(spec, L2O_SPEC_SOLUTION);
        if (has(spec, L2O_SPEC_OPTIMUM) && !(has(spec, L2O_SPEC_SOLUTION) && has(spec, L2O_SPEC_BATCHED) &&
                                             spec.ndim == 0 && is_real(dtype_of(spec))))
            throw Broken(
                fmt::format("data tensor '{}' is L2O_SPEC_OPTIMUM; expected a solution that is one real "
                            "number per instance",
                            spec.name));
    }
    if (by_solve && optimizee.api().solve == nullptr)
        throw Broken("has data that solve is to fill, and no solve");
    // Without any solution it is an option whether there are some; so it is with metrics.
    if (!by_solve && has_solution && optimizee.api().solve != nullptr)
        throw Broken("has solve, and no data tensor marked L2O_SPEC_BY_SOLVE that it fills; nobody calls it");
    for (std::uint32_t i = 0; i < info.n_metrics; ++i) check_metric(*optimizee.metrics()[i], i);
    if (info.n_metrics > 0 && optimizee.api().metrics == nullptr)
        throw Broken(fmt::format("declares {} metrics and has no metrics function", info.n_metrics));
    constexpr std::uint32_t kOracles =
        L2O_ORACLE_VALUE | L2O_ORACLE_GRADIENT | L2O_ORACLE_HVP | L2O_ORACLE_PROX;
    if ((info.answers & ~kOracles) != 0 || (info.answers & L2O_ORACLE_VALUE) == 0)
        throw Broken(fmt::format("answers is {:#x}; expected L2O_ORACLE_VALUE and more of L2O_ORACLE_*",
                                 info.answers));
    const auto claims = [&](std::uint32_t kind, bool is_there, const char* name) {
        if (((info.answers & kind) != 0) != is_there)
            throw Broken(fmt::format(
                "answers is {:#x} and {} {}", info.answers, name, is_there ? "is there" : "is NULL"));
    };
    claims(L2O_ORACLE_HVP, optimizee.api().hvp != nullptr, "hvp");
    claims(L2O_ORACLE_PROX, optimizee.api().prox != nullptr, "prox");
}

void check_loss_specs(const LossBench& bench, const ComponentDescription& component) {
    constexpr std::uint64_t kKnown =
        kCommonFlags | L2O_LOSS_ADDITIVE | L2O_LOSS_WINDOWS | L2O_LOSS_SCORES_TURNS_DRAFT1;
    if ((bench.flags() & ~kKnown) != 0)
        throw Broken(fmt::format("flags {:#x} hold bits that are none of a loss", bench.flags()));
    constexpr std::uint32_t kReadable = L2O_LOSS_READS_F | L2O_LOSS_READS_X | L2O_LOSS_READS_G;
    if ((bench.info().reads & ~kReadable) != 0)
        throw Broken(fmt::format("reads {:#x}; expected L2O_LOSS_READS_* at most", bench.info().reads));
    if (component.has_tag("differentiable") && bench.loss().api().vjp == nullptr)
        throw Broken("has the tag 'differentiable' and no vjp");
}

}  // namespace

std::string check_schema(const Subject& subject) {
    const ComponentDescription& component = subject.entry.component;
    if (component.title.empty()) throw Broken("the component has no title");
    if (component.doc.empty()) throw Broken("the component has no doc");
    std::set<std::string> names;
    for (const Need& need : component.needs) {
        if (!names.insert(need.name).second) throw Broken("it needs '" + need.name + "' twice");
    }
    names.clear();
    for (const OptionSchema& option : component.options) {
        check_option(option);
        if (!names.insert(option.key).second) throw Broken("option '" + option.key + "' is there twice");
    }
    try {
        (void)resolve(subject.entry, subject.settings);
    } catch (const Error& error) {
        // A required option that was not given is the caller's; a default that is no value the plugin's.
        throw Broken(error.what());
    }
    check_edges(subject);
    return fmt::format("{} option{}", component.options.size(), component.options.size() == 1 ? "" : "s");
}

std::string check_creates(const Subject& subject) {
    std::string text;
    for (const Dtype dtype : dtypes(subject))
        text += (text.empty() ? "" : ", ") + std::string(name_of(dtype));
    for (const auto& [key, value] : subject.sizes)
        text += (key == subject.sizes.begin()->first ? ", with " : " ") + key + "=" + value;
    return text;
}

std::string check_specs(const Subject& subject) {
    for (const Dtype dtype : dtypes(subject)) {
        const auto bench = make_bench(subject, dtype);
        if (const auto* optimizer = dynamic_cast<const OptimizerBench*>(bench.get())) {
            check_optimizer_specs(*optimizer, subject.entry.component);
        } else if (const auto* optimizee = dynamic_cast<const OptimizeeBench*>(bench.get())) {
            check_optimizee_specs(*optimizee);
        } else {
            check_loss_specs(dynamic_cast<const LossBench&>(*bench), subject.entry.component);
        }
        const std::string before = bench->declaration();
        for (const auto& one : bench->cases()) one->run();
        if (const std::string after = bench->declaration(); after != before)
            throw Broken("specs changed after calls:\n" + before + "\nbecame\n" + after);
        if (const std::string other = make_bench(subject, dtype)->declaration(); other != before)
            throw Broken("specs of a second instance differ:\n" + before + "\nand\n" + other);
    }
    return "";
}

std::string check_extensions(const Subject& subject) {
    const auto bench = make_bench(subject, dtypes(subject).back());
    for (const char* id : {"",
                           "l2o.unknown/1",
                           "l2o.optimizer.vjp",
                           "l2o.optimizer.vjp/1x",
                           "l2o.optimizer.vjp/99",
                           "l2o.optimizer.vjp/1 ",
                           "org.example.unknown/1"}) {
        if (bench->extension(id) != nullptr)
            throw Broken(std::string("get_extension(\"") + id + "\") is not NULL");
    }
    return "";
}

}  // namespace l2o::framework
