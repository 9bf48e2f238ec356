#include <doctest/doctest.h>

#include <cstdint>
#include <string>

#include "framework/store/safetensors.hpp"
#include "framework/text/json.hpp"
#include "tests/host/command.hpp"
#include "tests/host/solve_problem.hpp"

using namespace l2o::framework;
using l2o::test::contains;
using l2o::test::Metadata;
using l2o::test::Numbers;
using l2o::test::numbers;
using l2o::test::Outcome;
using l2o::test::Problem;
using l2o::test::small_lasso;
using l2o::test::small_quadratic;

TEST_CASE("--safeguard replaces the steps that fail, and says how many") {
    Problem problem = small_quadratic();
    const std::string diverges = "--optimizer gradient_descent --set learning_rate=10 --iterations 300";
    CHECK(problem.solve(diverges).code == 4);
    const std::string safeguard = " --safeguard gradient_descent --safeguard-set learning_rate=0.05";
    const Outcome outcome = problem.solve(diverges + safeguard);
    CHECK(outcome.refusal() == "0 ");
    CHECK(contains(outcome.out, "safeguard    100 % of the steps were those of 'gradient_descent'\n"));
    const Numbers f = numbers(problem.output().at("f"));
    for (std::size_t row = 0; row < 2; ++row) CHECK(f[600 + row] < 1e-3 * f[row]);
    const auto json = nlohmann::json::parse(problem.solve(diverges + safeguard + " --json").out);
    CHECK(json.at("safeguard").at("use") == "gradient_descent");
    CHECK(json.at("safeguard").at("fallback_rate") == 1);
    CHECK(json.at("evaluations").at("gradients") == 601);

    const Outcome good =
        problem.solve("--optimizer gradient_descent --set learning_rate=0.05 --iterations 5" + safeguard +
                      " --safeguard-set test=objective");
    CHECK(contains(good.out, "safeguard    0 % of the steps"));
    CHECK(contains(good.out, "11 (11 f, 6 g) per instance\n"));
    CHECK(!contains(problem.solve("--optimizer gradient_descent").out, "safeguard"));
}

TEST_CASE("a safeguard that makes no sense is refused") {
    Problem problem = small_quadratic();
    const std::string use = "--optimizer gradient_descent ";
    CHECK(contains(problem.solve(use + "--safeguard-set alpha=0.5").refusal(),
                   "2 l2o: error: --safeguard-set needs --safeguard ID; see 'l2o solve --help'"));
    CHECK(contains(problem.solve(use + "--safeguard adam").refusal(),
                   "2 l2o: error: --safeguard: 'adam' keeps a state ('m')"));
    CHECK(
        contains(problem.solve(use + "--safeguard gradient_descent --safeguard-set alhpa=1").refusal(),
                 "2 l2o: error: --safeguard-set: safeguard: neither the safeguard nor 'gradient_descent' has "
                 "an option 'alhpa'; did you mean 'alpha'?"));
    CHECK(contains(problem.solve(use + "--safeguard itsa").refusal(), "unknown optimizer 'itsa'"));
}

TEST_CASE("a layered optimizer takes as many steps as it has layers, and no more") {
    Problem problem = small_lasso();
    const Outcome outcome = problem.solve("--optimizer lista --set layers=4");
    CHECK(outcome.code == 0);
    CHECK(contains(outcome.err, "note: 'lista' is not trained"));
    CHECK(problem.output().at("f").shape() == Shape{5, 2});
    CHECK(problem.solve("--optimizer lista --set layers=4 --quiet").err == "");
    CHECK(contains(problem.solve("--optimizer lista --set layers=4 --iterations 5").refusal(),
                   "2 l2o: error: l2o solve: 'lista' has 4 layers, one per step, and iterations is 5"));
    problem.add("x0", {2, 5});
    CHECK(
        contains(problem.solve("--optimizer lista").refusal(),
                 "2 l2o: error: p.safetensors: 'lista' is defined from x = 0 only, and the start is another; "
                 "leave out tensor 'x0'"));
}

TEST_CASE("behind the last layer the optimizer of --continue-with goes on") {
    Problem problem = small_lasso();
    CHECK(
        problem.solve("--optimizer lista --set layers=4 --set start=ista --iterations 6 --continue-with ista")
            .code == 0);
    const TensorFile both = problem.output();
    CHECK(both.at("f").shape() == Shape{7, 2});
    CHECK(problem.solve("--optimizer ista --iterations 6").code == 0);
    for (std::int64_t i = 0; i < both.at("x").size(); ++i)
        CHECK(both.at("x").value(i) == doctest::Approx(problem.output().at("x").value(i)).epsilon(1e-12));
    const std::string lista = "--optimizer lista --set layers=4 --iterations 6 --continue-with ";
    CHECK(
        contains(problem.solve(lista + "alista").refusal(),
                 "2 l2o: error: --continue-with: 'alista' is learned; expected a classic optimizer, such as "
                 "'fista'"));
    CHECK(contains(problem.solve(lista + "fitsa").refusal(), "did you mean 'fista'?"));
    CHECK(contains(problem.solve(lista + "particle_swarm").refusal(),
                   "2 l2o: error: l2o solve: --continue-with: a population cannot take over"));
}

TEST_CASE("weights bring their options, --set stands above, and other weights are refused") {
    Problem problem = small_lasso();
    const Metadata metadata{
        {"l2o.format", "1"}, {"l2o.optimizer", "lista"}, {"l2o.options", R"({"layers": 2})"}};
    // With B = 0 and S = 0 the network is S(0, theta) = 0 in every layer.
    const Tensor b(Dtype::kF64, {5, 3}), s(Dtype::kF64, {5, 5}), theta(Dtype::kF64, {});
    const TensorRefs weights{
        {"shared.B", &b}, {"layer.01.S", &s}, {"layer.00.theta", &theta}, {"layer.01.theta", &theta}};
    write_safetensors(problem.folder / "w.safetensors", weights, metadata);
    const Outcome outcome = problem.solve("--optimizer lista --weights w.safetensors");
    CHECK(outcome.refusal() == "0 ");
    CHECK(problem.output().at("f").shape() == Shape{3, 2});
    CHECK(numbers(problem.output().at("x")) == Numbers(10, 0.0));

    CHECK(contains(problem.solve("--optimizer lista --weights w.safetensors --set layers=3").refusal(),
                   "2 l2o: error: w.safetensors: "));
    CHECK(contains(
        problem.solve("--optimizer alista --weights w.safetensors").refusal(),
        "2 l2o: error: w.safetensors: metadata l2o.optimizer is 'lista'; expected weights of 'alista'"));
}
