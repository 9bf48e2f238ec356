#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "framework/experiment/run.hpp"
#include "framework/experiment/run_folder.hpp"
#include "framework/store/atomic_file.hpp"
#include "framework/store/safetensors.hpp"
#include "tests/framework/config/refusal.hpp"
#include "tests/framework/store/scratch_folder.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::framework;
using l2o::test::catalog;
using l2o::test::refusal;
using l2o::test::values;
namespace fs = std::filesystem;

namespace {

using Source = WeightsReport::Source;

// One learned contestant beside an analytic one; 2 x 2 rows in shards of 3.
Experiment read(const std::string& more = "") {
    return read_experiment(catalog(),
                           Config::parse(R"(
name small
seed 5
optimizee { use sparse_recovery
            m 4
            n 6 }
train { epochs 6
        horizon 3
        batch 4
        shard_rows 2
        checkpoint_every_s 0
        loss { use mse_to_solution } }
contestants { ista { optimizer { use ista } }
              lista { optimizer { use lista
                                  layers 3 } } }
evaluate { instances 2
           starts 2
           iterations 3
           shard_rows 3 }
)" + more,
                                         "run.info"));
}

RunResult run(const ScratchFolder& folder, RunOptions options = {}, const std::string& more = "") {
    options.root = folder / "runs";
    return run_experiment(read(more), options);
}

std::vector<std::vector<double>> rows(const RunResult& result) {
    std::vector<std::vector<double>> all;
    for (const Curve& curve : result.curves)
        all.insert(all.end(), curve.final_rows.begin(), curve.final_rows.end());
    return all;
}

std::map<std::string, std::vector<double>> tensors(const fs::path& file) {
    std::map<std::string, std::vector<double>> all;
    for (const auto& [name, tensor] : read_safetensors(file).tensors) all[name] = values(tensor);
    return all;
}

}  // namespace

TEST_CASE("run: trains, evaluates everybody in the order of the file, and writes the folder") {
    const ScratchFolder folder;
    const RunResult result = run(folder);
    CHECK(result.folder.parent_path() == folder / "runs/small");
    for (const char* name : {"config.info",
                             "environment.json",
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
    CHECK(read_file(result.folder / "config.info") == read().info);

    REQUIRE(result.curves.size() == 2);
    CHECK(result.curves[0].contestant == "ista");
    CHECK(result.curves[0].training_seconds == 0);
    CHECK(result.curves[1].contestant == "lista");
    CHECK(result.curves[1].training_seconds > 0);
    CHECK(result.curves[1].final_rows[0].size() == 4);
    CHECK(result.judging.metric == "nmse_db");
    CHECK(result.judging.reference == "ista");
    CHECK(result.judging.starts == 2);
    for (const Curve& curve : result.curves) CHECK(curve.reached.size() == 4);
    // Both start at the same points of the same instances.
    CHECK(result.curves[0].distributions[0][0].median == result.curves[1].distributions[0][0].median);

    REQUIRE(result.weights.size() == 1);
    CHECK(result.weights[0].source == Source::kTrained);
    CHECK(result.weights[0].file ==
          folder / ("runs/weights/lista-" + read().contestants[1].hash + ".safetensors").c_str());
    CHECK(result.weights[0].meta_steps.value() > 0);
    CHECK(tensors(result.weights[0].file) == tensors(result.folder / "checkpoints/lista.safetensors"));
}

TEST_CASE("run: weights are found again, with the same results and the time that their training took") {
    const ScratchFolder folder;
    const RunResult first = run(folder);
    const RunResult second = run(folder);
    CHECK(second.folder != first.folder);
    CHECK(second.weights.at(0).source == Source::kFound);
    CHECK(second.weights.at(0).seconds == first.weights.at(0).seconds);
    CHECK(rows(second) == rows(first));
    CHECK(run(folder, {}, "train { epochs 7 }").weights.at(0).source == Source::kTrained);
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
    CHECK(trained.curves.empty());
    CHECK_FALSE(fs::exists(trained.folder / "curves.csv"));
    const RunResult evaluated = run(folder, {.part = RunPart::kEvaluate});
    CHECK(evaluated.weights.at(0).source == Source::kFound);
    CHECK(evaluated.curves.size() == 2);
}

TEST_CASE("run: untrained, learned contestants run from their start values, whatever weights there are") {
    const ScratchFolder folder;
    const RunResult untrained = run(folder, {.part = RunPart::kEvaluate, .untrained = true});
    CHECK(untrained.weights.empty());
    CHECK_FALSE(fs::exists(folder / "runs" / "weights"));
    const RunResult trained = run(folder);
    CHECK(rows(trained) != rows(untrained));
    CHECK(rows(run(folder, {.part = RunPart::kEvaluate, .untrained = true})) == rows(untrained));
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
    CHECK(second.curves.at(2).final_rows == first.curves.at(1).final_rows);
}

TEST_CASE("run: what cannot be evaluated is refused before anything is trained or written") {
    const ScratchFolder folder;
    CHECK(refusal([&] {
              (void)run(folder, {}, "evaluate { iterations 4 }");
          }).starts_with("2 contestants.lista: 'lista' has 3 layers"));
    CHECK(refusal([&] {
              (void)run(folder, {}, "evaluate { metric nmse }");
          }).starts_with("2 evaluate.metric: 'sparse_recovery' has no metric 'nmse'"));
    CHECK(refusal([&] {
              (void)run(folder, {}, "optimizee { use quadratic }");
          }).starts_with("3 optimizer 'ista' on 'quadratic'") == false);
    CHECK(refusal([&] { (void)run(folder, {}, "optimizee { use quadratic }"); }) ==
          "3 optimizer 'ista' needs the problem data 'A', which 'quadratic' does not offer (it offers W, y)");
    CHECK_FALSE(fs::exists(folder / "runs"));
}

TEST_CASE("run: an interrupted training goes on where it was, and ends with the same weights") {
    const ScratchFolder folder, other;
    const auto want = tensors(run(other).weights.at(0).file);

    RunOptions interrupted;
    interrupted.progress = [](const Progress& progress) {
        if (progress.what == "training lista" && progress.done >= 3) CallContext::cancel_flag() = 1;
    };
    const std::string text = refusal([&] { (void)run(folder, interrupted); });
    CallContext::cancel_flag() = 0;
    CHECK(text.starts_with("130 training of 'lista' interrupted"));
    const auto option = text.find("go on with 'l2o run --resume ");
    REQUIRE(option != std::string::npos);
    const fs::path path = text.substr(option + 29, text.size() - option - 30);
    REQUIRE(fs::is_regular_file(path / "checkpoints/lista.train.safetensors"));

    const Experiment experiment = resumed_experiment(catalog(), path);
    CHECK(experiment.hash == read().hash);
    const RunResult result = run_experiment(experiment, {.root = other / "ignored", .resume = path});
    CHECK(result.folder == path);
    CHECK(result.weights.at(0).source == Source::kTrained);
    CHECK(tensors(result.weights.at(0).file) == want);
    CHECK(result.weights.at(0).file.string().starts_with((folder / "runs/weights").string()));
    CHECK(fs::is_regular_file(path / "summary.csv"));
    CHECK_FALSE(fs::exists(path / "checkpoints/lista.train.safetensors"));
}

TEST_CASE("run: two runs of the same second have folders of their own") {
    const ScratchFolder folder;
    const Experiment experiment = read();
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
    const RunFolder made = RunFolder::create(folder / "runs", read(), {});
    CHECK(RunFolder::open(made.path).path == made.path);
    CHECK(RunFolder::open(made.path / "").path == made.path);
    CHECK(made.root() == folder / "runs");
}
