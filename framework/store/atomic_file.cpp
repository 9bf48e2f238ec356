#include "framework/store/atomic_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <optional>
#include <utility>
#include <vector>

#include "framework/cancel.hpp"

namespace l2o::framework {
namespace {

namespace fs = std::filesystem;

constexpr const char* kCheckPath = "check the path, its links and their permissions";

[[noreturn]] void refuse(const fs::path& path, const std::string& text) {
    throw Error(ExitCode::kIo, path.string() + ": " + text);
}

/// The number of the open descriptor that a link of /proc stands for, if it is one of this process.
std::optional<int> own_descriptor(const fs::path& link, const struct stat& behind) {
    const std::string name = link.filename().string();
    int number = -1;
    const auto [end, code] = std::from_chars(name.data(), name.data() + name.size(), number);
    struct stat own {};
    if (code != std::errc() || end != name.data() + name.size() || ::fstat(number, &own) != 0 ||
        own.st_dev != behind.st_dev || own.st_ino != behind.st_ino)
        return std::nullopt;
    return number;
}

bool is_in_proc(const fs::path& link) {
    struct statfs system {};
    const fs::path folder = link.parent_path();
    return ::statfs(folder.empty() ? "." : folder.c_str(), &system) == 0 && system.f_type == PROC_SUPER_MAGIC;
}

}  // namespace

/// Where writing to a path leads.
struct OutputPlace {
    fs::path given;
    fs::path target;                   ///< behind the links
    std::optional<struct stat> found;  ///< what is there; nothing: the file is new
    int descriptor = -1;               ///< of this process, that the path names; -1: none

    explicit OutputPlace(const fs::path& path) : given(path), target(path) {
        struct stat status {};
        // The kernel follows the links first: some that others have put into /tmp it refuses to follow.
        if (::stat(given.c_str(), &status) == 0)
            found = status;
        else if (errno != ENOENT)
            throw io_error(given, "cannot be written", errno, kCheckPath);
        follow_links();
        if (descriptor < 0 && (given.filename().empty() || (found && S_ISDIR(found->st_mode))))
            refuse(given, "is a folder; expected the name of a file");
        if (found && (S_ISSOCK(found->st_mode) || S_ISBLK(found->st_mode)) && descriptor < 0)
            refuse(given,
                   fmt::format("is a {}, which is not written to; expected the name of a file",
                               S_ISSOCK(found->st_mode) ? "socket" : "block device"));
    }

    [[nodiscard]] bool is_written_through() const {
        return descriptor >= 0 || (found && !S_ISREG(found->st_mode));
    }
    /// For messages.
    [[nodiscard]] fs::path name() const {
        return target == given ? given : fs::path(given.string() + " -> " + target.string());
    }

  private:
    void follow_links() {
        constexpr int kMostLinks = 40;  // as the kernel
        for (int links = 0;; ++links) {
            std::error_code code;
            const fs::path next = fs::read_symlink(target, code);
            if (code) return;
            // What these links say is no path that leads to what is open.
            if (found && is_in_proc(target)) {
                const std::optional<int> own = own_descriptor(target, *found);
                if (!own && S_ISREG(found->st_mode))
                    refuse(given, "is a file that another process has open; expected the file's own name");
                descriptor = own.value_or(-1);
                target = given;
                return;
            }
            if (links == kMostLinks) throw io_error(given, "cannot be written", ELOOP, kCheckPath);
            target = target.parent_path() / next;
        }
    }
};

namespace {

/// Creates a file of an unused name beside the target and stores that name.
int create_beside(const fs::path& target, const fs::path& reported, mode_t mode, fs::path& name) {
    static std::atomic<unsigned> counter{0};
    constexpr std::size_t kLongest = 200;  // of the 255 bytes of a name
    const std::string stem = target.filename().string().substr(0, kLongest);
    for (;;) {
        name = target.parent_path() / fmt::format(".{}.tmp.{}.{}", stem, ::getpid(), counter++);
        const int descriptor = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        if (descriptor >= 0) return descriptor;
        // EEXIST: left by a killed process that had the same id.
        if (errno != EEXIST && errno != EINTR)
            throw io_error(reported,
                           "cannot create a temporary file beside it",
                           errno,
                           "check that the folder exists and is writable");
    }
}

/// @return whether the file has the access control list of another path, or none if that has none.
bool copy_access_list(const fs::path& from, int to) {
    constexpr const char* kName = "system.posix_acl_access";
    std::vector<char> list(1 << 16);  // the most that an attribute can hold
    const ssize_t bytes = ::getxattr(from.c_str(), kName, list.data(), list.size());
    if (bytes > 0) return ::fsetxattr(to, kName, list.data(), static_cast<std::size_t>(bytes), 0) == 0;
    ::fremovexattr(to, kName);  // one that the folder has handed on
    return true;
}

/// Owner, group, mode and access control list of what is replaced; nobody may do more with it than before.
void take_over(const fs::path& target, const struct stat& from, const FileHandle& to) {
    struct stat own {};
    mode_t mode = from.st_mode & 0777U;
    const bool is_known = ::fstat(to.descriptor(), &own) == 0;
    const bool has_owner = (is_known && own.st_uid == from.st_uid && own.st_gid == from.st_gid) ||
                           ::fchown(to.descriptor(), from.st_uid, from.st_gid) == 0;
    const bool has_group = has_owner || (is_known && own.st_gid == from.st_gid) ||
                           ::fchown(to.descriptor(), static_cast<uid_t>(-1), from.st_gid) == 0;
    // Where there is a list, the group's part of the mode is the most that the list may grant.
    if (!copy_access_list(target, to.descriptor()) || !has_group)
        mode = (mode & ~070U) | ((mode & 07U) << 3U & mode & 070U);
    if (::fchmod(to.descriptor(), mode) != 0)
        throw io_error(to.path(), "cannot give its mode to the new file", errno, "check the file system");
}

/// Never waits for the other end of a FIFO.
int open_through(const fs::path& given) {
    const int descriptor = ::open(given.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (descriptor < 0 && errno == ENXIO)
        refuse(given, "is a FIFO or device that nobody reads; start its reader first, or name a file");
    if (descriptor < 0) throw io_error(given, "cannot be written", errno, kCheckPath);
    ::fcntl(descriptor, F_SETFL, ::fcntl(descriptor, F_GETFL) & ~O_NONBLOCK);
    return descriptor;
}

int duplicate(int descriptor, const fs::path& given) {
    const int copy = ::fcntl(descriptor, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (copy < 0) throw io_error(given, "cannot be written", errno, "check the limit of open files");
    return copy;
}

void check_permission(const fs::path& target, const fs::path& reported) {
    if (::faccessat(AT_FDCWD, target.c_str(), W_OK, AT_EACCESS) != 0)
        throw io_error(reported, "cannot be replaced", errno, "make it writable, or choose another name");
}

}  // namespace

AtomicFile::AtomicFile(const fs::path& target) : AtomicFile(OutputPlace(target)) {}

AtomicFile::AtomicFile(const OutputPlace& to)
    : target_(to.target),
      file_(to.descriptor >= 0 ? duplicate(to.descriptor, to.given)
            : to.is_written_through()
                ? open_through(to.given)
                : (to.found ? check_permission(to.target, to.name()) : void(),
                   create_beside(to.target, to.name(), to.found ? 0600 : 0666, temporary_name_)),
            to.name()) {
    if (!to.found || to.is_written_through()) return;
    try {
        take_over(target_, *to.found, file_);
    } catch (const Error&) {
        ::unlink(temporary_name_.c_str());
        throw;
    }
}

AtomicFile::~AtomicFile() {
    if (!temporary_name_.empty()) ::unlink(temporary_name_.c_str());
}

void AtomicFile::write(std::string_view bytes) { file_.write(bytes); }

void AtomicFile::commit() {
    file_.sync();
    file_.close();
    if (temporary_name_.empty()) return;
    if (std::rename(temporary_name_.c_str(), target_.c_str()) != 0)
        throw io_error(file_.path(),
                       fmt::format("cannot rename '{}' to it", temporary_name_.filename().string()),
                       errno,
                       "check the folder's permissions");
    temporary_name_.clear();

    const fs::path parent = target_.parent_path();
    FileHandle(parent.empty() ? "." : parent, O_RDONLY | O_DIRECTORY).sync();
}

void write_file_atomically(const fs::path& path, std::string_view bytes) {
    AtomicFile file(path);
    file.write(bytes);
    file.commit();
}

void check_output(const fs::path& path) {
    if (!OutputPlace(path).is_written_through()) const AtomicFile probe(path);
}

bool is_stdout(const fs::path& path) try {
    return OutputPlace(path).descriptor == STDOUT_FILENO;
} catch (const Error&) {
    return false;
}

std::string read_file(const fs::path& path) {
    FileHandle file = FileHandle::input(path);
    file.require(S_IFREG);
    return file.read_all();
}

std::string read_file_or_pipe(const fs::path& path,
                              std::size_t max_bytes,
                              std::chrono::milliseconds patience) {
    FileHandle file = FileHandle::input(path);
    if (file.type() != S_IFIFO) file.require(S_IFREG);
    std::string text;
    std::array<char, 1 << 16> block;
    bool has_writer = file.type() == S_IFREG;
    const auto deadline = std::chrono::steady_clock::now() + patience;
    for (;;) {
        const ssize_t got = ::read(file.descriptor(), block.data(), block.size());
        if (got > 0) {
            text.append(block.data(), static_cast<std::size_t>(got));
            has_writer = true;
            if (text.size() > max_bytes)
                refuse(path, fmt::format("holds more than {} MiB; expected a smaller file", max_bytes >> 20));
            continue;
        }
        // 0: no writer is left, or none has come yet; EAGAIN: there is one, but it has nothing to say.
        if (got == 0 && has_writer) return text;
        if (got < 0 && errno != EINTR && errno != EAGAIN)
            throw io_error(path, "cannot read", errno, "expected a readable file");
        has_writer = has_writer || (got < 0 && errno == EAGAIN);
        if (!has_writer && std::chrono::steady_clock::now() > deadline)
            refuse(path, "is a FIFO that nobody writes to; expected a file, or a FIFO with a writer");
        if (cancel_flag().load() != 0)
            throw Error(ExitCode::kInterrupted, "interrupted; nothing was written");
        // Bounded: a signal that came before it does not end it, and a writer that comes and goes without a
        // word leaves no event behind.
        pollfd wait{file.descriptor(), POLLIN, 0};
        constexpr int kStepMs = 100;
        ::poll(&wait, 1, kStepMs);
    }
}

}  // namespace l2o::framework
