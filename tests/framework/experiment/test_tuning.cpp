#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "framework/cancel.hpp"
#include "framework/evaluate/results.hpp"
#include "framework/evaluate/results_file.hpp"
#include "framework/experiment/run.hpp"
#include "framework/experiment/test_set.hpp"
#include "framework/experiment/tuning.hpp"
#include "tests/framework/config/refusal.hpp"
#include "tests/framework/store/scratch_folder.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::framework;
using l2o::test::catalog;
using l2o::test::refusal;

namespace {

// Gradient descent that is too slow, about right, and diverges; a learned one at two widths.
const std::string kTuned = R"(
name tuned
seed 3
dtype float64
optimizee { use quadratic
            n 4 }
contestants { adam { optimizer { use adam } }
              tuned { optimizer { use gradient_descent
                                  learning_rate { sweep RATES } }
                      tune { instances 6
                             starts 2 } } }
evaluate { instances 5
           iterations 20
           timing false }
)";

Experiment read(const std::string& rates, const std::string& more = "") {
    std::string text = kTuned;
    text.replace(text.find("RATES"), 5, rates);
    return read_experiment(catalog(), Config::parse(text + more, "tuned.info"));
}

RunResult run(const ScratchFolder& folder, const Experiment& experiment, RunOptions options = {}) {
    options.root = folder / "runs";
    return run_experiment(experiment, options);
}

}  // namespace

TEST_CASE(
    "tuning: the candidate that is best on validation instances takes part, under the contestant's name") {
    const ScratchFolder folder;
    const RunResult result = run(folder, read("0.0001 0.05 100"));
    REQUIRE(result.results.curves.size() == 2);
    const Curve& curve = result.results.curves[1];
    CHECK(curve.contestant == "tuned");
    CHECK(curve.swept.empty());
    CHECK(curve.group.empty());
    REQUIRE(curve.tuned);
    CHECK(curve.tuned->chosen == Tuned::Settings{{"optimizer.learning_rate", "0.05"}});
    CHECK(curve.tuned->on_edge.empty());
    CHECK(curve.tuned->tried.size() == 3);
    // 20 gradients and the value of the end, of 3 candidates from 2 starts of 6 instances; one diverges.
    CHECK(curve.tuned->evaluations <= 3 * 12 * 21);
    CHECK(curve.tuned->evaluations > 2 * 12 * 21);
    // It is the contestant that has these settings.
    const RunResult alone = run(folder,
                                read_experiment(catalog(),
                                                Config::parse(R"(
name alone
seed 3
dtype float64
optimizee { use quadratic
            n 4 }
contestants { tuned { optimizer { use gradient_descent
                                  learning_rate 0.05 } } }
evaluate { instances 5
           iterations 20 })",
                                                              "alone.info")));
    CHECK(alone.results.curves[0].final_rows == curve.final_rows);
}

TEST_CASE("tuning: what was chosen is in the table and in results.json, with the edge that it lies on") {
    const ScratchFolder folder;
    const RunResult result = run(folder, read("0.0001 0.001 0.01"));
    const std::string text = tuned_text(result.results.curves[1]);
    CHECK(text.starts_with(
        "tuned: learning_rate=0.01 is the best of 3 on 6 validation instances, objective (median) "));
    CHECK(text.ends_with(", found with 756 evaluations; no learning_rate beyond was tried: widen the sweep"));
    CHECK(result_table(result.results.curves, result.results.judging).find("best of 3 on 6") !=
          std::string::npos);
    const Results read_back = read_results(result.folder, 32);
    REQUIRE(read_back.curves[1].tuned);
    CHECK(tuned_text(read_back.curves[1]) == text);
    CHECK(read_back.curves[1].tuned->tried == result.results.curves[1].tuned->tried);
    for (const auto& entry : std::filesystem::directory_iterator(result.folder / "checkpoints"))
        CHECK(entry.path().string().find(".tuning.") == std::string::npos);
}

TEST_CASE("tuning: where no candidate ends finite, none lies on an edge") {
    const ScratchFolder folder;
    const Curve curve = run(folder, read("1e30 1e31")).results.curves[1];
    REQUIRE(curve.tuned);
    CHECK(curve.tuned->on_edge.empty());
    CHECK(tuned_text(curve).starts_with("tuned: none of 2 candidates ends finite"));
}

TEST_CASE("tuning: validation draws other instances than the test") {
    const Experiment experiment = read("0.1 0.2");
    const Optimizee optimizee(experiment.optimizee.entry, experiment.optimizee.resolve(), experiment.dtype);
    const auto numbers = [](const std::vector<Tensor>& tensors) {
        std::vector<double> all;
        for (const Tensor& tensor : tensors)
            for (const double value : l2o::test::values(tensor)) all.push_back(value);
        return all;
    };
    const std::vector<double> test = numbers(make_test_set(experiment, optimizee).x0),
                              validation = numbers(make_validation_set(experiment, optimizee, {}).x0);
    CHECK(std::ranges::find(validation, test.front()) == validation.end());
}

TEST_CASE("tuning: the same is chosen by any number of jobs, and by a run that was interrupted in between") {
    const ScratchFolder one, two, three;
    const RunResult alone = run(one, read("0.0001 0.05 100"));
    const RunResult beside = run(two, read("0.0001 0.05 100"), {.threads = 2, .jobs = 2});
    CHECK(beside.results.curves[1].final_rows == alone.results.curves[1].final_rows);
    CHECK(beside.results.curves[1].tuned->tried.size() == alone.results.curves[1].tuned->tried.size());

    const std::string text = refusal([&] {
        (void)run(three, read("0.0001 0.05 100"), {.progress = [](const Progress& progress) {
                      if (progress.what.ends_with("=0.05") && progress.done > 1) cancel_flag() = 1;
                  }});
    });
    cancel_flag() = 0;
    const std::string advice = "--resume ";
    REQUIRE(text.starts_with("130 "));
    const std::string folder = text.substr(text.find(advice) + advice.size());
    std::vector<std::string> work;
    const auto see = [&](const Progress& progress) {
        if (work.empty() || work.back() != progress.what) work.push_back(progress.what);
    };
    const ResumedRun resumed = resumed_run(catalog(), folder);
    const RunResult again = run_experiment(resumed.experiment, {.resume = folder, .progress = see});
    CHECK(again.results.curves[1].final_rows == alone.results.curves[1].final_rows);
    CHECK(std::ranges::find(work, "evaluating tuned.learning_rate=0.0001") == work.end());
    CHECK(run_experiment(resumed.experiment, {.resume = folder}).was_finished);
}

TEST_CASE("tuning: of a learned contestant every candidate is trained, with all its seeds") {
    const ScratchFolder folder;
    const RunResult result = run(folder,
                                 read_experiment(catalog(),
                                                 Config::parse(R"(
name learned
optimizee { use sparse_recovery
            m 4
            n 6 }
train { epochs 2
        horizon 3
        seeds 2
        loss { use mse_to_solution } }
contestants { ista { optimizer { use ista } }
              lista { optimizer { use lista
                                  layers { sweep 3 4 } }
                      tune { instances 4 } } }
evaluate { instances 3
           iterations 3
           reference lista })",
                                                               "learned.info")));
    REQUIRE(result.results.curves.size() == 3);
    CHECK(result.results.curves[1].contestant == "lista.seed=0");
    CHECK(result.results.curves[2].contestant == "lista.seed=1");
    CHECK(result.weights.size() == 4);
    CHECK(result.results.curves[1].tuned->chosen == result.results.curves[2].tuned->chosen);
    CHECK(result_table(result.results.curves, result.results.judging).find("\nlista ") != std::string::npos);
}

TEST_CASE("tuning: nothing to be tuned, and a metric that is not there, are refused before the work") {
    CHECK(refusal([] {
              (void)read_experiment(catalog(),
                                    Config::parse(R"(optimizee { use quadratic }
contestants { a { optimizer { use adam }
                  tune { instances 4 } } })",
                                                  "t.info"));
          }) ==
          "2 t.info:3: contestants.a.tune: nothing is swept in 'a'; expected a sweep of what is to be tuned, "
          "such as 'learning_rate { sweep log 1e-3 1 7 }'");
    const ScratchFolder folder;
    std::string text = kTuned;
    text.replace(text.find("RATES"), 5, "0.1 0.2");
    text.replace(text.find("starts 2"), 8, "metric accuracy");
    CHECK(refusal([&] { (void)run(folder, read_experiment(catalog(), Config::parse(text, "t.info"))); }) ==
          "2 contestants.tuned.tune.metric: 'quadratic' has no metric 'accuracy'; known: objective");
    // The name of the contestant stands for whoever is chosen; there are no others.
    text.replace(text.find("metric accuracy"), 15, "");
    const auto with_reference = [&](const std::string& name) {
        std::string more = text;
        more.replace(more.find("timing false"), 12, "timing false\n reference " + name);
        return read_experiment(catalog(), Config::parse(more, "t.info"));
    };
    CHECK(with_reference("tuned").evaluate.reference == "tuned");
    CHECK(refusal([&] { (void)with_reference("tuned.learning_rate=0.1"); }).find("expected") !=
          std::string::npos);
}
