// The experiments of examples/paper in small, against the values that are kept beside them.
#include <doctest/doctest.h>

#include <cmath>
#include <sstream>
#include <string>

#include "framework/store/atomic_file.hpp"
#include "framework/text/json.hpp"
#include "tests/host/command.hpp"

using l2o::framework::read_file;
using l2o::test::Outcome, l2o::test::run_l2o;
using nlohmann::json;

namespace {

const std::string kPaper = L2O_PAPER;

/// Runs a file of examples/paper/quick and compares the means of a metric with quick/expected.csv.
/// @param tolerance  difference that is rounding, which a training carries far on another processor
/// @param share      the same as a share of the value
void check_quick(const std::string& name, const std::string& metric, double tolerance, double share = 0) {
    const ScratchFolder folder;
    const Outcome outcome =
        run_l2o(folder, "run '" + kPaper + "/quick/" + name + ".info' --json --quiet --no-report");
    REQUIRE(outcome.refusal() == "0 ");
    const json result = json::parse(outcome.out);
    std::istringstream expected(read_file(kPaper + "/quick/expected.csv"));
    std::size_t compared = 0;
    for (std::string line; std::getline(expected, line);) {
        std::istringstream fields(line);
        std::string experiment, contestant, value;
        std::getline(fields, experiment, ',');
        std::getline(fields, contestant, ',');
        std::getline(fields, value);
        if (experiment != name) continue;
        for (const json& found : result.at("contestants")) {
            if (found.at("name") != contestant) continue;
            ++compared;
            CAPTURE(contestant);
            const double mean = found.at("metrics").at(metric).at("mean");
            MESSAGE(name << "," << contestant << "," << mean);
            CHECK(std::abs(mean - std::stod(value)) <= tolerance + share * std::abs(std::stod(value)));
        }
    }
    CHECK(compared == result.at("contestants").size());
}

}  // namespace

TEST_CASE("figure 5 in small: every method reaches the NMSE that is kept for it") {
    for (const char* panel : {"fig5a", "fig5b", "fig5c", "fig5d"}) check_quick(panel, "nmse_db", 1.5);
}

TEST_CASE("figure 6 in small: every method reaches the relative loss that is kept for it") {
    for (const char* panel : {"fig6a", "fig6b", "fig6a_free"}) check_quick(panel, "relative_loss", 0, 0.3);
}

TEST_CASE("figure 7 in small: every method comes down to the objective that is kept for it") {
    check_quick("fig7b", "objective", 0, 0.1);
}

TEST_CASE(
    "games in small: every method comes as near to a solution as is kept for it, the learned ones to it") {
    check_quick("minmax", "mean_distance", 1e-3, 0.3);
}
