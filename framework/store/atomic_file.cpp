#include "framework/store/atomic_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <utility>

namespace l2o::framework {
namespace {

// Renaming over a device or a pipe would replace it: `--out /dev/null` as root must not cost the machine its
// /dev/null.
void refuse_special_file(const std::filesystem::path& target) {
    struct stat status {};
    if (::lstat(target.c_str(), &status) != 0)
        return;  // absent; other failures show when the file is created
    if (!S_ISREG(status.st_mode) && !S_ISLNK(status.st_mode))
        throw Error(
            ExitCode::kIo,
            fmt::format("{}: is a folder or a device; expected a new name or a regular file to replace",
                        target.string()));
}

// Creates a file of an unused name beside the target and stores that name.
int create_beside(const std::filesystem::path& target, std::filesystem::path& name) {
    static std::atomic<unsigned> counter{0};
    for (;;) {
        name = target.parent_path() /
               fmt::format(".{}.tmp.{}.{}", target.filename().string(), ::getpid(), counter++);
        const int descriptor = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (descriptor >= 0) return descriptor;
        // EEXIST: left by a killed process that had the same id.
        if (errno != EEXIST && errno != EINTR)
            throw io_error(target,
                           "cannot create a temporary file beside it",
                           errno,
                           "check that the folder exists and is writable");
    }
}

}  // namespace

AtomicFile::AtomicFile(std::filesystem::path target)
    : target_((refuse_special_file(target), std::move(target))),
      file_(create_beside(target_, temporary_name_), target_) {}

AtomicFile::~AtomicFile() {
    if (!temporary_name_.empty()) ::unlink(temporary_name_.c_str());
}

void AtomicFile::write(std::string_view bytes) { file_.write(bytes); }

void AtomicFile::commit() {
    file_.sync();
    file_.close();
    if (std::rename(temporary_name_.c_str(), target_.c_str()) != 0)
        throw io_error(target_,
                       fmt::format("cannot rename '{}' to it", temporary_name_.filename().string()),
                       errno,
                       "check the folder's permissions");
    temporary_name_.clear();

    const std::filesystem::path parent = target_.parent_path();
    FileHandle(parent.empty() ? "." : parent, O_RDONLY | O_DIRECTORY).sync();
}

void write_file_atomically(const std::filesystem::path& path, std::string_view bytes) {
    AtomicFile file(path);
    file.write(bytes);
    file.commit();
}

std::string read_file(const std::filesystem::path& path) { return FileHandle(path, O_RDONLY).read_all(); }

}  // namespace l2o::framework
