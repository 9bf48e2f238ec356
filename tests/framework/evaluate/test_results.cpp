#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
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
            .finite = finite};
}

/// Two points of four rows: objective and nmse_db.
Curve curve(const std::string& name, double median, std::int64_t finite = 4) {
    return {.contestant = name,
            .iteration = {0, 16},
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
    armijo.seconds = {0, 1.5};
    Curve lista = curve("lista", -41.5);
    lista.training_seconds = 754.4;
    CHECK(result_table({armijo, lista}, kByNmse) ==
          "contestant  nmse_db (median)           10-90 %          evaluations     time     training\n"
          "descent               -3.142  -4.142 .. -2.142  56.2 (40.2 f, 16 g)   1.50 s            -\n"
          "lista                  -41.5    -42.5 .. -40.5                   16  12.3 ms  12 min 34 s\n");
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
        CAPTURE(seconds);
        Curve timed = curve("a", 1);
        timed.seconds = {0, seconds};
        CHECK(result_table({timed}, kByNmse).find("  " + text + "  ") != std::string::npos);
    }
}

TEST_CASE("results: rows that diverged have a line below the table") {
    const std::string table = result_table({curve("a", 1), curve("b", 1, 3), curve("c", NAN, 0)}, kByNmse);
    CHECK(table.find("\na: ") == std::string::npos);
    CHECK(
        table.ends_with("b: 1 of 4 rows are not finite at the end; the numbers are those of the others\n"
                        "c: 4 of 4 rows are not finite at the end\n"));
}

TEST_CASE("results: a safeguard has a line below the table, with the share of its steps") {
    Curve safe = curve("lista", 1, 3);
    safe.safeguard = "ista";
    safe.fallback_rate = 0.031;
    const std::string table = result_table({curve("a", 1), safe}, kByNmse);
    CHECK(
        table.ends_with("lista: 1 of 4 rows are not finite at the end; the numbers are those of the others\n"
                        "lista: 3 % of its safeguarded steps were those of 'ista'\n"));
    CHECK(safeguard_text(curve("a", 1)) == "");
}

TEST_CASE("results: everything diverged only if every contestant did") {
    CHECK(all_diverged({curve("a", 1, 0), curve("b", 1, 0)}));
    CHECK_FALSE(all_diverged({curve("a", 1, 0), curve("b", 1, 1)}));
}

TEST_CASE("results: curves.csv has a line per contestant, point and metric") {
    const ScratchFolder folder;
    write_curves(folder / "curves.csv", {curve("a", 1)});
    CHECK(read_file(folder / "curves.csv") ==
          "contestant,iteration,values,gradients,seconds,metric,mean,median,q10,q25,q75,q90,finite\n"
          "a,0,0,0,0,objective,8.25,8,7,7.5,8.5,9,4\n"
          "a,0,0,0,0,nmse_db,0.25,0,-1,-0.5,0.5,1,4\n"
          "a,16,0,16,0.0123,objective,2.25,2,1,1.5,2.5,3,4\n"
          "a,16,0,16,0.0123,nmse_db,1.25,1,0,0.5,1.5,2,4\n");
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
    write_summary(folder / "summary.csv", curves, {.metric = "nmse_db", .reference = "a"});
    CHECK(read_file(folder / "summary.csv") ==
          "contestant,metric,median,q10,q90,mean,value_evaluations,gradient_evaluations,seconds,training_"
          "seconds,finite,rows,reference,difference,difference_low,difference_high,better,p,p_holm,reached,"
          "iterations_to_target,evaluations_to_target,seconds_to_target,break_even_solves,"
          "fallback_rate\n"
          "a,objective,2,1,3,2.25,0,16,0.0123,0,3,4,,,,,,,,,,,,,\n"
          "a,nmse_db,1,0,2,1.25,0,16,0.0123,0,3,4,,,,,,,,0.75,5,5,1.25,,\n"
          "b,objective,2,1,3,2.25,0,16,0.0123,10,4,4,a,0,0,0,0.5,1,1,,,,,,0.0625\n"
          "b,nmse_db,2,1,3,2.25,0,16,0.0123,10,4,4,a,-2.5,-4,-1,1,0.125,0.125,1,1,1,0.25,10,0.0625\n");
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
    CHECK(pairs_text({.instances = 4}, {.starts = 4}) == "4 starts of one instance");
    CHECK(percent_text(0.9999) == "99 %");
    CHECK(percent_text(0.0001) == "1 %");
}

TEST_CASE("results: what is written to a run folder is read back") {
    const ScratchFolder folder;
    Results written{.judging = {.metric = "nmse_db",
                                .higher_is_better = {"objective"},
                                .ratios = {"nmse_db"},
                                .reference = "b",
                                .target = -1.5,
                                .tolerance = 0.25,
                                .starts = 2},
                    .curves = {curve("a", 1), curve("b, c", NAN, 0)}};
    written.curves[0].reached = {{2, 3.5, 0.1}, {}, {4, 5, 0.2}, {}};
    written.curves[1].reached.resize(4);
    written.curves[1].training_seconds = 12.5;
    written.curves[1].safeguard = "ista";
    written.curves[1].fallback_rate = 0.25;
    written.curves[1].final_rows[1] = {NAN, 1, 2, -3};
    write_results(folder / "results.json", written);
    write_curves(folder / "curves.csv", written.curves);
    write_finals(folder / "finals.csv", written);
    CHECK(read_file(folder / "finals.csv")
              .starts_with(
                  "contestant,instance,start,reached_iteration,reached_evaluations,reached_seconds,"
                  "objective,nmse_db\na,0,0,2,3.5,0.1,1,1\na,0,1,-1,nan,nan,2,2\na,1,0,4,5,0.2,3,3\n"));
    const Results read = read_results(folder / "");
    CHECK(read.judging.metric == "nmse_db");
    CHECK(read.judging.higher_is_better == std::set<std::string>{"objective"});
    CHECK(read.judging.ratios == std::set<std::string>{"nmse_db"});
    CHECK(read.judging.reference == "b");
    CHECK(read.judging.target == -1.5);
    CHECK(read.judging.tolerance == 0.25);
    CHECK(read.judging.starts == 2);
    REQUIRE(read.curves.size() == 2);
    CHECK(read.curves[1].contestant == "b, c");
    CHECK(read.curves[1].training_seconds == 12.5);
    CHECK(read.curves[0].safeguard == "");
    CHECK(std::isnan(read.curves[0].fallback_rate));
    CHECK(read.curves[1].safeguard == "ista");
    CHECK(read.curves[1].fallback_rate == 0.25);
    CHECK(read.curves[1].iteration == written.curves[1].iteration);
    CHECK(read.curves[1].gradients == written.curves[1].gradients);
    CHECK(read.curves[1].seconds == written.curves[1].seconds);
    CHECK(read.curves[0].distributions[1][1].q90 == 2);
    CHECK(read.curves[1].distributions[1][1].finite == 0);
    CHECK(std::isnan(read.curves[1].distributions[1][1].median));
    CHECK(read.curves[0].final_rows == written.curves[0].final_rows);
    CHECK(read.curves[1].final_rows[1][3] == -3);
    CHECK(read.curves[0].reached[2].iteration == 4);
    CHECK(read.curves[0].reached[2].seconds == 0.2);
    CHECK(read.curves[0].reached[3].iteration == -1);

    std::ofstream(folder / "curves.csv") << "contestant\n";
    CHECK(refusal([&] {
              (void)read_results(folder / "");
          }).ends_with("curves.csv: there is no column 'iteration'; was it written by another version?"));
    std::ofstream(folder / "results.json") << "{}";
    CHECK(refusal([&] { (void)read_results(folder / ""); }).ends_with("; expected what 'l2o run' writes"));
}
