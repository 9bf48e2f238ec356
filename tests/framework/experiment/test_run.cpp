#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "framework/evaluate/results_file.hpp"
#include "framework/experiment/run_folder.hpp"
#include "framework/report/report.hpp"
#include "framework/store/atomic_file.hpp"
#include "framework/store/safetensors.hpp"
#include "tests/framework/config/refusal.hpp"
#include "tests/framework/experiment/small_run.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::framework;
using l2o::test::catalog;
using l2o::test::refusal;
using l2o::test::resume;
using l2o::test::rows;
using l2o::test::run;
using l2o::test::small_experiment;
using l2o::test::tensors;
using Source = WeightsReport::Source;
namespace fs = std::filesystem;

TEST_CASE("run: trains, evaluates everybody in the order of the file, and writes the folder") {
    const ScratchFolder folder;
    const RunResult result = run(folder);
    CHECK(result.folder.parent_path() == folder / "runs/small");
    for (const char* name : {"config.info",
                             "environment.json",
                             "request.json",
                             "metrics.jsonl",
                             "curves.csv",
                             "finals.csv",
                             "results.json",
                             "summary.csv",
                             "checkpoints/lista.safetensors"}) {
        CAPTURE(name);
        CHECK(fs::is_regular_file(result.folder / name));
    }
    CHECK_FALSE(fs::exists(result.folder / "checkpoints/lista.train.safetensors"));
    CHECK(read_file(result.folder / "config.info") == small_experiment().info);

    REQUIRE(result.results.curves.size() == 2);
    CHECK(result.results.curves[0].contestant == "ista");
    CHECK(result.results.curves[0].training_seconds == 0);
    CHECK(result.results.curves[1].contestant == "lista");
    CHECK(result.results.curves[1].training_seconds > 0);
    CHECK(result.results.curves[1].final_rows[0].size() == 4);
    CHECK(result.results.judging.metric == "nmse_db");
    CHECK(result.results.judging.reference == "ista");
    CHECK(result.results.judging.starts == 2);
    for (const Curve& curve : result.results.curves) CHECK(curve.reached.size() == 4);
    // Both start at the same points of the same instances.
    CHECK(result.results.curves[0].distributions[0][0].median ==
          result.results.curves[1].distributions[0][0].median);

    REQUIRE(result.weights.size() == 1);
    CHECK(result.weights[0].source == Source::kTrained);
    CHECK(result.weights[0].file ==
          folder / ("runs/weights/lista-" + small_experiment().contestants[1].hash + ".safetensors").c_str());
    CHECK(result.weights[0].training.value().meta_steps > 0);
    CHECK(tensors(result.weights[0].file) == tensors(result.folder / "checkpoints/lista.safetensors"));
}

TEST_CASE("run: results tell the content of every file that the experiment names") {
    const ScratchFolder folder;
    Tensor matrix(Dtype::kF64, {4, 6});
    const auto run_on = [&](double first) {
        std::vector<double> entries(24);
        for (double& entry : entries) entry = std::fmod(first += 7, 5);
        l2o::test::set_values(matrix, entries);
        write_safetensors(folder / "a.safetensors", {{"A", &matrix}}, {});
        return run(folder,
                   {.untrained = true},
                   "optimizee { matrix " + (folder / "a.safetensors").string() + " }")
            .folder;
    };
    const fs::path one = run_on(1), two = run_on(2);
    CHECK(one.filename().string().substr(16, 8) ==
          two.filename().string().substr(16, 8));  // one configuration
    const auto files = [](const fs::path& path) { return read_results(path, 3).files.value(); };
    const FileContents first = files(one), second = files(two);
    REQUIRE(first.size() == 2);
    CHECK(first.contains("contestants.lista.train.optimizee.matrix"));
    CHECK(first.at("optimizee.matrix").path == (folder / "a.safetensors").string());
    CHECK(second.at("optimizee.matrix").sha1 == content_hash(folder / "a.safetensors"));
    CHECK(first.at("optimizee.matrix").sha1 != second.at("optimizee.matrix").sha1);
    CHECK(refusal([&] {
              (void)write_report({one, two}, folder / "both");
          }).starts_with("2 " + two.string() + " was run on another content of "));
    CHECK(files(run(folder).folder).empty());
}

TEST_CASE("run: training again, and on two threads, gives the same bits") {
    const ScratchFolder folder;
    const RunResult first = run(folder);
    const auto weights = tensors(first.weights.at(0).file);
    const RunResult second = run(folder, {.retrain = true, .threads = 2});
    CHECK(second.weights.at(0).source == Source::kTrained);
    CHECK(tensors(second.weights.at(0).file) == weights);
    CHECK(rows(second) == rows(first));
}

TEST_CASE("run: training alone writes the weights, evaluation alone wants them") {
    const ScratchFolder folder;
    const std::string refused = refusal([&] { (void)run(folder, {.part = RunPart::kEvaluate}); });
    CHECK(
        refused.starts_with("2 contestants.lista: 'lista' has not been trained with these settings: there is "
                            "no "));
    CHECK(refused.ends_with("; train it first ('l2o train'), or name its weights ('weights FILE')"));
    CHECK_FALSE(fs::exists(folder / "runs"));

    const RunResult trained = run(folder, {.part = RunPart::kTrain});
    CHECK(trained.results.curves.empty());
    CHECK_FALSE(fs::exists(trained.folder / "curves.csv"));
    const RunResult evaluated = run(folder, {.part = RunPart::kEvaluate});
    CHECK(evaluated.weights.at(0).source == Source::kFound);
    CHECK(evaluated.results.curves.size() == 2);
}

TEST_CASE("run: untrained, learned contestants run from their start values, whatever weights there are") {
    const ScratchFolder folder;
    const RunResult untrained = run(folder, {.part = RunPart::kEvaluate, .untrained = true});
    CHECK(untrained.weights.empty());
    CHECK_FALSE(fs::exists(folder / "runs" / "weights"));
    const RunResult trained = run(folder);
    CHECK(rows(trained) != rows(untrained));
    const RunOptions options{.part = RunPart::kEvaluate, .untrained = true};
    const RunResult again = run(folder, options);
    CHECK(rows(again) == rows(untrained));
    // What is trained there in between changes nothing of what was asked for.
    RunOptions training{.part = RunPart::kTrain};
    training.resume = again.folder;
    CHECK_FALSE(run_experiment(resumed_run(catalog(), again.folder).experiment, training).weights.empty());
    CHECK(rows(resume(again.folder)) == rows(untrained));
}

TEST_CASE("run: given weights are evaluated as they are") {
    const ScratchFolder folder;
    const RunResult first = run(folder);
    const RunResult second = run(folder,
                                 {},
                                 "contestants { given { optimizer { use lista }\n weights \"" +
                                     first.weights.at(0).file.string() + "\" } }");
    REQUIRE(second.weights.size() == 2);
    CHECK(second.weights[1].source == Source::kGiven);
    CHECK(second.results.curves.at(2).final_rows == first.results.curves.at(1).final_rows);
}

TEST_CASE("run: what cannot be evaluated is refused before anything is trained or written") {
    const ScratchFolder folder;
    CHECK(refusal([&] {
              (void)run(folder, {}, "evaluate { iterations 4 }");
          }).starts_with("2 contestants.lista: 'lista' has 3 layers"));
    CHECK(refusal([&] {
              (void)run(folder, {}, "evaluate { metric nmse }");
          }).starts_with("2 evaluate.metric: 'sparse_recovery' has no metric 'nmse'"));
    CHECK(refusal([&] { (void)run(folder, {}, "optimizee { use quadratic }"); }) ==
          "3 contestants.ista: optimizer 'ista' needs the problem data 'A', which 'quadratic' does not offer "
          "(it offers W, y)");
    CHECK(refusal([&] { (void)run(folder, {}, "train { optimizee { m 5 } }"); }) ==
          "2 contestants.lista: 'lista' learns the tensor 'shared.B' [6, 5] on the problem of its training, "
          "and "
          "needs "
          "'shared.B' [6, 4] on that of the test; expected problems of the same sizes: set those of "
          "'optimizee' "
          "and of "
          "'train.optimizee' to the same");
    CHECK_FALSE(fs::exists(folder / "runs"));
}

TEST_CASE("run: rows that are not to be kept are gone when the run is finished") {
    const ScratchFolder folder;
    const RunResult result = run(folder, {}, "evaluate { keep_rows false }");
    CHECK_FALSE(fs::exists(result.folder / "checkpoints/ista.evaluation.safetensors"));
    CHECK(fs::exists(result.folder / "checkpoints/lista.safetensors"));
}

TEST_CASE("run: a memory that holds no step is refused, also where the weights are there already") {
    const ScratchFolder folder;
    const auto refused = [&](const std::string& memory) {
        return refusal([&] { (void)run(folder, {}, "train { memory " + memory + " }"); });
    };
    const std::string expected =
        "2 contestants.lista: train.memory is 12 bytes for 2 shards, of which each needs more than 288; "
        "raise train.memory, or "
        "lower "
        "train.shard_rows";
    CHECK(refused("12") == expected);
    CHECK(run(folder).weights.at(0).source == Source::kTrained);
    CHECK(refused("12") == expected);
    CHECK(refused("1MiB") == "no error");
}
