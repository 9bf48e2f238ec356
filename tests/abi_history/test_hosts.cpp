// Hosts of every age of the ABI with plugins of another (the first folder of L2O_PLUGIN_PATH), and with those
// of today.
#include <doctest/doctest.h>
#include <l2o/abi/loss.h>
#include <l2o/abi/optimizee.h>
#include <l2o/abi/optimizer.h>
#include <l2o/abi/plugin.h>

#include <cstddef>
#include <cstdlib>
#include <fstream>
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

/// The plugins of the age that is tested.
std::string library_of_history() {
    const std::string path = std::getenv("L2O_PLUGIN_PATH");
    return path.substr(0, path.find(':')) + "/of_history.so ";
}
/// Those that end early where ABI_HISTORY_CUT says.
bool is_cut() { return library_of_history() == L2O_ABI_HISTORY "/shorter/of_history.so "; }

/// A struct that is cut at every 8 bytes from `from` on: behind what says how much memory there is, without
/// which the rest makes no sense.
struct Cut {
    std::string name;
    std::size_t from, size;
};
#define CUT(type, from) \
    { #type, from, sizeof(type) }

/// Runs a program once for each. It may refuse; it may neither crash nor read on (AddressSanitizer).
template <class Run>
void check_cuts(const std::vector<Cut>& cuts, int refuses, Run&& run) {
    for (const Cut& cut : cuts) {
        for (std::size_t size = cut.from; size < cut.size; size += 8) {
            const ScratchFolder folder;
            const std::string where = cut.name + " " + std::to_string(size);
            const l2o::test::Outcome outcome = run(folder, "ABI_HISTORY_CUT='" + where + "'");
            CAPTURE(where);
            CAPTURE(outcome.err);
            CHECK((outcome.code == 0 || outcome.code == refuses));
            CHECK(outcome.err.empty() == (outcome.code == 0));
            for (const char* sign : {"crashed", "Sanitizer", "runtime error"})
                CHECK_FALSE(l2o::test::contains(outcome.err, sign));
        }
    }
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
    const std::string library = library_of_history(),
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
    const std::string library = library_of_history();
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

TEST_CASE(
    "abi history: wherever a table of a plugin ends, l2o reads no further, and refuses it or does without") {
    if (!is_cut()) return;
    check_cuts({CUT(l2o_plugin, 8),
                CUT(l2o_component, 8),
                CUT(l2o_option, 8),
                CUT(l2o_spec, offsetof(l2o_spec, layer)),
                CUT(l2o_optimizee_api, 8),
                CUT(l2o_optimizee_info, offsetof(l2o_optimizee_info, flags)),
                CUT(l2o_optimizer_api, 8),
                CUT(l2o_optimizer_info, offsetof(l2o_optimizer_info, flags)),
                CUT(l2o_optimizer_vjp, 8),
                CUT(l2o_loss_api, 8),
                CUT(l2o_loss_info, 8)},
               3,
               [](const ScratchFolder& folder, const std::string& cut) {
                   std::ofstream(folder / "all.info")
                       << "dtype float64\noptimizee { use bowl }\n"
                          "train { loss { use last }\n horizon 4\n unroll 4\n epochs 2\n batch 2 }\n"
                          "contestants { learned { optimizer { use slope } }\n asking { optimizer { use "
                          "trial } } }\n"
                          "evaluate { iterations 4\n instances 3 }\n";
                   return l2o::test::run_program(folder, L2O_PROGRAM, "run all.info --quiet", cut);
               });
}

TEST_CASE(
    "abi history: wherever a struct of a host ends, plugins read no further, and refuse it or do without") {
    if (!is_cut()) return;
    const std::vector<Cut> cuts{CUT(l2o_problem, offsetof(l2o_problem, flags)),
                                CUT(l2o_host, 8),
                                CUT(l2o_value, 8),
                                CUT(l2o_spec, offsetof(l2o_spec, layer)),
                                CUT(l2o_optimizee_setting, offsetof(l2o_optimizee_setting, dtype))};
    const std::string first = L2O_ABI_HISTORY "/v1rc1/of_history.so ", in_c = L2O_ABI_HISTORY "/in_c/";
    for (const std::string& components :
         {first + "bowl " + first + "slope " + first + "last",
          first + "bowl " + first + "trial " + first + "last",
          in_c + "counted_points.so org.example.counted_points_c " + in_c +
              "momentum.so org.example.momentum_c " + kToday + "l2o_loss_final_objective.so final_objective",
          kToday + "l2o_optimizee_quadratic.so quadratic " + kToday + "l2o_optimizer_momentum.so momentum " +
              kToday + "l2o_loss_final_objective.so final_objective"}) {
        CAPTURE(components);
        check_cuts(cuts, 1, [&](const ScratchFolder& folder, const std::string& cut) {
            return l2o::test::run_program(
                folder, L2O_ABI_HISTORY "/shorter/mini_host", "5 " + components, cut);
        });
    }
}
