#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "field.hpp"
#include "framework/evaluate/results.hpp"
#include "framework/report/report.hpp"
#include "framework/store/atomic_file.hpp"
#include "tests/framework/config/refusal.hpp"
#include "tests/framework/store/scratch_folder.hpp"

using namespace l2o::framework;
using l2o::test::contestant;
using l2o::test::refusal;
namespace fs = std::filesystem;

namespace {

/// The folder of a finished run.
fs::path finished_run(const ScratchFolder& folder,
                      const char* name,
                      const std::vector<Curve>& curves,
                      const std::string& seed = "1",
                      const std::set<std::string>& ratios = {}) {
    const fs::path run = folder / name;
    fs::create_directories(run);
    const Results results{{.metric = "objective", .ratios = ratios, .reference = curves.front().contestant},
                          curves};
    std::ofstream(run / "config.info")
        << "name \"a <b> & c\"\nseed " << seed << "\noptimizee { use quadratic }\n";
    std::ofstream(run / "environment.json") << R"({"l2o_version": "1.2.3", "cpu": {"threads": 2}})";
    std::ofstream(run / "metrics.jsonl")
        << "{\"contestant\": \"a\", \"loss\": 2}\n{\"contestant\": \"a\", \"lo";
    write_results(run / "results.json", results);
    write_curves(run / "curves.csv", curves);
    write_finals(run / "finals.csv", results);
    return run;
}

std::size_t count(const std::string& text, const std::string& part) {
    std::size_t found = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
    return found;
}

/// An environment variable with another value, for a while.
class Setting {
  public:
    Setting(const char* name, const std::string& value) : name_(name), before_(::getenv(name)) {
        ::setenv(name, value.c_str(), 1);
    }
    Setting(const Setting&) = delete;
    Setting& operator=(const Setting&) = delete;
    ~Setting() { ::setenv(name_, before_.c_str(), 1); }

  private:
    const char* name_;
    std::string before_;
};

/// A program called gnuplot that is a shell script.
fs::path with_gnuplot(const ScratchFolder& folder, const std::string& script) {
    const fs::path path = folder / "bin";
    fs::create_directories(path);
    std::ofstream(path / "gnuplot") << "#!/bin/sh\n" << script << "\n";
    fs::permissions(path / "gnuplot", fs::perms::owner_all);
    return path;
}

}  // namespace

TEST_CASE("report: without gnuplot there are all tables, the CSV files, and a sentence") {
    const ScratchFolder folder;
    const fs::path run = finished_run(folder, "run", {contestant("a", 0.9), contestant("<b>", 0.8)});
    const Setting path("PATH", "/nowhere");
    const ReportFile report = write_report({run});
    CHECK(report.page == run / "report.html");
    CHECK(report.note ==
          "There are no pictures: gnuplot is not installed (Debian: apt install gnuplot-nox).");
    const std::string page = read_file(report.page);
    CHECK(count(page, report.note) == 1);
    CHECK(count(page, "<svg") == 0);
    CHECK(count(page, "&lt;b&gt;</td>") == 2);
    CHECK(count(page, "<b>") == 0);
    CHECK(count(page, "<h1>a &lt;b&gt; &amp; c</h1>") == 1);
    CHECK(count(page, "<td>1.2.3</td>") == 1);
    CHECK(count(page, "seed 1") == 1);
    for (const char* name :
         {"metric_iterations", "metric_evaluations", "metric_time", "differences", "profile", "training_a"}) {
        CAPTURE(name);
        CHECK(fs::exists(run / "figures" / (std::string(name) + ".csv")));
    }
}

TEST_CASE("report: of a ratio the table has the ratio of the sums, and differences are row by row") {
    const ScratchFolder folder;
    std::vector<Curve> curves{contestant("a", 0.9), contestant("b", 0.8)};
    curves[0].distributions[0].back().mean = 0.0625;
    const Setting path("PATH", "/nowhere");
    const std::string plain = read_file(write_report({finished_run(folder, "plain", curves)}).page);
    CHECK(count(plain, ">objective (median)<") == 1);
    CHECK(count(plain, "<td data-v=\"0.0625\">") == 0);
    const std::string page =
        read_file(write_report({finished_run(folder, "ratio", curves, "1", {"objective"})}).page);
    CHECK(count(page, ">objective (pooled)<") == 1);
    CHECK(count(page, "<td data-v=\"0.0625\">0.0625</td>") == 1);
    CHECK(count(page, "median of objective, row by row, less that of a") == 1);
}

TEST_CASE("report: a page refers to nothing outside, but for the files of its figures") {
    const ScratchFolder folder;
    const fs::path run = finished_run(folder, "run", {contestant("a", 0.9), contestant("b", 0.8)});
    const std::string page = read_file(write_report({run}).page);
    CHECK(count(page, "src=") == 0);
    CHECK(count(page, "<link") == 0);
    CHECK(count(page, "href=\"") == count(page, "href=\"figures/"));
}

TEST_CASE("report: what gnuplot draws is in the page and beside it; an earlier report is replaced") {
    if (::system("gnuplot --version >/dev/null 2>&1") != 0)
        return;  // the machine has none: see the test above
    const ScratchFolder folder;
    const fs::path run = finished_run(folder, "run", {contestant("a", 0.9), contestant("b", 0.8)});
    fs::create_directories(run / "figures");
    std::ofstream(run / "figures/old.svg") << "old";
    const ReportFile report = write_report({run});
    CHECK(report.note == "");
    CHECK(count(read_file(report.page), "<svg role=\"img\" aria-label=") == 6);
    CHECK(count(read_file(report.page), "</svg>") == 6);
    for (const char* type : {"svg", "pdf", "png", "csv"})
        CHECK(fs::file_size(run / "figures" / (std::string("profile.") + type)) > 100);
    CHECK_FALSE(fs::exists(run / "figures/old.svg"));
    for (const auto& entry : fs::directory_iterator(run)) CHECK(entry.path().filename().string()[0] != '.');
}

TEST_CASE("report: a gnuplot that fails costs the pictures, not the report") {
    const ScratchFolder folder;
    const fs::path run = finished_run(folder, "run", {contestant("a", 0.9), contestant("b", 0.8)});
    const Setting path("PATH", with_gnuplot(folder, "echo 'line 3: no terminal' >&2; exit 1").string());
    CHECK(write_report({run}).note == "There are no pictures: gnuplot failed: line 3: no terminal.");
    CHECK(fs::exists(run / "report.html"));
    with_gnuplot(folder, "kill -9 $$");
    CHECK(write_report({run}).note == "There are no pictures: gnuplot was ended by signal 9.");
    with_gnuplot(folder, "exit 0");  // says that all is well and draws nothing
    CHECK(write_report({run}).note.starts_with("There are no pictures: gnuplot drew no "));
}

TEST_CASE("report: runs of the same instances are compared, those of others refused") {
    const ScratchFolder folder;
    const Setting path("PATH", "/nowhere");
    const fs::path first = finished_run(folder, "one", {contestant("a", 0.9)});
    const fs::path second = finished_run(folder, "two", {contestant("a", 0.9), contestant("b", 0.8)});
    const std::string page = read_file(write_report({first, second}, folder / "both").page);
    CHECK(count(page, "<td data-v=\"a (run 2)\">") == 2);
    CHECK(count(page, "When a target was reached is not compared") == 1);
    CHECK_FALSE(fs::exists(first / "report.html"));

    const fs::path other_seed = finished_run(folder, "seed", {contestant("a", 0.9)}, "2");
    CHECK(refusal([&] {
              (void)write_report({first, other_seed}, folder / "no");
          }) == "2 " + other_seed.string() + " has another problem, seed or dtype than " + first.string() +
                    "; expected runs on the same instances and starts; report them one at a time");
    const fs::path more_rows = finished_run(folder, "rows", {contestant("a", 0.9, 100, 9)});
    CHECK(refusal([&] {
              (void)write_report({first, more_rows}, folder / "no");
          }).find("has another number of instances or starts than") != std::string::npos);
    CHECK_FALSE(fs::exists(folder / "no"));
}

TEST_CASE("report: a folder without a finished run is refused and stays as it was") {
    const ScratchFolder folder;
    CHECK(refusal([&] { (void)write_report({folder / ""}); }).find("has no config.info") !=
          std::string::npos);
    const fs::path run = finished_run(folder, "run", {contestant("a", 0.9)});
    fs::remove(run / "results.json");
    CHECK(refusal([&] {
              (void)write_report({run});
          }).find("there is no results.json, so the run is not finished") != std::string::npos);
    CHECK_FALSE(fs::exists(run / "report.html"));
    CHECK_FALSE(fs::exists(run / "figures"));
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
