#include "framework/check/random_checks.hpp"

#include <fmt/core.h>

#include <utility>

#include "framework/check/checks.hpp"
#include "framework/check/fuzz.hpp"
#include "framework/config/value_text.hpp"
#include "framework/plugin/child.hpp"
#include "framework/text/json.hpp"

namespace l2o::framework {

using nlohmann::json;

namespace {

constexpr const char *kFuzz = "fuzz",
                     *kFuzzRule = "every check passes for legal options, problems and points drawn at random";

/// What checks one case of --fuzz again.
std::string command_of(const Conformance& conformance, const Subject& drawn, std::uint64_t index) {
    std::string text = fmt::format("l2o check {} --component {}",
                                   shell_word(conformance.library.string()),
                                   shell_word(drawn.entry.component.id));
    for (const auto& [key, value] : conformance.settings) text += " --set " + shell_word(key + "=" + value);
    if (drawn.optimizee) text += " --optimizee " + shell_word(drawn.optimizee->component.id);
    if (drawn.optimizee)
        for (const auto& [key, value] : settings_for(conformance, *drawn.optimizee))
            text += " --optimizee-set " + shell_word(key + "=" + value);
    return text + fmt::format("{}{} --seed {} --case {}",
                              conformance.thorough ? " --thorough" : "",
                              conformance.command_tail,
                              conformance.fuzz.seed,
                              index);
}

/// What came of a case: in one child, check by check.   @return whether it was created.
bool check_case(const Conformance& conformance,
                const FuzzCase& one,
                const std::string& command,
                const Found& on_found) {
    bool is_refused = false;
    Finding current = about(one.subject, kCreates, kCreatesRule);
    const auto fail = [&](const std::string& text) {
        current.verdict = Verdict::kFailed;
        current.text = text + "; with " + one.in_words;
        current.repeat = command + " --only " + current.check;
        on_found(current);
    };
    const auto run = [&](const Send& send) {
        Subject subject = one.subject;
        seed_draws(subject.circumstances.seed);
        std::string refusal = refusal_of(subject);
        if (!refusal.empty() && subject.two_blocks) {
            subject.two_blocks = false;
            refusal = refusal_of(subject);
        }
        if (!refusal.empty()) return send(line_of({{"refused", refusal}}));
        for (const Check& check : checks_of(subject.entry.component.kind)) {
            // What a schema says is no question of its values.
            if (check.name == std::string("schema") || !is_wanted(conformance, check.name)) continue;
            send(line_of({{"check", check.name}, {"rule", check.rule}}));
            send(line_of(verdict_of([&] { return check.run(subject); })));
        }
    };
    const std::string ended = run_in_child(
        run,
        [&](const std::string& line) {
            const json message = json::parse(line);
            if (message.contains("refused")) {
                is_refused = true;
            } else if (message.contains("check")) {
                current.check = message.at("check");
                current.rule = message.at("rule");
            } else if (message.at("verdict") == name_of(Verdict::kFailed)) {
                fail(message.at("text"));
            }
        },
        limit_of(conformance));
    if (!ended.empty()) fail(ended);
    return !is_refused;
}

}  // namespace

void check_random(const Conformance& conformance,
                  const std::vector<Catalog::Entry>& optimizees,
                  Subject subject,
                  const Found& on_found) {
    std::vector<Partner> partners;
    std::string refusals;
    if (subject.entry.component.kind == Kind::kOptimizee) {
        subject.sizes = tried(conformance, subject).sizes;
    } else {
        for (const Catalog::Entry& entry : optimizees) {
            subject.optimizee = entry;
            subject.optimizee_settings = settings_for(conformance, entry);
            const Tried answer = tried(conformance, subject);
            if (!answer.refusal.empty()) {
                add_refusal(refusals, answer.refusal, entry);
                continue;
            }
            if (answer.is_answered) (void)Catalog::load(entry);
            partners.push_back({entry, subject.optimizee_settings, answer.sizes});
        }
        subject.optimizee.reset();
        subject.optimizee_settings.clear();
        if (partners.empty()) {
            subject.unsuited = "no optimizee suits: " + refusals;
            return (void)check_component(conformance, subject, on_found);
        }
    }
    const Fuzz& fuzz = conformance.fuzz;
    const std::uint64_t first = fuzz.only.value_or(0), last = fuzz.only ? *fuzz.only + 1 : fuzz.cases;
    std::uint64_t checked = 0, failed = 0;
    for (std::uint64_t i = first; i < last; ++i) {
        const FuzzCase one = fuzz_case(subject, partners, fuzz.seed, i);
        bool has_failed = false;
        const auto on_failed = [&](const Finding& found) {
            has_failed = true;
            on_found(found);
        };
        const bool is_created =
            check_case(conformance, one, command_of(conformance, one.subject, i), on_failed);
        checked += is_created ? 1 : 0;
        failed += has_failed ? 1 : 0;
    }
    Finding all = about(subject, kFuzz, kFuzzRule);
    all.verdict = failed > 0 ? Verdict::kFailed : checked == 0 ? Verdict::kSkipped : Verdict::kOk;
    all.text =
        fmt::format("{} of seed {}: {} refused, {} failed",
                    fuzz.only ? fmt::format("case {}", *fuzz.only) : fmt::format("{} cases", fuzz.cases),
                    fuzz.seed,
                    last - first - checked,
                    failed);
    on_found(all);
}

}  // namespace l2o::framework
