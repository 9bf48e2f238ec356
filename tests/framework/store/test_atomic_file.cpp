#include <doctest/doctest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <memory>
#include <string>

#include "framework/store/atomic_file.hpp"
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

TEST_CASE("atomic_file: devices and folders are not replaced") {
    const ScratchFolder folder;
    const std::string expected =
        ": is a folder or a device; expected a new name or a regular file to replace";
    CHECK(io_error_text([&] { write_file_atomically("/dev/null", "x"); }) == "/dev/null" + expected);
    fs::create_directory(folder / "sub");
    CHECK(io_error_text([&] { write_file_atomically(folder / "sub", "x"); }) ==
          (folder / "sub").string() + expected);
}

TEST_CASE("read_file: an absent file and a folder are errors that name the path") {
    const ScratchFolder folder;
    CHECK(io_error_text([&] { (void)read_file(folder / "none"); }) ==
          (folder / "none").string() +
              ": cannot open: No such file or directory; check the path and its permissions");
    CHECK(io_error_text([&] { (void)read_file(folder / "."); }).find(": cannot read: Is a directory; ") !=
          std::string::npos);
}
