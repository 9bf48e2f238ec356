#include "framework/report/report_folder.hpp"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "framework/experiment/run_folder.hpp"
#include "framework/store/atomic_file.hpp"
#include "framework/store/hash.hpp"

namespace l2o::framework {
namespace {

namespace fs = std::filesystem;

/// A new folder beside another: its name is nobody's.
fs::path folder_beside(const fs::path& target) {
    for (int n = 0;; ++n) {
        fs::path path = target.parent_path() / ("." + target.filename().string() + ".tmp." +
                                                std::to_string(::getpid()) + "." + std::to_string(n));
        std::error_code code;
        if (fs::create_directory(path, code)) return path;
        if (code) throw io_error(path, "cannot be made a folder", code.value(), "check its permissions");
    }
}

}  // namespace

ReportFolder::ReportFolder(fs::path folder)
    : path_(std::move(folder)),
      figures_(path_ / "figures"),
      lock_((make_folders(path_),
             lock_folder(path_, "wait until it is done, or write elsewhere with --output FOLDER"))),
      own_(path_, "report", "a report of l2o", "write the report elsewhere with --output FOLDER") {
    has_figures_ = is_there(figures_);
    if (is_there(page())) own_.check_is_own("report.html");
    if (has_figures_) check_figures_are_own();
    drafts_ = folder_beside(figures_);
}

ReportFolder::~ReportFolder() {
    std::error_code ignored;
    if (!is_swapped_) {
        fs::remove_all(drafts_, ignored);
        return;
    }
    // What was figures/: somebody else may have put a file there in this moment.
    for (const auto& [name, hashes] : own_.known()) {
        const fs::path relative(name);
        if (relative.parent_path() == "figures") fs::remove(drafts_ / relative.filename(), ignored);
    }
    fs::remove(drafts_, ignored);
}

void ReportFolder::commit(const std::string& html) {
    OwnFiles::Names written{{"report.html", {sha1_hex(html)}}};
    for (const fs::directory_entry& entry : fs::directory_iterator(drafts_))
        written["figures/" + entry.path().filename().string()] = {sha1_hex(read_file(entry.path()))};
    OwnFiles::Names both = own_.known();
    for (const auto& [name, hashes] : written) both[name].insert(hashes.begin(), hashes.end());
    own_.write(both);
    swap_figures();
    write_file_atomically(page(), html);
    own_.write(written);
}

void ReportFolder::check_figures_are_own() const {
    if (!fs::is_directory(fs::symlink_status(figures_)))
        own_.refuse(figures_, "is no folder that a report of l2o made");
    const auto first = own_.known().lower_bound("figures/");
    if (first == own_.known().end() || !first->first.starts_with("figures/"))
        own_.refuse(figures_, "was not made by a report of l2o");
    for (const fs::directory_entry& entry : fs::directory_iterator(figures_))
        own_.check_is_own("figures/" + entry.path().filename().string());
}

void ReportFolder::swap_figures() {
    std::error_code code;
    if (!has_figures_) {
        fs::rename(drafts_, figures_, code);
        if (code)
            throw io_error(figures_, "cannot be made", code.value(), "check the permissions of its folder");
        return;
    }
    fs::permissions(drafts_, fs::status(figures_, code).permissions(), code);
    if (::renameat2(AT_FDCWD, drafts_.c_str(), AT_FDCWD, figures_.c_str(), RENAME_EXCHANGE) != 0) {
        // EINVAL, ENOSYS: a file system or a kernel that cannot do both at once.
        if (errno != EINVAL && errno != ENOSYS)
            throw io_error(figures_, "cannot be replaced", errno, "check the permissions of its folder");
        const fs::path before = folder_beside(figures_);
        fs::rename(figures_, before, code);
        if (!code) {
            fs::rename(drafts_, figures_, code);
            std::error_code ignored;
            if (code) fs::rename(before, figures_, ignored);
        }
        if (code)
            throw io_error(
                figures_, "cannot be replaced", code.value(), "check the permissions of its folder");
        drafts_ = before;
    }
    is_swapped_ = true;
}

}  // namespace l2o::framework
