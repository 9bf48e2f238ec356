#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "framework/store/file_handle.hpp"

namespace l2o::framework {

/// An append-only file of one JSON value per line (JSON Lines), no FIFO. Several logs of this process may
/// have one file; each finds its records as if it were alone. All functions throw Error(kIo). [one thread a
/// log]
class MetricsLog {
  public:
    /// A part of the records of a log: the first `count` of those whose member `key` is `value`.
    struct Kept {
        std::string key, value;
        std::int64_t count = 0;
    };

    /// Opens a log at its end, creating it if it is absent.
    explicit MetricsLog(std::filesystem::path path);
    /// The same, once it holds no more of some records than are to be kept: what a killed run wrote after its
    /// last checkpoint goes, a torn last line too; records of others stay.
    /// @throw Error kIo if there are fewer than that, or a line before the last of them is no record; the log
    ///        is left alone.
    MetricsLog(const std::filesystem::path& path, const Kept& kept);

    /// Appends one line and hands it to the system, so that it survives the death of the process. On an error
    /// the file keeps only whole lines. Numbers that are not finite are written as null, bytes that are not
    /// UTF-8 as "\xNN".
    void append(const nlohmann::json& record);
    /// Waits until the log is on the disk; call it before a checkpoint counts its records.
    void sync();
    /// Length in bytes, at the end of the last record.
    [[nodiscard]] std::int64_t size_bytes() const;

  private:
    /// The file that has the name now: another log may have replaced it.
    FileHandle& named_file();

    std::optional<FileHandle> file_;
};

}  // namespace l2o::framework
