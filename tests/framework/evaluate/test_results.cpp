#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "framework/evaluate/results.hpp"
#include "framework/store/atomic_file.hpp"
#include "tests/framework/evaluate/results_folder.hpp"
#include "tests/framework/store/scratch_folder.hpp"

using namespace l2o::framework;
using l2o::test::around;
using l2o::test::kInfinity;

namespace {

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
          "fallback_rate,trainings,training_evaluations,break_even_by_evaluations,"
          "evaluations_to_target_95,evaluations_to_target_p_holm\n"
          "a,objective,2,1,3,2.25,16,0,16,0.0123,0,3,4,,,,,,,,,,,,,,0,0,,,\n"
          "a,nmse_db,1,0,2,1.25,16,0,16,0.0123,0,3,4,,,,,,,,0.75,5,5,1.25,,,0,0,,inf,\n"
          "b,objective,2,1,3,2.25,16,0,16,0.0123,10,4,4,a,0,0,0,0.5,1,1,,,,,,0.0625,1,2000,,,\n"
          "b,nmse_db,2,1,3,2.25,16,0,16,0.0123,10,4,4,a,-2.5,-4,-1,1,0.125,0.125,1,1,1,0.25,10,0.0625,1,2000,"
          "500,1,0.125\n");
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
          "difference: nmse_db, paired on 4 instances; reached: nmse_db <= -30; evaluations and time: of the "
          "median solve, - where half of them do not arrive\n");
    CHECK(comparison_table({a}, {.metric = "nmse_db", .reference = "a"}) == "");
    const std::string dashes =
        "; evaluations and time: of the median solve, - where half of them do not arrive\n";
    CHECK(comparison_table({a, b},
                           {.metric = "nmse_db", .ratios = {"nmse_db"}, .reference = "a", .target = -30})
              .ends_with("difference: nmse_db row by row, paired on 4 instances; reached: nmse_db <= -30" +
                         dashes));
    CHECK(target_text({.metric = "accuracy", .higher_is_better = {"accuracy"}, .target = 0.9}) ==
          "accuracy >= 0.9");
    CHECK(target_text({.metric = "objective"}) ==
          "within 0.1 % of the way from the start to the best known objective");
    a.metrics = b.metrics = {"objective"};
    a.final_best = {NAN, 3, NAN, NAN};
    b.final_best.assign(4, NAN);
    const Judging by_payment{.metric = "objective", .reference = "a", .target = -30, .is_paid_for = true};
    CHECK(comparison_table({a, b}, by_payment)
              .ends_with("reached: objective <= -30, paid for; no value was paid for by learned" + dashes));
    CHECK(target_text({.metric = "objective", .target = 0.5, .is_paid_for = true}) ==
          "objective <= 0.5, paid for");
    CHECK(target_text({.metric = "objective", .is_paid_for = true}) ==
          "within 0.1 % of the way from the start to the best objective paid for");
    CHECK(pairs_text({Comparison{.instances = 4}}, {.starts = 4}) == "4 starts of one instance");
    CHECK(percent_text(0.9999) == "99 %");
    CHECK(percent_text(0.0001) == "1 %");
}
