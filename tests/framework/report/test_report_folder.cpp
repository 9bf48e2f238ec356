#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "framework/experiment/run_folder.hpp"
#include "framework/report/report.hpp"
#include "framework/report/report_folder.hpp"
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
namespace fs = std::filesystem;

TEST_CASE("report: what the program did not write stays, and the report says what is in its way") {
    const ScratchFolder folder;
    const EnvironmentVariable path("PATH", "/nowhere");
    const fs::path run = finished_run(folder, "run", {contestant("a", 0.9)});
    const fs::path paper = folder / "paper";
    const std::string advice =
        ", so it is not replaced; move it away, or write the report elsewhere with --output FOLDER";
    const auto refused = [&] { return refusal([&] { (void)write_report({run}, paper); }); };
    const auto is_kept = [](const fs::path& file, const std::string& text) {
        return read_file(file) == text;
    };

    fs::create_directories(paper / "figures");
    std::ofstream(paper / "figures/thesis.tex") << "ten years of work";
    CHECK(refused() == "5 " + (paper / "figures").string() + ": was not made by a report of l2o" + advice);
    CHECK(is_kept(paper / "figures/thesis.tex", "ten years of work"));
    CHECK_FALSE(fs::exists(paper / "report.html"));
    fs::remove(paper / "figures/thesis.tex");
    CHECK(refused().find("was not made by a report") != std::string::npos);
    fs::remove(paper / "figures");

    std::ofstream(paper / "report.html") << "mine";
    CHECK(refused() ==
          "5 " + (paper / "report.html").string() + ": was not written by a report of l2o" + advice);
    CHECK(is_kept(paper / "report.html", "mine"));
    fs::remove(paper / "report.html");

    fs::create_directories(folder / "elsewhere");
    fs::create_directory_symlink(folder / "elsewhere", paper / "figures");
    CHECK(refused() ==
          "5 " + (paper / "figures").string() + ": is no folder that a report of l2o made" + advice);
    fs::remove(paper / "figures");

    (void)write_report({run}, paper);
    (void)write_report({run}, paper);  // in the place of the first
    std::ofstream(paper / "figures/notes.txt") << "mine";
    CHECK(refused() ==
          "5 " + (paper / "figures/notes.txt").string() + ": was not written by a report of l2o" + advice);
    CHECK(is_kept(paper / "figures/notes.txt", "mine"));
    fs::remove(paper / "figures/notes.txt");
    std::ofstream(paper / "figures/figures.gp", std::ios::app) << "# mine";
    CHECK(refused() == "5 " + (paper / "figures/figures.gp").string() +
                           ": was changed since a report of l2o wrote it" + advice);
    fs::remove(paper / "figures/figures.gp");
    std::ofstream(paper / "report.html", std::ios::app) << "mine";
    CHECK(refused() ==
          "5 " + (paper / "report.html").string() + ": was changed since a report of l2o wrote it" + advice);
    fs::remove(paper / "report.html");
    std::ofstream(paper / ".l2o-report") << "mine";
    CHECK(refused() ==
          "5 " + (paper / ".l2o-report").string() + ": is no list of an earlier report" + advice);
    CHECK(is_kept(paper / ".l2o-report", "mine"));
    for (const auto& entry : fs::directory_iterator(paper))
        CHECK(entry.path().filename().string().find(".tmp.") == std::string::npos);
}

TEST_CASE("report: a report that was killed between figures and page is replaced by the next") {
    const ScratchFolder folder;
    const EnvironmentVariable path("PATH", "/nowhere");
    const fs::path run = finished_run(folder, "run", {contestant("a", 0.9)});
    (void)write_report({run});
    const std::string page = read_file(run / "report.html"), list = read_file(run / ".l2o-report");
    (void)write_report({finished_run(folder, "run", {contestant("b", 0.8)})});
    CHECK(read_file(run / "report.html") != page);
    const std::string later = read_file(run / ".l2o-report");
    std::ofstream(run / ".l2o-report") << list << later.substr(later.find('\n') + 1);
    std::ofstream(run / "report.html") << page;
    CHECK(write_report({run}).page == run / "report.html");
    CHECK(read_file(run / ".l2o-report") == later);
}

TEST_CASE("report: two reports into one folder at once: the second says so") {
    const ScratchFolder folder;
    const EnvironmentVariable path("PATH", "/nowhere");
    const fs::path run = finished_run(folder, "run", {contestant("a", 0.9)});
    const ReportFolder other(run);
    CHECK(refusal([&] { (void)write_report({run}); }) ==
          "5 " + run.string() +
              ": another l2o is at work in this folder; wait until it is done, or write elsewhere with "
              "--output FOLDER");
    CHECK_FALSE(fs::exists(run / "report.html"));
}

TEST_CASE("report: a folder without a finished run is refused and stays as it was") {
    const ScratchFolder folder;
    CHECK(refusal([&] { (void)write_report({folder / ""}); }).find("has no config.info") !=
          std::string::npos);
    const fs::path run = finished_run(folder, "run", {contestant("a", 0.9)});
    fs::remove(run / "results.json");
    const auto refused = [&] { return refusal([&] { (void)write_report({run}); }); };
    CHECK(refused() == "5 " + run.string() +
                           ": there is no results.json, so the run is not finished; expected one that was "
                           "evaluated ('l2o run --resume " +
                           run.string() + "' goes on with it)");
    RunFolder::open(run).write({.part = RunPart::kTrain});
    CHECK(refused() == "5 " + run.string() +
                           ": there is no results.json, as 'l2o train' only trains; expected a run that was "
                           "evaluated ('l2o evaluate " +
                           (run / "config.info").string() + "' begins one)");
    CHECK_FALSE(fs::exists(run / "report.html"));
    CHECK_FALSE(fs::exists(run / "figures"));
}
