#include "framework/experiment/run_folder.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <ctime>
#include <nlohmann/json.hpp>
#include <system_error>

#include "framework/error.hpp"
#include "framework/store/atomic_file.hpp"

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
                            const BuildInfo& build) {
    const std::filesystem::path parent = std::filesystem::absolute(root).lexically_normal() / experiment.name;
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
    write_file_atomically(folder.path / "environment.json", environment(build).dump(2) + "\n");
    write_file_atomically(folder.config(), experiment.info);
    return folder;
}

FileHandle RunFolder::lock() const {
    return lock_folder(
        path, "wait until it is done, or run the experiment in a folder of its own, without --resume");
}

void RunFolder::remove_if_unused() const {
    std::error_code ignored;
    if (std::filesystem::exists(metrics()) && std::filesystem::file_size(metrics(), ignored) > 0) return;
    std::filesystem::remove_all(path, ignored);
    std::filesystem::remove(path.parent_path(), ignored);  // these two if they are empty
    std::filesystem::remove(root(), ignored);
}

RunFolder RunFolder::open(const std::filesystem::path& path) {
    RunFolder folder{std::filesystem::absolute(path / ".").lexically_normal().parent_path()};
    if (!std::filesystem::is_regular_file(folder.config())) {
        throw Error(ExitCode::kIo,
                    path.string() +
                        " has no config.info; expected the folder of an earlier run, as "
                        "runs/NAME/20260131-235959-1a2b3c4d");
    }
    return folder;
}

}  // namespace l2o::framework
