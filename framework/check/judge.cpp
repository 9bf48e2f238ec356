#include "framework/check/judge.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "framework/check/checks.hpp"
#include "framework/error.hpp"
#include "framework/plugin/child.hpp"
#include "framework/text/json.hpp"

namespace l2o::framework {

using nlohmann::json;

namespace {

/// Sizes are reduced where a problem is larger than this and nobody has said how large it is to be: an
/// instance is made for every check, many times.
constexpr double kMostBytes = 1e5;

}  // namespace

bool is_wanted(const Conformance& conformance, const std::string& name) {
    return conformance.only.empty() ||
           std::find(conformance.only.begin(), conformance.only.end(), name) != conformance.only.end();
}

json verdict_of(const std::function<std::string()>& check) {
    const auto say = [](Verdict verdict, const std::string& text) {
        return json{{"verdict", name_of(verdict)}, {"text", text}};
    };
    try {
        return say(Verdict::kOk, check());
    } catch (const NotApplicable& reason) {
        return say(Verdict::kSkipped, reason.what());
    } catch (const Diverged& diverged) {
        return say(Verdict::kFailed, "returned L2O_STATUS_NUMERICAL: " + diverged.text);
    } catch (const std::exception& error) {
        return say(Verdict::kFailed, error.what());
    }
}

std::string line_of(const json& message) {
    return message.dump(-1, ' ', true, json::error_handler_t::replace);
}

void take(const json& message, Finding& finding) {
    const std::string verdict = message.at("verdict");
    for (const Verdict known : {Verdict::kOk, Verdict::kFailed, Verdict::kSkipped})
        if (verdict == name_of(known)) finding.verdict = known;
    finding.text = message.at("text");
}

Finding judge(Finding finding, double time_limit_s, const std::function<std::string()>& check) {
    const std::string ended = run_in_child([&](const Send& send) { send(line_of(verdict_of(check))); },
                                           [&](const std::string& line) { take(json::parse(line), finding); },
                                           time_limit_s);
    if (!ended.empty()) {
        finding.verdict = Verdict::kFailed;
        finding.text = ended;
    }
    return finding;
}

std::map<std::string, std::string> settings_for(const Conformance& conformance, const Catalog::Entry& entry) {
    if (conformance.optimizee != kAllOptimizees) return conformance.optimizee_settings;
    const std::string prefix = entry.component.id + ".";
    std::map<std::string, std::string> out;
    for (const auto& [key, value] : conformance.optimizee_settings)
        if (key.starts_with(prefix)) out.emplace(key.substr(prefix.size()), value);
    return out;
}

double limit_of(const Conformance& conformance) {
    constexpr double kLimit = 60, kLongLimit = 600;
    const bool is_long = conformance.thorough || conformance.fuzz.is_asked();
    return conformance.time_limit_s.value_or(is_long ? kLongLimit : kLimit);
}

Finding about(const Subject& subject, const char* check, const char* rule) {
    const ComponentDescription& component = subject.entry.component;
    return {.component = std::string(name_of(component.kind)) + " " + component.id,
            .check = check,
            .rule = rule,
            .optimizee = subject.optimizee ? subject.optimizee->component.id : ""};
}

std::string check_component(const Conformance& conformance, const Subject& subject, const Found& on_found) {
    std::string hopeless, hung;  // why the checks that follow are
    for (const Check& check : checks_of(subject.entry.component.kind)) {
        if (!is_wanted(conformance, check.name)) continue;
        Finding finding = about(subject, check.name, check.rule);
        if (hopeless.empty()) {
            finding = judge(std::move(finding), limit_of(conformance), [&] { return check.run(subject); });
        } else {
            finding.verdict = Verdict::kSkipped;
            finding.text = hopeless;
        }
        if (finding.verdict == Verdict::kFailed && finding.check == kCreates)
            hopeless = "it cannot be created";
        // Each of the others may wait as long, for the same call.
        if (finding.verdict == Verdict::kFailed && finding.text.starts_with(kHung)) {
            hung = fmt::format("'{}' {}", check.name, finding.text);
            hopeless = hung + "; others can be asked for with --only";
        }
        on_found(finding);
    }
    return hung;
}

Tried tried(const Conformance& conformance, const Subject& subject) {
    Tried out;
    const auto ask = [&](const Send& send) {
        Subject small = subject;
        json sizes = json::object();
        std::string refusal;
        try {
            const auto reduced = sizes_of(subject, kMostBytes);
            for (const auto& [key, value] : reduced) sizes[key] = value;
            problem_settings(small).insert(reduced.begin(), reduced.end());
            refusal = refusal_of(small);
        } catch (const Error& error) {
            refusal = error.what();
        }
        send(line_of({{"refusal", refusal}, {"sizes", sizes}}));
    };
    (void)run_in_child(
        ask,
        [&](const std::string& line) {
            const json message = json::parse(line);
            out = {true, message.at("refusal"), message.at("sizes")};
        },
        limit_of(conformance));
    return out;
}

void add_refusal(std::string& refusals, const std::string& refusal, const Catalog::Entry& optimizee) {
    const std::string on = "'" + optimizee.component.id + "'";
    const std::size_t at = refusal.find(on);
    const std::string reason = at == std::string::npos ? refusal : refusal.substr(at + on.size());
    if (refusals.find(reason) == std::string::npos) refusals += (refusals.empty() ? "" : "; ") + refusal;
}

}  // namespace l2o::framework
