#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "framework/report/report.hpp"
#include "framework/store/atomic_file.hpp"
#include "tests/framework/config/refusal.hpp"
#include "tests/framework/report/field.hpp"
#include "tests/framework/report/finished_run.hpp"
#include "tests/support/environment_variable.hpp"

using namespace l2o::framework;
using l2o::test::contestant;
using l2o::test::EnvironmentVariable;
using l2o::test::finished_run;
using l2o::test::refusal;
using l2o::test::write_results_again;
namespace fs = std::filesystem;

TEST_CASE("report: results that are not those of the configuration beside them are refused") {
    const ScratchFolder folder;
    const EnvironmentVariable path("PATH", "/nowhere");
    const fs::path run = finished_run(folder, "run", {contestant("a", 0.9)});
    const std::string config = read_file(run / "config.info");
    const auto refused_with = [&](const std::string& from, const std::string& to) {
        std::string text = config;
        text.replace(text.find(from), from.size(), to);
        std::ofstream(run / "config.info") << text;
        return refusal([&] { (void)write_report({run}); });
    };
    const std::string end = "; expected results of the config.info beside them; run it again";
    CHECK(refused_with("iterations 99", "iterations 50") ==
          "5 " + run.string() + ": 'a' has 99 iterations, and evaluate.iterations is 50" + end);
    CHECK(refused_with("instances 8", "instances 80") ==
          "5 " + run.string() +
              ": its results have 8 rows, 1 per instance, and evaluate.instances is 80, evaluate.starts 1" +
              end);
    CHECK(refused_with("instances 8", "instances 8\n starts 2").find("evaluate.starts 2") !=
          std::string::npos);
    CHECK(refused_with("instances 8", "instances many")
              .ends_with("evaluate.instances is 'many'; expected a whole number >= 1"));
    CHECK(refused_with("contestants", "others") ==
          "5 " + run.string() + ": 'a' is no contestant of it" + end);
    CHECK(refused_with("iterations 99", "iterations 200") ==
          "5 " + run.string() + ": 'a' has 99 iterations, and evaluate.iterations is 200" + end);
    CHECK(refused_with("iterations 99", "iterations 200\n max_evaluations 98") ==
          "5 " + run.string() + ": 'a' has 99 evaluations, and evaluate.max_evaluations is 98" + end);
    CHECK(refused_with("iterations 99", "iterations 99\n metrics_every 3") ==
          "5 " + run.string() + ": point 1 of 'a' is iteration 1, and evaluate.metrics_every is 3" + end);
    CHECK(refused_with("iterations 99", "iterations 99\n target 3") ==
          "5 " + run.string() + ": the target of its results is none, and evaluate.target is 3" + end);
    CHECK(refused_with("iterations 99", "iterations 99\n tolerance 0.5") ==
          "5 " + run.string() + ": the tolerance of its results is 0.001, and evaluate.tolerance is 0.5" +
              end);
    CHECK(refused_with("iterations 99", "iterations 99\n metric nmse_db") ==
          "5 " + run.string() +
              ": the metric of its results is 'objective', and evaluate.metric is 'nmse_db'" + end);
    CHECK(refused_with("iterations 99", "iterations 99\n reference b") ==
          "5 " + run.string() + ": the reference of its results is 'a', and evaluate.reference is 'b'" + end);
    CHECK(refused_with("    a \"\"\n", "    a \"\"\n    b \"\"\n") ==
          "5 " + run.string() + ": there are no results of its contestant 'b'" + end);
    CHECK(refused_with("seed 1", "seed 2") ==
          "5 " + (run / "config.info").string() +
              ": was changed since the run wrote its results; restore it, or evaluate again");
}

TEST_CASE("report: who has a budget of evaluations may end before the last iteration") {
    const ScratchFolder folder;
    const EnvironmentVariable path("PATH", "/nowhere");
    const fs::path run = finished_run(folder, "run", {contestant("a", 0.9)});
    std::string config = read_file(run / "config.info");
    config.replace(config.find("iterations 99"), 13, "iterations 500\n max_evaluations 99");
    std::ofstream(run / "config.info") << config;
    write_results(run / "results.json", read_results(run));
    CHECK(write_report({run}).page == run / "report.html");
}

TEST_CASE("report: a line of metrics.jsonl that is no record is refused, one that is torn off ends it") {
    const ScratchFolder folder;
    const EnvironmentVariable path("PATH", "/nowhere");
    const fs::path run = finished_run(folder, "run", {contestant("a", 0.9)});
    const auto refused = [&](const std::string& lines) {
        std::ofstream(run / "metrics.jsonl") << lines;
        write_results_again(run);
        return refusal([&] { (void)write_report({run}); });
    };
    const std::string file = "5 " + (run / "metrics.jsonl").string(),
                      good = "{\"contestant\": \"a\", \"loss\": 2}\n";
    CHECK(refused(good + "{\"contes\n" + good) ==
          file + ": line 2 is no record of a training; expected what 'l2o train' writes");
    CHECK(refused("{\"loss\": 2}\n") ==
          file + ": line 1 is no record of a training; expected what 'l2o train' writes");
    CHECK(refused("{\"contestant\": \"a\", \"loss\": \"2\"}\n") ==
          file + ": line 1: loss is \"2\"; expected a number or null");
    CHECK(refused("{\"contestant\": \"a\", \"loss\": 2, \"validation\": [1]}\n") ==
          file + ": line 1: validation is [1]; expected a number or null");
    CHECK(refused("{\"contestant\": \"a\", \"loss\": " + std::string(100000, '[') + "\n") ==
          file + ": line 1 is no record of a training; expected what 'l2o train' writes");
    CHECK(refused(good + "{\"contes") == "no error");
    std::ofstream(run / "metrics.jsonl") << good << good;
    CHECK(refusal([&] { (void)write_report({run}); }) ==
          file + ": was changed since the run wrote its results; restore it, or evaluate again");
}
