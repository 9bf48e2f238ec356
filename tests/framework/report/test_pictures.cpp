#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "framework/report/report.hpp"
#include "framework/store/atomic_file.hpp"
#include "framework/text/json.hpp"
#include "tests/framework/report/field.hpp"
#include "tests/framework/report/finished_run.hpp"
#include "tests/support/environment_variable.hpp"

using namespace l2o::framework;
using l2o::test::contestant;
using l2o::test::count;
using l2o::test::EnvironmentVariable;
using l2o::test::finished_run;
using l2o::test::write_results_again;
namespace fs = std::filesystem;

namespace {

/// A program called gnuplot that is a shell script.
fs::path with_gnuplot(const ScratchFolder& folder, const std::string& script) {
    const fs::path path = folder / "bin";
    fs::create_directories(path);
    std::ofstream(path / "gnuplot") << "#!/bin/sh\n" << script << "\n";
    fs::permissions(path / "gnuplot", fs::perms::owner_all);
    return path;
}

bool has_gnuplot() {
    const bool has = std::system("gnuplot --version >/dev/null 2>&1") == 0;
    if (!has) MESSAGE("skipped: gnuplot is not installed");
    return has;
}

}  // namespace

TEST_CASE("report: without gnuplot there are all tables, the CSV files, and a sentence") {
    const ScratchFolder folder;
    const fs::path run = finished_run(folder, "run", {contestant("a", 0.9), contestant("<b>", 0.8)});
    const EnvironmentVariable path("PATH", "/nowhere");
    const ReportFile report = write_report({run});
    CHECK(report.page == run / "report.html");
    CHECK(report.note ==
          "There are no pictures: gnuplot is not installed (Debian: apt install gnuplot-nox).");
    CHECK_FALSE(report.has_failed);
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

TEST_CASE("report: what gnuplot draws is in the page and beside it; an earlier report is replaced") {
    if (!has_gnuplot()) return;
    const ScratchFolder folder;
    const fs::path run = finished_run(folder, "run", {contestant("a", 0.9), contestant("b", 0.8)});
    (void)write_report({finished_run(folder, "run", {contestant("z", 0.9)})});
    CHECK(fs::exists(run / "figures/metric_time.svg"));
    std::ofstream(run / "metrics.jsonl") << "{\"contestant\": \"old\", \"loss\": 2}\n";
    write_results_again(run);
    (void)write_report({run});
    CHECK(fs::exists(run / "figures/training_old.svg"));
    (void)finished_run(folder, "run", {contestant("a", 0.9), contestant("b", 0.8)});
    const ReportFile report = write_report({run});
    CHECK(report.note == "");
    CHECK(count(read_file(report.page), "<svg role=\"img\" aria-label=") == 6);
    CHECK(count(read_file(report.page), "</svg>") == 6);
    for (const char* type : {"svg", "pdf", "png", "csv"})
        CHECK(fs::file_size(run / "figures" / (std::string("profile.") + type)) > 100);
    CHECK_FALSE(fs::exists(run / "figures/training_old.svg"));
    for (const auto& entry : fs::directory_iterator(run)) {
        const std::string name = entry.path().filename().string();
        CHECK((name[0] != '.' || name == ".l2o-report"));
    }
}

TEST_CASE("report: a gnuplot that fails costs the pictures, not the report") {
    const ScratchFolder folder;
    const fs::path run = finished_run(folder, "run", {contestant("a", 0.9), contestant("b", 0.8)});
    const EnvironmentVariable path("PATH",
                                   with_gnuplot(folder, "echo 'line 3: no terminal' >&2; exit 1").string());
    CHECK(write_report({run}).note == "There are no pictures: gnuplot failed: line 3: no terminal.");
    CHECK(fs::exists(run / "report.html"));
    with_gnuplot(folder, "kill -9 $$");
    CHECK(write_report({run}).note == "There are no pictures: gnuplot was ended by signal 9.");
    with_gnuplot(folder, "exit 0");  // says that all is well and draws nothing
    CHECK(write_report({run}).note.starts_with("There are no pictures: gnuplot drew no "));
}

TEST_CASE("report: pictures that end in the middle, as on a full disk, are none, and the page says so") {
    const ScratchFolder folder;
    const fs::path run = finished_run(folder, "run", {contestant("a", 0.9)});
    const std::string draw =
        "for name in metric_iterations metric_evaluations metric_time profile training_a; do\n"
        "echo '<svg></svg>' > $name.svg; echo '%%EOF' > $name.pdf; echo IEND > $name.png; done\n";
    const EnvironmentVariable path("PATH", with_gnuplot(folder, draw).string());
    CHECK(write_report({run}).note == "");
    CHECK(fs::exists(run / "figures/profile.svg"));
    for (const char* cut :
         {"echo '<svg><path d=' > profile.svg", "echo %PDF > profile.pdf", "echo > profile.png"}) {
        CAPTURE(cut);
        with_gnuplot(folder, draw + cut);
        const ReportFile report = write_report({run});
        CHECK(report.has_failed);
        CHECK(report.note.starts_with("There are no pictures: gnuplot drew no whole profile."));
        CHECK(report.note.ends_with("; the disk may be full."));
        const std::string page = read_file(report.page);
        CHECK(count(page, report.note) == 1);
        CHECK(count(page, "<svg") == 0);
        CHECK(count(page, ".svg\"") == 0);
        for (const auto& entry : fs::directory_iterator(run / "figures"))
            CHECK((entry.path().extension() == ".csv" || entry.path().extension() == ".gp"));
    }
}

TEST_CASE("report: any name of a contestant is a text in page and pictures, and nothing else") {
    if (!has_gnuplot()) return;
    const ScratchFolder folder;
    const std::vector<std::string> names{"my-dm",
                                         "10 %",
                                         "dm's",
                                         "'dm'",
                                         "a''b",
                                         "x%d%s",
                                         "C:\\dm",
                                         "\\",
                                         "dm^2_{3}",
                                         "\"b\"",
                                         "dm, \"b\"",
                                         "\",",
                                         "no #",
                                         "@x",
                                         "`touch x`",
                                         "$(x)",
                                         "<script>",
                                         "</svg>",
                                         "a\nb",
                                         "a\tb",
                                         "gr\u00f6\u00dfer",
                                         "a;b",
                                         "NaN",
                                         "-x",
                                         "' ; system('touch x')"};
    std::vector<Curve> curves{contestant("ref", 0.9)};
    for (const std::string& name : names) curves.push_back(contestant(name, 0.8));
    const fs::path run = finished_run(folder, "run", curves);
    std::ofstream(run / "metrics.jsonl") << nlohmann::json{{"contestant", "10 % d's"}, {"loss", 2}} << "\n";
    write_results_again(run);
    const ReportFile report = write_report({run});
    CHECK(report.note == "");
    const std::string page = read_file(report.page);
    CHECK(count(page, "<svg role=") == 6);
    CHECK(count(page, "</svg>") == 6);
    CHECK(count(page, "<script>") == 1);
    CHECK_FALSE(fs::exists(run / "figures/x"));
    const std::string svg = read_file(run / "figures/metric_time.svg");
    for (const char* text : {">my-dm<", ">10 %<", ">dm's<", ">x%d%s<", ">C:\\dm<", ">dm^2_{3}<", ">@x<"}) {
        CAPTURE(std::string(text));
        CHECK(count(svg, text) == 2);  // the title of the line, and its name in the key
    }
    CHECK(count(read_file(run / "figures/differences.svg"), ">x%d%s<") == 1);
}
