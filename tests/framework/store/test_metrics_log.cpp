#include <doctest/doctest.h>
#include <sys/stat.h>

#include <filesystem>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "framework/store/atomic_file.hpp"
#include "framework/store/metrics_log.hpp"
#include "framework/text/json.hpp"
#include "tests/framework/store/error_text.hpp"
#include "tests/framework/store/scratch_folder.hpp"

using namespace l2o::framework;

TEST_CASE("metrics_log: a record is one line, in the file as soon as append returns") {
    const ScratchFolder folder;
    MetricsLog log(folder / "m.jsonl");
    CHECK(log.size_bytes() == 0);
    log.append({{"step", 1}, {"note", "two\nlines"}});
    CHECK(read_file(folder / "m.jsonl") == "{\"note\":\"two\\nlines\",\"step\":1}\n");
    CHECK(log.size_bytes() == static_cast<std::int64_t>(read_file(folder / "m.jsonl").size()));
}

TEST_CASE("metrics_log: numbers that are not finite are null, bytes that are not UTF-8 are escaped") {
    const ScratchFolder folder;
    MetricsLog log(folder / "m.jsonl");
    log.append({{"loss", std::numeric_limits<double>::quiet_NaN()},
                {"step", -std::numeric_limits<double>::infinity()},
                {"text", "\xff"}});
    CHECK(read_file(folder / "m.jsonl") == "{\"loss\":null,\"step\":null,\"text\":\"\\\\xff\"}\n");
}

TEST_CASE("metrics_log: opened plainly it continues at the end of the file") {
    const ScratchFolder folder;
    MetricsLog(folder / "m.jsonl").append(1);
    MetricsLog log(folder / "m.jsonl");
    CHECK(log.size_bytes() == 2);
    log.append(2);
    CHECK(read_file(folder / "m.jsonl") == "1\n2\n");
}

namespace {

/// A line of a log.
std::string line(const std::string& of, int epoch) {
    return "{\"contestant\":\"" + of + "\",\"epoch\":" + std::to_string(epoch) + "}\n";
}
MetricsLog::Kept kept(const std::string& of, std::int64_t count) { return {"contestant", of, count}; }

}  // namespace

TEST_CASE(
    "metrics_log: what was written after the checkpoint goes, a torn line too, and others' records stay") {
    const ScratchFolder folder;
    const std::string before = line("a", 0) + line("b", 0) + line("b", 1), path = folder / "m.jsonl";
    write_file_atomically(path, before + line("b", 2) + "{\"torn");
    {
        MetricsLog log(path, kept("b", 2));
        CHECK(log.size_bytes() == static_cast<std::int64_t>(before.size()));
        log.append({{"contestant", "b"}, {"epoch", 7}});
    }
    CHECK(read_file(path) == before + line("b", 7));

    // Also records of others that come after them.
    write_file_atomically(path, before + line("c", 0) + line("b", 2) + line("c", 1));
    CHECK(MetricsLog(path, kept("b", 1)).size_bytes() > 0);
    CHECK(read_file(path) == line("a", 0) + line("b", 0) + line("c", 0) + line("c", 1));
}

TEST_CASE(
    "metrics_log: a count of 0 starts over, also when there is no file, or it holds no records at all") {
    const ScratchFolder folder;
    const std::string path = folder / "m.jsonl";
    MetricsLog(path, kept("b", 0)).append({{"contestant", "b"}, {"epoch", 1}});
    MetricsLog(path, kept("b", 0)).append({{"contestant", "b"}, {"epoch", 2}});
    CHECK(read_file(path) == line("b", 2));
    write_file_atomically(path, "l2o: note: nonsense\n[1]\n" + line("a", 3));
    CHECK(MetricsLog(path, kept("b", 0)).size_bytes() > 0);
    CHECK(read_file(path) == line("a", 3));
}

TEST_CASE("metrics_log: the log of another checkpoint is refused and left alone") {
    const ScratchFolder folder;
    const std::string path = folder / "m.jsonl";
    const auto open_after = [&](std::int64_t count) {
        return io_error_text([&] { MetricsLog(path, kept("b", count)); });
    };
    CHECK(open_after(3) == path + ": is missing, and the checkpoint goes on after 3 records of 'b'");
    CHECK_FALSE(std::filesystem::exists(path));
    const std::string text = line("a", 0) + line("b", 0) + "what?\n" + line("b", 1);
    write_file_atomically(path, text);
    CHECK(open_after(2) == path + ": line 3 is no record; expected the log as it was written");
    write_file_atomically(path, line("b", 0));
    CHECK(open_after(2) ==
          path +
              ": holds 1 records of 'b', and the checkpoint goes on after 2; expected the log "
              "and the checkpoint of one run");
    CHECK(read_file(path) == line("b", 0));
}

TEST_CASE(
    "metrics_log: logs of one file find their records as if each were alone, also where one rewrites it") {
    const ScratchFolder folder;
    const std::string path = folder / "m.jsonl";
    write_file_atomically(path, line("a", 0) + line("b", 0) + line("a", 1));
    MetricsLog a(path, kept("a", 2));
    MetricsLog b(path, kept("b", 0));  // cuts a line from the middle: the file is another one now
    a.append({{"contestant", "a"}, {"epoch", 2}});
    b.append({{"contestant", "b"}, {"epoch", 7}});
    a.sync();
    CHECK(read_file(path) == line("a", 0) + line("a", 1) + line("a", 2) + line("b", 7));

    std::vector<std::jthread> writers;
    for (const char* name : {"c", "d"})
        writers.emplace_back([&path, name] {
            MetricsLog log(path, kept(name, 0));
            for (int epoch = 0; epoch < 200; ++epoch) log.append({{"contestant", name}, {"epoch", epoch}});
        });
    writers.clear();
    CHECK(MetricsLog(path, kept("c", 200)).size_bytes() == MetricsLog(path, kept("d", 200)).size_bytes());
}

TEST_CASE("metrics_log: a full disk and an absent folder are errors that name the file") {
    const ScratchFolder folder;
    if (std::filesystem::exists("/dev/full")) {
        MetricsLog log("/dev/full");
        CHECK(io_error_text([&] { log.append(1); }) ==
              "/dev/full: cannot write: No space left on device; check the free space and the quota");
        CHECK(log.size_bytes() == 0);
    }
    CHECK(io_error_text([&] { MetricsLog(folder / "none/m.jsonl"); }) ==
          (folder / "none/m.jsonl").string() +
              ": cannot create: No such file or directory; check the path and its permissions");
}

TEST_CASE("metrics_log: a FIFO, which somebody would have to empty, is refused") {
    const ScratchFolder folder;
    REQUIRE(::mkfifo((folder / "fifo").c_str(), 0666) == 0);
    CHECK(io_error_text([&] { MetricsLog(folder / "fifo"); }) ==
          (folder / "fifo").string() + ": is a FIFO; expected a file");
}
