#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include "framework/cancel.hpp"
#include "framework/plugin/call.hpp"
#include "framework/rollout/team.hpp"
#include "framework/store/atomic_file.hpp"
#include "framework/store/paths.hpp"
#include "framework/store/system_failure.hpp"
#include "tests/framework/store/error_text.hpp"
#include "tests/framework/store/scratch_folder.hpp"

namespace fs = std::filesystem;
using namespace l2o::framework;

namespace {

// While it lives, a file of this process cannot grow beyond `bytes`, as on a full disk; root is not exempt.
class FileSizeLimit {
  public:
    explicit FileSizeLimit(rlim_t bytes) : old_handler_(std::signal(SIGXFSZ, SIG_IGN)) {
        REQUIRE(::getrlimit(RLIMIT_FSIZE, &old_limit_) == 0);
        const rlimit limit{.rlim_cur = bytes, .rlim_max = old_limit_.rlim_max};
        REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
    }
    FileSizeLimit(const FileSizeLimit&) = delete;
    FileSizeLimit& operator=(const FileSizeLimit&) = delete;
    ~FileSizeLimit() {
        ::setrlimit(RLIMIT_FSIZE, &old_limit_);
        std::signal(SIGXFSZ, old_handler_);
    }

  private:
    rlimit old_limit_{};
    void (*old_handler_)(int);
};

}  // namespace

TEST_CASE("atomic_file: every byte value comes back, and nothing but the target is in the folder") {
    const ScratchFolder folder;
    std::string bytes;
    for (int i = 0; i < 3 * 70'000; ++i) bytes += static_cast<char>(i);
    write_file_atomically(folder / "a", "old");
    write_file_atomically(folder / "a", bytes);
    CHECK(read_file(folder / "a") == bytes);
    CHECK(folder.file_names() == std::vector<std::string>{"a"});
}

TEST_CASE("atomic_file: a bare file name is written to the working folder") {
    const ScratchFolder folder;
    const fs::path before = fs::current_path();
    fs::current_path(folder / ".");
    write_file_atomically("bare", "x");
    fs::current_path(before);
    CHECK(read_file(folder / "bare") == "x");
}

TEST_CASE("atomic_file: until commit the target is as it was, and without commit it stays so") {
    const ScratchFolder folder;
    write_file_atomically(folder / "a", "old");
    {
        AtomicFile file(folder / "a");
        file.write("new");
        CHECK(read_file(folder / "a") == "old");
        CHECK(folder.file_names().size() == 2);
    }
    CHECK(read_file(folder / "a") == "old");
    CHECK(folder.file_names() == std::vector<std::string>{"a"});
}

TEST_CASE("atomic_file: a write that fails half way leaves the old file and no temporary one") {
    const ScratchFolder folder;
    write_file_atomically(folder / "a", "old");
    std::string text;
    {
        const FileSizeLimit limit(1000);
        text = io_error_text([&] { write_file_atomically(folder / "a", std::string(5000, 'x')); });
    }
    CHECK(text ==
          (folder / "a").string() + ": cannot write: File too large; check the free space and the quota");
    CHECK(read_file(folder / "a") == "old");
    CHECK(folder.file_names() == std::vector<std::string>{"a"});
}

TEST_CASE("atomic_file: a rename that fails leaves no temporary file") {
    const ScratchFolder folder;
    auto file = std::make_unique<AtomicFile>(folder / "a");
    fs::create_directories(folder / "a/b");  // after the check of the target
    const std::string text = io_error_text([&] { file->commit(); });
    file.reset();
    CHECK(text.find("/a: cannot rename '.a.tmp.") != std::string::npos);
    CHECK(text.find("Is a directory") != std::string::npos);
    CHECK(folder.file_names() == std::vector<std::string>{"a"});
}

TEST_CASE("atomic_file: a folder that is absent or is a file is named with the reason") {
    const ScratchFolder folder;
    write_file_atomically(folder / "file", "");
    CHECK(io_error_text([&] { write_file_atomically(folder / "none/a", "x"); }) ==
          (folder / "none/a").string() +
              ": cannot create a temporary file beside it: No such file or directory; check that the folder "
              "exists and is writable");
    CHECK(io_error_text([&] { write_file_atomically(folder / "file/a", "x"); }).find("Not a directory") !=
          std::string::npos);
}

TEST_CASE("atomic_file: a folder, a socket and a name that ends like a folder's are refused, and say so") {
    const ScratchFolder folder;
    fs::create_directory(folder / "sub");
    fs::create_directory_symlink("sub", folder / "link");
    for (const char* name : {"sub", "link", "sub/", "none/"}) {
        CHECK(io_error_text([&] { write_file_atomically(folder / name, "x"); }) ==
              (folder / name).string() + ": is a folder; expected the name of a file");
        CHECK(io_error_text([&] { check_output(folder / name); }) != "");
    }
    const int listener = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    (folder / "socket").string().copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE(::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    CHECK(io_error_text([&] { write_file_atomically(folder / "socket", "x"); }) ==
          (folder / "socket").string() +
              ": is a socket, which is not written to; expected the name of a file");
    ::close(listener);
}

TEST_CASE("atomic_file: behind links the target is replaced, beside it, and the links stay") {
    const ScratchFolder folder;
    fs::create_directories(folder / "disk/deep");
    write_file_atomically(folder / "disk/deep/x", "old");
    fs::create_symlink("deep/x", folder / "disk/second");
    fs::create_symlink("disk/second", folder / "first");
    {
        AtomicFile file(folder / "first");
        file.write("new");
        CHECK(std::distance(fs::directory_iterator(folder / "disk/deep"), {}) ==
              2);  // with the temporary one
        file.commit();
    }
    CHECK(fs::is_symlink(folder / "first"));
    CHECK(fs::is_symlink(folder / "disk/second"));
    CHECK(read_file(folder / "disk/deep/x") == "new");
    CHECK(std::distance(fs::directory_iterator(folder / "disk/deep"), {}) == 1);
}

TEST_CASE("atomic_file: behind a link to nothing the target is made") {
    const ScratchFolder folder;
    fs::create_directory(folder / "disk");
    fs::create_symlink("disk/x", folder / "link");
    check_output(folder / "link");
    CHECK(!fs::exists(folder / "disk/x"));
    write_file_atomically(folder / "link", "new");
    CHECK(fs::is_symlink(folder / "link"));
    CHECK(read_file(folder / "disk/x") == "new");
}

TEST_CASE("atomic_file: links that lead round in a circle are an error") {
    const ScratchFolder folder;
    fs::create_symlink("b", folder / "a");
    fs::create_symlink("a", folder / "b");
    CHECK(io_error_text([&] {
              write_file_atomically(folder / "a", "x");
          }).find("/a: cannot be written: Too many levels of symbolic links; check") != std::string::npos);
    CHECK(fs::is_symlink(folder / "a"));
}

TEST_CASE("atomic_file: devices are written through and never replaced, also behind links") {
    const ScratchFolder folder;
    // A device of our own, so that a test that fails costs the machine none; only root may make it.
    const fs::path null = folder / "null";
    if (::mknod(null.c_str(), S_IFCHR | 0666, ::makedev(1, 3)) != 0) {
        MESSAGE("SKIPPED: not allowed to make a device here");
        return;
    }
    std::ofstream probe(null);
    if (!probe) {
        MESSAGE("SKIPPED: devices cannot be opened here");
        return;
    }
    fs::create_symlink("null", folder / "link");
    for (const fs::path& path : {null, folder / "link"}) {
        check_output(path);
        write_file_atomically(path, "x");
    }
    CHECK(fs::is_character_file(fs::symlink_status(null)));
    CHECK(fs::is_symlink(folder / "link"));
    CHECK(folder.file_names().size() == 2);
}

TEST_CASE("atomic_file: a device that is full is an error that names it, and stays a device") {
    const ScratchFolder folder;
    const fs::path full = folder / "full";
    if (::mknod(full.c_str(), S_IFCHR | 0666, ::makedev(1, 7)) != 0 || !std::ofstream(full)) {
        MESSAGE("SKIPPED: not allowed to make a device here");
        return;
    }
    CHECK(io_error_text([&] { write_file_atomically(full, "x"); }) ==
          full.string() + ": cannot write: No space left on device; check the free space and the quota");
    CHECK(fs::is_character_file(fs::symlink_status(full)));
}

TEST_CASE("atomic_file: a FIFO with a reader gets the bytes, one without is refused and not waited for") {
    const ScratchFolder folder;
    REQUIRE(::mkfifo((folder / "fifo").c_str(), 0666) == 0);
    CHECK(io_error_text([&] { write_file_atomically(folder / "fifo", "x"); }) ==
          (folder / "fifo").string() +
              ": is a FIFO or device that nobody reads; start its reader first, or name a file");
    const FileHandle reader = FileHandle::input(folder / "fifo");
    fs::create_symlink("fifo", folder / "link");
    write_file_atomically(folder / "link", "through");
    char got[8] = {};
    CHECK(::read(reader.descriptor(), got, sizeof got) == 7);
    CHECK(std::string(got) == "through");
    CHECK(fs::is_fifo(fs::symlink_status(folder / "fifo")));
    CHECK(fs::is_symlink(folder / "link"));
}

TEST_CASE("atomic_file: /dev/fd/N and links to it are this process's own descriptor, at its place") {
    const ScratchFolder folder;
    FileHandle open(folder / "open", O_RDWR | O_CREAT);
    open.write("before ");
    const std::string number = std::to_string(open.descriptor());
    fs::create_symlink("/proc/self/fd/" + number, folder / "link");
    write_file_atomically(folder / "link", "through ");
    write_file_atomically("/dev/fd/" + number, "again");
    open.write(" after");
    CHECK(read_file(folder / "open") == "before through again after");
    CHECK(fs::is_symlink(folder / "link"));
    CHECK(folder.file_names().size() == 2);
    CHECK(!is_stdout(folder / "link"));
    CHECK(!is_stdout(folder / "open"));
    CHECK(!is_stdout(folder / "none/x"));
    CHECK(is_stdout("/proc/self/fd/1"));
    fs::create_symlink("/dev/stdout", folder / "out");
    CHECK(is_stdout(folder / "out") == fs::is_symlink("/dev/stdout"));
}

TEST_CASE("atomic_file: what is replaced hands on its mode, a new file has that of the umask") {
    const ScratchFolder folder;
    const mode_t before = ::umask(027);
    write_file_atomically(folder / "new", "x");
    const auto mode = [&](const char* name) {
        return static_cast<unsigned>(fs::status(folder / name).permissions());
    };
    CHECK(mode("new") == 0640);
    for (const unsigned kept : {0600U, 0666U, 0755U, 0620U}) {
        fs::permissions(folder / "new", static_cast<fs::perms>(kept));
        write_file_atomically(folder / "new", "y");
        CHECK(mode("new") == kept);
    }
    ::umask(before);
}

TEST_CASE(
    "atomic_file: as root the owner of what is replaced stays, and nobody else replaces what is not theirs") {
    const ScratchFolder folder;
    if (::geteuid() != 0) {
        MESSAGE("SKIPPED: only root can give files away");
        return;
    }
    constexpr uid_t kSomebody = 12345, kOther = 23456;
    write_file_atomically(folder / "theirs", "old");
    REQUIRE(::chown((folder / "theirs").c_str(), kSomebody, kSomebody) == 0);
    REQUIRE(::chmod((folder / "theirs").c_str(), 0644) == 0);
    write_file_atomically(folder / "theirs", "new");
    struct stat status {};
    REQUIRE(::stat((folder / "theirs").c_str(), &status) == 0);
    CHECK(status.st_uid == kSomebody);
    CHECK(status.st_gid == kSomebody);
    CHECK((status.st_mode & 0777U) == 0644);

    REQUIRE(::chmod((folder / "").c_str(), 0777) == 0);  // the folder permits what the file does not
    const auto as_other = [&](const char* name) {
        REQUIRE(::setegid(kOther) == 0);
        REQUIRE(::seteuid(kOther) == 0);
        const std::string text = io_error_text([&] { write_file_atomically(folder / name, "other"); });
        REQUIRE(::seteuid(0) == 0);
        REQUIRE(::setegid(0) == 0);
        return text;
    };
    CHECK(as_other("theirs") == (folder / "theirs").string() +
                                    ": cannot be replaced: Permission denied; make it writable, or choose "
                                    "another name");
    CHECK(read_file(folder / "theirs") == "new");
    // What everybody may write they may replace; who wrote it owns it then, and the group it was for is not
    // widened to another.
    REQUIRE(::chmod((folder / "theirs").c_str(), 0662) == 0);
    CHECK(as_other("theirs").empty());
    REQUIRE(::stat((folder / "theirs").c_str(), &status) == 0);
    CHECK(status.st_uid == kOther);
    CHECK((status.st_mode & 0777U) == 0622);
}

TEST_CASE("atomic_file: a name of 255 bytes, the longest there is, can be written and replaced") {
    const ScratchFolder folder;
    const std::string name(255, 'n');
    write_file_atomically(folder / name.c_str(), "x");
    write_file_atomically(folder / name.c_str(), "y");
    CHECK(read_file(folder / name.c_str()) == "y");
    CHECK(folder.file_names() == std::vector<std::string>{name});
}

TEST_CASE("reserve_standard_streams: numbers 0 to 2 that are closed are taken by the null device") {
    const pid_t child = ::fork();
    if (child == 0) {
        ::close(0);
        ::close(1);
        ::close(2);
        reserve_standard_streams();
        const bool are_open = ::write(1, "x", 1) == 1 && ::write(2, "x", 1) == 1;
        char byte = 0;
        const bool is_empty = ::read(0, &byte, 1) == 0;
        const ScratchFolder folder;
        const FileHandle next(folder / "f", O_RDWR | O_CREAT);
        ::_exit(are_open && is_empty && next.descriptor() > 2 ? 0 : 1);
    }
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
}

TEST_CASE("read_file: an absent file and a folder are errors that name the path") {
    const ScratchFolder folder;
    fs::create_directory(folder / "sub");
    CHECK(io_error_text([&] { (void)read_file(folder / "none"); }) ==
          (folder / "none").string() +
              ": cannot open: No such file or directory; check the path and its permissions");
    CHECK(io_error_text([&] { (void)read_file(folder / "sub"); }) ==
          (folder / "sub").string() + ": is a folder; expected a file");
}

TEST_CASE("read_file: a FIFO and a device are refused and not waited for; a file of /proc is read") {
    const ScratchFolder folder;
    REQUIRE(::mkfifo((folder / "fifo").c_str(), 0666) == 0);
    CHECK(io_error_text([&] { (void)read_file(folder / "fifo"); }) ==
          (folder / "fifo").string() + ": is a FIFO; expected a file");
    CHECK(io_error_text([&] { (void)read_file("/dev/zero"); }) == "/dev/zero: is a device; expected a file");
    CHECK(!read_file("/proc/self/status").empty());  // whose size is 0
}

TEST_CASE("read_file_or_pipe: all that the writers of a FIFO say arrives, however late they come") {
    const ScratchFolder folder;
    const fs::path fifo = folder / "fifo";
    REQUIRE(::mkfifo(fifo.c_str(), 0666) == 0);
    const std::string text(200'000, 'x');  // more than a pipe holds
    std::jthread writer([&] {
        FileHandle out(fifo, O_WRONLY);  // waits for the reader
        out.write(text);
    });
    CHECK(read_file_or_pipe(fifo) == text);
    write_file_atomically(folder / "file", "y");
    CHECK(read_file_or_pipe(folder / "file") == "y");
    CHECK(io_error_text([&] { (void)read_file_or_pipe("/dev/zero"); }) ==
          "/dev/zero: is a device; expected a file");
}

TEST_CASE("read_file_or_pipe: a FIFO that nobody writes to is refused, or left when Ctrl-C says so") {
    const ScratchFolder folder;
    REQUIRE(::mkfifo((folder / "fifo").c_str(), 0666) == 0);
    CHECK(io_error_text([&] { (void)read_file_or_pipe(folder / "fifo", 1, std::chrono::milliseconds(0)); }) ==
          (folder / "fifo").string() +
              ": is a FIFO that nobody writes to; expected a file, or a FIFO with a writer");
    const FileHandle silent(folder / "fifo", O_RDWR);
    cancel_flag() = 1;
    CHECK(io_error_text([&] { (void)read_file_or_pipe(folder / "fifo"); }) ==
          "not kIo: interrupted; nothing was written");
    cancel_flag() = 0;
}

TEST_CASE("read_file_or_pipe: a writer that never stops is cut off at the limit") {
    const ScratchFolder folder;
    const fs::path fifo = folder / "fifo";
    REQUIRE(::mkfifo(fifo.c_str(), 0666) == 0);
    const auto old = std::signal(SIGPIPE, SIG_IGN);
    std::jthread writer([&] {
        FileHandle out(fifo, O_WRONLY);
        (void)io_error_text([&] {
            for (;;) out.write("endless");
        });
    });
    CHECK(io_error_text([&] { (void)read_file_or_pipe(fifo, 1 << 20); }) ==
          fifo.string() + ": holds more than 1 MiB; expected a smaller file");
    writer.join();
    std::signal(SIGPIPE, old);
}

TEST_CASE(
    "system_failure: no memory, no thread and a path that cannot be looked at have sentences, a bug has "
    "none") {
    CHECK(system_failure(std::bad_alloc()).value().code() == ExitCode::kUsage);
    CHECK(std::string(system_failure(std::length_error("vector")).value().what())
              .starts_with("out of memory: "));
    const fs::filesystem_error path("x", "/a/b", std::make_error_code(std::errc::permission_denied));
    CHECK(std::string(system_failure(path).value().what()) ==
          "/a/b: Permission denied; check the path and its permissions");
    CHECK(system_failure(std::system_error(EAGAIN, std::generic_category())).value().code() == ExitCode::kIo);
    CHECK(!system_failure(std::out_of_range("x")));
    CHECK(!system_failure(Error(ExitCode::kIo, "x")));
}

TEST_CASE(
    "paths: without a working folder absolute paths are what they were, and a relative one is refused") {
    const ScratchFolder folder;
    const fs::path before = fs::current_path();
    fs::create_directory(folder / "gone");
    fs::current_path(folder / "gone");
    CHECK(absolute_path("a/../b") == working_folder() / "b");
    fs::remove(folder / "gone");
    CHECK(working_folder().empty());
    CHECK(absolute_path("/a/./b/../c") == "/a/c");
    CHECK(io_error_text([] { (void)absolute_path("a"); }) ==
          "a: is relative to the working folder, which is gone: No such file or directory; change to another "
          "folder, or give the path from the root on");
    fs::current_path(before);
}
