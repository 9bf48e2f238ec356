#include "framework/store/file_handle.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

namespace l2o::framework {
namespace {

constexpr const char* kCheckPath = "check the path and its permissions";

const char* name_of(unsigned type) {
    switch (type) {
        case S_IFREG:
            return "a file";
        case S_IFDIR:
            return "a folder";
        case S_IFIFO:
            return "a FIFO";
        case S_IFSOCK:
            return "a socket";
        default:
            return "a device";
    }
}

struct stat status_of(const FileHandle& file) {
    struct stat status {};
    if (::fstat(file.descriptor(), &status) != 0)
        throw io_error(file.path(), "cannot read the file's status", errno, "check the file system");
    return status;
}

}  // namespace

Error io_error(const std::filesystem::path& path,
               std::string_view what,
               int errno_value,
               std::string_view advice) {
    return {ExitCode::kIo,
            fmt::format(
                "{}: {}: {}; {}", path.string(), what, std::generic_category().message(errno_value), advice)};
}

FileHandle::FileHandle(std::filesystem::path path, int flags, unsigned mode) : path_(std::move(path)) {
    do {
        descriptor_ = ::open(path_.c_str(), flags | O_CLOEXEC, mode);
    } while (descriptor_ < 0 && errno == EINTR);
    if (descriptor_ < 0)
        throw io_error(path_,
                       (flags & O_CREAT) != 0 ? "cannot create" : "cannot open",
                       errno,
                       errno == ENXIO ? "expected a file, not a socket or a device" : kCheckPath);
}

FileHandle FileHandle::input(std::filesystem::path path) {
    return {std::move(path), O_RDONLY | O_NONBLOCK | O_NOCTTY};
}

FileHandle::FileHandle(int descriptor, std::filesystem::path reported_path)
    : path_(std::move(reported_path)), descriptor_(descriptor) {}

FileHandle::FileHandle(FileHandle&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

FileHandle::~FileHandle() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

std::int64_t FileHandle::size_bytes() const { return status_of(*this).st_size; }

unsigned FileHandle::type() const { return status_of(*this).st_mode & S_IFMT; }

bool FileHandle::is_named() const {
    struct stat opened {
    }, named{};
    return ::fstat(descriptor_, &opened) == 0 && ::stat(path_.c_str(), &named) == 0 &&
           opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

void FileHandle::require(unsigned wanted) const {
    if (const unsigned found = type(); found != wanted)
        throw Error(ExitCode::kIo,
                    fmt::format("{}: is {}; expected {}", path_.string(), name_of(found), name_of(wanted)));
}

std::string FileHandle::read_all() {
    std::string text;
    std::array<char, 1 << 16> block;
    for (;;) {
        const ssize_t got = ::read(descriptor_, block.data(), block.size());
        if (got == 0) return text;
        if (got > 0)
            text.append(block.data(), static_cast<std::size_t>(got));
        else if (errno != EINTR)
            throw io_error(path_, "cannot read", errno, "expected a readable file");
    }
}

void FileHandle::write(std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
        if (written >= 0)
            bytes.remove_prefix(static_cast<std::size_t>(written));
        else if (errno != EINTR)
            throw io_error(path_, "cannot write", errno, "check the free space and the quota");
    }
}

void FileHandle::truncate(std::int64_t bytes) {
    if (::ftruncate(descriptor_, bytes) != 0)
        throw io_error(path_, "cannot truncate", errno, "expected a regular, writable file");
}

void FileHandle::sync() {
    // EINVAL: a file system or a special file that has nothing to sync.
    if (::fsync(descriptor_) != 0 && errno != EINVAL)
        throw io_error(path_, "cannot sync to the disk", errno, "check the disk and the free space");
}

void FileHandle::close() {
    if (::close(std::exchange(descriptor_, -1)) != 0 && errno != EINTR)
        throw io_error(path_, "cannot close", errno, "check the disk and the free space");
}

void reserve_standard_streams() {
    for (const int number : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        if (::fcntl(number, F_GETFD) >= 0 || errno != EBADF) continue;
        // The lowest free number, which is this one. Without /dev: what can be neither read nor written.
        if (::open("/dev/null", O_RDWR) < 0) ::open("/", O_RDONLY | O_DIRECTORY);
    }
}

}  // namespace l2o::framework
