#include "framework/check/conformance.hpp"

#include <dlfcn.h>
#include <fmt/core.h>
#include <xmmintrin.h>

#include <algorithm>

#include "framework/check/checks.hpp"
#include "framework/check/fuzz.hpp"
#include "framework/config/value_text.hpp"
#include "framework/error.hpp"
#include "framework/plugin/child.hpp"
#include "framework/plugin/library.hpp"
#include "framework/store/atomic_file.hpp"
#include "framework/text/json.hpp"
#include "framework/text/suggest.hpp"

namespace l2o::framework {
namespace {

using nlohmann::json;

constexpr const char *kLibrary = "library", *kLoads = "loads", *kManifest = "manifest", *kCreates = "creates";
constexpr const char* kLoadsRule = "the library loads, exports '" L2O_ENTRY_SYMBOL
                                   "' alone, has complete tables for this ABI, and leaves the "
                                   "floating-point control word as it was";
constexpr const char* kManifestRule = "the manifest beside the library says what the library says";

/// The last iteration that --thorough looks at.
constexpr std::int64_t kFar = 300;

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

/// One line; a plugin's text may hold bytes that are no UTF-8.
std::string line_of(const json& message) {
    return message.dump(-1, ' ', true, json::error_handler_t::replace);
}

void take(const json& message, Finding& finding) {
    const std::string verdict = message.at("verdict");
    for (const Verdict known : {Verdict::kOk, Verdict::kFailed, Verdict::kSkipped})
        if (verdict == name_of(known)) finding.verdict = known;
    finding.text = message.at("text");
}

/// Runs a check in a child.
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

/// What is set of an optimizee.
std::map<std::string, std::string> settings_for(const Conformance& conformance, const Catalog::Entry& entry) {
    if (conformance.optimizee != kAllOptimizees) return conformance.optimizee_settings;
    const std::string prefix = entry.component.id + ".";
    std::map<std::string, std::string> out;
    for (const auto& [key, value] : conformance.optimizee_settings)
        if (key.starts_with(prefix)) out.emplace(key.substr(prefix.size()), value);
    return out;
}

/// In a child.
const PluginDescription& load(const std::filesystem::path& path) {
    constexpr unsigned kStatusBits = 0x3F;
    const unsigned before = _mm_getcsr() & ~kStatusBits;
    (void)LibraryFile(path);  // what the loader would crash on is refused in a sentence
    // What load_library() restores is looked at here.
    if (::dlopen(std::filesystem::absolute(path).c_str(), RTLD_NOW | RTLD_LOCAL) == nullptr)
        throw Broken(std::string("cannot be loaded: ") + ::dlerror());
    const unsigned after = _mm_getcsr() & ~kStatusBits;
    if (before != after)
        throw Broken(fmt::format(
            "loading it changes the floating-point control word MXCSR from {:#x} to {:#x}; link it without "
            "-ffast-math",
            before,
            after));
    static const PluginDescription description = describe_library(path);
    return description;
}

std::string check_manifest(const PluginDescription& plugin) {
    const std::filesystem::path manifest = manifest_path(plugin.library);
    if (!std::filesystem::exists(manifest)) throw NotApplicable("there is none; l2o-manifest writes it");
    if (json::parse(read_file(manifest)) != to_json(plugin))
        throw Broken(manifest.string() + " differs; write it again with l2o-manifest");
    return "";
}

double limit_of(const Conformance& conformance) {
    constexpr double kLimit = 60, kThoroughLimit = 600;
    return conformance.time_limit_s.value_or(conformance.thorough ? kThoroughLimit : kLimit);
}

Finding about(const Subject& subject, const char* check, const char* rule) {
    const ComponentDescription& component = subject.entry.component;
    return {.component = std::string(name_of(component.kind)) + " " + component.id,
            .check = check,
            .rule = rule,
            .optimizee = subject.optimizee ? subject.optimizee->component.id : ""};
}

using Found = std::function<void(const Finding&)>;

/// @return  the check that hung; "" if none did.
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

/// What there is to know of a subject before it is checked.
struct Tried {
    bool is_answered = false;
    std::string refusal;  ///< why its optimizee does not suit; "" also if asking ends the process: see checks
    std::map<std::string, std::string> sizes;  ///< of the problem, which are too large without them
};

/// Asks in a child.
Tried tried(const Conformance& conformance, const Subject& subject, double most_bytes) {
    Tried out;
    const auto ask = [&](const Send& send) {
        Subject small = subject;
        json sizes = json::object();
        std::string refusal;
        try {
            const auto reduced = sizes_of(subject, most_bytes);
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

/// Those that are there without a library of their own come first: they are quick to load.
std::vector<Catalog::Entry> candidates(const Conformance& conformance, const Catalog& catalog) {
    const bool is_all = conformance.optimizee == kAllOptimizees;
    if (!conformance.optimizee.empty() && !is_all) {
        const Catalog::Entry& entry = catalog.find(Kind::kOptimizee, conformance.optimizee);
        (void)resolve(entry, conformance.optimizee_settings);  // refuses what it does not have
        return {entry};
    }
    if (!conformance.optimizee_settings.empty() && !is_all) {
        throw Error(ExitCode::kUsage,
                    "options of an optimizee are given, and no optimizee; name it with --optimizee");
    }
    std::vector<Catalog::Entry> out;
    for (const Catalog::Entry& entry : catalog.entries())
        if (entry.component.kind == Kind::kOptimizee) out.push_back(entry);
    const auto answers = [](const Catalog::Entry& entry) {
        return int(entry.component.has_tag("hvp")) + int(entry.component.has_tag("prox"));
    };
    std::stable_sort(
        out.begin(), out.end(), [&](const auto& a, const auto& b) { return answers(a) > answers(b); });
    std::stable_partition(
        out.begin(), out.end(), [](const Catalog::Entry& entry) { return entry.plugin->runtime.empty(); });
    for (const auto& [key, value] : conformance.optimizee_settings) {
        const auto is_of = [&option = key](const Catalog::Entry& entry) {
            return option.starts_with(entry.component.id + ".");
        };
        if (std::none_of(out.begin(), out.end(), is_of))
            throw Error(ExitCode::kUsage,
                        "'" + key +
                            "' is no option of an optimizee; with --optimizee all expected "
                            "ID.KEY=VALUE, for example 'lasso.n=20'");
    }
    for (const Catalog::Entry& entry : out) (void)resolve(entry, settings_for(conformance, entry));
    return out;
}

/// Sizes are reduced where a problem is larger than this and nobody has said how large it is to be: an
/// instance is made for every check, many times.
constexpr double kMostBytes = 1e5;

/// Adds why an optimizee does not suit, unless another one has the same reason.
void add_refusal(std::string& refusals, const std::string& refusal, const Catalog::Entry& optimizee) {
    const std::string on = "'" + optimizee.component.id + "'";
    const std::size_t at = refusal.find(on);
    const std::string reason = at == std::string::npos ? refusal : refusal.substr(at + on.size());
    if (refusals.find(reason) == std::string::npos) refusals += (refusals.empty() ? "" : "; ") + refusal;
}

void check_on(const Conformance& conformance,
              const std::vector<Catalog::Entry>& optimizees,
              Subject subject,
              const Found& on_found) {
    const bool is_all = conformance.optimizee == kAllOptimizees;
    const auto with = [&](const Tried& answer) {
        Subject out = subject;
        problem_settings(out).insert(answer.sizes.begin(), answer.sizes.end());
        out.sizes = answer.sizes;
        return out;
    };
    if (subject.entry.component.kind == Kind::kOptimizee)
        return (void)check_component(conformance, with(tried(conformance, subject, kMostBytes)), on_found);
    std::string refusals, hung;
    bool is_any = false;
    const auto skip = [&](const std::string& why) {
        Finding skipped = about(subject, kCreates, kCreatesRule);
        skipped.verdict = Verdict::kSkipped;
        skipped.text = why;
        on_found(skipped);
    };
    for (const Catalog::Entry& entry : optimizees) {
        subject.optimizee = entry;
        subject.optimizee_settings = settings_for(conformance, entry);
        if (!hung.empty()) {
            skip(hung + "; this one can be asked for with --optimizee");
            continue;
        }
        const Tried answer = tried(conformance, subject, kMostBytes);
        if (answer.refusal.empty()) {
            is_any = true;
            // Once, not in the process of every check: some take long to load.
            if (answer.is_answered) (void)Catalog::load(entry);
            const std::string on = check_component(conformance, with(answer), on_found);
            if (!is_all) return;
            if (!on.empty()) hung = on + " on " + entry.component.id;
            continue;
        }
        add_refusal(refusals, answer.refusal, entry);
        if (is_all) skip("does not suit: " + answer.refusal);
    }
    if (is_any) return;
    subject.optimizee.reset();
    subject.unsuited = optimizees.empty()
                           ? "there is no optimizee to check it on; name a folder that has one "
                             "with --plugin-path"
                       : is_all ? "no optimizee suits"
                                : "no optimizee suits: " + refusals;
    check_component(conformance, subject, on_found);
}

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

/// What came of a case: in one child, check by check. @return whether it was created.
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

/// Random cases of a component. @param alive  called after each.
void fuzz(const Conformance& conformance,
          const std::vector<Catalog::Entry>& optimizees,
          Subject subject,
          const Found& on_found,
          const std::function<void()>& alive) {
    std::vector<Partner> partners;
    std::string refusals;
    if (subject.entry.component.kind == Kind::kOptimizee) {
        subject.sizes = tried(conformance, subject, kMostBytes).sizes;
    } else {
        for (const Catalog::Entry& entry : optimizees) {
            subject.optimizee = entry;
            subject.optimizee_settings = settings_for(conformance, entry);
            const Tried answer = tried(conformance, subject, kMostBytes);
            alive();
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
        const bool is_created =
            check_case(conformance, one, command_of(conformance, one.subject, i), [&](const Finding& found) {
                has_failed = true;
                on_found(found);
            });
        checked += is_created ? 1 : 0;
        failed += has_failed ? 1 : 0;
        alive();
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

}  // namespace

const char* name_of(Verdict verdict) {
    switch (verdict) {
        case Verdict::kOk:
            return "ok";
        case Verdict::kFailed:
            return "FAIL";
        case Verdict::kSkipped:
            return "skipped";
    }
    return "";
}

std::vector<std::string> check_names() {
    std::vector<std::string> names{kLoads, kManifest};
    for (const Kind kind : {Kind::kOptimizer, Kind::kOptimizee, Kind::kLoss}) {
        for (const Check& check : checks_of(kind)) {
            if (std::find(names.begin(), names.end(), check.name) == names.end())
                names.emplace_back(check.name);
        }
    }
    return names;
}

std::vector<Finding> check_library(const Conformance& given,
                                   const std::vector<PluginFolder>& folders,
                                   const std::function<void(const Finding&)>& on_found) {
    Conformance conformance = given;
    if (given.thorough && given.optimizee.empty()) conformance.optimizee = kAllOptimizees;
    const std::vector<std::string> known = check_names();
    for (const std::string& name : conformance.only) {
        if (std::find(known.begin(), known.end(), name) == known.end())
            throw Error(ExitCode::kUsage, "unknown check '" + name + "'" + did_you_mean(name, known));
    }
    const std::filesystem::path& path = conformance.library;
    if (!std::filesystem::is_regular_file(path))
        throw Error(ExitCode::kIo, path.string() + ": no such file; expected a plugin library");
    const Catalog catalog(folders);
    const std::vector<Catalog::Entry> optimizees = candidates(conformance, catalog);
    std::vector<Finding> findings;
    const auto report = [&](Finding finding) {
        on_found(finding);
        findings.push_back(std::move(finding));
    };

    // The first child loads the library once, and is forked again for every check.
    constexpr double kGraceS = 5;
    bool is_loaded = false;
    std::string refusal;
    const std::string ended = run_in_child(
        [&](const Send& send) {
            const auto send_finding = [&](const Finding& finding) { send(line_of(to_json(finding))); };
            const PluginDescription* loaded = nullptr;
            Finding loads{.component = kLibrary, .check = kLoads, .rule = kLoadsRule};
            take(verdict_of([&] {
                     loaded = &load(path);
                     return fmt::format("{} {}, ABI {}.{}",
                                        loaded->id,
                                        loaded->version,
                                        loaded->abi_major,
                                        loaded->abi_minor);
                 }),
                 loads);
            send_finding(loads);
            if (loaded == nullptr) return;
            const bool is_fuzz = conformance.fuzz.cases > 0 || conformance.fuzz.only;
            if (is_wanted(conformance, kManifest) && !is_fuzz) {
                send_finding(judge({.component = kLibrary, .check = kManifest, .rule = kManifestRule},
                                   limit_of(conformance),
                                   [&] { return check_manifest(*loaded); }));
            }
            const auto plugin = std::make_shared<const PluginDescription>(*loaded);
            std::vector<std::string> ids;
            for (const ComponentDescription& component : plugin->components) ids.push_back(component.id);
            const std::vector<std::string>& asked = conformance.components;
            for (const std::string& id : asked) {
                if (std::ranges::find(ids, id) == ids.end())
                    return send(
                        line_of({{"refusal",
                                  path.string() + ": no component '" + id + "'" + did_you_mean(id, ids)}}));
            }
            for (const ComponentDescription& component : plugin->components) {
                if (!asked.empty() && std::ranges::find(asked, component.id) == asked.end()) continue;
                const Subject subject{.entry = {component, plugin},
                                      .settings = conformance.settings,
                                      .circumstances = {.far = conformance.thorough ? kFar : 0},
                                      .thorough = conformance.thorough};
                try {
                    (void)resolve(subject.entry, subject.settings);
                } catch (const Error& error) {
                    // Not the plugin's fault, unless it was given nothing.
                    if (!conformance.settings.empty()) return send(line_of({{"refusal", error.what()}}));
                }
                if (is_fuzz) {
                    const auto alive = [&] { send(line_of({{"alive", true}})); };
                    fuzz(conformance, optimizees, subject, send_finding, alive);
                } else {
                    check_on(conformance, optimizees, subject, send_finding);
                }
            }
        },
        [&](const std::string& line) {
            const json message = json::parse(line);
            if (message.contains("alive")) return;
            if (message.contains("refusal")) {
                refusal = message.at("refusal");
                return;
            }
            Finding finding{.component = message.at("component"),
                            .check = message.at("check"),
                            .rule = message.at("rule"),
                            .optimizee = message.at("optimizee"),
                            .repeat = message.value("repeat", "")};
            take(message, finding);
            // Needed for any other; of interest if asked for, or if it fails.
            const bool is_silent =
                finding.check == kLoads && finding.verdict == Verdict::kOk && !is_wanted(conformance, kLoads);
            is_loaded = true;
            if (!is_silent) report(std::move(finding));
        },
        2 * limit_of(conformance) + kGraceS);  // of a question before a check, and of the check
    if (!refusal.empty()) throw Error(ExitCode::kUsage, refusal);
    if (!ended.empty()) {
        report({.component = kLibrary,
                .check = kLoads,
                .rule = kLoadsRule,
                .verdict = Verdict::kFailed,
                .text = (is_loaded ? "after it was loaded, the process " : "the process ") + ended});
    }
    return findings;
}

json to_json(const Finding& finding) {
    json out{{"component", finding.component},
             {"check", finding.check},
             {"verdict", name_of(finding.verdict)},
             {"rule", finding.rule},
             {"text", finding.text},
             {"optimizee", finding.optimizee}};
    if (!finding.repeat.empty()) out["repeat"] = finding.repeat;
    return out;
}

}  // namespace l2o::framework
