#include "framework/plugin/published.hpp"

#include <fmt/core.h>

#include <memory>
#include <sstream>
#include <tuple>

#include "framework/error.hpp"
#include "framework/plugin/child.hpp"
#include "framework/plugin/optimizee.hpp"
#include "framework/text/json.hpp"
#include "framework/text/printable.hpp"

namespace l2o::framework {
namespace {

using nlohmann::json;

/// "[B, m=5, 2]": the axes with their names, as far as they have some.
std::string shape_text(const l2o_spec& spec) {
    std::istringstream axes(spec.axes == nullptr ? "" : spec.axes);
    std::string text = has(spec, L2O_SPEC_BATCHED) ? "B" : "";
    for (std::int32_t i = 0; i < spec.ndim; ++i) {
        std::string name;
        std::getline(axes, name, ',');
        text +=
            fmt::format("{}{}{}{}", text.empty() ? "" : ", ", name, name.empty() ? "" : "=", spec.shape[i]);
    }
    return "[" + text + "]";
}

json tensor_json(const l2o_spec& spec) {
    return {{"name", spec.name},
            {"shape", shape_text(spec)},
            {"dtype", name_of(dtype_of(spec))},
            {"doc", spec.doc == nullptr ? "" : spec.doc}};
}

json published(const Optimizee& optimizee) {
    json out{{"blocks", json::array()},
             {"data", json::array()},
             {"metrics", json::array()},
             {"answers", json::array()},
             {"costs", json::array()}};
    for (const l2o_spec* spec : optimizee.blocks()) {
        out["blocks"].push_back(tensor_json(*spec));
        out["blocks"].back()["role"] = has(*spec, L2O_SPEC_MAXIMISED) ? "max" : "min";
        if (has(*spec, L2O_SPEC_BOUNDED))
            out["blocks"].back()["bounds"] = fmt::format("[{:g}, {:g}]", spec->lower, spec->upper);
    }
    for (const l2o_spec* spec : optimizee.data()) {
        out["data"].push_back(tensor_json(*spec));
        out["data"].back()["solution"] = has(*spec, L2O_SPEC_SOLUTION);
        out["data"].back()["optimum"] = has(*spec, L2O_SPEC_OPTIMUM);
    }
    for (const l2o_spec* spec : optimizee.metrics())
        out["metrics"].push_back(
            {{"name", spec->name},
             {"doc", spec->doc == nullptr ? "" : spec->doc},
             {"better", (spec->flags & L2O_SPEC_HIGHER_IS_BETTER) != 0 ? "higher" : "lower"},
             {"needs_solution", (spec->flags & L2O_SPEC_NEEDS_SOLUTION) != 0}});
    const l2o_optimizee_info& info = optimizee.info();
    const std::tuple<std::uint32_t, const char*, double> answers[] = {
        {L2O_ORACLE_VALUE, "value", info.cost_value},
        {L2O_ORACLE_GRADIENT, "gradient", info.cost_gradient},
        {L2O_ORACLE_HVP, "hvp", info.cost_hvp},
        {L2O_ORACLE_PROX, "prox", info.cost_prox}};
    for (const auto& [kind, name, cost] : answers) {
        if ((info.answers & kind) == 0) continue;
        out["answers"].push_back(name);
        out["costs"].push_back(cost > 0 ? cost : 1.0);
    }
    out["stochastic"] = (info.flags & L2O_FLAG_STOCHASTIC) != 0;
    return out;
}

/// In the first element type that it computes in.
std::unique_ptr<Optimizee> create(const Catalog::Entry& entry,
                                  const std::map<std::string, std::string>& settings,
                                  const OptionContext& context) {
    const auto in = [&](Dtype dtype) {
        return std::make_unique<Optimizee>(
            entry,
            resolve_options(entry.component.options, settings_from(settings, {.file = "--set"}), context),
            dtype);
    };
    try {
        return in(Dtype::kF32);
    } catch (const Error& error) {
        if (error.code() != ExitCode::kPlugin) throw;
        return in(Dtype::kF64);
    }
}

}  // namespace

json published_in_child(const Catalog::Entry& entry,
                        const std::map<std::string, std::string>& settings,
                        double time_limit_s) {
    const OptionContext context{.origin = "l2o describe",
                                .path = "options",
                                .kind = name_of(entry.component.kind),
                                .id = entry.component.id};
    // Here, where nothing can crash: what is wrong with the options is the user's.
    (void)resolve_options(entry.component.options, settings_from(settings, {.file = "--set"}), context);
    constexpr std::size_t kDeepestAnswer = 8;
    json answer;
    const std::string ended = run_in_child(
        [&](const Send& send) {
            json out;
            try {
                out["published"] = published(*create(entry, settings, context));
            } catch (const Error& error) {
                out = {{"refusal", error.what()}, {"code", static_cast<int>(error.code())}};
            }
            send(json_text(out));
        },
        [&](const std::string& line) { answer = parsed_json(line, kDeepestAnswer).value_or(nullptr); },
        time_limit_s);
    const std::string who = "optimizee '" + entry.component.id + "'";
    if (!ended.empty())
        throw Error(ExitCode::kPlugin, who + ": when it was created in a process of its own, that " + ended);
    if (answer.contains("refusal"))
        throw Error(static_cast<ExitCode>(answer.value("code", static_cast<int>(ExitCode::kPlugin))),
                    answer.at("refusal").get<std::string>());
    return answer.at("published");
}

}  // namespace l2o::framework
