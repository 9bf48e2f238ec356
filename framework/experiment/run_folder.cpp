#include "framework/experiment/run_folder.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <iterator>
#include <l2o/files/json.hpp>
#include <system_error>

#include "framework/error.hpp"
#include "framework/experiment/training_hash.hpp"
#include "framework/store/atomic_file.hpp"
#include "framework/store/paths.hpp"
#include "framework/text/json.hpp"
#include "framework/text/printable.hpp"

namespace l2o::framework {
namespace {

/// "20260131-235959", UTC.
std::string time_stamp() {
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    char text[sizeof "20000101-000000"] = "";
    ::gmtime_r(&now, &parts);
    return {text, std::strftime(text, sizeof text, "%Y%m%d-%H%M%S", &parts)};
}

nlohmann::json plugins_json(const Experiment& experiment) {
    nlohmann::json plugins = nlohmann::json::object();
    for (const Catalog::Entry& entry : plugins_of(experiment)) {
        const Build build = Catalog::build_of(entry);
        plugins[std::string(name_of(entry.component.kind)) + " " + entry.component.id + "@" +
                entry.plugin->version] = {{"build", build.id.empty() ? build.content : build.id},
                                          {"library", entry.plugin->library.string()}};
    }
    return plugins;
}

constexpr const char* kParts[] = {"all", "train", "evaluate"};  // of RunPart

}  // namespace

void make_folders(const std::filesystem::path& path) {
    std::error_code code;
    std::filesystem::create_directories(path, code);
    if (code) throw io_error(path, "cannot be made a folder", code.value(), "choose another root folder");
}

FileHandle lock_folder(const std::filesystem::path& path, const std::string& advice) {
    FileHandle folder(path, O_RDONLY | O_DIRECTORY);
    // Other failures: a file system that knows no locks.
    if (::flock(folder.descriptor(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        throw Error(ExitCode::kIo, path.string() + ": another l2o is at work in this folder; " + advice);
    return folder;
}

RunFolder RunFolder::create(const std::filesystem::path& root,
                            const Experiment& experiment,
                            const BuildInfo& build,
                            RunRequest request) {
    const std::filesystem::path parent = absolute_path(root) / experiment.name;
    make_folders(parent);
    const std::string stem = time_stamp() + "-" + experiment.hash.substr(0, 8);
    RunFolder folder{parent / stem};
    // Only one of two runs of the same second makes the folder; the other takes the next name.
    for (int n = 2;; ++n) {
        std::error_code code;
        if (std::filesystem::create_directory(folder.path, code)) break;
        if (code && code != std::errc::file_exists)
            throw io_error(
                folder.path, "cannot be made a folder", code.value(), "choose another root folder");
        folder.path = parent / (stem + "-" + std::to_string(n));
    }
    make_folders(folder.checkpoints());
    nlohmann::json about = environment(build);
    about["plugins"] = plugins_json(experiment);
    write_file_atomically(folder.path / "environment.json", json_text(about, 2) + "\n");
    request.hash = experiment.hash;
    request.root = std::filesystem::canonical(folder.root());
    folder.write(request);
    write_file_atomically(folder.config(), experiment.info);
    return folder;
}

FileHandle RunFolder::lock() const {
    return lock_folder(
        path, "wait until it is done, or run the experiment in a folder of its own, without --resume");
}

void RunFolder::remove_if_unused() const {
    std::error_code ignored;
    if (std::filesystem::exists(metrics(), ignored) && std::filesystem::file_size(metrics(), ignored) > 0)
        return;
    for (const auto& file : std::filesystem::directory_iterator(path / "checkpoints", ignored))
        if (file.path().string().ends_with(".evaluation.safetensors")) return;
    std::filesystem::remove_all(path, ignored);
    // These if they are empty.
    for (const auto& above : {path.parent_path(), root() / "weights", root()})
        std::filesystem::remove(above, ignored);
}

RunFolder RunFolder::open(const std::filesystem::path& path) {
    std::error_code absent;
    const RunFolder folder{std::filesystem::canonical(path, absent)};
    if (absent || !std::filesystem::is_regular_file(folder.config(), absent)) {
        throw Error(ExitCode::kIo,
                    path.string() +
                        " has no config.info; expected the folder of an earlier run, as "
                        "runs/NAME/20260131-235959-1a2b3c4d");
    }
    return folder;
}

RunRequest RunFolder::request() const {
    const std::filesystem::path file = path / "request.json";
    RunRequest request;
    if (!std::filesystem::exists(file)) return request;
    try {
        const nlohmann::json json = files::parse_json(read_file(file), 2, "lists of names");
        const auto part = std::ranges::find(kParts, json.at("part").get<std::string>());
        if (part == std::end(kParts))
            throw Error(ExitCode::kIo,
                        "part is " + json.at("part").dump() + "; expected all, train or evaluate");
        request.part = static_cast<RunPart>(part - std::begin(kParts));
        json.at("contestants").get_to(request.contestants);
        json.at("untrained").get_to(request.untrained);
        request.report = json.value("report", true);
        json.at("retrained").get_to(request.retrained);
        json.at("forgotten").get_to(request.forgotten);
        json.at("hash").get_to(request.hash);
        request.root = json.at("root").get<std::string>();
        request.finished = json.value("finished", "");  // not in those of earlier versions
    } catch (const std::exception& error) {
        throw Error(ExitCode::kIo,
                    file.string() + ": not what 'l2o run' writes (" + error.what() +
                        "); remove it to go on with all of the experiment");
    }
    return request;
}

void RunFolder::write(const RunRequest& request) const {
    const nlohmann::json json{{"part", kParts[static_cast<int>(request.part)]},
                              {"contestants", request.contestants},
                              {"untrained", request.untrained},
                              {"report", request.report},
                              {"retrained", request.retrained},
                              {"forgotten", request.forgotten},
                              {"hash", request.hash},
                              {"root", request.root.string()},
                              {"finished", request.finished}};
    constexpr auto kReplace = nlohmann::json::error_handler_t::replace;  // a root that is not UTF-8 is lost
    write_file_atomically(path / "request.json", json.dump(2, ' ', false, kReplace) + "\n");
}

std::string RunFolder::record_plugins(const Experiment& experiment) const {
    const std::filesystem::path file = path / "environment.json";
    constexpr std::size_t kMaxDepth = 8;
    nlohmann::json about;
    try {
        if (std::filesystem::exists(file))
            about = files::parse_json(read_file(file), kMaxDepth, "versions and settings");
    } catch (const files::JsonFault& fault) {
        throw Error(ExitCode::kIo, file.string() + ": " + fault.what() + "; remove the folder and run again");
    }
    if (!about.is_object()) about = nlohmann::json::object();
    const nlohmann::json before = about.value("plugins", nlohmann::json::object()),
                         now = plugins_json(experiment);
    if (before == now) return "";
    const auto build_in = [](const nlohmann::json& plugin) {
        const bool is_known =
            plugin.is_object() && plugin.contains("build") && plugin.at("build").is_string();
        return is_known ? plugin.at("build").get<std::string>() : "";
    };
    constexpr std::size_t kDigits = 8;
    std::string others;
    for (const auto& [name, plugin] : now.items()) {
        if (!before.is_object() || !before.contains(name)) continue;
        const std::string then = build_in(before.at(name)), build = build_in(plugin);
        if (then == build) continue;
        others += (others.empty() ? "" : ", ") + name + " (build " + then.substr(0, kDigits) + " before, " +
                  build.substr(0, kDigits) + " now)";
    }
    about["plugins"] = now;
    write_file_atomically(file, json_text(about, 2) + "\n");
    return others;
}

std::filesystem::path RunFolder::shared_weights(const RunRequest& request,
                                                const std::string& experiment) const {
    std::error_code absent;
    const bool is_home =
        path.parent_path().filename() == experiment &&
        (root() == request.root || std::filesystem::is_directory(root() / "weights", absent));
    if (is_home) return root() / "weights";
    return !request.root.empty() && std::filesystem::is_directory(request.root, absent)
               ? request.root / "weights"
               : "";
}

}  // namespace l2o::framework
