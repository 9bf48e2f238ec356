#include "framework/check/conformance.hpp"

#include <dlfcn.h>
#include <fmt/core.h>
#include <xmmintrin.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "framework/check/checks.hpp"
#include "framework/check/child.hpp"
#include "framework/config/suggest.hpp"
#include "framework/error.hpp"
#include "framework/plugin/library.hpp"
#include "framework/store/atomic_file.hpp"

namespace l2o::framework {
namespace {

using nlohmann::json;

constexpr const char* kLibrary = "library";
constexpr const char* kLoadsRule = "the library loads, exports '" L2O_ENTRY_SYMBOL
                                   "', has complete tables for this ABI, and leaves the "
                                   "floating-point control word as it was";
constexpr const char* kManifestRule = "the manifest beside the library says what the library says";

bool is_wanted(const Conformance& conformance, const std::string& name) {
    return conformance.only.empty() ||
           std::find(conformance.only.begin(), conformance.only.end(), name) != conformance.only.end();
}

/// Runs a check in a child; "seen" is what it returns.
Finding judge(Finding finding, double time_limit_s, const std::function<std::string()>& check) {
    const ChildOutcome outcome = run_in_child(
        [&]() -> std::string {
            const auto answer = [](const char* verdict, const std::string& text) {
                return json{{"verdict", verdict}, {"text", text}}.dump(
                    -1, ' ', true, json::error_handler_t::replace);
            };
            try {
                return answer("ok", check());
            } catch (const NotApplicable& reason) {
                return answer("skipped", reason.what());
            } catch (const Diverged& diverged) {
                return answer("FAIL", "returned L2O_NUMERICAL: " + diverged.text);
            } catch (const std::exception& error) {
                return answer("FAIL", error.what());
            }
        },
        time_limit_s);
    if (outcome.end != ChildOutcome::End::kDone) {
        finding.verdict = Verdict::kFailed;
        finding.text = outcome.how;
        return finding;
    }
    const json answer = json::parse(outcome.sent);
    const std::string verdict = answer.at("verdict");
    finding.verdict = verdict == "ok"        ? Verdict::kOk
                      : verdict == "skipped" ? Verdict::kSkipped
                                             : Verdict::kFailed;
    finding.text = answer.at("text");
    return finding;
}

/// In a child: the manifest that the library should have.
std::string load_and_describe(const std::filesystem::path& path) {
    constexpr unsigned kStatusBits = 0x3F;
    const unsigned before = _mm_getcsr() & ~kStatusBits;
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
    const Library& library = load_library(path);
    return to_json(library.description).dump();
}

PluginDescription description_of(const std::filesystem::path& path, const std::string& manifest) {
    // The one reader of manifests reads files.
    struct Folder {
        std::filesystem::path path;
        ~Folder() {
            std::error_code code;
            std::filesystem::remove_all(path, code);
        }
    };
    std::string name = (std::filesystem::temp_directory_path() / "l2o-check-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr)
        throw Error(ExitCode::kIo, "no temporary folder can be made in " + name);
    const Folder folder{name};
    write_file_atomically(folder.path / "checked.l2o.json", manifest);
    PluginDescription description = read_manifest(folder.path / "checked.l2o.json");
    description.library = path;
    return description;
}

/// Those that need no other library come first: they are quick to load.
std::vector<Catalog::Entry> candidates(const Conformance& conformance, const Catalog& catalog) {
    if (!conformance.optimizee.empty()) return {catalog.find(Kind::kOptimizee, conformance.optimizee)};
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
    std::vector<std::string> names{"loads", "manifest"};
    for (const Kind kind : {Kind::kOptimizer, Kind::kOptimizee, Kind::kLoss}) {
        for (const Check& check : checks_of(kind)) {
            if (std::find(names.begin(), names.end(), check.name) == names.end())
                names.emplace_back(check.name);
        }
    }
    return names;
}

std::vector<Finding> check_library(const Conformance& conformance,
                                   const std::vector<std::filesystem::path>& folders,
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

    Finding loads = judge({.component = kLibrary, .check = "loads", .rule = kLoadsRule},
                          conformance.time_limit_s,
                          [&] { return load_and_describe(path); });
    if (loads.verdict == Verdict::kFailed) {
        report(std::move(loads));
        return findings;
    }
    const std::string says = std::exchange(loads.text, "");
    const auto plugin = std::make_shared<const PluginDescription>(description_of(path, says));
    loads.text =
        fmt::format("{} {}, ABI {}.{}", plugin->id, plugin->version, plugin->abi_major, plugin->abi_minor);
    if (is_wanted(conformance, "loads")) report(std::move(loads));
    if (is_wanted(conformance, "manifest")) {
        report(judge({.component = kLibrary, .check = "manifest", .rule = kManifestRule},
                     conformance.time_limit_s,
                     [&]() -> std::string {
                         const std::filesystem::path manifest = manifest_path(path);
                         if (!std::filesystem::exists(manifest))
                             throw NotApplicable("there is none; l2o-manifest writes it");
                         if (json::parse(read_file(manifest)) != json::parse(says))
                             throw Broken(manifest.string() + " differs; write it again with l2o-manifest");
                         return "";
                     }));
    }
    for (const ComponentDescription& component : plugin->components) {
        const Subject subject{.entry = {component, plugin},
                              .settings = conformance.settings,
                              .optimizees = optimizees,
                              .optimizee_settings = conformance.optimizee_settings};
        const std::string name = std::string(name_of(component.kind)) + " " + component.id;
        for (const Check& check : checks_of(component.kind)) {
            if (!is_wanted(conformance, check.name)) continue;
            report(judge({.component = name, .check = check.name, .rule = check.rule},
                         conformance.time_limit_s,
                         [&] { return check.run(subject); }));
        }
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
