#include "framework/check/conformance.hpp"

#include <dlfcn.h>
#include <fmt/core.h>
#include <xmmintrin.h>

#include <algorithm>

#include "framework/check/checks.hpp"
#include "framework/config/suggest.hpp"
#include "framework/error.hpp"
#include "framework/plugin/child.hpp"
#include "framework/plugin/library.hpp"
#include "framework/store/atomic_file.hpp"
#include "framework/text/json.hpp"

namespace l2o::framework {
namespace {

using nlohmann::json;

constexpr const char *kLibrary = "library", *kLoads = "loads", *kManifest = "manifest", *kCreates = "creates";
constexpr const char* kLoadsRule = "the library loads, exports '" L2O_ENTRY_SYMBOL
                                   "' alone, has complete tables for this ABI, and leaves the "
                                   "floating-point control word as it was";
constexpr const char* kManifestRule = "the manifest beside the library says what the library says";

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

void check_component(const Conformance& conformance,
                     const Subject& subject,
                     const std::function<void(const Finding&)>& on_found) {
    const ComponentDescription& component = subject.entry.component;
    const std::string name = std::string(name_of(component.kind)) + " " + component.id;
    std::string hopeless;  // why the checks that follow are
    for (const Check& check : checks_of(component.kind)) {
        if (!is_wanted(conformance, check.name)) continue;
        Finding finding{.component = name, .check = check.name, .rule = check.rule};
        if (hopeless.empty()) {
            finding = judge(std::move(finding), conformance.time_limit_s, [&] { return check.run(subject); });
        } else {
            finding.verdict = Verdict::kSkipped;
            finding.text = hopeless;
        }
        if (finding.verdict == Verdict::kFailed && finding.check == kCreates)
            hopeless = "it cannot be created";
        // Each of the others may wait as long, for the same call.
        if (finding.verdict == Verdict::kFailed && finding.text.starts_with(kHung))
            hopeless = fmt::format("'{}' {}; others can be asked for with --only", check.name, finding.text);
        on_found(finding);
    }
}

/// Those that need no other library come first: they are quick to load.
std::vector<Catalog::Entry> candidates(const Conformance& conformance, const Catalog& catalog) {
    if (!conformance.optimizee.empty()) {
        const Catalog::Entry& entry = catalog.find(Kind::kOptimizee, conformance.optimizee);
        (void)resolve(entry, conformance.optimizee_settings);  // refuses what it does not have
        return {entry};
    }
    if (!conformance.optimizee_settings.empty()) {
        throw Error(ExitCode::kUsage,
                    "options of an optimizee are given, and no optimizee; name it with --optimizee");
    }
    std::vector<Catalog::Entry> out;
    for (const Catalog::Entry& entry : catalog.entries())
        if (entry.component.kind == Kind::kOptimizee) out.push_back(entry);
    std::stable_partition(
        out.begin(), out.end(), [](const Catalog::Entry& entry) { return entry.plugin->runtime.empty(); });
    return out;
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

std::vector<Finding> check_library(const Conformance& conformance,
                                   const std::vector<PluginFolder>& folders,
                                   const std::function<void(const Finding&)>& on_found) {
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
            if (is_wanted(conformance, kManifest)) {
                send_finding(judge({.component = kLibrary, .check = kManifest, .rule = kManifestRule},
                                   conformance.time_limit_s,
                                   [&] { return check_manifest(*loaded); }));
            }
            const auto plugin = std::make_shared<const PluginDescription>(*loaded);
            std::vector<std::string> ids;
            for (const ComponentDescription& component : plugin->components) ids.push_back(component.id);
            if (!conformance.component.empty() &&
                std::find(ids.begin(), ids.end(), conformance.component) == ids.end())
                return send(line_of({{"refusal",
                                      path.string() + ": no component '" + conformance.component + "'" +
                                          did_you_mean(conformance.component, ids)}}));
            for (const ComponentDescription& component : plugin->components) {
                if (!conformance.component.empty() && component.id != conformance.component) continue;
                const Subject subject{.entry = {component, plugin},
                                      .settings = conformance.settings,
                                      .optimizees = optimizees,
                                      .optimizee_settings = conformance.optimizee_settings,
                                      .thorough = conformance.thorough};
                try {
                    (void)resolve(subject.entry, subject.settings);
                } catch (const Error& error) {
                    // Not the plugin's fault, unless it was given nothing.
                    if (!conformance.settings.empty()) return send(line_of({{"refusal", error.what()}}));
                }
                check_component(conformance, subject, send_finding);
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
                            .rule = message.at("rule")};
            take(message, finding);
            // Needed for any other; of interest if asked for, or if it fails.
            const bool is_silent =
                finding.check == kLoads && finding.verdict == Verdict::kOk && !is_wanted(conformance, kLoads);
            is_loaded = true;
            if (!is_silent) report(std::move(finding));
        },
        conformance.time_limit_s + kGraceS);
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
    return {{"component", finding.component},
            {"check", finding.check},
            {"verdict", name_of(finding.verdict)},
            {"rule", finding.rule},
            {"text", finding.text}};
}

}  // namespace l2o::framework
