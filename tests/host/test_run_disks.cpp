#include <doctest/doctest.h>
#include <sys/mount.h>

#include <filesystem>
#include <string>

#include "framework/store/atomic_file.hpp"
#include "framework/store/safetensors.hpp"
#include "framework/text/json.hpp"
#include "tests/host/command.hpp"
#include "tests/host/tiny_experiment.hpp"

using l2o::framework::read_file;
using l2o::framework::read_safetensors;
using l2o::test::contains;
using l2o::test::only_entry;
using l2o::test::Outcome;
using l2o::test::replaced;
using l2o::test::run_l2o;
using l2o::test::stored_weights;
using l2o::test::with_experiment;
using nlohmann::json;

namespace {

/// A file system of its own under a folder, until the end of the scope.
class Disk {
  public:
    Disk(std::filesystem::path where, const char* options) : where_(std::move(where)) {
        std::filesystem::create_directory(where_);
        is_mounted_ = ::mount("tmpfs", where_.c_str(), "tmpfs", 0, options) == 0;
    }
    Disk(const Disk&) = delete;
    Disk& operator=(const Disk&) = delete;
    ~Disk() {
        if (is_mounted_) ::umount2(where_.c_str(), MNT_DETACH);
    }
    explicit operator bool() const {
        if (!is_mounted_) MESSAGE("SKIPPED: not allowed to mount a file system here");
        return is_mounted_;
    }
    void make_read_only() const {
        REQUIRE(::mount("tmpfs", where_.c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, "") == 0);
    }

  private:
    std::filesystem::path where_;
    bool is_mounted_ = false;
};

}  // namespace

TEST_CASE("a disk that fills up in a training is told, what was written before stays, and --resume goes on") {
    ScratchFolder folder;
    with_experiment(folder);
    const Disk disk(folder / "disk", "size=256k");
    if (!disk) return;
    const std::string longer =
        "run tiny.info --quiet --out disk contestants.learned.train.epochs=4000 "
        "contestants.learned.train.checkpoint_every_s=0.01";
    const Outcome full = run_l2o(folder, longer);
    CHECK(full.code == 5);
    CHECK(contains(full.err, "No space left on device; check the free space and the quota"));
    const std::filesystem::path run = only_entry(folder / "disk/tiny");
    CHECK_NOTHROW((void)read_safetensors(run / "checkpoints/learned.train.safetensors"));
    REQUIRE(::mount("tmpfs", (folder / "disk").c_str(), "tmpfs", MS_REMOUNT, "size=64m") == 0);
    CHECK(run_l2o(folder, "run --quiet --resume '" + run.string() + "'").refusal() == "0 ");
    CHECK(run_l2o(folder, replaced(longer, "disk", "elsewhere")).code == 0);
    CHECK(stored_weights(folder / "disk") == stored_weights(folder / "elsewhere"));
}

TEST_CASE("a folder that cannot be written is told, and nothing is trained for it") {
    ScratchFolder folder;
    with_experiment(folder);
    const Disk disk(folder / "disk", "size=256k");
    if (!disk) return;
    disk.make_read_only();
    const Outcome outcome = run_l2o(folder, "run tiny.info --out disk");
    CHECK(outcome.code == 5);
    CHECK(contains(outcome.err, "Read-only file system"));
    CHECK(!contains(outcome.err, "training"));
}

TEST_CASE("started without stdin, stdout and stderr a run writes its files, and nothing else into them") {
    ScratchFolder folder;
    with_experiment(folder);
    const Outcome outcome =
        run_l2o(folder, "run tiny.info --no-report", R"(sh -c 'exec "$@" <&- >&- 2>&-' sh)");
    CHECK(outcome.code == 0);
    std::istringstream metrics(read_file(only_entry(folder / "runs/tiny") / "metrics.jsonl"));
    int lines = 0;
    for (std::string text; std::getline(metrics, text); ++lines) CHECK(json::accept(text));
    CHECK(lines == 3);
}

TEST_CASE(
    "a run in a working folder that was removed works with absolute paths, and says what a relative one "
    "lacks") {
    ScratchFolder folder;
    with_experiment(folder);
    const std::string gone = "mkdir gone && cd gone && rmdir ../gone &&", here = (folder / "").string();
    CHECK(run_l2o(folder, "run --quiet " + here + "tiny.info --out " + here + "out", gone).refusal() == "0 ");
    CHECK(std::filesystem::exists(folder / "out/tiny"));
    CHECK(run_l2o(folder, "run --quiet " + here + "tiny.info", gone).refusal() ==
          "5 l2o: error: runs: is relative to the working folder, which is gone: No such file or directory; "
          "change "
          "to another folder, or give the path from the root on\n");
}
