#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "framework/report/report.hpp"
#include "framework/store/atomic_file.hpp"
#include "tests/framework/report/field.hpp"
#include "tests/framework/report/finished_run.hpp"
#include "tests/support/environment_variable.hpp"

using namespace l2o::framework;
using l2o::test::contestant;
using l2o::test::count;
using l2o::test::EnvironmentVariable;
using l2o::test::finished_run;
namespace fs = std::filesystem;

TEST_CASE("report: of a ratio the table has the ratio of the sums, and differences are row by row") {
    const ScratchFolder folder;
    std::vector<Curve> curves{contestant("a", 0.9), contestant("b", 0.8)};
    const EnvironmentVariable path("PATH", "/nowhere");
    const std::string plain = read_file(write_report({finished_run(folder, "plain", curves)}).page);
    curves[0].distributions[0].back().mean = 0.0625;
    CHECK(count(plain, ">objective (median)<") == 1);
    CHECK(count(plain, "<td data-v=\"0.0625\">") == 0);
    const std::string page =
        read_file(write_report({finished_run(folder, "ratio", curves, "1", {"objective"})}).page);
    CHECK(count(page, ">objective (pooled)<") == 1);
    CHECK(count(page, "<td data-v=\"0.0625\">0.0625</td>") == 1);
    CHECK(count(page, "median of objective, row by row, less that of a") == 1);
}

TEST_CASE("report: a training that ended ruined or gained nothing has a note in the page, others none") {
    const ScratchFolder folder;
    std::vector<Curve> curves{contestant("a", 0.9), contestant("<b>", 0.8)};
    curves[0].training = {.gain = gain_of({2, 3}, {1, 1})};
    curves[1].training = {.skipped = 2,
                          .trajectories = 2,
                          .diverged_trajectories = 2,
                          .diverged = true,
                          .gain = gain_of({2, 3}, {2, 3})};
    const EnvironmentVariable path("PATH", "/nowhere");
    const std::string page = read_file(write_report({finished_run(folder, "run", curves)}).page);
    CHECK(count(page, "Training of a: ") == 0);
    CHECK(count(page,
                "<p class=\"note\">Training of &lt;b&gt;: diverged: its last parameters are of no use") == 1);
    CHECK(count(page, "Training of &lt;b&gt;: no better than its start values on 2 validation") == 1);
}

TEST_CASE("report: a page refers to nothing outside, but for the files of its figures") {
    const ScratchFolder folder;
    const fs::path run = finished_run(folder, "run", {contestant("a", 0.9), contestant("b", 0.8)});
    const std::string page = read_file(write_report({run}).page);
    CHECK(count(page, "src=") == 0);
    CHECK(count(page, "<link") == 0);
    CHECK(count(page, "href=\"") == count(page, "href=\"figures/"));
}

TEST_CASE("report: instances without a certified solution are left out, in page and captions") {
    const ScratchFolder folder;
    const EnvironmentVariable path("PATH", "/nowhere");
    std::vector<Curve> curves{contestant("a", 0.9), contestant("b", 0.8)};
    for (Curve& curve : curves) {
        curve.metrics.emplace_back("gap");
        curve.distributions.push_back(curve.distributions[0]);
        curve.final_rows.push_back(curve.final_rows[0]);
        curve.final_rows[1][3] = NAN;
        std::vector<double> counted = curve.final_rows[1];
        counted.erase(counted.begin() + 3);
        for (Distribution& d : curve.distributions[1]) --d.finite, --d.rows;
        curve.distributions[1].back() = distribution_of(counted);
        curve.reached[3] = {};
    }
    const fs::path run = finished_run(folder, "run", curves);
    write_results(run / "results.json",
                  {{.metric = "gap", .reference = "a", .needs_solution = {"gap"}, .unsolved = {3}}, curves});
    const std::string page = read_file(write_report({run}).page);
    const std::string text = "no certified solution: 1 of 8 instances left out of gap";
    CHECK(count(page, "<p class=\"note\">" + text + "</p>") == 1);
    CHECK(count(page, "There is " + text + ".") == 5);  // every figure of the metric
    CHECK(count(page, "Median over 7 solves") == 3);
    CHECK(count(page, "paired on 7 instances") == 1);
    CHECK(count(page, "<td data-v=\"1\">100 %</td>") >= 2);
    CHECK(count(page, "diverged") == 0);
    CHECK(count(page, "not finite") == 0);
}

TEST_CASE("report: 6 contestants, 128 rows and 1000 iterations take less than 2 MB") {
    const ScratchFolder folder;
    std::vector<Curve> curves;
    for (int i = 0; i < 6; ++i)
        curves.push_back(contestant("contestant " + std::to_string(i), 0.99 - 0.001 * i, 1001, 128));
    const fs::path run = finished_run(folder, "run", curves);
    const ReportFile report = write_report({run});
    MESSAGE(fs::file_size(report.page), " bytes");
    CHECK(fs::file_size(report.page) <= 2'000'000);
}
