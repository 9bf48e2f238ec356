#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "framework/evaluate/results.hpp"
#include "framework/store/atomic_file.hpp"
#include "tests/framework/config/refusal.hpp"
#include "tests/framework/evaluate/results_folder.hpp"
#include "tests/framework/store/scratch_folder.hpp"

using namespace l2o::framework;
using l2o::test::by_objective;
using l2o::test::Edited;
using l2o::test::refusal;
using l2o::test::rows_of;

TEST_CASE("results: files that are not those that the run wrote beside its results are refused") {
    Edited run;
    for (const auto& [file, from, to] :
         std::vector<std::array<std::string, 3>>{{"config.info", "name x", "name y"},
                                                 {"curves.csv", "nmse_db,2.25,2,1,", "nmse_db,2.25,2,0,"},
                                                 {"finals.csv", "3,2\n", "3,2.0\n"}}) {
        const auto& which = file;
        CAPTURE(which);
        run.write(run.written());
        std::string text = read_file(run.path(file.c_str()));
        if (file == "curves.csv")
            text.replace(text.find("nmse_db,0.25,0,-1,"), 18, "nmse_db,0.25,0,-2,");
        else
            text.replace(text.find(from), from.size(), to);
        std::ofstream(run.path(file.c_str())) << text;
        const Results read = run.read();
        CHECK(refusal([&] { check_written(run.path(""), read); }) ==
              "5 " + run.path(file.c_str()).string() +
                  ": was changed since the run wrote its results; restore it, or evaluate again");
    }
    run.write(run.written());
    Results earlier = run.read();
    earlier.written.clear();
    std::ofstream(run.path("config.info")) << "name y";
    check_written(run.path(""), earlier);
}

TEST_CASE("results: an edited results.json is refused, with what is wrong in it") {
    Edited run;
    const std::string end = "; expected what 'l2o run' writes";
    const std::string whole = "a whole number in [1, 1000000000000000]", metrics = "one of the metrics: ";
    const std::string known = metrics + "objective, nmse_db";
    const std::vector<std::array<std::string, 3>> edits{
        {"\"starts\": 2", "\"starts\": 0", "starts is 0; expected " + whole},
        {"\"starts\": 2", "\"starts\": 1e300", "starts is 1e+300; expected " + whole},
        {"\"starts\": 2", "\"starts\": 2.5", "starts is 2.5; expected " + whole},
        {"\"starts\": 2", "\"starts\": \"2\"", "starts is \"2\"; expected " + whole},
        {"\"tolerance\": 0.25", "\"tolerance\": -1.0", "tolerance is -1.0; expected a number in [0, 1]"},
        {"\"tolerance\": 0.25", "\"tolerance\": null", "tolerance is null; expected a number in [0, 1]"},
        {"\"reference\": \"b, c\"",
         "\"reference\": \"x\"",
         "reference is \"x\"; expected one of the contestants: a, b, c"},
        {"\"metric\": \"nmse_db\"", "\"metric\": \"x\"", "metric is \"x\"; expected " + known},
        {"\"metric\": \"nmse_db\"", "\"metric\": [\"x\"]", "metric is [\"x\"]; expected a text"},
        {"\"higher_is_better\": [\n    \"objective\"",
         "\"higher_is_better\": [\n    \"foo\"",
         "higher_is_better[0] is \"foo\"; expected " + known},
        {"\"ratios\": [\n    \"nmse_db\"", "\"ratios\": [\n    7", "ratios[0] is 7; expected a text"},
        {"\"needs_solution\": []", "\"needs_solution\": {}", "needs_solution is {}; expected a list"},
        {"\"needs_solution\": []",
         "\"needs_solution\": [\"foo\"]",
         "needs_solution[0] is \"foo\"; expected " + known},
        {"\"metrics\": [\n    \"objective\"",
         "\"metrics\": [\n    \"loss\"",
         "metrics is [\"loss\",\"nmse_db\"]; expected \"objective\", and others after it"},
        {"\"metrics\": [\n    \"objective\"",
         "\"metrics\": [\n    \"objective\", \"objective\"",
         "metrics[1] is \"objective\"; expected another metric, it is there twice"},
        {"\"name\": \"a\"",
         "\"name\": \"b, c\"",
         "contestants[1].name is \"b, c\"; expected another contestant, it is there twice"},
        {"\"name\": \"a\"", "\"name\": null", "contestants[0].name is null; expected a text"},
        {"\"name\": \"a\",",
         "",
         "contestants[0].name is missing; was it written by another l2o? evaluate again"},
        {"\"training_seconds\": 12.5",
         "\"training_seconds\": -12.5",
         "contestants[1].training_seconds is -12.5; expected a number >= 0"},
        {"\"fallback_rate\": 0.25",
         "\"fallback_rate\": 25",
         "contestants[1].fallback_rate is 25; expected a number in [0, 1]"},
        {"\"safeguard\": \"ista\"",
         "\"safe\": \"ista\"",
         "contestants[1].fallback_rate is 0.25; expected none where there is no safeguard"},
        {"\"target\": 2.5", "\"target\": \"x\"", "target is \"x\"; expected a finite number"},
        {"\"sha1\": \"a",
         "\"sha1\": \"x",
         "files.optimizee.data.sha1 is \"x" + std::string(39, 'a') + "\"; expected a SHA-1 of 40 digits"},
        {"\"config.info\":",
         "\"summary.csv\":",
         "written.summary.csv is \"0df211ed896a4ff3131a614d433fed51507499c4\"; expected nothing but "
         "config.info, curves.csv, finals.csv, metrics.jsonl"}};
    run.check_refused("results.json", edits);
    CHECK(run.refused("results.json", "\"target\": 2.5", "\"target\": " + std::string(100000, '[')) ==
          "results.json: is nested too deep; expected lists of contestants and metrics" + end);
    CHECK(run.refused("results.json", "\"skipped\": 3", "\"skipped\": -3")
              .starts_with("results.json: contestants[1].training is {"));
    for (const char* to : {"\"target\": 1e999", "\"target\": \x01"}) {
        CAPTURE(to);
        CHECK(run.refused("results.json", "\"target\": 2.5", to)
                  .starts_with("results.json: is not valid JSON ("));
    }
    for (const char* text : {"{}", "[]", "7"}) {
        std::ofstream(run.path("results.json")) << text;
        CHECK(
            refusal([&] { (void)run.read(); }).starts_with("5 " + run.path("results.json").string() + ": "));
    }
}

TEST_CASE("results: edited curves are refused, with the row and what is wrong in it") {
    Edited run;
    const std::string end = "; expected what 'l2o run' writes";
    const std::string old = "; was it written by an earlier l2o? evaluate again" + end;
    const std::vector<std::array<std::string, 3>> edits{
        {"\na,16,", "\na,-16,", "row 5: iteration is -16, which is no whole number in [0, 1000000000000000]"},
        {"\na,16,",
         "\na,1e30,",
         "row 5: iteration is 1e30, which is no whole number in [0, 1000000000000000]"},
        {"\na,16,", "\na,4,", "row 5: the iterations of 'a' do not rise from 0"},
        {"\na,0,", "\na,1,", "row 1: the iterations of 'a' do not rise from 0"},
        {"\na,", "\nx,", "row 1: 'x' is no contestant of results.json"},
        {",nmse_db,", ",nmse,", "row 2: 'nmse' is no metric of results.json"},
        {",nmse_db,", ",objective,", "row 2: the iterations of 'a' do not rise from 0"},
        {",0.003125,,objective", ",nan,,objective", "row 5: seconds is nan, which is not >= 0"},
        {",0.003125,,objective", ",0.0001,,objective", "row 5: seconds of 'a' falls from 0.000625 to 0.0001"},
        {"\na,16,16,0,16,", "\na,16,16,0,3,", "row 5: gradients of 'a' falls from 4 to 3"},
        {"\na,4,4,0,4,0.000625,,nmse",
         "\na,4,4,1,4,0.000625,,nmse",
         "row 4: values is 1, and 0 on the first line of this point"},
        {"\na,4,4,0,4,0.000625,,nmse",
         "\na,4,4,0,4,0.000625,3,nmse",
         "row 4: best_objective is 3, and nan on the first line of this point"},
        {",4\n", ",5\n", "row 1: finite is 5, which is no whole number in [0, 4]"},
        {"8.25,8,7,", "8.25,8,9,", "row 1: q25 is below q10"},
        {"2.5,2.5,1.3,",
         "2.5,2,1.3,",
         "the last objective of 'a' is not that of finals.csv: median is 2, and 2.5 by the rows there"},
        {"2.5,2.5,1.3,",
         "2.6,2.5,1.3,",
         "the last objective of 'a' is not that of finals.csv: mean is 2.6, and 2.5 by the rows there"}};
    run.check_refused("curves.csv", edits, end);
    CHECK(run.refused("curves.csv", ",4\n", ",3\n") ==
          "curves.csv: row 1: q10 is 7, though 1 of 4 rows diverged" + old);
    CHECK(run.refused("curves.csv", "contestant,iteration,", "contestant,step,") ==
          "curves.csv: there is no column 'iteration'; was it written by another version?");
    CHECK(run.refused("curves.csv", "values,gradients", "gradients,values") ==
          "curves.csv: has other columns, or in another order" + end);
    std::ofstream(run.path("curves.csv")) << "contestant,iteration,evaluations,values,gradients,seconds,"
                                             "best_objective,metric,mean,median,q10,q25,q75,q90,finite\n";
    CHECK(refusal([&] { (void)run.read(); }).ends_with("curves.csv: there is nothing about 'a'" + end));
}

TEST_CASE("results: edited rows are refused, with their number and what is wrong in them") {
    Edited run;
    const std::string end = "; expected what 'l2o run' writes";
    const std::vector<std::array<std::string, 3>> edits{
        {"\na,0,1,",
         "\na,0,0,",
         "row 2: is instance 0, start 0, where instance 0, start 1 of 'a' has its place"},
        {"\na,1,0,4,",
         "\na,1,0,-2,",
         "row 3: reached_iteration is -2, which is no whole number in [-1, 1000000000000000]"},
        {"\na,1,0,4,",
         "\na,1,0,17,",
         "instance 1, start 0 of 'a' reached its target at iteration 17, which is no point of curves.csv, "
         "whose "
         "last is 16"},
        {"\na,1,0,4,",
         "\na,1,0,3,",
         "instance 1, start 0 of 'a' reached its target at iteration 3, which is no point of curves.csv, "
         "whose "
         "last is 16"},
        {"\na,1,0,4,4,", "\na,1,0,4,nan,", "row 3: reached_evaluations is nan, which is not >= 0"},
        {"\na,1,0,4,4,", "\na,1,0,4,-4,", "row 3: reached_evaluations is -4, which is not >= 0"},
        {"\na,1,0,4,4,0.000625,",
         "\na,1,0,4,4,0.0005,",
         "instance 1, start 0 of 'a' reached its target at iteration 4 after 0.0005 seconds, and a row "
         "beside "
         "it after 0.000625"},
        {"\na,1,0,4,4,0.000625,",
         "\na,1,0,16,4,0.0005,",
         "instance 0, start 0 of 'a' and rows beside it had taken 0.0005 seconds at iteration 16, and more "
         "before"},
        {"\na,1,0,4,4,",
         "\na,1,0,16,61,",
         "the rows of 'a' that reached their target by iteration 16 had paid 65 evaluations by then, and all "
         "rows 64 in curves.csv"},
        {"\na,1,0,4,4,0.000625,",
         "\na,1,0,16,16,1,",
         "the rows of 'a' that reached their target by iteration 16 had paid 4 seconds by then, and all rows "
         "0.0125 in curves.csv"},
        {"\na,1,0,4,4,0.000625,",
         "\na,1,0,-1,4,0.000625,",
         "row 3: has costs of reaching the target, which it never did"},
        {"\na,1,0,4,4,0.000625,",
         "\na,1,0,-1,nan,nan,",
         "instance 1, start 0 of 'a' ends with nmse_db 2, and the target is 2.5, which it reached never"},
        {"\na,0,1,-1,nan,nan,",
         "\na,0,1,16,16,0.003125,",
         "instance 0, start 1 of 'a' ends with nmse_db 4, and the target is 2.5, which it reached at "
         "iteration "
         "16"},
        {"\na,1,1,-1,nan,nan,,4,3\n", "\n", "'a' has 3 rows, and every instance 2 starts"}};
    run.check_refused("finals.csv", edits, end);
    CHECK(run.refused("finals.csv", "\na,0,1,-1,nan,nan,,2,4\na,1,0,4,4,0.000625,,3,2\n", "\n") ==
          "finals.csv: row 2: is instance 1, start 1, where instance 0, start 1 of 'a' has its place" + end);
    CHECK(run.refused("finals.csv", "3,2\n", std::string("3,2\0\n", 5))
              .ends_with(" is NUL, so this is no text; expected a CSV file"));
}

TEST_CASE(
    "results: a row may have paid for its target after the point it left from, and then for a worse end") {
    Edited run;
    Results results = by_objective();
    run.write(results);
    const Results read = run.read();
    CHECK(read.judging.is_paid_for);
    CHECK(read.curves[0].reached[0].iteration == 4);
    CHECK_FALSE(Edited().read().judging.is_paid_for);
    const std::string end = "; expected what 'l2o run' writes";
    const std::vector<std::array<std::string, 4>> edits{
        {"finals.csv",
         "\na,0,0,4,",
         "\na,0,0,17,",
         "finals.csv: instance 0, start 0 of 'a' reached its target at iteration 17, which is no point of "
         "curves.csv, whose last is 16" +
             end},
        {"finals.csv",
         "\na,0,0,4,7,0.001,",
         "\na,0,0,4,7,0.004,",
         "finals.csv: instance 0, start 0 of 'a' and rows beside it had taken 0.003125 seconds at iteration "
         "16, and more before" +
             end},
        {"finals.csv",
         "\na,0,0,4,7,",
         "\na,0,0,3,17,",
         "finals.csv: the rows of 'a' that reached their target by iteration 4 had paid 17 evaluations by "
         "then, and all rows 16 in curves.csv" +
             end},
        {"finals.csv",
         "\na,0,0,4,7,0.001,",
         "\na,0,0,3,7,0.001,",
         "finals.csv: the rows of 'a' that reached their target by iteration 4 had paid 0.004 seconds by "
         "then, and all rows 0.0025 in curves.csv" +
             end},
        {"finals.csv",
         ",0.001,1,",
         ",0.001,2.75,",
         "finals.csv: instance 0, start 0 of 'a' paid at best for objective 2.75, and the target is 2.5, "
         "which it reached at iteration 4" +
             end},
        {"finals.csv",
         "\na,0,0,4,7,0.001,",
         "\na,0,0,-1,nan,nan,",
         "finals.csv: instance 0, start 0 of 'a' paid at best for objective 1, and the target is 2.5, which "
         "it reached never" +
             end},
        {"results.json",
         "\"values paid for\"",
         "\"hearsay\"",
         "results.json: target_by is \"hearsay\"; expected one of the ways: values paid for, recorded "
         "points"},
        {"results.json",
         "\"metric\": \"objective\"",
         "\"metric\": \"nmse_db\"",
         "results.json: target_by is \"values paid for\"; expected \"recorded points\" where the objective "
         "is "
         "not what counts"}};
    for (const auto& [file, from, to, what] : edits) {
        const auto& which = to;
        CAPTURE(which);
        CHECK(run.refused(file.c_str(), from, to, &results) == what);
    }
}

TEST_CASE("results: rows of another shard may have paid more than the mean, not more than all together") {
    const auto folder_of = [](const ScratchFolder& folder, double evaluations) {
        Results results{.judging = {.metric = "nmse_db", .reference = "a", .starts = 2},
                        .curves = {rows_of("a", {1, 2, 3, 4}, {1, 2, 3, 4})}};
        results.curves[0].distributions[0].back() = distribution_of({1, 2, 3, 4});
        results.curves[0].reached = {{16, evaluations, 0.001}, {}, {}, {}};
        write_curves(folder / "curves.csv", results.curves);
        write_finals(folder / "finals.csv", results);
        write_results(folder / "results.json", results);
        return folder / "";
    };
    const ScratchFolder folder;
    constexpr std::int64_t kShardRows = 2;
    CHECK(read_results(folder_of(folder, 20), kShardRows).curves[0].reached[0].evaluations == 20);
    CHECK(refusal([&] { (void)read_results(folder_of(folder, 20)); }) != "");
    CHECK(refusal([&] {
              (void)read_results(folder_of(folder, 65), kShardRows);
          }).find("had paid 65 evaluations by then, and all rows 64 in curves.csv") != std::string::npos);
}
