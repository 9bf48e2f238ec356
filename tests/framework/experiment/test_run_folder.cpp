#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "framework/evaluate/results.hpp"
#include "framework/experiment/run_folder.hpp"
#include "framework/store/atomic_file.hpp"
#include "tests/framework/config/refusal.hpp"
#include "tests/framework/experiment/small_run.hpp"

using namespace l2o::framework;
using l2o::test::kMore;
using l2o::test::listing;
using l2o::test::refusal;
using l2o::test::resume;
using l2o::test::rows;
using l2o::test::run;
using l2o::test::small_experiment;
using l2o::test::without_times;
using Source = WeightsReport::Source;
namespace fs = std::filesystem;

TEST_CASE("run: two runs of the same second have folders of their own") {
    const ScratchFolder folder;
    const Experiment experiment = small_experiment();
    std::vector<fs::path> paths;
    for (int i = 0; i < 5; ++i) paths.push_back(RunFolder::create(folder / "runs", experiment, {}).path);
    for (std::size_t i = 0; i < paths.size(); ++i) {
        CHECK(paths[i].filename().string().find("-" + experiment.hash.substr(0, 8)) == 15);
        for (std::size_t j = 0; j < i; ++j) CHECK(paths[i] != paths[j]);
    }
}

TEST_CASE("run: a folder that is no run is refused, with or without a slash at its end") {
    const ScratchFolder folder;
    CHECK(refusal([&] {
              (void)RunFolder::open(folder / "none");
          }).find("none has no config.info; expected the folder of an earlier run") != std::string::npos);
    const RunFolder made = RunFolder::create(folder / "runs", small_experiment(), {});
    CHECK(RunFolder::open(made.path).path == made.path);
    CHECK(RunFolder::open(made.path / "").path == made.path);
    CHECK(made.root() == folder / "runs");
}

TEST_CASE("run: a folder that is done is found done wherever it has gone, and leaves no weights elsewhere") {
    const ScratchFolder folder;
    const RunResult first = run(folder);
    const fs::path back = fs::current_path(), elsewhere = folder / "home/me";
    fs::create_directories(elsewhere / "small");
    fs::create_directory_symlink(first.folder, elsewhere / "latest");
    fs::copy(first.folder, elsewhere / "copy", fs::copy_options::recursive);
    fs::copy(first.folder, elsewhere / "small/copy", fs::copy_options::recursive);
    fs::current_path(first.folder.parent_path());
    for (const fs::path& path : {first.folder,
                                 first.folder / "",
                                 fs::path(".") / first.folder.filename(),
                                 elsewhere / "latest",
                                 elsewhere / "latest/",
                                 elsewhere / "copy",
                                 elsewhere / "small/copy"}) {
        CAPTURE(path);
        const RunResult again = resume(path);
        CHECK(again.weights.at(0).source == Source::kFound);
        CHECK(again.weights.at(0).seconds == first.weights.at(0).seconds);
        CHECK(rows(again) == rows(first));
        CHECK(again.folder == fs::canonical(path));
    }
    fs::current_path(back);
    // Also without the root that it was made in, and without the folder that it was copied from.
    fs::rename(folder / "runs", folder / "gone");
    for (const fs::path& path : {elsewhere / "copy", folder / "gone/small" / first.folder.filename()})
        CHECK(resume(path).weights.at(0).source == Source::kFound);
    for (const fs::path& strange :
         {elsewhere / "weights", folder / "home/weights", folder / "runs", back / "nowhere"})
        CHECK_FALSE(fs::exists(strange));
}

TEST_CASE("run: a folder that somebody works in is locked under any name of it") {
    const ScratchFolder folder;
    const RunResult first = run(folder);
    fs::create_directory_symlink(first.folder, folder / "latest");
    const FileHandle theirs = RunFolder::open(first.folder).lock();
    CHECK(refusal([&] { (void)resume(folder / "latest"); }).find("another l2o is at work in this folder") !=
          std::string::npos);
    fs::rename(first.folder, folder / "moved");
    CHECK(refusal([&] { (void)resume(folder / "moved"); }).find("another l2o is at work in this folder") !=
          std::string::npos);
}

TEST_CASE("run: a finished run is told as it was stored, and nobody is evaluated again") {
    const ScratchFolder folder;
    const RunResult first = run(folder, {}, kMore);
    CHECK_FALSE(first.was_finished);
    std::vector<std::string> evaluated, notes;
    const RunOptions listening{.progress = listing(evaluated),
                               .note = [&](const std::string& text) { notes.push_back(text); }};
    // Nothing is written either, where that is not permitted.
    const fs::path checkpoints = first.folder / "checkpoints";
    const auto request = read_file(first.folder / "request.json");
    for (const fs::path& path : {checkpoints, first.folder})
        fs::permissions(path, fs::perms::owner_write, fs::perm_options::remove);
    const RunResult again = resume(first.folder, listening);
    for (const fs::path& path : {checkpoints, first.folder})
        fs::permissions(path, fs::perms::owner_write, fs::perm_options::add);
    CHECK(again.was_finished);
    CHECK(evaluated.empty());
    CHECK(notes ==
          std::vector<std::string>{first.folder.string() +
                                   ": this run is finished; what it came to is told as it was stored"});
    CHECK(rows(again) == rows(first));
    CHECK(result_table(again.results.curves, again.results.judging) ==
          result_table(first.results.curves, first.results.judging));
    CHECK(comparison_table(again.results.curves, again.results.judging) ==
          comparison_table(first.results.curves, first.results.judging));
    REQUIRE(again.weights.size() == 2);
    CHECK(again.weights[1].seconds == first.weights[1].seconds);
    CHECK(read_file(first.folder / "request.json") == request);
    // So it is of one that was moved, and of one that trains only.
    fs::rename(first.folder, folder / "moved");
    CHECK(resume(folder / "moved").was_finished);
    const RunResult trained = run(folder, {.part = RunPart::kTrain}, kMore);
    CHECK(resume(trained.folder).was_finished);
}

TEST_CASE("run: results that are gone, edited or of something else are made again, and then it is finished") {
    const ScratchFolder folder;
    const RunResult first = run(folder);
    const fs::path path = first.folder;
    const auto replace = [&](const char* name, const std::string& part, const std::string& by) {
        std::string text = read_file(path / name);
        REQUIRE(text.find(part) != std::string::npos);
        write_file_atomically(path / name, text.replace(text.find(part), part.size(), by));
    };
    const std::string curves = without_times(path / "curves.csv");
    std::size_t rows_of_each = 4;
    SUBCASE("a file is gone") { fs::remove(path / "summary.csv"); }
    SUBCASE("a number was edited") { replace("finals.csv", "ista,0,0,", "ista,0,0,1"); }
    SUBCASE("the configuration is another") {
        replace("config.info", "starts 2", "starts 1");
        rows_of_each = 2;
    }
    SUBCASE("an earlier version has not kept what it was") {
        write_file_atomically(path / "request.json",
                              R"({"part": "all", "contestants": [], "untrained": false, "retrained": [],
                                  "forgotten": [], "hash": "", "root": ""})");
    }
    std::vector<std::string> evaluated;
    const RunResult again = resume(path, {.progress = listing(evaluated)});
    CHECK_FALSE(again.was_finished);
    // What every row did is kept, and still true unless the configuration is another.
    const std::vector<std::string> nobody, all{"ista", "lista"};
    CHECK(evaluated == (rows_of_each == 4 ? nobody : all));
    CHECK(again.results.curves.at(0).final_rows.at(0).size() == rows_of_each);
    CHECK((without_times(path / "curves.csv") == curves) == (rows_of_each == 4));
    CHECK(resume(path).was_finished);
}
