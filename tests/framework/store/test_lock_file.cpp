#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "framework/store/lock_file.hpp"
#include "tests/framework/store/error_text.hpp"
#include "tests/framework/store/scratch_folder.hpp"

using namespace l2o::framework;

namespace {

void nobody(const std::string& holder) { FAIL("held by " << holder); }

}  // namespace

TEST_CASE("lock_file: one holder at a time; who waits is told whom for, and has it when it is let go") {
    const ScratchFolder folder;
    const std::filesystem::path path = folder / ".lock";
    auto first = std::make_unique<LockFile>(path, "the first", nobody);
    std::vector<std::string> told;
    const LockFile second(path, "the second", [&](const std::string& holder) {
        told.push_back(holder);
        if (told.size() == 2) first.reset();
    });
    CHECK(told == std::vector<std::string>{"the first", "the first"});
    const auto give_up = [](const std::string& holder) { throw std::runtime_error(holder); };
    CHECK_THROWS_WITH(LockFile(path, "the third", give_up), "the second");
    CHECK(std::filesystem::exists(path));
}

TEST_CASE("lock_file: it is gone once it is let go, and one that a dead process left behind can be had") {
    const ScratchFolder folder;
    const std::filesystem::path path = folder / ".lock";
    { const LockFile lock(path, "us", nobody); }
    CHECK(folder.file_names().empty());
    const pid_t child = ::fork();
    if (child == 0) {
        new LockFile(path, "a process that dies", nobody);
        ::_exit(0);
    }
    REQUIRE(::waitpid(child, nullptr, 0) == child);
    CHECK(std::filesystem::exists(path));
    { const LockFile lock(path, "us", nobody); }
    CHECK(folder.file_names().empty());
    CHECK(io_error_text([&] {
              const LockFile lock(folder / "none/.lock", "us", nobody);
          }).starts_with((folder / "none/.lock").string() + ": cannot create: "));
}
