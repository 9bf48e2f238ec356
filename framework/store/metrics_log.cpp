#include "framework/store/metrics_log.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mutex>
#include <string_view>
#include <utility>

#include "framework/store/atomic_file.hpp"
#include "framework/text/json.hpp"
#include "framework/text/printable.hpp"

namespace l2o::framework {
namespace {

constexpr std::size_t kDeepestRecord = 4;
constexpr int kAppending = O_RDWR | O_APPEND;

/// Of all logs, one of which may rewrite the file of another.
std::mutex& files_mutex() {
    static std::mutex mutex;
    return mutex;
}

/// The lines of a log that stay.
std::string kept_of(const std::string& text, const MetricsLog::Kept& kept, const std::string& path) {
    std::string stays;
    std::int64_t found = 0, number = 0;
    for (std::size_t begin = 0, end = 0; begin < text.size(); begin = end) {
        end = text.find('\n', begin);
        if (end == std::string::npos) break;  // a line that was torn off
        const std::string_view line(text.data() + begin, ++end - begin);
        ++number;
        const nlohmann::json record = parsed_json(line, kDeepestRecord).value_or(nullptr);
        const bool is_record = record.is_object();
        if (!is_record && found < kept.count)
            throw Error(
                ExitCode::kIo,
                fmt::format("{}: line {} is no record; expected the log as it was written", path, number));
        const bool is_meant = is_record && record.contains(kept.key) && record[kept.key] == kept.value;
        if (is_record && (!is_meant || ++found <= kept.count)) stays += line;
    }
    if (found < kept.count)
        throw Error(
            ExitCode::kIo,
            fmt::format("{}: holds {} records of '{}', and the checkpoint goes on after {}; expected the log "
                        "and the checkpoint of one run",
                        path,
                        found,
                        kept.value,
                        kept.count));
    return stays;
}

FileHandle opened(const std::filesystem::path& path, const MetricsLog::Kept& kept) {
    if (!std::filesystem::exists(path)) {
        if (kept.count > 0)
            throw Error(ExitCode::kIo,
                        fmt::format("{}: is missing, and the checkpoint goes on after {} records of '{}'",
                                    path.string(),
                                    kept.count,
                                    kept.value));
        return {path, kAppending | O_CREAT};
    }
    FileHandle file(path, kAppending);
    file.require(S_IFREG);
    const std::string text = file.read_all();
    const std::string stays = kept_of(text, kept, path.string());
    if (text.starts_with(stays)) {  // as a rule: no space is needed to cut
        if (stays.size() < text.size()) file.truncate(static_cast<std::int64_t>(stays.size()));
        return file;
    }
    write_file_atomically(path, stays);
    return {path, kAppending};
}

}  // namespace

MetricsLog::MetricsLog(std::filesystem::path path)
    : file_(std::in_place, std::move(path), kAppending | O_CREAT) {
    if (file_->type() == S_IFIFO) file_->require(S_IFREG);  // would be waited for once it is full
}

MetricsLog::MetricsLog(const std::filesystem::path& path, const Kept& kept) {
    const std::lock_guard lock(files_mutex());
    file_.emplace(opened(path, kept));
}

FileHandle& MetricsLog::named_file() {
    if (!file_->is_named()) {
        const std::filesystem::path path = file_->path();
        file_.emplace(path, kAppending | O_CREAT);
    }
    return *file_;
}

void MetricsLog::append(const nlohmann::json& record) {
    const std::string line = json_text(record) + '\n';
    const std::lock_guard lock(files_mutex());
    const FileHandle& file = named_file();
    const std::int64_t before = file.size_bytes();
    try {
        file_->write(line);
    } catch (const Error&) {
        // A part of the line may be there. If it cannot be cut off either, the first error tells more.
        [[maybe_unused]] const int ignored = ::ftruncate(file.descriptor(), before);
        throw;
    }
}

void MetricsLog::sync() {
    const std::lock_guard lock(files_mutex());
    named_file().sync();
}

std::int64_t MetricsLog::size_bytes() const { return file_->size_bytes(); }

}  // namespace l2o::framework
