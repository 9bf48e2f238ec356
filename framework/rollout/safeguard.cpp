#include "framework/rollout/safeguard.hpp"

#include <algorithm>

#include "framework/error.hpp"
#include "framework/rollout/course.hpp"
#include "framework/text/suggest.hpp"

namespace l2o::framework {
namespace {

using Test = SafeguardRule::Test;

enum Setting : std::size_t {
    kTest,
    kBound,
    kAlpha,
    kTheta,
    kRecent,
    kLead,
    kTrial,
    kPause,
    kRetry,
    kBlowUp,
    kStall
};

/// Of those behind `test`: whether test ahead reads it, else the others do.
bool is_of_ahead(Setting key) { return key >= kLead; }

void check_map(const Optimizer& classic, const Optimizee& optimizee, const std::string& where) {
    const std::string id = where + ": '" + classic.id() + "'",
                      expected = is_game(optimizee) ? "; expected test ahead, which takes it"
                                                    : "; expected one such as 'ista' or 'gradient_descent'";
    if (!classic.state().empty())
        throw Error(ExitCode::kUsage,
                    id + " keeps a state ('" + classic.state().front()->name +
                        "'), and a safeguard needs a step that depends on x alone" + expected);
    constexpr std::uint64_t kNoMap = L2O_FLAG_STOCHASTIC | L2O_OPTIMIZER_STARTS_AT_ZERO;
    if ((classic.info().flags & kNoMap) != 0 || classic.info().max_steps > 0)
        throw Error(ExitCode::kUsage, id + " is not the same map at every step" + expected);
}

/// Of two tracks: both begin anywhere, and go on for ever, and |F| says how far they have come.
void check_tracks(const Optimizer& guarded,
                  const Optimizer& classic,
                  const Optimizee& optimizee,
                  const std::string& where) {
    const auto refuse = [&](const std::string& text) {
        throw Error(ExitCode::kUsage, where + ": test is ahead, and " + text);
    };
    for (const Optimizer* each : {&guarded, &classic}) {
        if (each->info().max_steps > 0)
            refuse("'" + each->id() +
                   "' has layers, one per step, where a track goes on for ever; expected test residual or "
                   "objective");
        if ((each->info().flags & L2O_OPTIMIZER_STARTS_AT_ZERO) != 0)
            refuse("'" + each->id() +
                   "' is defined from x = 0 only, where a track begins anew at its best point; expected test "
                   "residual or objective");
    }
    if (!is_game(optimizee))
        refuse("'" + optimizee.id() +
               "' is no game: no player moves f up; expected test residual or objective");
    if (std::ranges::any_of(optimizee.blocks(),
                            [](const l2o_spec* block) { return has(*block, L2O_SPEC_BOUNDED); }))
        refuse("'" + optimizee.id() +
               "' has bounds, at which a solution has gradients other than 0; expected test residual");
    if ((optimizee.info().answers & L2O_ORACLE_GRADIENT) == 0)
        refuse("'" + optimizee.id() + "' offers no gradients to compare points by; remove the safeguard");
}

}  // namespace

const std::vector<OptionSchema>& safeguard_schema() {
    static const std::vector<OptionSchema> schema{
        {.type = L2O_OPTION_CHOICE,
         .key = "test",
         .doc = "what is tested: the fixed-point residual at the new point, or the objective there; of games "
                "also whether the optimizer is ahead of the 1/n law of a classic one, such as halpern, which "
                "has a track of its own: the answer is the point of least |F| on both, F = (df/du, -df/dv)",
         .def = "residual",
         .choices = {"residual", "objective", "ahead"}},
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
         .max = 1000},
        {.type = L2O_OPTION_REAL,
         .key = "lead",
         .doc =
             "test ahead: the optimizer goes on while its best |F| is at most this many times |F(x_0)| / n "
             "after n gradients of both tracks",
         .def = "4",
         .min = 0,
         .flags = L2O_OPTION_OPEN_MIN},
        {.type = L2O_OPTION_INT,
         .key = "trial",
         .doc = "test ahead: gradients that the optimizer has before it is first tested",
         .def = "40",
         .min = 1,
         .max = 1e8},
        {.type = L2O_OPTION_INT,
         .key = "pause",
         .doc = "test ahead: gradients of the classic track after the first failure; twice as many after "
                "every other",
         .def = "300",
         .min = 1,
         .max = 1e8},
        {.type = L2O_OPTION_REAL,
         .key = "retry",
         .doc =
             "test ahead: when it begins anew after m gradients, at a point z, the optimizer goes on while "
             "its best |F| is at most this many times |F(z)| m / n",
         .def = "0.5",
         .min = 0,
         .flags = L2O_OPTION_OPEN_MIN},
        {.type = L2O_OPTION_REAL,
         .key = "blow_up",
         .doc = "test ahead: the optimizer begins anew at its best point where |F| is this many times that "
                "there",
         .def = "1000",
         .min = 1},
        {.type = L2O_OPTION_INT,
         .key = "stall",
         .doc = "test ahead: or where so many gradients found no better point",
         .def = "60",
         .min = 1,
         .max = 1e8}};
    return schema;
}

SafeguardRule safeguard_rule(const ResolvedOptions& options, const std::string& where) {
    const auto values = options.values();
    const SafeguardRule rule{.test = static_cast<SafeguardRule::Test>(values[kTest]->i),
                             .bound = static_cast<SafeguardRule::Bound>(values[kBound]->i),
                             .alpha = values[kAlpha]->d,
                             .theta = values[kTheta]->d,
                             .recent = values[kRecent]->i,
                             .lead = values[kLead]->d,
                             .retry = values[kRetry]->d,
                             .trial = values[kTrial]->i,
                             .pause = values[kPause]->i,
                             .stall = values[kStall]->i,
                             .blow_up = values[kBlowUp]->d};
    if (rule.test == Test::kObjective && rule.bound == SafeguardRule::Bound::kGeometric)
        throw Error(
            ExitCode::kUsage,
            where +
                ".bound is 'geometric', which is for residuals: an objective need not go to 0; with test "
                "objective expected one of: ema, recent_max");
    return rule;
}

void check_safeguard(const Optimizer& guarded,
                     const Optimizer& classic,
                     SafeguardRule::Test test,
                     const Optimizee& optimizee,
                     const std::string& where) {
    const auto refuse = [&](const std::string& text) { throw Error(ExitCode::kUsage, where + ": " + text); };
    if (classic.entry().component.has_tag("learned"))
        refuse("'" + classic.id() + "' is learned; expected a classic optimizer, such as " +
               (test == Test::kAhead ? "'halpern'" : "'ista' or 'gradient_descent'"));
    if (classic.info().particles > 0 || guarded.info().particles > 0)
        refuse("'" + (guarded.info().particles > 0 ? guarded : classic).id() +
               "' is a population, which a safeguard cannot handle");
    if (((classic.info().flags | guarded.info().flags) & L2O_OPTIMIZER_ENDS_ROWS) != 0)
        refuse("an optimizer that ends rows by itself cannot be guarded, nor guard; remove the safeguard");
    if (guarded.api().recommend != nullptr)
        refuse("'" + guarded.id() +
               "' reports other points than its iterates, which no safeguard has seen; remove the safeguard");
    if ((optimizee.info().flags & L2O_FLAG_STOCHASTIC) != 0)
        refuse("'" + optimizee.id() +
               "' draws its objective anew at every step, so that steps cannot be compared; remove the "
               "safeguard");
    if (test == Test::kAhead) {
        check_tracks(guarded, classic, optimizee, where);
    } else {
        if (test == Test::kObjective && is_game(optimizee))
            refuse("test is objective, and '" + optimizee.id() +
                   "' is a game, where what one player gains the other loses; expected test residual or "
                   "ahead");
        check_map(classic, optimizee, where);
    }
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
    for (const SettingText& setting : of_rule) {
        const auto key =
            static_cast<Setting>(std::ranges::find(own, setting.key, &OptionSchema::key) - own.begin());
        if (key == kTest || is_of_ahead(key) == (choice.rule.test == Test::kAhead)) continue;
        throw Error(ExitCode::kUsage,
                    setting.origin.text() + ": " + context.path + "." + setting.key +
                        " is set, and test is '" +
                        own[kTest].choices[static_cast<std::size_t>(choice.rule.test)] +
                        "', which does not read it; remove it, or set test to " +
                        (is_of_ahead(key) ? "ahead" : "residual or objective"));
    }
    static_cast<void>(choice.classic.resolve());
    return choice;
}

}  // namespace l2o::framework
