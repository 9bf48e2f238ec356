#include "framework/rollout/safeguard.hpp"

#include <algorithm>

#include "framework/error.hpp"
#include "framework/text/suggest.hpp"

namespace l2o::framework {
namespace {

enum Key : std::size_t { kTest, kBound, kAlpha, kTheta, kRecent };

}  // namespace

const std::vector<OptionSchema>& safeguard_schema() {
    static const std::vector<OptionSchema> schema{
        {.type = L2O_OPTION_CHOICE,
         .key = "test",
         .doc = "what is tested: the fixed-point residual at the new point, or the objective there",
         .def = "residual",
         .choices = {"residual", "objective"}},
        {.type = L2O_OPTION_CHOICE,
         .key = "bound",
         .doc = "how the bound mu falls",
         .def = "ema",
         .choices = {"ema", "geometric", "recent_max"}},
        {.type = L2O_OPTION_REAL,
         .key = "alpha",
         .doc = "test residual: a step passes if its residual is at most alpha mu; test objective: if "
                "its objective is below mu by 1 - alpha times what the classic step gains",
         .def = "0.99",
         .min = 0,
         .max = 1,
         .flags = L2O_OPTION_OPEN_MIN | L2O_OPTION_OPEN_MAX},
        {.type = L2O_OPTION_REAL,
         .key = "theta",
         .doc = "bound ema: weight of the newest point in mu; geometric: factor of mu",
         .def = "0.25",
         .min = 0,
         .max = 1,
         .flags = L2O_OPTION_OPEN_MIN | L2O_OPTION_OPEN_MAX},
        {.type = L2O_OPTION_INT,
         .key = "recent",
         .doc = "bound recent_max: mu is the largest of this many newest points",
         .def = "5",
         .min = 1,
         .max = 1000}};
    return schema;
}

SafeguardRule safeguard_rule(const ResolvedOptions& options, const std::string& where) {
    const auto values = options.values();
    const SafeguardRule rule{.test = static_cast<SafeguardRule::Test>(values[kTest]->i),
                             .bound = static_cast<SafeguardRule::Bound>(values[kBound]->i),
                             .alpha = values[kAlpha]->d,
                             .theta = values[kTheta]->d,
                             .recent = values[kRecent]->i};
    if (rule.test == SafeguardRule::Test::kObjective && rule.bound == SafeguardRule::Bound::kGeometric)
        throw Error(
            ExitCode::kUsage,
            where +
                ".bound is 'geometric', which is for residuals: an objective need not go to 0; with test "
                "objective expected one of: ema, recent_max");
    return rule;
}

void check_safeguard(const Optimizer& guarded,
                     const Optimizer& classic,
                     const Optimizee& optimizee,
                     const std::string& where) {
    const auto refuse = [&](const std::string& text) { throw Error(ExitCode::kUsage, where + ": " + text); };
    const std::string id = "'" + classic.id() + "'";
    if (classic.entry().component.has_tag("learned"))
        refuse(id + " is learned; expected a classic optimizer, such as 'ista' or 'gradient_descent'");
    if (!classic.state().empty())
        refuse(id + " keeps a state ('" + classic.state().front()->name +
               "'), and a safeguard needs a step that depends on x alone; expected one such as 'ista' or "
               "'gradient_descent'");
    if (classic.info().particles > 0 || guarded.info().particles > 0)
        refuse("'" + (guarded.info().particles > 0 ? guarded : classic).id() +
               "' is a population, which a safeguard cannot handle");
    if (((classic.info().flags | guarded.info().flags) & L2O_OPTIMIZER_ENDS_ROWS) != 0)
        refuse("an optimizer that ends rows by itself cannot be guarded, nor guard; remove the safeguard");
    if (guarded.api().recommend != nullptr)
        refuse("'" + guarded.id() +
               "' reports other points than its iterates, which no safeguard has seen; remove the safeguard");
    constexpr std::uint64_t kNoMap = L2O_FLAG_STOCHASTIC | L2O_OPTIMIZER_STARTS_AT_ZERO;
    if ((classic.info().flags & kNoMap) != 0 || classic.info().max_steps > 0)
        refuse(id + " is not the same map at every step; expected one such as 'ista' or 'gradient_descent'");
    if ((optimizee.info().flags & L2O_FLAG_STOCHASTIC) != 0)
        refuse("'" + optimizee.id() +
               "' draws its objective anew at every step, so that steps cannot be compared; remove the "
               "safeguard");
}

SafeguardChoice safeguard_choice(const Catalog::Entry& classic,
                                 const std::vector<SettingText>& settings,
                                 const OptionContext& context) {
    const std::vector<OptionSchema>& own = safeguard_schema();
    const auto has = [](const std::vector<OptionSchema>& schema, const std::string& key) {
        return std::any_of(
            schema.begin(), schema.end(), [&](const OptionSchema& option) { return option.key == key; });
    };
    std::vector<SettingText> of_rule, of_classic;
    for (const SettingText& setting : settings) {
        if (!has(own, setting.key) && !has(classic.component.options, setting.key)) {
            std::vector<std::string> known;
            for (const auto* schema : {&own, &classic.component.options}) {
                for (const OptionSchema& option : *schema) known.push_back(option.key);
            }
            throw Error(ExitCode::kUsage,
                        setting.origin.text() + ": " + context.path + ": neither the safeguard nor '" +
                            classic.component.id + "' has an option '" + setting.key + "'" +
                            did_you_mean(setting.key, known));
        }
        (has(own, setting.key) ? of_rule : of_classic).push_back(setting);
    }
    const OptionContext rule{
        .origin = context.origin, .path = context.path, .kind = "safeguard", .id = classic.component.id};
    SafeguardChoice choice{
        .classic = {.entry = classic, .settings = of_classic, .context = context},
        .rule = safeguard_rule(resolve_options(own, of_rule, rule), context.origin + ": " + context.path)};
    static_cast<void>(choice.classic.resolve());
    return choice;
}

}  // namespace l2o::framework
