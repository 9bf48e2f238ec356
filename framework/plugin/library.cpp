#include "framework/plugin/library.hpp"

#include <algorithm>
#include <boost/dll/shared_library.hpp>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <utility>

#include "framework/error.hpp"
#include "framework/float_control.hpp"
#include "framework/plugin/blas.hpp"
#include "framework/plugin/call.hpp"
#include "framework/plugin/child.hpp"
#include "framework/plugin/process_watch.hpp"
#include "framework/plugin/specs.hpp"
#include "framework/text/json.hpp"
#include "framework/text/printable.hpp"

namespace l2o::framework {
namespace {

const void* L2O_CALL no_extension(const l2o_host*, const char*) noexcept { return nullptr; }

[[noreturn]] void refuse_library(const std::filesystem::path& path, const std::string& text) {
    throw library_error(path, text);
}

template <class... Slot>
bool all_set(Slot... slot) {
    return (... && (slot != nullptr));
}

void check_tables(const Component& component, Kind kind, const std::filesystem::path& path) {
    bool complete = false;
    switch (kind) {
        case Kind::kOptimizer: {
            const auto& api = component.optimizer;
            complete = all_set(api.create,
                               api.destroy,
                               api.info,
                               api.param_spec,
                               api.state_spec,
                               api.init_params,
                               api.init_state,
                               api.step,
                               api.get_extension);
            break;
        }
        case Kind::kOptimizee: {
            const auto& api = component.optimizee;
            complete = all_set(api.create,
                               api.destroy,
                               api.info,
                               api.block_spec,
                               api.data_spec,
                               api.metric_spec,
                               api.sample,
                               api.init_point,
                               api.eval,
                               api.get_extension);
            break;
        }
        case Kind::kLoss: {
            const auto& api = component.loss;
            complete = all_set(api.create, api.destroy, api.info, api.eval, api.get_extension);
            break;
        }
    }
    if (!complete) {
        refuse_library(
            path, std::string("component '") + component.table.id + "' leaves a mandatory function NULL");
    }
}

/// Refuses a file that is not what a manifest describes.
void check_build(const std::filesystem::path& path, const Build& build, const Build& expected) {
    if (build == expected) return;
    refuse_library(
        path,
        build.id == expected.id && build.size == expected.size
            ? "its content is not that of its manifest, though build id and size are: it is damaged, or "
              "was edited; build or install it again, or write the manifest again with l2o-manifest"
            : "it is build " + short_name(build) + ", its manifest describes " + short_name(expected) +
                  "; write it again with l2o-manifest, and run the command again");
}

/// Refuses a plugin of another ABI, and one that others could meet by the names in it.
void check_exports(const std::filesystem::path& path, const std::vector<std::string>& exports) {
    if (std::ranges::find(exports, L2O_ENTRY_SYMBOL) == exports.end()) {
        const auto other = std::ranges::find_if(
            exports, [](const std::string& name) { return name.starts_with("l2o_plugin_entry_"); });
        if (other == exports.end()) return;  // said when it is opened
        refuse_library(path,
                       "is built for another ABI, whose entry is '" + *other + "'; that of this l2o is '" +
                           L2O_ENTRY_SYMBOL +
                           "': build it again with this SDK (CHANGELOG.md says how to move over)");
    }
    const auto other =
        std::ranges::find_if(exports, [](const std::string& name) { return name != L2O_ENTRY_SYMBOL; });
    if (other == exports.end()) return;
    refuse_library(
        path,
        "exports '" + *other +
            "' beside '" L2O_ENTRY_SYMBOL
            "', which another plugin with that name in it would share; link it with the SDK's version "
            "script, as l2o_add_plugin() and 'pkg-config --libs l2o' do");
}

Library open(const std::filesystem::path& path, const Build* expected) {
    namespace dll = boost::dll;
    LibraryFile file(path);
    const Build build = file.build_with_content();
    if (expected != nullptr) check_build(path, build, *expected);
    check_exports(path, file.exports());
    const ProcessWatch watch("loading plugin '" + path.string() + "'");
    // Never closed: see Library.
    static auto& handles = *new std::deque<dll::shared_library>;
    dll::shared_library* handle = &handles.emplace_back();
    boost::dll::fs::error_code code;
    const std::string absolute = std::filesystem::absolute(path).string();
    std::string reason;
    try {
        handle->load(absolute, dll::load_mode::rtld_now | dll::load_mode::rtld_local);
    } catch (const std::exception& error) {
        reason = error.what();
    }
    // -ffast-math switches off denormal numbers on loading.
    if (FloatControl::now() != kStandardFloat)
        put_back_float_control("loading plugin '" + path.string() + "'");
    if (!handle->is_loaded()) refuse_library(path, "cannot be loaded: " + reason);
    take_blas_work_space();
    // The loader opens the path again: what it found there is what was looked at above.
    if (!file.is_unchanged()) refuse_library(path, "was replaced while it was loaded; run the command again");
    if (!handle->has(L2O_ENTRY_SYMBOL)) {
        refuse_library(
            path, "has no symbol '" L2O_ENTRY_SYMBOL "': not an l2o plugin, or built for another major ABI");
    }
    const auto entry = handle->get<const l2o_plugin*() noexcept>(L2O_ENTRY_SYMBOL);
    const l2o_plugin* table = entry();
    if (table == nullptr || table->magic != L2O_MAGIC) {
        refuse_library(path, "its entry returned no l2o plugin table");
    }
    const l2o_plugin plugin = normalised(*table);
    if (plugin.built_major != L2O_ABI_MAJOR || plugin.required_minor > L2O_ABI_MINOR) {
        refuse_library(path,
                       "built for ABI " + std::to_string(plugin.built_major) + "." +
                           std::to_string(plugin.built_minor) + " and requires minor " +
                           std::to_string(plugin.required_minor) + ", this host has ABI " +
                           std::to_string(L2O_ABI_MAJOR) + "." + std::to_string(L2O_ABI_MINOR) +
                           "; rebuild it against this SDK, or update l2o");
    }
    Library library{.description = describe(plugin, path), .components = {}};
    library.description.build = build;
    for (std::uint32_t i = 0; i < plugin.n_components; ++i) {
        Component component;
        component.table = normalised(*plugin.components[i]);
        const Kind kind = library.description.components[i].kind;
        if (component.table.api == nullptr)
            refuse_library(path,
                           std::string("component '") + component.table.id + "' has no table of functions");
        if (kind == Kind::kOptimizer) {
            component.optimizer = normalised(*static_cast<const l2o_optimizer_api*>(component.table.api));
        } else if (kind == Kind::kOptimizee) {
            component.optimizee = normalised(*static_cast<const l2o_optimizee_api*>(component.table.api));
        } else {
            component.loss = normalised(*static_cast<const l2o_loss_api*>(component.table.api));
        }
        check_tables(component, kind, path);
        library.components.push_back(component);
    }
    if (plugin.init != nullptr) {
        CallContext call;
        call.check(plugin.init(&host_services(), call.plain()), "plugin '" + library.description.id + "'");
    }
    return library;
}

}  // namespace

const l2o_host& host_services() {
    static const l2o_host host{
        sizeof(l2o_host), L2O_ABI_MAJOR, L2O_ABI_MINOR, 0, "l2o", L2O_VERSION, &no_extension};
    return host;
}

const Library& load_library(const std::filesystem::path& path, const Build* expected) {
    static std::mutex mutex;
    static auto& libraries = *new std::map<std::filesystem::path, Library>;
    const std::filesystem::path key = std::filesystem::weakly_canonical(path);
    const std::lock_guard lock(mutex);
    const auto known = libraries.find(key);
    if (known == libraries.end()) return libraries.emplace(key, open(path, expected)).first->second;
    if (expected != nullptr) check_build(path, *known->second.description.build, *expected);
    return known->second;
}

PluginDescription describe_library(const std::filesystem::path& path) {
    PluginDescription description = load_library(path).description;
    if (const std::filesystem::path wide = built_for(path, true); wide != path)
        description.wide = LibraryFile(wide).build_with_content();
    return description;
}

PluginDescription describe_in_child(const std::filesystem::path& path, double time_limit_s) {
    using nlohmann::json;
    constexpr std::size_t kDeepestAnswer = 8;  // a description in it
    const std::filesystem::path file = built_for(path, is_x86_64_v4());
    json answer;
    const std::string ended = run_in_child(
        [&](const Send& send) {
            json out;
            try {
                out["plugin"] = to_json(load_library(file).description);
            } catch (const std::exception& error) {
                out["refusal"] = error.what();
            }
            send(out.dump(-1, ' ', true, json::error_handler_t::replace));
        },
        [&](const std::string& line) { answer = parsed_json(line, kDeepestAnswer).value_or(nullptr); },
        time_limit_s);
    if (!ended.empty()) refuse_library(file, "when it was loaded in a process of its own, that " + ended);
    if (answer.contains("refusal") && answer.at("refusal").is_string())
        throw Error(ExitCode::kPlugin, answer.at("refusal"));
    try {
        PluginDescription description = plugin_from_json(answer.at("plugin"), path.parent_path());
        description.library = path;
        if (file != path) description.wide = std::exchange(description.build, std::nullopt);
        return description;
    } catch (const std::exception& error) {
        refuse_library(file, std::string("describes itself in a way that makes no sense: ") + error.what());
    }
}

}  // namespace l2o::framework
