// For LD_PRELOAD: counts the calls of a program that touch files below a folder, and at one of them lets the
// disk fail, or ends the process as a lost machine would.
//   L2O_FAULTS_UNDER  the folder, absolute
//   L2O_FAULTS_AT     which call, from 1; 0: none, they are only written down
//   L2O_FAULTS_DO     kill   SIGKILL before the call
//                     torn   SIGKILL in the middle of a write; before any other call
//                     EIO    that call fails; so does what can be interrupted with
//                     EINTR  (open, read, write)
//                     short  half of a read or write happens; nothing at other calls
//                     ENOSPC that call and all later ones fail that would need space
//   L2O_FAULTS_LOG    a file, written at the end: the call that was hit ("write PATH"), or all of them, one a
//   line
// What the C library calls for itself (stdio) is not seen, except for fopen. Whether there is such a call on
// a path of interest, strace tells.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <string>
#include <string_view>

namespace {

enum class Do { kNothing, kKill, kTorn, kEio, kEintr, kShort, kEnospc };

Do what_to_do() {
    const char* text = ::getenv("L2O_FAULTS_DO");
    const std::string_view word = text == nullptr ? "" : text;
    if (word == "kill") return Do::kKill;
    if (word == "torn") return Do::kTorn;
    if (word == "EIO") return Do::kEio;
    if (word == "EINTR") return Do::kEintr;
    if (word == "short") return Do::kShort;
    if (word == "ENOSPC") return Do::kEnospc;
    return Do::kNothing;
}

/// The next definition of a function: the C library's, or a sanitizer's.
template <class Function>
Function* next(const char* name, Function*) {
    return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}
#define NEXT(function) \
    static auto* const next_##function = next(#function, static_cast<decltype(&::function)>(nullptr))

/// Everything that is known of the process; made by its first call.
struct Faults {
    std::string under, log, told;
    long at = 0;
    Do action = what_to_do();
    std::atomic<long> calls{0};
    std::mutex mutex;  // of `told`

    Faults() {
        const auto variable = [](const char* name) {
            const char* text = ::getenv(name);
            return std::string(text == nullptr ? "" : text);
        };
        under = variable("L2O_FAULTS_UNDER");
        log = variable("L2O_FAULTS_LOG");
        at = ::atol(variable("L2O_FAULTS_AT").c_str());
    }

    void write_log() {
        if (log.empty()) return;
        NEXT(open);
        NEXT(write);
        NEXT(close);
        const int to = next_open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        if (to < 0) return;
        [[maybe_unused]] const auto ignored = next_write(to, told.data(), told.size());
        next_close(to);
    }

    [[noreturn]] void die() {
        write_log();
        ::kill(::getpid(), SIGKILL);
        for (;;) ::pause();
    }
};

Faults& faults() {
    static auto* const faults = new Faults;  // outlives whatever closes files at the end
    return *faults;
}

struct AtExit {
    ~AtExit() { faults().write_log(); }
} at_exit;

bool is_below(const char* path) {
    const std::string& under = faults().under;
    if (under.empty() || path == nullptr) return false;
    if (path[0] == '/') return std::string_view(path).starts_with(under);
    char here[4096];
    return ::getcwd(here, sizeof here) != nullptr && std::string_view(here).starts_with(under);
}

std::string path_of(int descriptor) {
    const std::string link = "/proc/self/fd/" + std::to_string(descriptor);
    char path[4096];
    const ssize_t n = ::readlink(link.c_str(), path, sizeof path);
    return n > 0 ? std::string(path, static_cast<std::size_t>(n)) : "";
}

/// What the call in hand is to do.
struct Fate {
    int error = 0;         ///< fail with it
    bool is_half = false;  ///< of a read or write
    bool dies = false;     ///< after that half
};

/// Of one more call. @param needs_space  it can find the disk full.
Fate fate_of(
    const char* call, const std::string& path, bool needs_space, bool is_transfer, bool can_be_interrupted) {
    Faults& all = faults();
    const long now = ++all.calls;
    const auto tell = [&] {
        const std::lock_guard lock(all.mutex);
        if (all.at == 0 || all.told.empty()) all.told += std::string(call) + " " + path + "\n";
    };
    if (all.at == 0) tell();
    if (all.at == 0 || now < all.at || (now > all.at && all.action != Do::kEnospc)) return {};
    Fate fate;
    switch (all.action) {
        case Do::kKill:
            fate.dies = true;
            break;
        case Do::kTorn:
            fate.dies = true;
            fate.is_half = is_transfer && needs_space;
            break;
        case Do::kEio:
            fate.error = EIO;
            break;
        case Do::kEintr:
            if (can_be_interrupted) fate.error = EINTR;
            break;
        case Do::kShort:
            fate.is_half = is_transfer;
            break;
        case Do::kEnospc:
            if (needs_space) fate.error = ENOSPC;
            break;
        case Do::kNothing:
            break;
    }
    if (fate.error != 0 || fate.is_half || fate.dies) tell();
    if (fate.dies && !fate.is_half) all.die();
    return fate;
}

/// @param call  what to call, if it does not fail.
template <class Result, class Call>
Result with_fate(const Fate& fate, Result failed, Call&& call) {
    if (fate.error != 0) {
        errno = fate.error;
        return failed;
    }
    return call();
}

template <class Call>
ssize_t transfer(const char* name, int descriptor, std::size_t bytes, bool writes, Call&& call) {
    const std::string path = path_of(descriptor);
    if (!is_below(path.c_str()) || path[0] != '/') return call(bytes);
    const Fate fate = fate_of(name, path, writes, true, true);
    const std::size_t part = fate.is_half ? bytes / 2 + bytes % 2 : bytes;
    const ssize_t done = with_fate(fate, ssize_t{-1}, [&] { return call(part); });
    if (fate.dies) faults().die();
    return done;
}

template <class Call>
int of_descriptor(const char* name, int descriptor, bool needs_space, Call&& call) {
    const std::string path = path_of(descriptor);
    if (path.empty() || !is_below(path.c_str())) return call();
    return with_fate(fate_of(name, path, needs_space, false, false), -1, call);
}

template <class Call>
int of_path(const char* name, const char* path, bool needs_space, bool can_be_interrupted, Call&& call) {
    if (!is_below(path)) return call();
    return with_fate(fate_of(name, path, needs_space, false, can_be_interrupted), -1, call);
}

unsigned mode_of(int flags, va_list rest) {
    return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(rest, unsigned) : 0;
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
    NEXT(open);
    va_list rest;
    va_start(rest, flags);
    const unsigned mode = mode_of(flags, rest);
    va_end(rest);
    return of_path("open", path, (flags & O_CREAT) != 0, true, [&] { return next_open(path, flags, mode); });
}

int open64(const char* path, int flags, ...) {
    NEXT(open64);
    va_list rest;
    va_start(rest, flags);
    const unsigned mode = mode_of(flags, rest);
    va_end(rest);
    return of_path(
        "open", path, (flags & O_CREAT) != 0, true, [&] { return next_open64(path, flags, mode); });
}

int openat(int folder, const char* path, int flags, ...) {
    NEXT(openat);
    va_list rest;
    va_start(rest, flags);
    const unsigned mode = mode_of(flags, rest);
    va_end(rest);
    const std::string whole = path[0] == '/' || folder == AT_FDCWD ? path : path_of(folder) + "/" + path;
    return of_path("open", whole.c_str(), (flags & O_CREAT) != 0, true, [&] {
        return next_openat(folder, path, flags, mode);
    });
}

FILE* fopen(const char* path, const char* mode) {
    NEXT(fopen);
    if (!is_below(path)) return next_fopen(path, mode);
    return with_fate(fate_of("open", path, mode[0] != 'r', false, false), static_cast<FILE*>(nullptr), [&] {
        return next_fopen(path, mode);
    });
}

FILE* fopen64(const char* path, const char* mode) {
    NEXT(fopen64);
    if (!is_below(path)) return next_fopen64(path, mode);
    return with_fate(fate_of("open", path, mode[0] != 'r', false, false), static_cast<FILE*>(nullptr), [&] {
        return next_fopen64(path, mode);
    });
}

ssize_t read(int descriptor, void* to, std::size_t bytes) {
    NEXT(read);
    return transfer(
        "read", descriptor, bytes, false, [&](std::size_t n) { return next_read(descriptor, to, n); });
}

ssize_t pread(int descriptor, void* to, std::size_t bytes, off_t at) {
    NEXT(pread);
    return transfer(
        "read", descriptor, bytes, false, [&](std::size_t n) { return next_pread(descriptor, to, n, at); });
}

ssize_t pread64(int descriptor, void* to, std::size_t bytes, off64_t at) {
    NEXT(pread64);
    return transfer(
        "read", descriptor, bytes, false, [&](std::size_t n) { return next_pread64(descriptor, to, n, at); });
}

ssize_t write(int descriptor, const void* from, std::size_t bytes) {
    NEXT(write);
    return transfer(
        "write", descriptor, bytes, true, [&](std::size_t n) { return next_write(descriptor, from, n); });
}

ssize_t pwrite(int descriptor, const void* from, std::size_t bytes, off_t at) {
    NEXT(pwrite);
    return transfer("write", descriptor, bytes, true, [&](std::size_t n) {
        return next_pwrite(descriptor, from, n, at);
    });
}

int fsync(int descriptor) {
    NEXT(fsync);
    return of_descriptor("fsync", descriptor, true, [&] { return next_fsync(descriptor); });
}

int fdatasync(int descriptor) {
    NEXT(fdatasync);
    return of_descriptor("fsync", descriptor, true, [&] { return next_fdatasync(descriptor); });
}

int ftruncate(int descriptor, off_t size) noexcept {
    NEXT(ftruncate);
    return of_descriptor("ftruncate", descriptor, false, [&] { return next_ftruncate(descriptor, size); });
}

int ftruncate64(int descriptor, off64_t size) noexcept {
    NEXT(ftruncate64);
    return of_descriptor("ftruncate", descriptor, false, [&] { return next_ftruncate64(descriptor, size); });
}

int close(int descriptor) {
    NEXT(close);
    const std::string path = path_of(descriptor);
    if (path.empty() || !is_below(path.c_str())) return next_close(descriptor);
    const Fate fate = fate_of("close", path, false, false, false);
    const int done = next_close(descriptor);  // also where it fails: the descriptor is gone
    return with_fate(fate, -1, [&] { return done; });
}

void* mmap(void* at, std::size_t bytes, int protection, int flags, int descriptor, off_t offset) noexcept {
    NEXT(mmap);
    const auto call = [&] { return next_mmap(at, bytes, protection, flags, descriptor, offset); };
    if ((flags & MAP_ANONYMOUS) != 0 || descriptor < 0) return call();
    const std::string path = path_of(descriptor);
    if (path.empty() || !is_below(path.c_str())) return call();
    return with_fate(fate_of("mmap", path, false, false, false), MAP_FAILED, call);
}

int rename(const char* from, const char* to) noexcept {
    NEXT(rename);
    return of_path("rename", to, true, false, [&] { return next_rename(from, to); });
}

int renameat(int from_folder, const char* from, int to_folder, const char* to) noexcept {
    NEXT(renameat);
    const std::string whole = to[0] == '/' ? to : path_of(to_folder) + "/" + to;
    return of_path("rename", whole.c_str(), true, false, [&] {
        return next_renameat(from_folder, from, to_folder, to);
    });
}

int link(const char* from, const char* to) noexcept {
    NEXT(link);
    return of_path("link", to, true, false, [&] { return next_link(from, to); });
}

int unlink(const char* path) noexcept {
    NEXT(unlink);
    return of_path("unlink", path, false, false, [&] { return next_unlink(path); });
}

int mkdir(const char* path, mode_t mode) noexcept {
    NEXT(mkdir);
    return of_path("mkdir", path, true, false, [&] { return next_mkdir(path, mode); });
}
}
