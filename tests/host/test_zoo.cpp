// The weights of examples/zoo, on the problems they were trained for.
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <string>

#include "framework/text/json.hpp"
#include "tests/host/command.hpp"

using l2o::test::Outcome, l2o::test::run_l2o;
using nlohmann::json;

namespace {

const std::string kZoo = L2O_ZOO;

/// Means of a metric after the last iteration over so many test instances, by contestant.
std::map<std::string, double> evaluate(const std::string& experiment,
                                       const std::string& weights,
                                       const std::string& metric,
                                       int instances = 128) {
    const ScratchFolder folder;
    const Outcome outcome =
        run_l2o(folder,
                "evaluate '" + kZoo + "/" + experiment + ".info' " + weights +
                    " evaluate.instances=" + std::to_string(instances) + " --json --quiet --no-report");
    REQUIRE(outcome.refusal() == "0 ");
    const json result = json::parse(outcome.out);
    std::map<std::string, double> means;
    for (const json& contestant : result.at("contestants"))
        means[contestant.at("name")] = contestant.at("metrics").at(metric).at("mean");
    return means;
}
std::string weights_of(const std::string& name) {
    return "--weights " + name + "='" + kZoo + "/" + name + ".safetensors'";
}

}  // namespace

TEST_CASE("zoo: ALISTA and HyperLISTA recover signals as their cards say") {
    auto nmse = evaluate("sparse_recovery", weights_of("alista") + " " + weights_of("hyperlista"), "nmse_db");
    CHECK(std::abs(nmse["alista"] + 87.2) < 1.5);
    CHECK(std::abs(nmse["hyperlista"] + 89.3) < 1.5);
}

TEST_CASE("zoo: 16 steps of Step-LISTA are closer to the minimum than 16 of FISTA, as its card says") {
    auto loss = evaluate("lasso", weights_of("step_lista"), "relative_loss");
    CHECK(std::abs(loss["step_lista"] - 0.669) < 0.07);
    CHECK(loss["step_lista"] < loss["fista"]);
    CHECK(loss["fista"] < loss["ista"]);
}

TEST_CASE("zoo: learned optimizers go down Rastrigin functions as their cards say") {
    const std::map<std::string, double> card = {{"rastrigin_dm", 52.7},
                                                {"rastrigin_rnnprop", 51.5},
                                                {"rastrigin_scale", 52.2},
                                                {"rastrigin_enhanced", 47.2},
                                                {"rastrigin_rnnprop_es", 42.4}};
    std::string weights;
    for (const auto& [name, mean] : card) weights += weights_of(name) + " ";
    auto objective = evaluate("rastrigin", weights, "objective");
    for (const auto& [name, mean] : card) {
        const auto& which = name;
        CAPTURE(which);
        CHECK(std::abs(objective[name] - mean) < 1.5);
    }
    CHECK(objective["rastrigin_rnnprop_es"] < objective["adam"] - 5);
}

TEST_CASE("zoo: L2O-Swarm finds lower values than Adam from four starts and CMA-ES, as its card says") {
    auto gap = evaluate("../experiments/rastrigin_swarm", "evaluate.starts=2", "gap", 64);
    CHECK(std::abs(gap["swarm"] - 3.2) < 0.8);
    CHECK(gap["swarm"] < gap["adam_4_x_1000"] - 3);
    CHECK(gap["swarm"] < gap["cma"] - 1.5);
}

TEST_CASE(
    "zoo: the enhanced L2O-DM is below Adam on quadratics after 100 steps and after 1,000, as its card "
    "says") {
    const std::string weights = "--weights enhanced='" + kZoo + "/quadratic_enhanced.safetensors'";
    auto late = evaluate("../experiments/quadratic_enhanced", weights, "objective");
    CHECK(std::abs(late["enhanced"] - 0.0083) < 0.003);
    CHECK(late["enhanced"] < 0.7 * late["adam"]);
    auto early =
        evaluate("../experiments/quadratic_enhanced", weights + " evaluate.iterations=100", "objective");
    CHECK(std::abs(early["enhanced"] - 0.041) < 0.01);
    CHECK(early["enhanced"] < 0.7 * early["adam"]);
}

#ifdef L2O_ZOO_FASHION
TEST_CASE("zoo: AdafacMLP trains the network of the quickstart further in 200 steps than tuned Adam") {
    if (!std::filesystem::exists("/usr/share/datasets/fashion-mnist")) {
        MESSAGE("skipped: Fashion-MNIST is missing; install it with: apt-get install dataset-fashion-mnist");
        return;
    }
    auto loss = evaluate(
        "../experiments/fashion_mlp", "evaluate.starts=3 evaluate.metrics_every=200", "test_loss", 1);
    CHECK(std::abs(loss["adafac_mlp"] - 0.487) < 0.02);
    CHECK(loss["adafac_mlp"] < loss["adam"] - 0.03);
}
#endif

TEST_CASE("zoo: learned steps for games are at a solution after 24 partial gradients, as their cards say") {
    auto distance = evaluate("games",
                             weights_of("games_twin") + " " + weights_of("games_secant") +
                                 " --untrained evaluate.iterations=24 evaluate.max_evaluations=24",
                             "mean_distance");
    CHECK(distance["games_twin"] < 1e-8);
    CHECK(distance["games_secant"] < 1e-8);
    CHECK(distance["extragradient"] > 1e-3);
}

TEST_CASE("zoo: the learned secant step for games of five numbers is closer than Halpern's iteration") {
    auto distance =
        evaluate("games",
                 weights_of("games_secant_5") +
                     " --untrained optimizee.use=matrix_game optimizee.d=5 evaluate.iterations=1000 "
                     "evaluate.max_evaluations=2000 evaluate.starts=1 evaluate.metrics_every=1000",
                 "mean_distance");
    CHECK(distance["games_secant_5"] < 0.05);
    CHECK(distance["halpern"] > 0.1);
}

TEST_CASE("zoo: L2O-DM and L2O-RNNProp come close to the minimum of Lasso problems, as their cards say") {
    auto loss = evaluate("../paper/fig6b_free",
                         "--weights dm='" + kZoo + "/lasso_dm.safetensors' --weights rnnprop='" + kZoo +
                             "/lasso_rnnprop.safetensors'",
                         "relative_loss",
                         32);
    CHECK(std::abs(loss["dm"] - 0.0049) < 0.0015);
    CHECK(std::abs(loss["rnnprop"] - 0.00042) < 0.00015);
    CHECK(loss["dm"] < 0.3 * loss["adam_tuned"]);
}
