#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "framework/store/atomic_file.hpp"
#include "framework/store/safetensors.hpp"
#include "framework/text/json.hpp"
#include "tests/host/command.hpp"
#include "tests/host/solve_problem.hpp"

using namespace l2o::framework;
using l2o::test::contains;
using l2o::test::kStart;
using l2o::test::kW;
using l2o::test::kY;
using l2o::test::Numbers;
using l2o::test::numbers;
using l2o::test::Outcome;
using l2o::test::Problem;
using l2o::test::run_until;
using l2o::test::small_lasso;
using l2o::test::small_quadratic;

namespace {

/// x_0 .. x_steps and f there by the definition of gradient descent: [t][row][i] and [t][row].
struct Descent {
    Numbers x, f;
};
Descent descend_by_hand(double rate, int steps) {
    Descent out;
    Numbers x = kStart;
    for (int t = 0; t <= steps; ++t) {
        out.x.insert(out.x.end(), x.begin(), x.end());
        for (std::size_t b = 0; b < 2; ++b) {
            const double* w = &kW[4 * b];
            double* z = &x[2 * b];
            const double r0 = w[0] * z[0] + w[1] * z[1] - kY[2 * b],
                         r1 = w[2] * z[0] + w[3] * z[1] - kY[2 * b + 1];
            out.f.push_back(r0 * r0 + r1 * r1);
            z[0] -= rate * 2 * (w[0] * r0 + w[2] * r1);
            z[1] -= rate * 2 * (w[1] * r0 + w[3] * r1);
        }
    }
    return out;
}

double worst_difference(const Numbers& got, const Numbers& want) {
    REQUIRE(got.size() == want.size());
    double worst = 0;
    for (std::size_t i = 0; i < got.size(); ++i)
        worst = std::max(worst, std::abs(got[i] - want[i]) / std::max(1.0, std::abs(want[i])));
    return worst;
}

}  // namespace

TEST_CASE("gradient descent on a quadratic is the recursion by hand, in the file's precision") {
    for (const Dtype dtype : {Dtype::kF64, Dtype::kF32}) {
        const double tolerance = dtype == Dtype::kF64 ? 1e-14 : 1e-6;
        CAPTURE(name_of(dtype));
        Problem problem = small_quadratic(dtype);
        const Outcome outcome = problem.solve(
            "--optimizer gradient_descent --set learning_rate=0.05 --iterations 3 --trajectory");
        CHECK(outcome.refusal() == "0 ");
        CHECK(contains(outcome.out, "2 instances, 3 iterations"));
        CHECK(contains(outcome.out, "4 (1 f, 3 g) per instance\n"));
        const TensorFile file = problem.output();
        const Descent want = descend_by_hand(0.05, 3);
        CHECK(file.at("f").dtype() == dtype);
        CHECK(file.at("f").shape() == Shape{4, 2});
        CHECK(file.at("x").shape() == Shape{2, 2});
        CHECK(file.at("x_trajectory").shape() == Shape{4, 2, 2});
        CHECK(worst_difference(numbers(file.at("f")), want.f) <= tolerance);
        CHECK(worst_difference(numbers(file.at("x_trajectory")), want.x) <= tolerance);
        CHECK(worst_difference(numbers(file.at("x")), {want.x.end() - 4, want.x.end()}) <= tolerance);
        CHECK(file.metadata.at("l2o.optimizer") == "gradient_descent");
        CHECK(file.metadata.at("l2o.optimizee") == "quadratic");
        CHECK(nlohmann::json::parse(file.metadata.at("l2o.options")).at("learning_rate") == 0.05);
        CHECK(nlohmann::json::parse(file.metadata.at("l2o.optimizee_options")).at("n") == 2);
        CHECK(file.metadata.at("l2o.iterations") == "3");
    }
}

TEST_CASE(
    "without --trajectory the output has x, f and the best of both, and 100 iterations are the default") {
    Problem problem = small_quadratic();
    CHECK(problem.solve("--optimizer gradient_descent").code == 0);
    CHECK(problem.output().tensors.size() == 4);
    CHECK(problem.output().at("f_best").value(1) <= problem.output().at("f").value(100 * 2 + 1));
    CHECK(problem.output().at("f").shape() == Shape{101, 2});
}

TEST_CASE("a schedule that follows the number of steps is told the default one") {
    Problem problem = small_quadratic();
    const std::string words = "--optimizer gradient_descent --set schedule=cosine --set learning_rate=0.05";
    CHECK(problem.solve(words).refusal() == "0 ");
    const std::vector<double> f = numbers(problem.output().at("f"));
    CHECK(problem.solve(words + " --iterations 100").code == 0);
    CHECK(numbers(problem.output().at("f")) == f);
    CHECK(problem.solve(words + " --iterations 101").code == 0);
    CHECK(numbers(problem.output().at("f"))[198] != f[198]);
}

TEST_CASE("a method that takes its gradients from the data has no best point, and is told so") {
    Problem problem("lasso");
    problem.add("A", {3, 5});
    problem.add("b", {2, 3});
    const std::string words = "--optimizer fista --iterations 6";
    const Outcome outcome = problem.solve(words);
    CHECK(contains(outcome.out, "  best f       none: no point before the last was evaluated\n"));
    CHECK(contains(outcome.out, "7 (1 f, 6 g) per instance\n"));
    for (const double f : numbers(problem.output().at("f_best"))) CHECK(std::isnan(f));
    for (const double x : numbers(problem.output().at("x_best"))) CHECK(std::isnan(x));
    const auto json = nlohmann::json::parse(problem.solve(words + " --json").out);
    CHECK(json.at("best_f").is_null());
    CHECK(json.at("evaluations").at("values") == 1);
    CHECK(!contains(small_quadratic().solve("--optimizer gradient_descent").out, "best f       none"));
}

TEST_CASE("of a game |F| at the end is told and kept, where f says nothing") {
    Problem problem("rotated_saddle");
    problem.add("a", {2}, {1, 1});
    problem.add("b", {2}, {1, 1});
    problem.add("x0", {2, 2}, {0.5, 0, 0, -0.25});
    const std::string words = "--optimizer gradient_descent_ascent --iterations ";
    // F = (2 a u + 2 v, 2 b v - 2 u).
    const Outcome outcome = problem.solve(words + "0");
    CHECK(contains(outcome.out,
                   "  final |F|    median 1.06066, 10-90 % 0.777817 .. 1.3435\n  final f      median "));
    CHECK(numbers(problem.output().at("residual")) == Numbers{std::hypot(1, -1), std::hypot(-0.5, -0.5)});
    const auto json = nlohmann::json::parse(problem.solve(words + "200 --json").out);
    CHECK(json.at("final_residual").at("median").get<double>() < 1e-6);
    CHECK(json.at("final_residual").at("rows") == 2);
    Problem other = small_quadratic();
    CHECK(!contains(other.solve("--optimizer gradient_descent").out, "|F|"));
    CHECK(!other.output().tensors.contains("residual"));
}

TEST_CASE("sizes that an optimizee does not take are refused by the file that has them") {
    Problem problem("robust_least_squares");
    problem.add("A", {2, 3, 5});
    problem.add("b", {2, 3});
    CHECK(contains(
        problem.solve("--optimizer gradient_descent_ascent").refusal(),
        "2 l2o: error: p.safetensors: optimizee 'robust_least_squares': m is 3; expected at least n, 5"));
}

TEST_CASE("a number that is 0 has no sign") {
    Problem problem("seesaw");
    problem.add("a", {1}, {1});
    problem.add("b", {1}, {1});
    problem.add("x0", {1, 2}, {0.5, 0});
    CHECK(!contains(problem.solve("--optimizer gradient_descent_ascent --iterations 0").out, "-0"));
}

TEST_CASE("--iterations 0 evaluates the start") {
    Problem problem = small_quadratic();
    CHECK(problem.solve("--optimizer gradient_descent --iterations 0").code == 0);
    CHECK(numbers(problem.output().at("x")) == kStart);
}

TEST_CASE("l2o solve --json tells the final objective and the evaluations") {
    Problem problem = small_quadratic();
    const Outcome outcome = problem.solve("--optimizer gradient_descent --iterations 5 --json");
    const auto json = nlohmann::json::parse(outcome.out);
    CHECK(json.at("evaluations").at("gradients") == 5);
    CHECK(json.at("final_f").at("finite") == 2);
    CHECK(json.at("instances") == 2);
    CHECK(json.at("total_seconds").get<double>() > json.at("seconds").get<double>());
    CHECK(contains(problem.solve("--optimizer gradient_descent --iterations 5").out,
                   " with loading, preparing and writing\n"));
}

TEST_CASE("instances that diverge count as the worst in median and quantiles, and are told of") {
    Problem problem("quadratic");
    problem.add("W", {3, 1, 1}, {1, 1e3, 1e3});
    problem.add("y", {3, 1}, {1, 1, 1});
    problem.add("x0", {3, 1}, {0, 0, 0});
    const std::string gd = "--optimizer gradient_descent --set learning_rate=0.1 --iterations 300";
    const Outcome outcome = problem.solve(gd);
    CHECK(outcome.refusal() == "0 ");
    CHECK(contains(outcome.out, "median diverged, 10-90 % diverged .. diverged\n"));
    CHECK(contains(outcome.out, "  diverged     2 of 3 instances, counted as the worst\n"));
    const auto f = nlohmann::json::parse(problem.solve(gd + " --json").out).at("final_f");
    CHECK(f.at("median").is_null());
    CHECK(f.at("mean").is_null());
    CHECK(f.at("finite") == 1);
    CHECK(f.at("rows") == 3);
}

TEST_CASE("without x0 the start is the optimizee's, by --seed") {
    Problem problem = small_quadratic();
    problem.tensors.erase("x0");
    const std::string arguments = "--optimizer gradient_descent --iterations 0 --seed ";
    std::vector<Numbers> starts;
    for (const char* seed : {"1", "1", "2"}) {
        CHECK(problem.solve(arguments + seed).code == 0);
        starts.push_back(numbers(problem.output().at("x")));
    }
    CHECK(starts[0] == starts[1]);
    CHECK(starts[0] != starts[2]);
}

TEST_CASE(
    "--state writes states of the optimizer, point by point; one that there is not is refused with all") {
    Problem problem = small_quadratic();
    const std::string momentum =
        "--optimizer momentum --set learning_rate=0.05 --set mu=0.5 --iterations 3 --trajectory ";
    REQUIRE(problem.solve(momentum + "--state v").refusal() == "0 ");
    const TensorFile file = problem.output();
    const Tensor &v = file.at("state.v"), &x = file.at("x_trajectory");
    REQUIRE(v.shape() == Shape{4, 2, 2});
    for (std::int64_t i = 0; i < 4; ++i) CHECK(v.value(i) == 0);
    for (std::int64_t i = 4; i < 16; ++i)  // x' = x - rate v'
        CHECK(x.value(i - 4) - 0.05 * v.value(i) == doctest::Approx(x.value(i)).epsilon(1e-12));
    CHECK(
        contains(problem.solve(momentum + "--state speed").refusal(),
                 "2 l2o: error: --state: 'momentum' has no state 'speed'; known: v; see 'l2o solve --help'"));
    CHECK(contains(
        problem.solve(momentum + "--state v --restarts 2").refusal(),
        "2 l2o: error: --state: with --continue-with or --restarts the states are not one optimizer's"));
    CHECK(problem.solve("--optimizer particle_swarm --set particles=3 --iterations 2 --state v --state v")
              .code == 0);
    CHECK(problem.output().at("state.v").shape() == Shape{3, 2, 3, 2});
}

TEST_CASE("the same bits for any number of threads") {
    Problem problem("quadratic", Dtype::kF32);
    problem.add("W", {70, 3, 3});
    problem.add("y", {70, 3});
    std::vector<std::string> files;
    for (const char* threads : {"1", "2", "5"}) {
        CHECK(
            problem.solve(std::string("--optimizer particle_swarm --trajectory --threads ") + threads).code ==
            0);
        files.push_back(read_file(problem.folder / "out.safetensors"));
    }
    CHECK(files[0] == files[1]);
    CHECK(files[0] == files[2]);
}

TEST_CASE("the same bits for any number of BLAS threads that the environment asks for") {
    Problem problem("lasso");
    const std::int64_t m = 200, n = 400, instances = 64;
    problem.add("A", {m, n});
    problem.add("b", {instances, m});
    problem.metadata["l2o.options"] = R"({"lambda": 0.1})";
    std::vector<std::string> files;
    for (const char* environment : {"OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1",
                                    "OPENBLAS_NUM_THREADS=2 OMP_NUM_THREADS=2",
#ifndef __SANITIZE_ADDRESS__  // whose runtime has to come first
                                    "OPENBLAS_NUM_THREADS=3 OMP_NUM_THREADS=3 LD_PRELOAD=libblas.so.3",
#endif
                                    "LC_ALL=de_DE.UTF-8 OMP_NUM_THREADS=2"}) {
        CAPTURE(environment);
        const Outcome outcome = problem.solve("--optimizer fista --iterations 3", environment);
        REQUIRE(outcome.code == 0);
        files.push_back(read_file(problem.folder / "out.safetensors"));
        CHECK(files.back() == files.front());
    }
}

TEST_CASE(
    "of a population every point is the best that it has paid for, and its first particle starts at x0") {
    Problem problem = small_quadratic();
    CHECK(problem.solve("--optimizer gradient_descent --iterations 0").code == 0);
    const double alone = problem.output().at("f").value(0);
    CHECK(problem.solve("--optimizer particle_swarm --set particles=8 --iterations 20 --trajectory").code ==
          0);
    const TensorFile swarm = problem.output();
    CHECK(swarm.at("f").shape() == Shape{21, 2});
    CHECK(swarm.at("x_trajectory").shape() == Shape{21, 2, 2});
    CHECK(swarm.at("f").value(0) == alone);
    CHECK(swarm.at("f_best").value(0) == swarm.at("f").value(40));
    // f is that of the particle in x.
    const double x0 = swarm.at("x").value(0), x1 = swarm.at("x").value(1);
    const double r0 = kW[0] * x0 + kW[1] * x1 - kY[0], r1 = kW[2] * x0 + kW[3] * x1 - kY[1];
    CHECK(swarm.at("f").value(40) == doctest::Approx(r0 * r0 + r1 * r1).epsilon(1e-12));
    CHECK(contains(problem.solve("--optimizer particle_swarm --set particles=8 --iterations 20").out,
                   "160 (160 f, 0 g) per instance\n"));
}

TEST_CASE("a swarm whose particles all start at one point is spread, or refused where it must not be") {
    Problem problem("lasso");
    problem.add("A", {3, 4});
    problem.add("b", {2, 3});
    CHECK(contains(
        problem.solve("--optimizer particle_swarm --set particles=5 --set spread=0").refusal(),
        "3 l2o: error: particle_swarm: the 5 particles of an instance start at one point, from where none "
        "would ever move"));
    CHECK(problem.solve("--optimizer particle_swarm --set particles=5").code == 0);
    problem.metadata["l2o.options"] = R"({"init_std": 1})";
    CHECK(problem.solve("--optimizer particle_swarm --set particles=5 --set spread=0").code == 0);
}

TEST_CASE("an optimizer that needs what the problem lacks is refused, exit code 3") {
    Problem problem = small_quadratic();
    CHECK(contains(problem.solve("--optimizer fista").refusal(), "3 l2o: error: "));
}

TEST_CASE("if every instance diverges the output is written and the exit code is 4") {
    Problem problem = small_quadratic();
    const Outcome outcome =
        problem.solve("--optimizer gradient_descent --set learning_rate=1e9 --iterations 200");
    CHECK(contains(outcome.refusal(),
                   "4 l2o: error: 'gradient_descent' diverged: no instance ends with a finite f"));
    CHECK(contains(outcome.refusal(), "; try a smaller step; out.safetensors was written all the same"));
    CHECK(contains(outcome.out, "2 of 2 instances"));
    CHECK(problem.output().at("f").shape() == Shape{201, 2});
    problem.tensors.erase("x0");
    problem.add("x0", {2, 2}, Numbers(4, 1e200));
    CHECK(
        contains(problem.solve("--optimizer gradient_descent --set learning_rate=1e-9").refusal(),
                 "4 l2o: error: f of 'quadratic' is not finite at any start, before the first step: look at "
                 "the problem, not at who solves it; out.safetensors was written all the same"));
}

TEST_CASE("--max-evaluations ends an instance before the step that it could not pay for, with its end") {
    Problem problem = small_quadratic();
    const Outcome limited =
        problem.solve("--optimizer gradient_descent --iterations 20 --max-evaluations 5 --json");
    CHECK(limited.code == 0);
    CHECK(nlohmann::json::parse(limited.out).at("evaluations").at("points") == 5);
    CHECK(nlohmann::json::parse(limited.out).at("iterations") == 4);
    CHECK(nlohmann::json::parse(limited.out).at("iterations_wanted") == 20);
    CHECK(contains(problem.solve("--optimizer gradient_descent --iterations 20 --max-evaluations 5").out,
                   ", 4 of 20 iterations, "));
    const TensorFile end = problem.output();
    CHECK(end.at("f").shape() == Shape{21, 2});
    CHECK(problem.solve("--optimizer gradient_descent --iterations 4").code == 0);
    for (std::int64_t i = 0; i < end.at("x").size(); ++i)
        CHECK(end.at("x").value(i) == problem.output().at("x").value(i));
    CHECK(end.at("f").value(40) == problem.output().at("f").value(8));
    CHECK(contains(problem.solve("--optimizer gradient_descent --max-evaluations -1").refusal(),
                   "--max-evaluations"));
}

TEST_CASE("a schedule that follows the number of steps is told of a budget that leaves fewer") {
    Problem problem = small_quadratic();
    const std::string words =
        "--optimizer gradient_descent --set schedule=cosine --set learning_rate=0.05 --max-evaluations 6";
    REQUIRE(problem.solve(words + " --set schedule_steps=6").refusal() == "0 ");
    const Numbers want = numbers(problem.output().at("x"));
    REQUIRE(problem.solve(words + " --set schedule_steps=100").refusal() == "0 ");
    CHECK(numbers(problem.output().at("x")) != want);
    REQUIRE(problem.solve(words).refusal() == "0 ");
    CHECK(numbers(problem.output().at("x")) == want);
}

TEST_CASE(
    "--restarts shares the iterations, the method is told so, and x is the best point that was paid for") {
    Problem problem = small_quadratic();
    problem.metadata["l2o.options"] = R"({"init_std": 1})";
    const std::string descent =
        "--optimizer gradient_descent --set learning_rate=0.05 --set schedule=cosine --iterations ";
    REQUIRE(problem.solve(descent + "5").refusal() == "0 ");
    const Numbers first = numbers(problem.output().at("f"));
    const Outcome outcome = problem.solve(descent + "20 --restarts 4 --json");
    REQUIRE(outcome.refusal() == "0 ");
    const auto json = nlohmann::json::parse(outcome.out);
    CHECK(json.at("restarts") == 4);
    CHECK(json.at("iterations") == 20);
    CHECK(json.at("evaluations").at("points") == 20);
    const TensorFile file = problem.output();
    CHECK(file.metadata.at("l2o.restarts") == "4");
    CHECK(numbers(file.at("x")) == numbers(file.at("x_best")));
    int gained = 0;  // by another start
    for (std::int64_t row = 0; row < 2; ++row) {
        double best = first[static_cast<std::size_t>(row)];
        for (std::size_t t = 1; t < 5; ++t) best = std::min(best, first[2 * t + std::size_t(row)]);
        CHECK(file.at("f").value(2 * 5 + row) == best);
        CHECK(file.at("f").value(2 * 20 + row) == file.at("f_best").value(row));
        gained += file.at("f_best").value(row) < best ? 1 : 0;
    }
    CHECK(gained > 0);
    CHECK(contains(problem.solve(descent + "20 --restarts 4").out, ", 20 iterations in 4 starts, float64"));
    CHECK(numbers(problem.output().at("x")) == numbers(file.at("x")));
}

TEST_CASE("--restarts with a budget that ends within the share of a start: f is where it belongs") {
    Problem problem = small_quadratic();
    problem.metadata["l2o.options"] = R"({"init_std": 1})";
    for (const char* evaluations : {"4", "5", "12"}) {
        REQUIRE(problem
                    .solve("--optimizer adam --iterations 12 --restarts 4 --max-evaluations " +
                           std::string(evaluations))
                    .refusal() == "0 ");
        const TensorFile file = problem.output();
        REQUIRE(file.at("f").shape() == Shape{13, 2});
        for (std::int64_t row = 0; row < 2; ++row) {
            CHECK(file.at("f").value(2 * 12 + row) == file.at("f_best").value(row));
            for (std::int64_t t = 1; t <= 12; ++t)
                CHECK(file.at("f").value(2 * t + row) <= file.at("f").value(2 * t - 2 + row));
        }
    }
}

TEST_CASE("--restarts is refused where it makes no sense") {
    Problem problem = small_quadratic(), lasso = small_lasso();
    CHECK(contains(problem.solve("--optimizer adam --restarts 0").refusal(), "--restarts"));
    CHECK(contains(problem.solve("--optimizer adam --iterations 7 --restarts 8").refusal(),
                   "2 l2o: error: l2o solve: --restarts is 8, for 7 iterations; expected at most as many"));
    CHECK(contains(problem.solve("--optimizer adam --max-evaluations 7 --restarts 8").refusal(),
                   "restarts is 8, for 100 iterations and 7 evaluations; expected at most as many"));
    CHECK(contains(lasso.solve("--optimizer lista --restarts 2").refusal(),
                   "restarts is 2, and 'lista' has layers, one per step; expected a method without, or 1"));
}

TEST_CASE("Ctrl-C stops a long run with exit code 130 and writes nothing") {
    Problem problem("quadratic", Dtype::kF32);
    problem.add("W", {1, 300, 300});
    problem.add("y", {1, 300});
    const Outcome outcome =
        run_until(problem.folder,
                  L2O_PROGRAM,
                  problem.written_for("--optimizer gradient_descent --iterations 20000000"),
                  [](pid_t l2o) { return l2o::test::has_loaded(l2o, "l2o_optimizer_gradient_descent.so"); });
    CAPTURE(outcome.err);
    CHECK(contains(outcome.refusal(), "130 l2o: error: interrupted"));
    CHECK(!std::filesystem::exists(problem.folder / "out.safetensors"));
}
