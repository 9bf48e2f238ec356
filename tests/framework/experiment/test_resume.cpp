#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "framework/cancel.hpp"
#include "framework/experiment/run_folder.hpp"
#include "framework/store/atomic_file.hpp"
#include "framework/store/lock_file.hpp"
#include "framework/text/json.hpp"
#include "tests/framework/config/refusal.hpp"
#include "tests/framework/experiment/small_run.hpp"
#include "tests/framework/store/records.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::framework;
using l2o::test::advised_folder;
using l2o::test::catalog;
using l2o::test::interrupt_at;
using l2o::test::interrupted;
using l2o::test::kMore;
using l2o::test::records;
using l2o::test::refusal;
using l2o::test::resume;
using l2o::test::rows;
using l2o::test::run;
using l2o::test::small_experiment;
using l2o::test::tensors;
using Source = WeightsReport::Source;
namespace fs = std::filesystem;

TEST_CASE("run: an interrupted training goes on where it was, and ends with the same weights") {
    const ScratchFolder folder, other;
    const auto want = tensors(run(other).weights.at(0).file);

    RunOptions interrupted;
    interrupted.progress = [](const Progress& progress) {
        if (progress.what == "training lista" && progress.done >= 3) cancel_flag() = 1;
    };
    const std::string text = refusal([&] { (void)run(folder, interrupted); });
    cancel_flag() = 0;
    CHECK(text.starts_with("130 training of 'lista' interrupted"));
    const fs::path path = advised_folder(text);
    REQUIRE(fs::is_regular_file(path / "checkpoints/lista.train.safetensors"));

    const Experiment experiment = resumed_run(catalog(), path).experiment;
    CHECK(experiment.hash == small_experiment().hash);
    const RunResult result = run_experiment(experiment, {.root = other / "ignored", .resume = path});
    CHECK(result.folder == path);
    CHECK(result.weights.at(0).source == Source::kTrained);
    CHECK(tensors(result.weights.at(0).file) == want);
    CHECK(result.weights.at(0).file.string().starts_with((folder / "runs/weights").string()));
    CHECK(fs::is_regular_file(path / "summary.csv"));
    CHECK_FALSE(fs::exists(path / "checkpoints/lista.train.safetensors"));
}

TEST_CASE("run: who goes on with other builds of the plugins is told which, and the folder tells of these") {
    const ScratchFolder folder;
    const fs::path path =
        advised_folder(interrupted(folder, {.progress = interrupt_at("training lista", 3)}));
    const std::string file = (path / "environment.json").string();
    const nlohmann::json before = nlohmann::json::parse(read_file(file));
    std::string lista;
    for (const auto& [name, plugin] : before.at("plugins").items()) {
        const auto& which = name;
        CAPTURE(which);
        CHECK(plugin.at("build").get<std::string>().size() == 40);
        CHECK(fs::is_regular_file(plugin.at("library").get<std::string>()));
        if (name.starts_with("optimizer lista@")) lista = name;
    }
    REQUIRE(!lista.empty());
    CHECK(before.at("plugins").contains("optimizee sparse_recovery@1.0.0"));
    nlohmann::json edited = before;
    edited["plugins"][lista]["build"] = "0123456789";
    write_file_atomically(file, edited.dump());
    std::string notes;
    (void)resume(path, {.note = [&](const std::string& text) { notes += text + "\n"; }});
    CHECK(notes.find(": was begun with other builds of its plugins: " + lista +
                     " (build 01234567 before, ") != std::string::npos);
    CHECK(nlohmann::json::parse(read_file(file)) == before);
}

TEST_CASE("run: an unfinished training goes on in a folder that was moved, and its weights stay in there") {
    const ScratchFolder folder, other;
    const auto want = tensors(run(other).weights.at(0).file);
    const fs::path path =
        advised_folder(interrupted(folder, {.progress = interrupt_at("training lista", 3)}));
    fs::create_directory(folder / "home");
    fs::rename(path, folder / "home/moved");
    fs::remove_all(folder / "runs");
    const RunResult result = resume(folder / "home/moved");
    CHECK(result.weights.at(0).source == Source::kTrained);
    CHECK(result.weights.at(0).file == folder / "home/moved/checkpoints/lista.safetensors");
    CHECK(tensors(result.weights.at(0).file) == want);
    for (const char* strange : {"weights", "home/weights", "runs"}) CHECK_FALSE(fs::exists(folder / strange));
    CHECK(resume(folder / "home/moved").weights.at(0).source == Source::kFound);

    // Where the root still is, the weights go there.
    const fs::path next =
        advised_folder(interrupted(folder, {.progress = interrupt_at("training lista", 3)}));
    fs::rename(next, folder / "home/next");
    CHECK(resume(folder / "home/next").weights.at(0).file.parent_path() == folder / "runs/weights");
    CHECK(run(folder).weights.at(0).source == Source::kFound);
}

TEST_CASE(
    "run: what is asked of a folder is kept in it: a training of one contestant goes on with that alone") {
    const ScratchFolder folder;
    Experiment experiment = small_experiment(kMore);
    REQUIRE(experiment.contestants.at(2).name == "short");
    std::erase_if(experiment.contestants,
                  [](const Contestant& contestant) { return contestant.name != "lista"; });
    const std::string text = refusal([&] {
        (void)run_experiment(experiment,
                             {.part = RunPart::kTrain,
                              .root = folder / "runs",
                              .resume_options = " --plugin-path 'a b'",
                              .progress = interrupt_at("training lista", 3)});
    });
    cancel_flag() = 0;
    REQUIRE(text.ends_with(" --plugin-path 'a b'"));
    const fs::path path = advised_folder(text.substr(0, text.size() - 20));
    const ResumedRun resumed = resumed_run(catalog(), path);
    CHECK(resumed.request.part == RunPart::kTrain);
    REQUIRE(resumed.experiment.contestants.size() == 1);
    CHECK(resumed.experiment.contestants[0].name == "lista");
    const RunResult result = resume(path);
    REQUIRE(result.weights.size() == 1);
    CHECK(result.weights[0].contestant == "lista");
    CHECK(result.weights[0].source == Source::kTrained);
    CHECK(result.results.curves.empty());
    CHECK_FALSE(fs::exists(path / "checkpoints/short.safetensors"));

    write_file_atomically(path / "request.json", "{}");
    CHECK(refusal([&] {
              (void)resume(path);
          }).starts_with("5 " + path.string() + "/request.json: not what 'l2o run' writes ("));
    fs::remove(path / "request.json");  // of an earlier version: all of everything
    CHECK(resume(path).results.curves.size() == 3);
}

TEST_CASE("run: training again in a folder replaces what was trained and recorded there") {
    const ScratchFolder folder;
    const RunResult first = run(folder, {}, kMore);
    const auto lines = records(first.folder / "metrics.jsonl");
    REQUIRE(lines.size() == 8);
    const RunResult again = resume(first.folder, {.retrain = true});
    for (const WeightsReport& report : again.weights) CHECK(report.source == Source::kTrained);
    CHECK(records(first.folder / "metrics.jsonl") == lines);
    CHECK(tensors(again.weights.at(0).file) == tensors(first.weights.at(0).file));

    // Interrupted in the first training: the second is still to be done again, though its weights can be
    // found.
    const std::string text = refusal([&] {
        (void)resume(first.folder, {.retrain = true, .progress = interrupt_at("training lista", 3)});
    });
    cancel_flag() = 0;
    CHECK(advised_folder(text) == first.folder);
    const RunResult rest = resume(first.folder);
    for (const WeightsReport& report : rest.weights) CHECK(report.source == Source::kTrained);
    CHECK(records(first.folder / "metrics.jsonl") == lines);
    for (const WeightsReport& report : resume(first.folder).weights) CHECK(report.source == Source::kFound);
    CHECK(records(first.folder / "metrics.jsonl") == lines);
}

TEST_CASE("run: training again that ends between two contestants goes on with the second alone") {
    const ScratchFolder folder;
    const RunResult first = run(folder, {}, kMore);
    const auto lines = records(first.folder / "metrics.jsonl");
    const fs::path weights = first.weights.at(1).file;
    const auto want = tensors(weights);
    // Whoever has the lock of the second's weights stops this run between the two.
    auto theirs = std::make_unique<LockFile>(
        weights.parent_path() / ("." + weights.stem().string() + ".lock"), "", [](const std::string&) {});
    RunOptions again{.retrain = true, .note = [](const std::string&) { cancel_flag() = 1; }};
    fs::path path = first.folder;
    std::string text;
    SUBCASE("in a folder of an earlier run") {
        text = refusal([&] { (void)resume(path, again); });
    }
    SUBCASE("in a new folder") {
        text = refusal([&] { (void)run(folder, again, kMore); });
    }
    cancel_flag() = 0;
    REQUIRE(text.starts_with("130 interrupted, waiting for the training of 'short'"));
    path = advised_folder(text);
    theirs.reset();
    CHECK(fs::exists(path / "checkpoints/lista.safetensors"));
    CHECK_FALSE(fs::exists(path / "checkpoints/short.safetensors"));

    std::vector<std::string> trained;
    const RunResult rest = resume(path, {.progress = [&](const Progress& progress) {
                                      if (progress.what.starts_with("training "))
                                          trained.push_back(progress.what);
                                  }});
    CHECK(trained == std::vector<std::string>(2, "training short"));
    CHECK(rest.weights.at(0).source == Source::kFound);
    CHECK(rest.weights.at(1).source == Source::kTrained);
    CHECK(records(path / "metrics.jsonl") == lines);
    CHECK(tensors(path / "checkpoints/short.safetensors") == want);
    CHECK(rows(rest) == rows(first));
}

TEST_CASE("run: a folder whose configuration was edited says so, and mixes no trainings") {
    const ScratchFolder folder;
    const RunResult first = run(folder);
    std::vector<std::string> notes;
    const RunOptions listening{.note = [&](const std::string& text) { notes.push_back(text); }};
    const std::string config = read_file(first.folder / "config.info");
    const auto edit = [&](const std::string& part, const std::string& by) {
        std::string edited = config;
        REQUIRE(edited.find(part) != std::string::npos);
        write_file_atomically(first.folder / "config.info",
                              edited.replace(edited.find(part), part.size(), by));
    };
    edit("starts 2", "starts 3 ; more of them");
    CHECK(resume(first.folder, listening).results.curves.at(0).final_rows.at(0).size() == 6);
    REQUIRE(notes.size() == 3);  // one, and that the rows of two contestants are of another configuration
    CHECK(notes[0].starts_with((first.folder / "config.info").string() +
                               " has been edited since the run began"));
    edit("starts 2", "starts 2 ; a comment");
    notes.clear();
    (void)resume(first.folder, listening);
    CHECK(notes.size() == 2);
    edit("epochs 6", "epochs 7");
    const std::string refused = refusal([&] { (void)resume(first.folder, listening); });
    CHECK(refused.starts_with(
        "2 " + (first.folder / "checkpoints/lista.safetensors").string() +
        ": belongs to another training (its configuration, plugin version or seed differs): metadata "
        "l2o.training_hash is '"));
    CHECK(refused.ends_with(
        "'; restore the configuration, remove this file to train 'lista' again, or start a new run"));
}

TEST_CASE("run: what may not be written in a folder to go on in is told before the work") {
    const ScratchFolder folder;
    const fs::path path =
        advised_folder(interrupted(folder, {.progress = interrupt_at("training lista", 3)}));
    for (const char* name : {"summary.csv", "results.json", "checkpoints/lista.safetensors"}) {
        CAPTURE(name);
        fs::create_directory(path / name);
        bool has_worked = false;
        CHECK(refusal([&] {
                  (void)resume(path, {.progress = [&](const Progress&) { has_worked = true; }});
              }) == "5 " + (path / name).string() + ": is a folder; expected the name of a file");
        CHECK_FALSE(has_worked);
        fs::remove(path / name);
    }
    CHECK(resume(path).weights.at(0).source == Source::kTrained);
}
