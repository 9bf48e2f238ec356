#include <doctest/doctest.h>

#include <string>

#include "framework/store/atomic_file.hpp"
#include "framework/store/safetensors.hpp"
#include "framework/text/json.hpp"
#include "tests/host/command.hpp"
#include "tests/host/solve_problem.hpp"

using namespace l2o::framework;
using l2o::test::contains;
using l2o::test::Outcome;
using l2o::test::run_l2o;
using l2o::test::tensor;

namespace {

/// e.info: lasso of which an instance has a certified solution only if its b starts with 0, x_1 = b_1 /
/// 1e-310 being no number.
void with_uncertified(const ScratchFolder& folder, TensorRefs tensors, const std::string& rest) {
    const Tensor a = tensor(Dtype::kF64, {2, 2}, {1e-310, 0, 0, 1});
    tensors["A"] = &a;
    write_safetensors(folder / "all.safetensors", tensors, {});
    write_file_atomically(folder / "e.info",
                          "name e\ndtype float64\n"
                          "optimizee { use lasso\nmatrix all.safetensors\nnormalize false\n"
                          "data all.safetensors\nlambda 1e-320 }\n" +
                              rest);
}

}  // namespace

TEST_CASE("an evaluation leaves out test instances without a certified solution, and says how many") {
    const ScratchFolder folder;
    const Tensor b = tensor(Dtype::kF64, {3, 2}, {3, 4, 0, 2, 0, 1});
    with_uncertified(folder,
                     {{"test.b", &b}},
                     "contestants { fista { optimizer { use fista } } }\n"
                     "evaluate { instances 3\niterations 2\nmetric suboptimality }\n");
    const Outcome outcome = run_l2o(folder, "run e.info --out runs --no-report");
    CHECK(outcome.code == 0);
    CHECK(contains(outcome.err,
                   "note: 1 of 3 test instances have no certified solution; metrics that need it leave them "
                   "out, for everybody"));
    CHECK(contains(outcome.out,
                   "\nno certified solution: 1 of 3 instances left out of suboptimality\ntime: of a solve"));
    CHECK_FALSE(contains(outcome.out, "diverged"));
    CHECK_FALSE(contains(outcome.out, "not finite"));
    const auto json = nlohmann::json::parse(run_l2o(folder, "run e.info --out runs --json --no-report").out);
    CHECK(json["unsolved"] == nlohmann::json::array({0}));
    const auto& metrics = json["contestants"][0]["metrics"];
    CHECK(metrics["suboptimality"]["rows"] == 2);
    CHECK(metrics["suboptimality"]["finite"] == 2);
    CHECK(metrics["suboptimality"]["mean"].is_number());
    CHECK(metrics["relative_loss"]["mean"].is_number());
    CHECK(metrics["objective"]["rows"] == 3);
}

TEST_CASE("a training for solutions that nobody can certify says so, and gives no advice on its steps") {
    const ScratchFolder folder;
    const Tensor b = tensor(Dtype::kF64, {2, 2}, {3, 4, 3, 2});
    with_uncertified(folder,
                     {{"train.b", &b}, {"validation.b", &b}, {"test.b", &b}},
                     "train { epochs 2\nhorizon 2\nunroll 2\nbatch 2\nloss { use mse_to_solution } }\n"
                     "contestants { dm { optimizer { use l2o_dm } } }\n"
                     "evaluate { instances 2\niterations 2 }\n");
    const Outcome outcome = run_l2o(folder, "train e.info --out runs");
    CHECK(outcome.code == 4);
    CHECK(contains(
        outcome.err,
        "error: training of 'dm': all 2 windows taught nothing ('lasso' has no certified solution of "
        "2 of 2 instances, and loss 'mse_to_solution' needs it); train with a loss that needs no "
        "solution (trajectory_sum), or on problems that have one"));
}

TEST_CASE("validation leaves out the instances whose solution nobody can certify") {
    const ScratchFolder folder;
    const Tensor b = tensor(Dtype::kF64, {3, 2}, {0, 4, 0, 2, 0, 3}),
                 validation = tensor(Dtype::kF64, {3, 2}, {0, 4, 3, 4, 0, 3});
    with_uncertified(folder,
                     {{"train.b", &b}, {"validation.b", &validation}, {"test.b", &b}},
                     "train { epochs 3\nhorizon 2\nunroll 2\nbatch 1\nloss { use mse_to_solution }\n"
                     "validate { every 1\ninstances 3 } }\n"
                     "contestants { dm { optimizer { use l2o_dm } } }\n"
                     "evaluate { instances 3\niterations 2 }\n");
    const Outcome outcome = run_l2o(folder, "train e.info --out runs --json --quiet");
    REQUIRE(outcome.refusal() == "0 ");
    const auto weights = nlohmann::json::parse(outcome.out).at("weights").at(0);
    CHECK(weights.at("skipped") == 0);
    CHECK(weights.at("validation").at("instances") == 2);
    CHECK(weights.at("validation").at("diverged") == 0);
}
