#include "framework/store/metrics_log.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

namespace l2o::framework {
namespace {

void check_resume_offset(const FileHandle& file, std::int64_t offset_bytes) {
    const std::int64_t size_bytes = file.size_bytes();
    if (offset_bytes < 0 || offset_bytes > size_bytes)
        throw Error(
            ExitCode::kIo,
            fmt::format("{}: holds {} bytes, but the checkpoint continues at byte {}; expected the log "
                        "and the checkpoint of one run",
                        file.path().string(),
                        size_bytes,
                        offset_bytes));
    char last = '\n';
    if (offset_bytes > 0 && ::pread(file.descriptor(), &last, 1, offset_bytes - 1) != 1) last = '\0';
    if (last != '\n')
        throw Error(
            ExitCode::kIo,
            fmt::format("{}: byte {}, where the checkpoint continues, is not the end of a line; expected "
                        "the log and the checkpoint of one run",
                        file.path().string(),
                        offset_bytes));
}

}  // namespace

MetricsLog::MetricsLog(std::filesystem::path path, std::optional<std::int64_t> resume_offset_bytes)
    : file_(std::move(path), O_RDWR | O_CREAT | O_APPEND) {
    if (resume_offset_bytes) {
        check_resume_offset(file_, *resume_offset_bytes);
        file_.truncate(*resume_offset_bytes);
    }
    offset_bytes_ = file_.size_bytes();
}

void MetricsLog::append(const nlohmann::json& record) {
    const std::string line = record.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + '\n';
    try {
        file_.write(line);
    } catch (const Error&) {
        // A part of the line may be there. If it cannot be cut off either, the first error tells more.
        [[maybe_unused]] const int ignored = ::ftruncate(file_.descriptor(), offset_bytes_);
        throw;
    }
    offset_bytes_ += static_cast<std::int64_t>(line.size());
}

}  // namespace l2o::framework
