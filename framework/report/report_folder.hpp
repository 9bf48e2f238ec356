#pragma once

#include <filesystem>
#include <string>

#include "framework/store/file_handle.hpp"
#include "framework/store/own_files.hpp"

namespace l2o::framework {

/// A folder with a report in it: report.html, figures/, and `.l2o-report`, a list of both with the SHA-1 of
/// every file, as sha1sum reads it. Only what is in that list, and is as it was written, is ever replaced.
class ReportFolder {
  public:
    /// Makes the folder if it is missing, and keeps other reports out of it as long as this object lives.
    /// @throw Error kIo: another l2o is at work there; report.html or figures/ is there and not of an earlier
    ///               report, or was changed since.
    explicit ReportFolder(std::filesystem::path folder);
    ReportFolder(const ReportFolder&) = delete;
    ReportFolder& operator=(const ReportFolder&) = delete;
    ~ReportFolder();

    [[nodiscard]] std::filesystem::path page() const { return path_ / "report.html"; }
    /// A folder beside figures/, empty at first; it goes away with this object.
    [[nodiscard]] const std::filesystem::path& drafts() const { return drafts_; }
    /// Puts the drafts in the place of figures/, and the page beside them; call once, last. A process that is
    /// killed meanwhile leaves what the next report recognises. @throw Error kIo
    void commit(const std::string& html);

  private:
    void check_figures_are_own() const;
    void swap_figures();

    std::filesystem::path path_, figures_, drafts_;
    FileHandle lock_;
    OwnFiles own_;
    bool has_figures_ = false, is_swapped_ = false;
};

}  // namespace l2o::framework
