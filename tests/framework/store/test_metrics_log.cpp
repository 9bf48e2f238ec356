#include <doctest/doctest.h>

#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "framework/store/atomic_file.hpp"
#include "framework/store/metrics_log.hpp"
#include "tests/framework/store/error_text.hpp"
#include "tests/framework/store/scratch_folder.hpp"

using namespace l2o::framework;

TEST_CASE("metrics_log: a record is one line, in the file as soon as append returns") {
    const ScratchFolder folder;
    MetricsLog log(folder / "m.jsonl");
    CHECK(log.offset() == 0);
    log.append({{"step", 1}, {"note", "two\nlines"}});
    CHECK(read_file(folder / "m.jsonl") == "{\"note\":\"two\\nlines\",\"step\":1}\n");
    CHECK(log.offset() == static_cast<std::int64_t>(read_file(folder / "m.jsonl").size()));
}

TEST_CASE("metrics_log: numbers that are not finite are null, bytes that are not UTF-8 are replaced") {
    const ScratchFolder folder;
    MetricsLog log(folder / "m.jsonl");
    log.append({{"loss", std::numeric_limits<double>::quiet_NaN()},
                {"step", -std::numeric_limits<double>::infinity()},
                {"text", "\xff"}});
    CHECK(read_file(folder / "m.jsonl") == "{\"loss\":null,\"step\":null,\"text\":\"\xEF\xBF\xBD\"}\n");
}

TEST_CASE("metrics_log: without an offset it continues at the end of the file") {
    const ScratchFolder folder;
    MetricsLog(folder / "m.jsonl").append(1);
    MetricsLog log(folder / "m.jsonl");
    CHECK(log.offset() == 2);
    log.append(2);
    CHECK(read_file(folder / "m.jsonl") == "1\n2\n");
}

TEST_CASE("metrics_log: with an offset it drops what was written after the checkpoint, a torn line too") {
    const ScratchFolder folder;
    std::int64_t checkpoint = 0;
    {
        MetricsLog log(folder / "m.jsonl");
        log.append(1);
        log.sync();
        checkpoint = log.offset();
        log.append(2);
    }
    write_file_atomically(folder / "m.jsonl", read_file(folder / "m.jsonl") + "{\"torn");
    MetricsLog log(folder / "m.jsonl", checkpoint);
    log.append(3);
    CHECK(read_file(folder / "m.jsonl") == "1\n3\n");
    CHECK(log.offset() == 4);
}

TEST_CASE("metrics_log: offset 0 starts over, also when there is no file") {
    const ScratchFolder folder;
    MetricsLog(folder / "m.jsonl", 0).append(1);
    MetricsLog(folder / "m.jsonl", 0).append(2);
    CHECK(read_file(folder / "m.jsonl") == "2\n");
}

TEST_CASE("metrics_log: an offset of another file is refused and the file is left alone") {
    const ScratchFolder folder;
    MetricsLog(folder / "m.jsonl").append("abc");
    const auto open_at = [&](std::int64_t offset) {
        return io_error_text([&] { MetricsLog(folder / "m.jsonl", offset); });
    };
    CHECK(open_at(7) ==
          (folder / "m.jsonl").string() +
              ": holds 6 bytes, but the checkpoint continues at byte 7; expected the log and the "
              "checkpoint of one run");
    CHECK(open_at(-1).find("continues at byte -1;") != std::string::npos);
    CHECK(open_at(3) ==
          (folder / "m.jsonl").string() +
              ": byte 3, where the checkpoint continues, is not the end of a line; expected the "
              "log and the checkpoint of one run");
    CHECK(read_file(folder / "m.jsonl") == "\"abc\"\n");
}

TEST_CASE("metrics_log: a full disk and an absent folder are errors that name the file") {
    const ScratchFolder folder;
    if (std::filesystem::exists("/dev/full")) {
        MetricsLog log("/dev/full");
        CHECK(io_error_text([&] { log.append(1); }) ==
              "/dev/full: cannot write: No space left on device; check the free space and the quota");
        CHECK(log.offset() == 0);
    }
    CHECK(io_error_text([&] { MetricsLog(folder / "none/m.jsonl"); }) ==
          (folder / "none/m.jsonl").string() +
              ": cannot create: No such file or directory; check the path and its permissions");
}
