#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "framework/evaluate/results.hpp"
#include "framework/store/atomic_file.hpp"
#include "tests/framework/evaluate/results_folder.hpp"
#include "tests/framework/store/scratch_folder.hpp"

using namespace l2o::framework;
using l2o::test::by_objective;
using l2o::test::Edited;
using l2o::test::kInfinity;
using l2o::test::rows_of;

TEST_CASE("results: what is written to a run folder is read back") {
    Edited run;
    CHECK(
        read_file(run.path("finals.csv"))
            .starts_with("contestant,instance,start,reached_iteration,reached_evaluations,reached_seconds,"
                         "best_objective,objective,nmse_db\na,0,0,4,4,0.000625,,1,1\na,0,1,-1,nan,nan,,2,4\n"
                         "a,1,0,4,4,0.000625,,3,2\n"));
    const Results read = run.read();
    const std::vector<Curve>& written = run.written().curves;
    CHECK(read.judging.metric == "nmse_db");
    CHECK(read.judging.higher_is_better == std::set<std::string>{"objective"});
    CHECK(read.judging.ratios == std::set<std::string>{"nmse_db"});
    CHECK(read.judging.reference == "b, c");
    CHECK(read.judging.target == 2.5);
    CHECK(read.judging.tolerance == 0.25);
    CHECK(read.judging.starts == 2);
    REQUIRE(read.curves.size() == 2);
    CHECK(read.curves[1].contestant == "b, c");
    CHECK(read.curves[1].training_seconds == 12.5);
    CHECK(read.curves[1].preparation_seconds == 0.5);
    CHECK_FALSE(read.curves[0].training);
    REQUIRE(read.curves[1].training);
    CHECK(remarks_on(*read.curves[1].training) == remarks_on(*run.written().curves[1].training));
    CHECK(read.curves[0].safeguard == "");
    CHECK(std::isnan(read.curves[0].fallback_rate));
    CHECK(read.curves[1].safeguard == "ista");
    CHECK(read.curves[1].fallback_rate == 0.25);
    CHECK(read.curves[1].iteration == written[1].iteration);
    CHECK(read.curves[1].gradients == written[1].gradients);
    CHECK(read.curves[1].seconds == written[1].seconds);
    CHECK(read.curves[0].distributions[1][2].q90 == doctest::Approx(3.7));
    CHECK(read.curves[0].distributions[1][2].rows == 4);
    CHECK(read.curves[1].distributions[1][2].finite == 3);
    CHECK(read.curves[1].distributions[1][2].q90 == kInfinity);
    CHECK(read.curves[1].distributions[0][2].q10 == -kInfinity);
    CHECK(read.curves[0].final_rows == written[0].final_rows);
    CHECK(read.curves[1].final_rows[1][3] == 3);
    CHECK(read.curves[0].reached[2].iteration == 4);
    CHECK(read.curves[0].reached[2].seconds == 0.000625);
    CHECK(read.curves[0].reached[3].iteration == -1);
    CHECK(read.files == run.written().files);
    CHECK(read.written.size() == 3);
    check_written(run.path(""), read);
}

TEST_CASE("results: weights that do not tell of their training stay unknown in the file") {
    const ScratchFolder folder;
    Results results{.judging = {.metric = "objective", .reference = "a", .starts = 2},
                    .curves = {rows_of("a", {1, 2, 3, 4}, {1, 2, 3, 4})}};
    results.curves[0].training_seconds = NAN;
    results.curves[0].distributions[0].back() = distribution_of({1, 2, 3, 4});
    write_curves(folder / "curves.csv", results.curves);
    write_finals(folder / "finals.csv", results);
    write_results(folder / "results.json", results);
    CHECK(std::isnan(read_results(folder / "").curves[0].training_seconds));
    CHECK_FALSE(read_results(folder / "").files);
}

TEST_CASE("results: what is left out of the statistics is read back, and has no numbers") {
    Edited run;
    Results left = run.written();
    left.judging.needs_solution = {"nmse_db"};
    left.judging.unsolved = {1};
    for (Curve& curve : left.curves) {
        for (Distribution& d : curve.distributions[1]) d = {2, 2, 1, 1.5, 2.5, 3, 2, 2};
        for (const std::size_t row : {2, 3}) {
            curve.final_rows[1][row] = NAN;
            curve.reached[row] = {};
        }
    }
    left.curves[0].distributions[1][2] = distribution_of({1, 4});
    left.curves[1].distributions[1][2] = distribution_of({1, NAN});
    run.write(left);
    const Results read = run.read();
    CHECK(read.judging.unsolved == std::set<std::int64_t>{1});
    CHECK(read.judging.needs_solution == std::set<std::string>{"nmse_db"});
    CHECK(read.curves[1].distributions[1][2].rows == 2);
    CHECK(read.curves[1].distributions[1][2].finite == 1);
    CHECK(read.curves[1].distributions[0][2].rows == 4);
    const std::string end = "; expected what 'l2o run' writes";
    const std::vector<std::array<std::string, 4>> edits{
        {"finals.csv",
         "-1,nan,nan,,3,nan\n",
         "-1,nan,nan,,3,7\n",
         "finals.csv: row 3: nmse_db is 7, and its instance has no certified solution" + end},
        {"finals.csv",
         "-1,nan,nan,,3,nan\n",
         "4,4,0.000625,,3,nan\n",
         "finals.csv: row 3: reached a target, and its instance has no certified solution" + end},
        {"curves.csv",
         ",3,2\n",
         ",3,4\n",
         "curves.csv: row 2: finite is 4, which is no whole number in [0, 2]" + end},
        {"results.json",
         "\"unsolved\": [\n    1\n",
         "\"unsolved\": [\n    2\n",
         "finals.csv: has 2 instances, and number 2 is one without a solution in results.json" + end},
        {"results.json",
         "\"unsolved\": [\n    1\n",
         "\"unsolved\": [\n    -1\n",
         "results.json: unsolved[0] is -1; expected a whole number in [0, 1000000000000000]"},
        {"results.json",
         "\"unsolved\": [\n    1\n",
         "\"unsolved\": [1, 1\n",
         "results.json: unsolved[1] is 1; expected another instance, it is there twice"}};
    for (const auto& [file, from, to, what] : edits) {
        const auto& which = to;
        CAPTURE(which);
        CHECK(run.refused(file.c_str(), from, to, &left) == what);
    }
    left.judging.unsolved = {0, 1};
    for (Curve& curve : left.curves) {
        curve.final_rows[1].assign(4, NAN);
        curve.reached.assign(4, {});
        curve.distributions[1].assign(3, distribution_of({}));
    }
    run.write(left);
    CHECK(run.read().curves[0].distributions[1][2].rows == 0);
    CHECK(run.refused("curves.csv", "nmse_db,nan,nan,", "nmse_db,nan,1,", &left) ==
          "curves.csv: row 2: nmse_db has the number 1, and no instance has a certified solution" + end);
}

TEST_CASE("results: what is swept is read back in its order, and refused where it does not fit the name") {
    Edited run;
    Results swept = run.written();
    Curve& curve = swept.curves[0];
    curve.contestant = "a.z=1,b=2";
    curve.group = "a";
    curve.swept = {{"optimizer.z", "1"}, {"optimizer.b", "2"}};
    run.write(swept);
    const Results read = run.read();
    CHECK(read.curves[0].group == "a");
    CHECK(read.curves[0].swept == curve.swept);
    CHECK(read.curves[1].group.empty());
    CHECK(read.curves[1].swept.empty());
    for (const auto& [from, to, what] : std::vector<std::array<std::string, 3>>{
             {"\"group\": \"a\"",
              "\"group\": \"b\"",
              "contestants[0].group is \"b\"; expected what the name 'a.z=1,b=2' begins with, before a '.'"},
             {"\"group\": \"a\",",
              "",
              "contestants[0].group is missing; was it written by another l2o? evaluate again"},
             {"\"optimizer.z\",", "", "contestants[0].swept[0] is [\"1\"]; expected a key and its value"},
             {"\"optimizer.z\"", "7", "contestants[0].swept[0][0] is 7; expected a text"}}) {
        CHECK(run.refused("results.json", from, to, &swept) == "results.json: " + what);
    }
    swept.curves[0].swept = {{"only", "1"}};
    CHECK(run.refused("results.json", "[\n          \"only\",\n          \"1\"\n        ]", "", &swept) ==
          "results.json: contestants[0].swept is []; expected a key at least");
}

TEST_CASE("results: options, optima and running times are read back, and refused where they do not fit") {
    Edited run;
    Results results = by_objective();
    results.curves[0].optimizer = "adam";
    results.curves[0].options = {{"beta1", "0.9"}};
    results.curves[0].training_seed = 7;
    results.dimension = 3;
    results.optima = {0.5, NAN};
    results.runtimes = Runtimes{.is_absolute = true,
                                .targets = {1, 0.1},
                                .budgets = {1, 2, 4},
                                .rows = 2,
                                .runs = {{"a", {2, 0}, {3.5, kInfinity}, {0.25, 0.5, 0.5}}}};
    run.write(results);
    const Results read = run.read();
    CHECK(read.curves[0].optimizer == "adam");
    CHECK(read.curves[0].options == results.curves[0].options);
    CHECK(read.curves[0].training_seed == 7);
    CHECK(read.dimension == 3);
    REQUIRE(read.optima);
    CHECK((*read.optima)[0] == 0.5);
    CHECK(std::isnan((*read.optima)[1]));
    REQUIRE(read.runtimes);
    CHECK(read.runtimes->is_absolute);
    CHECK(read.runtimes->runs[0].expected == results.runtimes->runs[0].expected);
    CHECK(read.runtimes->runs[0].share == results.runtimes->runs[0].share);
    const std::vector<std::array<std::string, 3>> edits{
        {"\"dimension\": 3",
         "\"dimension\": 0",
         "dimension is 0; expected a whole number in [1, 1000000000000000]"},
        {"\"beta1\": \"0.9\"", "\"beta1\": 0.9", "contestants[0].options.beta1 is 0.9; expected a text"},
        {"\"f - f_opt\"",
         "\"f\"",
         "runtimes.targets_of is \"f\"; expected one of the kinds: f - f_opt, way to the best paid for"},
        {"0.25,", "0.75,", "runtimes.entries[0].share[1] is 0.5; expected no less than the number before it"},
        {"3.5,", "3.5, 1,", "runtimes.entries[0].expected is [3.5,1,null]; expected 2 numbers"},
        {"          2,\n          0",
         "3, 0",
         "runtimes.entries[0].reached[0] is 3; expected a whole number in [0, 2]"}};
    for (const auto& [from, to, what] : edits) {
        const auto& which = to;
        CAPTURE(which);
        CHECK(run.refused("results.json", from, to, &results) == "results.json: " + what);
    }
}
