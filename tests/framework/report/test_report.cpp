#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <string>

#include "field.hpp"
#include "framework/config/info_file.hpp"
#include "framework/evaluate/results.hpp"
#include "framework/experiment/run_folder.hpp"
#include "framework/report/report.hpp"
#include "framework/report/report_folder.hpp"
#include "framework/store/atomic_file.hpp"
#include "framework/text/json.hpp"
#include "tests/framework/config/refusal.hpp"
#include "tests/framework/store/scratch_folder.hpp"
#include "tests/support/environment_variable.hpp"

using namespace l2o::framework;
using l2o::test::contestant;
using l2o::test::EnvironmentVariable;
using l2o::test::refusal;
namespace fs = std::filesystem;

namespace {

/// The folder of a finished run.
fs::path finished_run(const ScratchFolder& folder,
                      const char* name,
                      const std::vector<Curve>& curves,
                      const std::string& seed = "1",
                      const std::set<std::string>& ratios = {},
                      const Judging& judging = {.metric = "objective"},
                      const std::string& evaluate = "") {
    const fs::path run = folder / name;
    fs::create_directories(run);
    Results results{judging, curves};
    results.judging.ratios = ratios;
    results.judging.reference = curves.front().contestant;
    ConfigNode contestants{.key = "contestants"};
    for (const Curve& curve : curves) contestants.children.push_back({.key = curve.contestant});
    ConfigNode root;
    root.children.push_back(std::move(contestants));
    std::ofstream(run / "config.info")
        << "name \"a <b> & c\"\nseed " << seed << "\noptimizee { use quadratic }\nevaluate { instances "
        << curves.front().final_rows[0].size() << "\n iterations " << curves.front().iteration.back()
        << evaluate << " }\n"
        << to_info(root);
    std::ofstream(run / "environment.json") << R"({"l2o_version": "1.2.3", "cpu": {"threads": 2}})";
    std::ofstream(run / "metrics.jsonl")
        << "{\"contestant\": \"a\", \"loss\": 2}\n{\"contestant\": \"a\", \"lo";
    write_curves(run / "curves.csv", curves);
    write_finals(run / "finals.csv", results);
    write_results(run / "results.json", results);
    return run;
}

/// As if the run had ended with what is in its folder now.
void write_results_again(const fs::path& run) { write_results(run / "results.json", read_results(run, 32)); }

std::size_t count(const std::string& text, const std::string& part) {
    std::size_t found = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
    return found;
}

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

TEST_CASE("report: what gnuplot draws is in the page and beside it; an earlier report is replaced") {
    if (::system("gnuplot --version >/dev/null 2>&1") != 0)
        return;  // the machine has none: see the test above
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
    if (::system("gnuplot --version >/dev/null 2>&1") != 0) return;
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
                                         "gr\xc3\xb6\xc3\x9f"
                                         "er",
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

TEST_CASE("report: runs of the same instances are compared, those of others refused") {
    const ScratchFolder folder;
    const EnvironmentVariable path("PATH", "/nowhere");
    const fs::path first = finished_run(folder, "one", {contestant("a", 0.9)});
    const fs::path second = finished_run(folder, "two", {contestant("a", 0.9), contestant("b", 0.8)});
    const std::string page = read_file(write_report({first, second}, folder / "both").page);
    CHECK(count(page, "<td data-v=\"a (run 2)\">") == 2);
    CHECK(count(page, "When a target was reached is not compared") == 1);
    CHECK_FALSE(fs::exists(first / "report.html"));
    CHECK_FALSE(fs::exists(first / "checkpoints"));
    for (const auto& entry : fs::directory_iterator(first)) CHECK(entry.path().filename() != ".l2o-report");

    // A target on the objective that was paid for does not depend on what was recorded.
    std::vector<Curve> often{contestant("a", 0.9)};
    often[0].final_best = often[0].final_rows[0];
    std::vector<Curve> seldom = often;
    Curve& thin = seldom[0];
    for (std::size_t point = 97; point > 0; point -= 2) {
        const auto at = static_cast<std::ptrdiff_t>(point);
        for (auto* counts : {&thin.evaluations, &thin.values, &thin.gradients, &thin.seconds})
            counts->erase(counts->begin() + at);
        thin.iteration.erase(thin.iteration.begin() + at);
        thin.distributions[0].erase(thin.distributions[0].begin() + at);
        if (point == 1) break;
    }
    for (const bool is_paid_for : {false, true}) {
        const Judging judging{.metric = "objective", .target = 0.01, .is_paid_for = is_paid_for};
        const fs::path every = finished_run(folder, "every", often, "1", {}, judging, " target 0.01"),
                       every_other = finished_run(folder,
                                                  "every_other",
                                                  seldom,
                                                  "1",
                                                  {},
                                                  judging,
                                                  "\n target 0.01\n metrics_every 2");
        const std::string both = read_file(write_report({every, every_other}, folder / "targets").page);
        CHECK(count(both, "When a target was reached is not compared") == (is_paid_for ? 0 : 1));
        CHECK(count(both, "objective &lt;= 0.01, paid for") == (is_paid_for ? 2 : 0));
    }

    const fs::path other_seed = finished_run(folder, "seed", {contestant("a", 0.9)}, "2");
    CHECK(refusal([&] {
              (void)write_report({first, other_seed}, folder / "no");
          }) == "2 " + other_seed.string() + " has another problem, seed or dtype than " + first.string() +
                    "; expected runs on the same instances and starts; report them one at a time");
    const fs::path more_rows = finished_run(folder, "rows", {contestant("a", 0.9, 100, 9)});
    CHECK(refusal([&] {
              (void)write_report({first, more_rows}, folder / "no");
          }).find("has another number of instances or starts than") != std::string::npos);
    const fs::path longer = finished_run(folder, "longer", {contestant("a", 0.9, 200)});
    CHECK(refusal([&] {
              (void)write_report({first, longer}, folder / "no");
          }) == "2 " + longer.string() + " has another budget than " + first.string() +
                    ": evaluate.iterations 199 and 99, evaluate.max_evaluations 0 and 0; expected the same; "
                    "evaluate one of the two again");
    CHECK_FALSE(fs::exists(folder / "no"));
}

TEST_CASE("report: contestants of one name are told apart, whatever their names are") {
    const ScratchFolder folder;
    const EnvironmentVariable path("PATH", "/nowhere");
    const fs::path first = finished_run(folder, "one", {contestant("a", 0.9), contestant("a (run 2)", 0.9)});
    const fs::path second = finished_run(folder, "two", {contestant("a", 0.8)});
    const std::string page = read_file(write_report({first, second}, folder / "both").page);
    CHECK(count(page, "<td data-v=\"a (run 2)\">") == 2);
    CHECK(count(page, "<td data-v=\"a (run 2) (run 2)\">") == 2);
    // In the pictures of their trainings, too.
    CHECK(fs::exists(folder / "both/figures/training_a.csv"));
    CHECK(fs::exists(folder / "both/figures/training_a__run_2___run_2_.csv"));
    CHECK_FALSE(fs::exists(folder / "both/figures/training_a__run_2_.csv"));
}

TEST_CASE("report: runs of one configuration whose plugins drew other instances are not compared") {
    const ScratchFolder folder;
    const EnvironmentVariable path("PATH", "/nowhere");
    const auto run_on = [&](const char* name, double sum) {
        const fs::path run = finished_run(folder, name, {contestant("a", 0.9)});
        Results results = read_results(run, 32);
        results.instances = {{sum, 40}, {0, 0}};
        write_results(run / "results.json", results);
        return run;
    };
    const fs::path one = run_on("one", 3), rounded = run_on("rounded", 3.0001), other = run_on("other", 3.1);
    CHECK(write_report({one, rounded}, folder / "both").remarks.empty());
    CHECK(refusal([&] {
              (void)write_report({one, other}, folder / "no");
          }) == "2 " + other.string() + " has other instances or starts than " + one.string() +
                    ", though the configurations are the same: the problem's plugin is of another build (see "
                    "environment.json in both); evaluate one of the two again, or report them one at a time");
}

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

TEST_CASE("report: runs whose files of one path had other contents are not compared") {
    const ScratchFolder folder;
    const EnvironmentVariable path("PATH", "/nowhere");
    const auto run_on = [&](const char* name,
                            const std::optional<FileContents>& files,
                            const char* options = "matrix /m.safetensors\n m 5") {
        const fs::path run = finished_run(folder, name, {contestant("a", 0.9)});
        std::string config = read_file(run / "config.info");
        config.replace(config.find("use quadratic"), 13, std::string("use lasso\n ") + options + "\n");
        std::ofstream(run / "config.info") << config;
        Results results = read_results(run);
        results.files = files;
        write_results(run / "results.json", results);
        return run;
    };
    const auto files_with = [](char digit) {
        return FileContents{{"optimizee.matrix", {"/m.safetensors", std::string(40, digit)}},
                            {"contestants.a.weights", {"/w.safetensors", std::string(40, digit)}}};
    };
    const fs::path one = run_on("one", files_with('1')), same = run_on("same", files_with('1'));
    FileContents weights = files_with('2');
    weights["optimizee.matrix"] = files_with('1')["optimizee.matrix"];
    const fs::path other_weights = run_on("weights", weights);
    FileContents moved = files_with('1');
    moved["optimizee.matrix"].path = "/copy.safetensors";
    const fs::path elsewhere = run_on("elsewhere", moved, "m 005\n matrix /copy.safetensors");
    CHECK(write_report({one, same, other_weights, elsewhere}, folder / "all").remarks.empty());
    const fs::path other = run_on("other", files_with('2'));
    CHECK(refusal([&] {
              (void)write_report({one, other}, folder / "no");
          }) == "2 " + other.string() +
                    " was run on another content of /m.safetensors (optimizee.matrix) than " + one.string() +
                    ": SHA-1 " + std::string(40, '2') + " and " + std::string(40, '1') +
                    "; expected runs on the same instances and starts; report them one at a time");
    CHECK_FALSE(fs::exists(folder / "no"));
    const fs::path earlier = run_on("earlier", std::nullopt);
    const ReportFile report = write_report({one, earlier}, folder / "some");
    CHECK(report.remarks ==
          std::vector<std::string>{earlier.string() +
                                   " does not tell the content of /m.safetensors (optimizee.matrix): whether "
                                   "all runs had the same is not known"});
    CHECK(count(read_file(report.page), report.remarks[0]) == 1);
    CHECK(write_report({earlier}).remarks.empty());
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

namespace {

Curve member(const std::string& group, const std::string& value, double rate) {
    Curve curve = contestant(group + ".rate=" + value, rate);
    curve.group = group;
    curve.swept = {{"optimizer.rate", value}};
    return curve;
}

/// The folder of a finished run with a sweep in its configuration.
fs::path swept_run(const ScratchFolder& folder, const char* name, const std::vector<Curve>& curves) {
    const fs::path run = finished_run(folder, name, curves);
    const std::string config = read_file(run / "config.info");
    std::ofstream(run / "config.info")
        << config.substr(0, config.find("contestants"))
        << "contestants {\n sgd \"\"\n adam { optimizer { use adam rate { sweep 1 2 } } } }\n";
    write_results_again(run);
    return run;
}

}  // namespace

TEST_CASE("report: members of a group stand below its heading, with full names once a table is sorted") {
    const ScratchFolder folder;
    const EnvironmentVariable path("PATH", "/nowhere");
    const std::vector<Curve> curves{
        contestant("sgd", 0.9), member("adam", "1", 0.8), member("adam", "2", 0.7)};
    const std::string page = read_file(write_report({swept_run(folder, "run", curves)}).page);
    CHECK(count(page, "<tr class=\"group\"><td colspan=\"8\">adam by rate</td></tr>\n<tr>") == 1);
    CHECK(count(page, ">adam by rate</td></tr>\n<tr>") == 2);
    CHECK(count(page,
                "<td data-v=\"adam.rate=2\"><span class=\"member\">2</span><span "
                "class=\"full\">adam.rate=2</span></td>") == 2);
    CHECK(count(page, "querySelectorAll(\"tr.group\")") == 1);
    const std::string plain =
        read_file(write_report({finished_run(folder, "plain", {contestant("sgd", 0.9)})}).page);
    for (const char* part : {"tr.group", "class=\"group\"", "class=\"member\"", ".full"})
        CHECK(count(plain, part) == 0);
}

TEST_CASE("report: groups of one name of two runs are two groups") {
    const ScratchFolder folder;
    const EnvironmentVariable path("PATH", "/nowhere");
    const fs::path one = swept_run(
        folder, "one", {contestant("sgd", 0.9), member("adam", "1", 0.8), member("adam", "2", 0.7)});
    const fs::path two = swept_run(
        folder, "two", {contestant("sgd", 0.9), member("adam", "1", 0.6), member("adam", "2", 0.7)});
    const std::string page = read_file(write_report({one, two}, folder / "both").page);
    CHECK(count(page, "\">adam by rate</td></tr>") == 2);
    CHECK(count(page, "\">adam (run 2) by rate</td></tr>") == 2);
    CHECK(count(page, "<td data-v=\"adam (run 2).rate=1\">") == 2);
}

TEST_CASE("report: members that the configuration beside them does not make, or lacks, are refused") {
    const ScratchFolder folder;
    const EnvironmentVariable path("PATH", "/nowhere");
    const std::string end = "; expected results of the config.info beside them; run it again";
    const Curve sgd = contestant("sgd", 0.9), one = member("adam", "1", 0.8), two = member("adam", "2", 0.7),
                three = member("adam", "3", 0.7);
    const auto refused = [&](const char* name, const std::vector<Curve>& curves) {
        return refusal([&] { (void)write_report({swept_run(folder, name, curves)}); });
    };
    CHECK(refused("more", {sgd, one, two, three}) ==
          "5 " + (folder / "more").string() + ": 'adam.rate=3' is no contestant of it" + end);
    CHECK(refused("less", {sgd, one}) ==
          "5 " + (folder / "less").string() + ": there are no results of its contestant 'adam.rate=2'" + end);
    Curve other = two;
    other.swept = {{"optimizer.rate", "9"}};
    CHECK(refused("other", {sgd, one, other}) ==
          "5 " + (folder / "other").string() + ": 'adam.rate=2' is no contestant of it" + end);
}
