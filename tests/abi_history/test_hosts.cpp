// Hosts of every age of the ABI with plugins of another (the first folder of L2O_PLUGIN_PATH), and with those
// of today.
#include <doctest/doctest.h>

#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/lab.hpp"
#include "tests/support/program.hpp"

namespace {

using l2o::test::Lab;

const std::string kToday = L2O_PLUGINS_OF_TODAY "/";

struct Printed {
    std::vector<double> f;
    std::string rest;
};

/// @param components  of mini_host's command line.
Printed solve(const std::string& age, int steps, const std::string& components) {
    const ScratchFolder folder;
    const l2o::test::Outcome outcome = l2o::test::run_program(
        folder, L2O_ABI_HISTORY "/" + age + "/mini_host", std::to_string(steps) + " " + components);
    CHECK(outcome.refusal() == "0 ");
    Printed printed;
    std::istringstream lines(outcome.out);
    for (std::string line; std::getline(lines, line);) {
        if (line.starts_with("f "))
            printed.f.push_back(std::stod(line.substr(2)));
        else
            printed.rest += line + "\n";
    }
    return printed;
}

/// What the framework computes for the instance of mini_host.
std::vector<double> framework(int steps, const std::string& optimizee, const std::string& optimizer) {
    Lab lab({.optimizer = optimizer, .problem = {.optimizee = optimizee, .instances = 1}});
    std::vector<double> f;
    for (const auto& point : lab.run(steps).f) f.push_back(point.at(0));
    return f;
}

std::vector<std::string> ages() {
    std::istringstream words(L2O_ABI_AGES);
    std::vector<std::string> out;
    for (std::string word; words >> word;) out.push_back(word);
    return out;
}

}  // namespace

TEST_CASE("abi history: a host of any age computes with today's plugins what today's host computes") {
    const std::vector<double> want = framework(100, "quadratic", "momentum");
    CHECK(want.back() < want.front() / 10);
    for (const std::string& age : ages()) {
        CAPTURE(age);
        const Printed printed = solve(age,
                                      100,
                                      kToday + "l2o_optimizee_quadratic.so quadratic " + kToday +
                                          "l2o_optimizer_momentum.so momentum " + kToday +
                                          "l2o_loss_final_objective.so final_objective");
        CHECK(printed.f == want);
    }
}

TEST_CASE("abi history: a host of any age computes with plugins in C what today's host computes") {
    const std::string folder = L2O_ABI_HISTORY "/in_c/";
    const std::vector<double> want = framework(100, "org.example.counted_points_c", "org.example.momentum_c");
    CHECK(want.back() < want.front() / 2);
    for (const std::string& age : ages()) {
        CAPTURE(age);
        const Printed printed = solve(age,
                                      100,
                                      folder + "counted_points.so org.example.counted_points_c " + folder +
                                          "momentum.so org.example.momentum_c " + kToday +
                                          "l2o_loss_final_objective.so final_objective");
        CHECK(printed.f == want);
    }
}

TEST_CASE("abi history: nobody reads a setting, or a spec with bounds, behind where it ends") {
    const auto run = [](const std::string& host, const std::string& components) {
        const ScratchFolder folder;
        return l2o::test::run_program(folder, L2O_ABI_HISTORY "/cut/" + host, "9 " + components).refusal();
    };
    const std::string path = std::getenv("L2O_PLUGIN_PATH");
    const std::string library = path.substr(0, path.find(':')) + "/of_history.so ",
                      loss = kToday + "l2o_loss_final_objective.so final_objective";
    CHECK(run("host_setting", library + "bowl " + library + "slope " + loss) ==
          "1 optimizee: create: status 3, expected float64\n");
    const std::string optimizer = kToday + "l2o_optimizer_momentum.so momentum " + loss;
    CHECK(
        run("host_setting",
            L2O_ABI_HISTORY "/in_c/counted_points.so org.example.counted_points_c " + optimizer) ==
        "1 optimizee: create: status 3, org.example.counted_points_c computes in float32 or float64 only\n");
    CHECK(run("host_setting", kToday + "l2o_optimizee_quadratic.so quadratic " + optimizer) ==
          "1 optimizee: create: status 3, quadratic computes in float32 or float64 only\n");
    for (const std::string& steps : {std::string(library + "slope "),
                                     std::string(L2O_ABI_HISTORY "/in_c/momentum.so org.example.momentum_c "),
                                     kToday + "l2o_optimizer_projected_gradient.so projected_gradient "})
        CHECK(run("host_bounded_spec", library + "bowl " + steps + loss) == "0 ");
}

TEST_CASE("abi history: a host of any age computes with plugins of any age what today's host computes") {
    const std::string path = std::getenv("L2O_PLUGIN_PATH");
    const std::string library = path.substr(0, path.find(':')) + "/of_history.so ";
    for (const std::string optimizer : {"slope", "trial"}) {
        CAPTURE(optimizer);
        const std::vector<double> want = framework(60, "bowl", optimizer);
        CHECK(want.back() < 1e-20);
        for (const std::string& age : ages()) {
            CAPTURE(age);
            const Printed printed =
                solve(age, 60, library + "bowl " + library + optimizer + " " + library + "last");
            CHECK(printed.f == want);
            CHECK(printed.rest.starts_with(optimizer == "slope" ? "slope 3\nrow_status 0\nloss "
                                                                : "row_status 1\nloss "));
        }
    }
}

TEST_CASE("abi history: the headers of tomorrow have a field more in every table with a struct_size") {
    CHECK(L2O_ABI_TABLES == 15);
}
