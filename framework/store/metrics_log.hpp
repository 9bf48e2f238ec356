#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "framework/store/file_handle.hpp"

namespace l2o::framework {

/// An append-only file of one JSON value per line (JSON Lines). All functions throw Error(kIo).
class MetricsLog {
  public:
    /// Opens a log at its end, creating it if it is absent.
    /// @param resume_offset_bytes  an earlier offset(): the file is cut there first, which drops what a
    /// killed
    ///                             run wrote after its last checkpoint. It must be 0 or the end of a line.
    explicit MetricsLog(std::filesystem::path path,
                        std::optional<std::int64_t> resume_offset_bytes = std::nullopt);

    /// Appends one line and hands it to the system, so that it survives the death of the process. On an error
    /// the file keeps only whole lines. Numbers that are not finite are written as null, bytes that are not
    /// UTF-8 as U+FFFD.
    void append(const nlohmann::json& record);
    /// Waits until the log is on the disk; call it before a checkpoint stores offset().
    void sync() { file_.sync(); }
    /// Length in bytes, at the end of the last record.
    [[nodiscard]] std::int64_t offset() const { return offset_bytes_; }

  private:
    FileHandle file_;
    std::int64_t offset_bytes_ = 0;
};

}  // namespace l2o::framework
