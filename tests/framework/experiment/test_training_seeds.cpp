#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "framework/cancel.hpp"
#include "framework/evaluate/entries.hpp"
#include "framework/evaluate/results_file.hpp"
#include "framework/experiment/run.hpp"
#include "framework/report/report.hpp"
#include "framework/store/atomic_file.hpp"
#include "framework/store/safetensors.hpp"
#include "framework/text/json.hpp"
#include "tests/framework/config/refusal.hpp"
#include "tests/framework/store/scratch_folder.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::framework;
using l2o::test::catalog;
using l2o::test::refusal;
using l2o::test::values;
using Names = std::vector<std::string>;
namespace fs = std::filesystem;

namespace {

Experiment read(const std::string& text, const Names& overrides = {}) {
    return read_experiment(catalog(), Config::parse(text, "dir/run.info", overrides));
}

std::string refused(const std::string& text, const Names& overrides = {}) {
    return refusal([&] { (void)read(text, overrides); });
}

Names names_of(const Experiment& experiment) {
    Names names;
    for (const Contestant& contestant : experiment.contestants) names.push_back(contestant.name);
    return names;
}

/// ista, and lista with this shared `train`, in line 5, and this one of its own, in line 7.
std::string text(const std::string& shared, const std::string& own = "", const std::string& options = "") {
    return "optimizee { use sparse_recovery\n m 4\n n 6 }\n" + std::string("seed 3\n") + "train { " + shared +
           " }\ncontestants { ista { optimizer { use ista } }\n lista { " +
           (own.empty() ? "" : "train { " + own + " } ") + "optimizer { use lista\n layers 2 " + options +
           " } } }\n";
}

std::vector<std::int64_t> seeds_of(const Experiment& experiment) {
    std::vector<std::int64_t> seeds;
    for (const Contestant& contestant : experiment.contestants)
        if (contestant.train) seeds.push_back(static_cast<std::int64_t>(contestant.train->seed));
    return seeds;
}

std::vector<double> numbers_of(const fs::path& weights) {
    std::vector<double> all;
    for (const auto& [name, tensor] : read_safetensors(weights).tensors) {
        const std::vector<double> own = values(tensor);
        all.insert(all.end(), own.begin(), own.end());
    }
    return all;
}

}  // namespace

TEST_CASE("training seeds: seeds 3 are the trainings of seed 0, 1 and 2, of who is trained") {
    const Experiment experiment = read(text("seeds 3"));
    CHECK(names_of(experiment) == Names{"ista", "lista.seed=0", "lista.seed=1", "lista.seed=2"});
    CHECK(seeds_of(experiment) == std::vector<std::int64_t>{0, 1, 2});
    CHECK(experiment.contestants[1].group == "lista");
    // The training of seed 0 is that without one; the others are those of their number.
    CHECK(experiment.contestants[1].hash == read(text("")).contestants[1].hash);
    CHECK(experiment.contestants[3].hash == read(text("seed 2")).contestants[1].hash);
    CHECK(names_of(read(text("seeds 2"), {"contestants.lista.optimizer.layers.sweep=2 3"})) ==
          Names{"ista",
                "lista.layers=2,seed=0",
                "lista.layers=2,seed=1",
                "lista.layers=3,seed=0",
                "lista.layers=3,seed=1"});
    CHECK(names_of(read(text("seeds 1"))) == Names{"ista", "lista"});
}

TEST_CASE("training seeds: they begin at the seed that is set, and the contestant's own train wins") {
    CHECK(seeds_of(read(text("seed 4\n seeds 2"))) == std::vector<std::int64_t>{4, 5});
    CHECK(seeds_of(read(text("seed 4\n seeds 1"))) == std::vector<std::int64_t>{4});
    CHECK(seeds_of(read(text("seeds 3", "seeds 2"))) == std::vector<std::int64_t>{0, 1});
    CHECK(seeds_of(read(text("seeds 3", "seeds 1"))) == std::vector<std::int64_t>{0});
    CHECK(seeds_of(read(text("seeds 3", "seed 7"))) == std::vector<std::int64_t>{7, 8, 9});
    CHECK(seeds_of(read(text("seeds 3", "seed { sweep 5 6 }"))) == std::vector<std::int64_t>{5, 6});
    CHECK(seeds_of(read(text("seed { sweep 5 6 }", "seeds 2"))) == std::vector<std::int64_t>{0, 1});
    CHECK(seeds_of(read(text(""), {"train.seeds=2"})) == std::vector<std::int64_t>{0, 1});
    // A sweep of seeds is the same by another name.
    const Experiment swept = read(text("seed { sweep 0 1 }")), seeds = read(text("seeds 2"));
    CHECK(names_of(swept) == names_of(seeds));
    CHECK(swept.contestants[2].swept == seeds.contestants[2].swept);
}

TEST_CASE(
    "training seeds: a number that is none, and seeds that are swept besides, are refused at their place") {
    for (const char* number : {"0", "-1", "x", "257", "1.5"})
        CHECK(refused(text(std::string("seeds ") + number)) ==
              std::string("2 dir/run.info:5: train.seeds is '") + number +
                  "'; expected how many trainings, a whole number in [1, 256]");
    CHECK(refused(text("", "seeds { sweep 2 3 }")) ==
          "2 dir/run.info:7: contestants.lista.train.seeds is '2 3'; expected how many trainings, a whole "
          "number in [1, 256]");
    CHECK(refused(text("seed { sweep 1 2 }\n seeds 2")) ==
          "2 dir/run.info:6: train.seeds is '2', and train.seed is swept; expected one of the two");
    CHECK(refused(text("seed 100000000\n seeds 2")) ==
          "2 dir/run.info:5: train.seed is '100000000'; expected a whole number in [0, 99999999]");
    CHECK(refused(text("seed x\n seeds 2"))
              .starts_with("2 dir/run.info:5: train.seed is 'x'; expected a whole"));
    CHECK(
        refused(
            "optimizee { use quadratic }\ncontestants { a { optimizer { use adam }\n train { seeds 2 } } }\n")
            .ends_with("contestants.a.train: 'adam' has nothing to learn; remove 'train'"));
    // A shared section that nobody uses is checked all the same.
    CHECK(
        refused(
            "optimizee { use quadratic }\ntrain { seeds 0 }\ncontestants { a { optimizer { use adam } } }\n")
            .starts_with("2 dir/run.info:2: train.seeds is '0'"));
    CHECK(refused(text("seeds 257", "seeds 2")) ==
          "2 dir/run.info:5: train.seeds is '257'; expected how many trainings, a whole number in [1, 256]");
}

TEST_CASE("training seeds: the reference is a contestant over its seeds, whatever stands in its group") {
    CHECK(read(text("seeds 2") + "evaluate { reference lista }\n").evaluate.reference == "lista");
    const std::string swept = text("seeds 2", "", "lambda_init { sweep 0.1 0.2 }");
    CHECK(read(swept + "evaluate { reference lista.lambda_init=0.2 }\n").evaluate.reference ==
          "lista.lambda_init=0.2");
    CHECK(refused(swept + "evaluate { reference lista }\n")
              .ends_with("which stands for 2 contestants; expected one of them: lista.lambda_init=0.1, "
                         "lista.lambda_init=0.2"));
    CHECK(
        refused(text("seeds 2") + "evaluate { reference lista.seed=1 }\n") ==
        "2 dir/run.info:9: evaluate.reference is 'lista.seed=1', one training of several; expected 'lista', "
        "which stands for all of them");
}

TEST_CASE("training seeds: the trainings differ, everybody else takes part once, and all is kept by seed") {
    const ScratchFolder folder;
    const std::string small = text("epochs 2\n horizon 2\n batch 4\n seeds 3", "", "") +
                              "evaluate { instances 4\n iterations 2 }\n";
    const RunResult result = run_experiment(read(small), {.root = folder / "runs"});
    REQUIRE(result.results.curves.size() == 4);
    CHECK(result.results.curves[1].final_rows != result.results.curves[2].final_rows);
    CHECK(entries_of(result.results.curves).size() == 2);
    CHECK(entries_of(result.results.curves)[1].seeds == Names{"0", "1", "2"});
    const Results read_back = read_results(result.folder);
    CHECK(read_back.judging.reference == "ista");
    CHECK(entries_of(read_back.curves)[1].name == "lista");
    const nlohmann::json told = nlohmann::json::parse(read_file(result.folder / "results.json"));
    REQUIRE(told.at("entries").size() == 2);
    CHECK(told.at("entries")[1].at("comparison").at("trainings") == 3);
    CHECK(told.at("contestants").size() == 4);
    const std::string page = read_file(write_report({result.folder}).page);
    CHECK(page.find("over training seeds and instances") != std::string::npos);
    CHECK(page.find("one training seed") == std::string::npos);

    // Five seeds of which three are known.
    Experiment more = read(small, {"train.seeds=5"});
    const RunResult five = run_experiment(more, {.root = folder / "runs"});
    REQUIRE(five.weights.size() == 5);
    for (std::size_t i = 0; i < 5; ++i) {
        CAPTURE(i);
        CHECK((five.weights[i].source == WeightsReport::Source::kFound) == (i < 3));
    }
    CHECK(five.results.curves[3].final_rows == result.results.curves[3].final_rows);
}

TEST_CASE("training seeds: interrupted between two seeds, and within one, a run goes on to the same bits") {
    const std::string small =
        text("epochs 3\n horizon 2\n batch 4\n checkpoint_every_s 0\n seeds 3", "", "") +
        "evaluate { instances 4\n iterations 2 }\n";
    const ScratchFolder whole, folder;
    const RunResult want = run_experiment(read(small), {.root = whole / "runs"});
    std::string told;
    const auto stop = [&](const std::string& what) {
        return [&, what](const Progress& progress) {
            if (progress.what == what && progress.done >= 1) cancel_flag() = 1;
        };
    };
    told = refusal([&] {
        (void)run_experiment(read(small),
                             {.root = folder / "runs", .progress = stop("training lista.seed=1")});
    });
    cancel_flag() = 0;
    REQUIRE(told.starts_with("130 training of 'lista.seed=1' interrupted"));
    const fs::path path = told.substr(told.find(" --resume ") + 10);
    CHECK(fs::exists(path / "checkpoints/lista.seed=0.safetensors"));
    CHECK(fs::exists(path / "checkpoints/lista.seed=1.train.safetensors"));
    told = refusal([&] {
        (void)run_experiment(resumed_run(catalog(), path).experiment,
                             {.resume = path, .progress = stop("evaluating lista.seed=1")});
    });
    cancel_flag() = 0;
    REQUIRE(told.starts_with("130 "));
    Names trained;
    const RunResult result = run_experiment(resumed_run(catalog(), path).experiment,
                                            {.resume = path, .progress = [&](const Progress& progress) {
                                                 if (progress.what.starts_with("training "))
                                                     trained.push_back(progress.what);
                                             }});
    CHECK(trained.empty());
    REQUIRE(result.results.curves.size() == want.results.curves.size());
    for (std::size_t i = 0; i < want.results.curves.size(); ++i) {
        CAPTURE(i);
        CHECK(result.results.curves[i].contestant == want.results.curves[i].contestant);
        CHECK(result.results.curves[i].swept == want.results.curves[i].swept);
        CHECK(result.results.curves[i].final_rows == want.results.curves[i].final_rows);
    }
    for (const char* name : {"lista.seed=0", "lista.seed=1", "lista.seed=2"})
        CHECK(numbers_of(path / "checkpoints" / (std::string(name) + ".safetensors")) ==
              numbers_of(want.folder / "checkpoints" / (std::string(name) + ".safetensors")));
}

TEST_CASE("training seeds: a training costs what it started from as well, in time and in evaluations") {
    const ScratchFolder folder;
    const std::string end = "evaluate { instances 4\n iterations 2 }\n", small = "horizon 2\n batch 4\n ";
    const RunResult first = run_experiment(read(text(small + "epochs 4") + end), {.root = folder / "runs"}),
                    alone = run_experiment(read(text(small + "epochs 2") + end), {.root = folder / "runs"});
    const std::string warm = small + "epochs 2\n warm_start \"" + first.weights[0].file.string() + "\"";
    const RunResult second = run_experiment(read(text(warm) + end), {.root = folder / "runs"});
    const TrainingOutcome &before = first.weights[0].training.value(),
                          &after = second.weights[0].training.value();
    CHECK(before.evaluations > 4 * 2 * 4);
    CHECK(before.warm_start_seconds == 0);
    CHECK(after.evaluations == before.evaluations + alone.weights[0].training.value().evaluations);
    CHECK(after.warm_start_seconds == doctest::Approx(first.weights[0].seconds).epsilon(1e-6));
    CHECK(second.results.curves[1].training_seconds ==
          doctest::Approx(second.weights[0].seconds + first.weights[0].seconds).epsilon(1e-6));
    // Found again, and started from in turn.
    const std::string third = small + "epochs 2\n warm_start \"" + second.weights[0].file.string() + "\"";
    const RunResult last = run_experiment(read(text(third) + end), {.root = folder / "runs"});
    CHECK(last.weights[0].training.value().warm_start_seconds ==
          doctest::Approx(second.weights[0].seconds + first.weights[0].seconds).epsilon(1e-6));
    const nlohmann::json told = nlohmann::json::parse(read_file(second.folder / "results.json"));
    CHECK(told.at("entries")[1].at("training_evaluations") == after.evaluations);
}
