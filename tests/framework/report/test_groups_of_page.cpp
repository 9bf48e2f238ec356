#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "framework/report/report.hpp"
#include "framework/store/atomic_file.hpp"
#include "tests/framework/config/refusal.hpp"
#include "tests/framework/report/field.hpp"
#include "tests/framework/report/finished_run.hpp"
#include "tests/support/environment_variable.hpp"

using namespace l2o::framework;
using l2o::test::contestant;
using l2o::test::count;
using l2o::test::EnvironmentVariable;
using l2o::test::finished_run;
using l2o::test::refusal;
using l2o::test::write_results_again;
namespace fs = std::filesystem;

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
