#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <fstream>
#include <limits>
#include <string>

#include "framework/evaluate/results.hpp"
#include "framework/evaluate/results_file.hpp"
#include "framework/store/atomic_file.hpp"
#include "tests/framework/config/refusal.hpp"
#include "tests/framework/store/scratch_folder.hpp"

using namespace l2o::framework;
using l2o::test::refusal;

namespace {

Distribution around(double median, std::int64_t finite) {
    return {.mean = median + 0.25,
            .median = median,
            .q10 = median - 1,
            .q25 = median - 0.5,
            .q75 = median + 0.5,
            .q90 = median + 1,
            .finite = finite,
            .rows = 4};
}

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Two points of four rows: objective and nmse_db.
Curve curve(const std::string& name, double median, std::int64_t finite = 4) {
    return {.contestant = name,
            .iteration = {0, 16},
            .evaluations = {0, 16},
            .values = {0, 0},
            .gradients = {0, 16},
            .seconds = {0, 0.0123},
            .metrics = {"objective", "nmse_db"},
            .distributions = {{around(8, 4), around(2, finite)}, {around(0, 4), around(median, finite)}},
            .final_rows = {{1, 2, 3, 4}, {1, 2, 3, 4}}};
}

const Judging kByNmse{.metric = "nmse_db"};

}  // namespace

TEST_CASE("results: the table shows the metric that counts, aligned, in the order of the file") {
    Curve armijo = curve("descent", -3.14159);
    armijo.values = {0, 40.25};
    armijo.evaluations = {0, 56.25};
    armijo.seconds = {0, 1.5};
    Curve lista = curve("lista", -41.5);
    lista.training_seconds = 754.4;
    CHECK(result_table({armijo, lista}, kByNmse) ==
          "contestant  nmse_db (median)           10-90 %          evaluations     time     training\n"
          "descent               -3.142  -4.142 .. -2.142  56.2 (40.2 f, 16 g)   1.50 s            -\n"
          "lista                  -41.5    -42.5 .. -40.5       16 (0 f, 16 g)  12.3 ms  12 min 34 s\n"
          "one training seed: intervals and p are over instances, for these trainings alone\n"
          "time: of a solve, as evaluated; without sampling and recording\n");
}

TEST_CASE("results: the table says what its time leaves out, and how long that took where it took long") {
    Curve quick = curve("quick", 1), alista = curve("alista", 1), given = curve("given", 1);
    quick.preparation_seconds = 1e-5;
    alista.preparation_seconds = 1.25;
    given.preparation_seconds = 0.002;
    given.training_seconds = NAN;
    const std::string table = result_table({quick, alista, given}, kByNmse);
    CHECK(table.ends_with(
        "  unknown\n"
        "one training seed: intervals and p are over instances, for these trainings alone\n"
        "time: of a solve, as evaluated; without sampling, recording and preparing (alista 1.25 s, "
        "given 2.00 ms)\n"));
}

TEST_CASE("results: of a ratio the table shows the ratio of the sums, and its name says so") {
    const std::string table = result_table({curve("a", -3)}, {.metric = "nmse_db", .ratios = {"nmse_db"}});
    CHECK(table.starts_with("contestant  nmse_db (pooled)   10-90 %"));
    CHECK(table.find("\na                      -2.75  -4 .. -2") != std::string::npos);
    CHECK(result_table({curve("a", -3)}, {.metric = "objective", .ratios = {"nmse_db"}})
              .starts_with("contestant  objective (median)"));
}

TEST_CASE("results: durations have three digits and the unit that suits them") {
    const std::vector<std::pair<double, std::string>> expected{{4.2e-6, "4.20 us"},
                                                               {999.4e-6, "999 us"},
                                                               {999.6e-6, "1.00 ms"},
                                                               {0.0123, "12.3 ms"},
                                                               {0.256, "256 ms"},
                                                               {9.996, "10.0 s"},
                                                               {59.96, "1 min 00 s"},
                                                               {3900, "1 h 05 min"}};
    for (const auto& [seconds, text] : expected) {
        const auto& which = seconds;
        CAPTURE(which);
        Curve timed = curve("a", 1);
        timed.seconds = {0, seconds};
        CHECK(result_table({timed}, kByNmse).find("  " + text + "  ") != std::string::npos);
    }
}

TEST_CASE("results: a time of several runs says how far they lie from it, and what it is of") {
    Curve timed = curve("a", 1), once = curve("b", 1);
    timed.time = {.median = 2e-3, .low = 1.9e-3, .high = 2.06e-3, .runs = 15};
    once.time = {.median = 0.0123, .low = 0.0123, .high = 0.0123, .runs = 1};
    const std::string table = result_table({timed, once}, kByNmse);
    CHECK(table.find("  2.00 ms ±5 %  ") != std::string::npos);
    CHECK(table.find("  12.3 ms  ") != std::string::npos);
    CHECK(
        table.ends_with("time: of a solve; with ±, median and 10-90 % of runs of a shard on one thread, "
                        "processor time, else as evaluated; "
                        "without sampling and recording\n"));
    CHECK(result_table({timed}, kByNmse).find("time: of a solve, median and 10-90 % of runs") !=
          std::string::npos);
    CHECK(result_table({once}, kByNmse).find("time: of a solve, as evaluated;") != std::string::npos);
}

TEST_CASE("results: rows that diverged have a line below the table") {
    const std::string table =
        result_table({curve("a", 1), curve("b", 1, 3), curve("c", kInfinity, 0)}, kByNmse);
    CHECK(table.find("\na: ") == std::string::npos);
    CHECK(
        table.ends_with("b: 1 of 4 rows are not finite at the end, counted as the worst\n"
                        "c: 4 of 4 rows are not finite at the end\n"
                        "time: of a solve, as evaluated; without sampling and recording\n"));
    CHECK(table.find("\nc                   diverged  diverged .. diverged  ") != std::string::npos);
}

TEST_CASE("results: a quantile that falls on a row that diverged is printed as that, -inf dB is a number") {
    Curve low = curve("a", 1, 3), high = curve("a", 1, 3);
    low.distributions[1].back().q90 = high.distributions[1].back().q90 = kInfinity;
    low.distributions[1].back().q10 = high.distributions[1].back().q10 = -kInfinity;
    CHECK(result_table({low}, kByNmse).find("  -inf .. diverged  ") != std::string::npos);
    CHECK(result_table({high}, {.metric = "nmse_db", .higher_is_better = {"nmse_db"}})
              .find("  diverged .. inf  ") != std::string::npos);
}

TEST_CASE("results: captions name everyone with solves that diverged, and how many of how many") {
    CHECK(diverged_caption({curve("a", 1)}, kByNmse) == "");
    CHECK(diverged_caption({curve("a", 1), curve("b", 1, 3), curve("c", kInfinity, 0)}, kByNmse) ==
          "Solves that are not finite at the end count as the worst: b 1 of 4, c 4 of 4.");
}

TEST_CASE("results: a safeguard has a line below the table, with the share of its steps") {
    Curve safe = curve("lista", 1, 3);
    safe.safeguard = "ista";
    safe.fallback_rate = 0.031;
    const std::string table = result_table({curve("a", 1), safe}, kByNmse);
    CHECK(
        table.ends_with("lista: 1 of 4 rows are not finite at the end, counted as the worst\n"
                        "lista: 3 % of its safeguarded steps were those of 'ista'\n"
                        "time: of a solve, as evaluated; without sampling and recording\n"));
    CHECK(safeguard_text(curve("a", 1)) == "");
}

TEST_CASE("results: instances without a certified solution are left out, and everybody is told how many") {
    Judging judging = kByNmse;
    judging.needs_solution = {"nmse_db"};
    CHECK(unsolved_text({curve("a", 1)}, judging) == "");
    judging.starts = 2;
    judging.unsolved = {1};
    Curve some = curve("a", 1, 2);
    some.distributions[1].back().rows = 2;
    const std::string text = "no certified solution: 1 of 2 instances left out of nmse_db";
    CHECK(unsolved_text({some}, judging) == text);
    CHECK(result_table({some}, judging)
              .ends_with("  -\n" + text +
                         "\ntime: of a solve, as evaluated; without sampling and recording\n"));
    CHECK(diverged_caption({some}, judging) == "");
    judging.unsolved = {0, 1};
    Curve none = curve("a", NAN, 0);
    none.distributions[1].back().rows = 0;
    CHECK(unsolved_text({none}, judging) ==
          "no certified solution: 2 of 2 instances left out of nmse_db, so it says nothing; choose another "
          "evaluate.metric");
    const std::string table = result_table({none}, judging);
    CHECK(table.find("\na                          -        -  ") != std::string::npos);
    CHECK(table.find("diverged") == std::string::npos);
    CHECK(table.find("not finite") == std::string::npos);
    CHECK(comparison_table({none, none}, judging) == "");
    judging.metric = "objective";
    CHECK(unsolved_text({some}, judging) == "");
}

TEST_CASE("results: everything diverged only if every contestant did") {
    CHECK(all_diverged({curve("a", 1, 0), curve("b", 1, 0)}));
    CHECK_FALSE(all_diverged({curve("a", 1, 0), curve("b", 1, 1)}));
}

TEST_CASE("results: curves.csv has a line per contestant, point and metric") {
    const ScratchFolder folder;
    Curve a = curve("a", 1);
    a.best = {NAN, 1.5};
    write_curves(folder / "curves.csv", {a});
    CHECK(
        read_file(folder / "curves.csv") ==
        "contestant,iteration,evaluations,values,gradients,seconds,best_objective,metric,mean,median,q10,q25,"
        "q75,q90,finite\n"
        "a,0,0,0,0,0,,objective,8.25,8,7,7.5,8.5,9,4\n"
        "a,0,0,0,0,0,,nmse_db,0.25,0,-1,-0.5,0.5,1,4\n"
        "a,16,16,0,16,0.0123,1.5,objective,2.25,2,1,1.5,2.5,3,4\n"
        "a,16,16,0,16,0.0123,1.5,nmse_db,1.25,1,0,0.5,1.5,2,4\n");
}

TEST_CASE(
    "results: summary.csv has a line per contestant and metric, with what it is against the reference") {
    const ScratchFolder folder;
    std::vector<Curve> curves{curve("a", 1, 3), curve("b", 2)};
    curves[0].reached = {{2, 2, 0.5}, {4, 4, 1}, {6, 6, 1.5}, {}};
    curves[1].reached = {{1, 1, 0.25}, {1, 1, 0.25}, {1, 1, 0.25}, {1, 1, 0.25}};
    curves[1].final_rows = {{1, 2, 3, 4}, {0, 0, 0, 0}};
    curves[1].training_seconds = 10;
    curves[1].fallback_rate = 0.0625;
    curves[1].training = TrainingOutcome{.evaluations = 2000};
    write_summary(folder / "summary.csv", curves, {.metric = "nmse_db", .reference = "a"});
    CHECK(read_file(folder / "summary.csv") ==
          "contestant,metric,median,q10,q90,mean,evaluations,value_evaluations,gradient_evaluations,seconds,"
          "training_"
          "seconds,finite,rows,reference,difference,difference_low,difference_high,better,p,p_holm,reached,"
          "iterations_to_target,evaluations_to_target,seconds_to_target,break_even_solves,"
          "fallback_rate,trainings,training_evaluations,break_even_by_evaluations\n"
          "a,objective,2,1,3,2.25,16,0,16,0.0123,0,3,4,,,,,,,,,,,,,,0,0,\n"
          "a,nmse_db,1,0,2,1.25,16,0,16,0.0123,0,3,4,,,,,,,,0.75,5,5,1.25,,,0,0,\n"
          "b,objective,2,1,3,2.25,16,0,16,0.0123,10,4,4,a,0,0,0,0.5,1,1,,,,,,0.0625,1,2000,\n"
          "b,nmse_db,2,1,3,2.25,16,0,16,0.0123,10,4,4,a,-2.5,-4,-1,1,0.125,0.125,1,1,1,0.25,10,0.0625,1,2000,"
          "500\n");
}

TEST_CASE("results: the second table is against the reference, and says on what and how far") {
    Curve a = curve("a", 1), b = curve("learned", 2);
    a.reached = {{16, 16, 0.5}, {}, {}, {}};
    b.final_rows = {{1, 2, 3, 4}, {0, 0, 0, 0}};
    b.reached = {{1, 1, 0.25}, {1, 1, 0.25}, {1, 1, 0.25}, {1, 1, 0.25}};
    b.training_seconds = 10;
    CHECK(comparison_table({a, b}, {.metric = "nmse_db", .reference = "a", .target = -30}) ==
          "against a  difference      95 %  better  p (Holm)  reached  evaluations    time  break-even\n"
          "a                   -         -       -         -     25 %            -       -           -\n"
          "learned          -2.5  -4 .. -1   100 %      0.12    100 %            1  250 ms           -\n"
          "difference: nmse_db, paired on 4 instances; reached: nmse_db <= -30\n");
    CHECK(comparison_table({a}, {.metric = "nmse_db", .reference = "a"}) == "");
    CHECK(comparison_table({a, b},
                           {.metric = "nmse_db", .ratios = {"nmse_db"}, .reference = "a", .target = -30})
              .ends_with("difference: nmse_db row by row, paired on 4 instances; reached: nmse_db <= -30\n"));
    CHECK(target_text({.metric = "accuracy", .higher_is_better = {"accuracy"}, .target = 0.9}) ==
          "accuracy >= 0.9");
    CHECK(target_text({.metric = "objective"}) ==
          "within 0.1 % of the way from the start to the best known objective");
    a.metrics = b.metrics = {"objective"};
    a.final_best = {NAN, 3, NAN, NAN};
    b.final_best.assign(4, NAN);
    const Judging by_payment{.metric = "objective", .reference = "a", .target = -30, .is_paid_for = true};
    CHECK(comparison_table({a, b}, by_payment)
              .ends_with("reached: objective <= -30, paid for; no value was paid for by learned\n"));
    CHECK(target_text({.metric = "objective", .target = 0.5, .is_paid_for = true}) ==
          "objective <= 0.5, paid for");
    CHECK(target_text({.metric = "objective", .is_paid_for = true}) ==
          "within 0.1 % of the way from the start to the best objective paid for");
    CHECK(pairs_text({Comparison{.instances = 4}}, {.starts = 4}) == "4 starts of one instance");
    CHECK(percent_text(0.9999) == "99 %");
    CHECK(percent_text(0.0001) == "1 %");
}

namespace {

/// A curve of two starts of two instances, all in one shard, whose last point is that of its rows.
Curve rows_of(const std::string& name, std::vector<double> objective, std::vector<double> nmse) {
    Curve curve{.contestant = name,
                .iteration = {0, 4, 16},
                .evaluations = {0, 4, 16},
                .values = {0, 0, 0},
                .gradients = {0, 4, 16},
                .seconds = {0, 0.000625, 0.003125},  // of each
                .metrics = {"objective", "nmse_db"},
                .distributions = {{around(8, 4), around(8, 4), distribution_of(objective, true)},
                                  {around(0, 4), around(0, 4), distribution_of(nmse)}},
                .final_rows = {std::move(objective), std::move(nmse)}};
    curve.reached = {{4, 4, 0.000625}, {}, {4, 4, 0.000625}, {}};
    return curve;
}

/// A run folder's files, and one of them edited.
class Edited {
  public:
    Edited() {
        results_ = {.judging = {.metric = "nmse_db",
                                .higher_is_better = {"objective"},
                                .ratios = {"nmse_db"},
                                .reference = "b, c",
                                .target = 2.5,
                                .tolerance = 0.25,
                                .starts = 2},
                    .curves = {rows_of("a", {1, 2, 3, 4}, {1, 4, 2, 3}),
                               rows_of("b, c", {1, NAN, 3, 4}, {1, NAN, 2, 3})}};
        results_.files = {{"optimizee.data", {"/data", std::string(40, 'a')}}};
        results_.curves[1].training_seconds = 12.5;
        results_.curves[1].preparation_seconds = 0.5;
        results_.curves[1].training = {.skipped = 3, .gain = gain_of({1, 2}, {1, 3})};
        results_.curves[1].safeguard = "ista";
        results_.curves[1].fallback_rate = 0.25;
        write(results_);
    }
    [[nodiscard]] const Results& written() const { return results_; }
    [[nodiscard]] std::filesystem::path path(const char* file) const { return folder_ / file; }
    [[nodiscard]] Results read() const { return read_results(folder_ / ""); }
    /// What reading says after one edit, without the folder.
    std::string refused(const char* file,
                        const std::string& from,
                        const std::string& to,
                        const Results* other = nullptr) {
        write(other != nullptr ? *other : results_);
        std::string text = read_file(path(file));
        const auto at = text.find(from);
        REQUIRE(at != std::string::npos);
        text.replace(at, from.size(), to);
        std::ofstream(path(file), std::ios::binary) << text;
        const std::string said = refusal([&] { (void)read(); });
        const std::string folder = path("").string();
        CHECK(said.starts_with("5 " + folder));
        return said.substr(std::min(said.size(), 2 + folder.size()));
    }
    /// Edits {from, to, what is said of it}, one at a time.
    void check_refused(const char* file,
                       const std::vector<std::array<std::string, 3>>& edits,
                       const std::string& end = "") {
        for (const auto& [from, to, what] : edits) {
            const auto& which = to;
            CAPTURE(which);
            CHECK(refused(file, from, to) == std::string(file) + ": " + what + end);
        }
    }

    void write(const Results& results) const {
        std::ofstream(path("config.info")) << "name x\n";
        write_curves(path("curves.csv"), results.curves);
        write_finals(path("finals.csv"), results);
        write_results(path("results.json"), results);
    }

  private:
    ScratchFolder folder_;
    Results results_;
};

}  // namespace

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

namespace {

/// A folder of one curve that is judged by the objective, with what its rows paid for at best.
Results by_objective() {
    Results results{
        .judging = {.metric = "objective", .reference = "a", .target = 2.5, .is_paid_for = true, .starts = 2},
        .curves = {rows_of("a", {3, 2, 3, 4}, {1, 2, 3, 4})}};
    Curve& curve = results.curves[0];
    curve.distributions[0].back() = distribution_of({3, 2, 3, 4});
    curve.best = {NAN, 2, 1.5};
    curve.final_best = {1, 2, NAN, 4};
    // In the step after point 4, and with what the end was charged.
    curve.reached = {{4, 7, 0.001}, {16, 16, 0.003125}, {}, {}};
    return results;
}

}  // namespace

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
