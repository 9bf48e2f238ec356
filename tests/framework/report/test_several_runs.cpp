#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "framework/report/report.hpp"
#include "framework/store/atomic_file.hpp"
#include "tests/framework/config/refusal.hpp"
#include "tests/framework/report/field.hpp"
#include "tests/framework/report/finished_run.hpp"
#include "tests/support/environment_variable.hpp"

using namespace l2o::framework;
using l2o::test::contestant;
using l2o::test::count;
using l2o::test::EnvironmentVariable;
using l2o::test::finished_run;
using l2o::test::refusal;
namespace fs = std::filesystem;

TEST_CASE("report: runs of the same instances are compared, those of others refused") {
    const ScratchFolder folder;
    const EnvironmentVariable path("PATH", "/nowhere");
    const fs::path first = finished_run(folder, "one", {contestant("a", 0.9)});
    const fs::path second = finished_run(folder, "two", {contestant("a", 0.9), contestant("b", 0.8)});
    const std::string page = read_file(write_report({first, second}, folder / "both").page);
    CHECK(count(page, "<td data-v=\"a (run 2)\">") == 2);
    CHECK(count(page, "When a target was reached is not compared") == 1);
    CHECK_FALSE(fs::exists(first / "report.html"));
    CHECK_FALSE(fs::exists(first / "checkpoints"));
    for (const auto& entry : fs::directory_iterator(first)) CHECK(entry.path().filename() != ".l2o-report");

    // A target on the objective that was paid for does not depend on what was recorded.
    std::vector<Curve> often{contestant("a", 0.9)};
    often[0].final_best = often[0].final_rows[0];
    std::vector<Curve> seldom = often;
    Curve& thin = seldom[0];
    for (std::size_t point = 97; point > 0; point -= 2) {
        const auto at = static_cast<std::ptrdiff_t>(point);
        for (auto* counts : {&thin.evaluations, &thin.values, &thin.gradients, &thin.seconds})
            counts->erase(counts->begin() + at);
        thin.iteration.erase(thin.iteration.begin() + at);
        thin.distributions[0].erase(thin.distributions[0].begin() + at);
        if (point == 1) break;
    }
    for (const bool is_paid_for : {false, true}) {
        const Judging judging{.metric = "objective", .target = 0.01, .is_paid_for = is_paid_for};
        const fs::path every = finished_run(folder, "every", often, "1", {}, judging, " target 0.01"),
                       every_other = finished_run(folder,
                                                  "every_other",
                                                  seldom,
                                                  "1",
                                                  {},
                                                  judging,
                                                  "\n target 0.01\n metrics_every 2");
        const std::string both = read_file(write_report({every, every_other}, folder / "targets").page);
        CHECK(count(both, "When a target was reached is not compared") == (is_paid_for ? 0 : 1));
        CHECK(count(both, "objective &lt;= 0.01, paid for") == (is_paid_for ? 2 : 0));
    }

    const fs::path other_seed = finished_run(folder, "seed", {contestant("a", 0.9)}, "2");
    CHECK(refusal([&] {
              (void)write_report({first, other_seed}, folder / "no");
          }) == "2 " + other_seed.string() + " has another problem, seed or dtype than " + first.string() +
                    "; expected runs on the same instances and starts; report them one at a time");
    const fs::path more_rows = finished_run(folder, "rows", {contestant("a", 0.9, 100, 9)});
    CHECK(refusal([&] {
              (void)write_report({first, more_rows}, folder / "no");
          }).find("has another number of instances or starts than") != std::string::npos);
    const fs::path longer = finished_run(folder, "longer", {contestant("a", 0.9, 200)});
    CHECK(refusal([&] {
              (void)write_report({first, longer}, folder / "no");
          }) == "2 " + longer.string() + " has another budget than " + first.string() +
                    ": evaluate.iterations 199 and 99, evaluate.max_evaluations 0 and 0; expected the same; "
                    "evaluate one of the two again");
    CHECK_FALSE(fs::exists(folder / "no"));
}

TEST_CASE("report: contestants of one name are told apart, whatever their names are") {
    const ScratchFolder folder;
    const EnvironmentVariable path("PATH", "/nowhere");
    const fs::path first = finished_run(folder, "one", {contestant("a", 0.9), contestant("a (run 2)", 0.9)});
    const fs::path second = finished_run(folder, "two", {contestant("a", 0.8)});
    const std::string page = read_file(write_report({first, second}, folder / "both").page);
    CHECK(count(page, "<td data-v=\"a (run 2)\">") == 2);
    CHECK(count(page, "<td data-v=\"a (run 2) (run 2)\">") == 2);
    // In the pictures of their trainings, too.
    CHECK(fs::exists(folder / "both/figures/training_a.csv"));
    CHECK(fs::exists(folder / "both/figures/training_a__run_2___run_2_.csv"));
    CHECK_FALSE(fs::exists(folder / "both/figures/training_a__run_2_.csv"));
}

TEST_CASE("report: runs of one configuration whose plugins drew other instances are not compared") {
    const ScratchFolder folder;
    const EnvironmentVariable path("PATH", "/nowhere");
    const auto run_on = [&](const char* name, double sum) {
        const fs::path run = finished_run(folder, name, {contestant("a", 0.9)});
        Results results = read_results(run, 32);
        results.instances = {{sum, 40}, {0, 0}};
        write_results(run / "results.json", results);
        return run;
    };
    const fs::path one = run_on("one", 3), rounded = run_on("rounded", 3.0001), other = run_on("other", 3.1);
    CHECK(write_report({one, rounded}, folder / "both").remarks.empty());
    CHECK(refusal([&] {
              (void)write_report({one, other}, folder / "no");
          }) == "2 " + other.string() + " has other instances or starts than " + one.string() +
                    ", though the configurations are the same: the problem's plugin is of another build (see "
                    "environment.json in both); evaluate one of the two again, or report them one at a time");
}

TEST_CASE("report: runs whose files of one path had other contents are not compared") {
    const ScratchFolder folder;
    const EnvironmentVariable path("PATH", "/nowhere");
    const auto run_on = [&](const char* name,
                            const std::optional<FileContents>& files,
                            const char* options = "matrix /m.safetensors\n m 5") {
        const fs::path run = finished_run(folder, name, {contestant("a", 0.9)});
        std::string config = read_file(run / "config.info");
        config.replace(config.find("use quadratic"), 13, std::string("use lasso\n ") + options + "\n");
        std::ofstream(run / "config.info") << config;
        Results results = read_results(run);
        results.files = files;
        write_results(run / "results.json", results);
        return run;
    };
    const auto files_with = [](char digit) {
        return FileContents{{"optimizee.matrix", {"/m.safetensors", std::string(40, digit)}},
                            {"contestants.a.weights", {"/w.safetensors", std::string(40, digit)}}};
    };
    const fs::path one = run_on("one", files_with('1')), same = run_on("same", files_with('1'));
    FileContents weights = files_with('2');
    weights["optimizee.matrix"] = files_with('1')["optimizee.matrix"];
    const fs::path other_weights = run_on("weights", weights);
    FileContents moved = files_with('1');
    moved["optimizee.matrix"].path = "/copy.safetensors";
    const fs::path elsewhere = run_on("elsewhere", moved, "m 005\n matrix /copy.safetensors");
    CHECK(write_report({one, same, other_weights, elsewhere}, folder / "all").remarks.empty());
    const fs::path other = run_on("other", files_with('2'));
    CHECK(refusal([&] {
              (void)write_report({one, other}, folder / "no");
          }) == "2 " + other.string() +
                    " was run on another content of /m.safetensors (optimizee.matrix) than " + one.string() +
                    ": SHA-1 " + std::string(40, '2') + " and " + std::string(40, '1') +
                    "; expected runs on the same instances and starts; report them one at a time");
    CHECK_FALSE(fs::exists(folder / "no"));
    const fs::path earlier = run_on("earlier", std::nullopt);
    const ReportFile report = write_report({one, earlier}, folder / "some");
    CHECK(report.remarks ==
          std::vector<std::string>{earlier.string() +
                                   " does not tell the content of /m.safetensors (optimizee.matrix): whether "
                                   "all runs had the same is not known"});
    CHECK(count(read_file(report.page), report.remarks[0]) == 1);
    CHECK(write_report({earlier}).remarks.empty());
}
