// The experiments of examples/paper in small, against the values that are kept beside them.
#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "framework/store/atomic_file.hpp"
#include "tests/host/command.hpp"

using l2o::framework::read_file;
using l2o::test::Outcome, l2o::test::run_l2o;
using nlohmann::json;

namespace {

const std::string kPaper = L2O_PAPER;

/// Runs a file of examples/paper/quick and compares the means of a metric with quick/expected.csv.
/// @param tolerance  difference that is rounding, which a training carries far on another processor
void check_quick(const std::string& name, const std::string& metric, double tolerance) {
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
            CHECK(std::abs(mean - std::stod(value)) <= tolerance);
        }
    }
    CHECK(compared == result.at("contestants").size());
}

}  // namespace

TEST_CASE("figure 5(a) in small: every method reaches the NMSE that is kept for it") {
    check_quick("fig5a", "nmse_db", 1.5);
}
