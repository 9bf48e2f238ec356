#include "framework/check/conformance.hpp"

#include <dlfcn.h>
#include <fmt/core.h>
#include <xmmintrin.h>

#include <algorithm>

#include "framework/check/checks.hpp"
#include "framework/check/judge.hpp"
#include "framework/check/random_checks.hpp"
#include "framework/error.hpp"
#include "framework/plugin/child.hpp"
#include "framework/plugin/library.hpp"
#include "framework/store/atomic_file.hpp"
#include "framework/text/json.hpp"
#include "framework/text/suggest.hpp"

namespace l2o::framework {
namespace {

using nlohmann::json;

constexpr const char *kLibrary = "library", *kLoads = "loads", *kManifest = "manifest";
constexpr const char* kLoadsRule = "the library loads, exports '" L2O_ENTRY_SYMBOL
                                   "' alone, has complete tables for this ABI, and leaves the "
                                   "floating-point control word as it was";
constexpr const char* kManifestRule = "the manifest beside the library says what the library says";

/// The last iteration that --thorough looks at.
constexpr std::int64_t kFar = 300;

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
        return (void)check_component(conformance, with(tried(conformance, subject)), on_found);
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
        const Tried answer = tried(conformance, subject);
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
    if (std::filesystem::is_directory(path))
        throw Error(ExitCode::kIo, path.string() + ": is a folder; expected a plugin library, one FILE.so");
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
    constexpr std::string_view kEntry = "l2o_plugin_entry_";
    bool is_loaded = false;
    std::string refusal;
    const std::string ended = run_in_child(
        [&](const Send& send) {
            const auto send_finding = [&](const Finding& finding) { send(line_of(to_json(finding))); };
            const PluginDescription* loaded = nullptr;
            Finding loads{.component = kLibrary, .check = kLoads, .rule = kLoadsRule};
            take(verdict_of([&] {
                     loaded = &load(path);
                     return fmt::format("{} {}, ABI {}.{} ({})",
                                        loaded->id,
                                        loaded->version,
                                        loaded->abi_major,
                                        loaded->abi_minor,
                                        std::string_view(L2O_ENTRY_SYMBOL).substr(kEntry.size()));
                 }),
                 loads);
            send_finding(loads);
            if (loaded == nullptr) return;
            const bool is_fuzz = conformance.fuzz.is_asked();
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
                    check_random(conformance, optimizees, subject, send_finding);
                } else {
                    check_on(conformance, optimizees, subject, send_finding);
                }
            }
        },
        [&](const std::string& line) {
            const json message = json::parse(line);
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
