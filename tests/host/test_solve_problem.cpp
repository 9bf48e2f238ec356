#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <string>

#include "framework/text/json.hpp"
#include "tests/host/command.hpp"
#include "tests/host/solve_problem.hpp"

using namespace l2o::framework;
using l2o::test::contains;
using l2o::test::kW;
using l2o::test::kY;
using l2o::test::Numbers;
using l2o::test::numbers;
using l2o::test::Problem;
using l2o::test::small_quadratic;
using l2o::test::tensor;

TEST_CASE("blocks stand one after the other in x0 and x") {
    Problem problem("rotated_saddle");
    problem.add("a", {2}, {1, 2});
    problem.add("b", {2}, {1, 3});
    problem.add("x0", {2, 2}, {1, 2, 3, 4});
    CHECK(problem.solve("--optimizer gradient_descent_ascent --set learning_rate=0.1 --iterations 1")
              .refusal() == "0 ");
    // Row 1: f = 2 u^2 - 3 v^2 + 2 u v at (3, 4), df/du = 4 u + 2 v = 20, df/dv = -6 v + 2 u = -18.
    CHECK(problem.output().at("f").value(1) == doctest::Approx(2 * 9 - 3 * 16 + 2 * 12));
    CHECK(problem.output().at("x").value(2) == doctest::Approx(3 - 0.1 * 20));
}

TEST_CASE("sizes follow from the shapes, lambda from the options") {
    Problem problem("lasso");
    problem.add("A", {3, 5});
    problem.add("b", {4, 3});
    problem.metadata["l2o.options"] = R"({"lambda": 0.25})";
    CHECK(problem.solve("--optimizer fista --iterations 10").refusal() == "0 ");
    CHECK(problem.output().at("x").shape() == Shape{4, 5});
    const auto options = nlohmann::json::parse(problem.output().metadata.at("l2o.optimizee_options"));
    CHECK(options.at("m") == 3);
    CHECK(options.at("n") == 5);
    CHECK(options.at("lambda") == 0.25);
    // f at the start, x = 0, is ||b||^2 / 2: row 0 is 0.1, 0.2, 0.3.
    CHECK(problem.output().at("f").value(0) == doctest::Approx(0.07));
}

TEST_CASE("contradictions between shapes and options are refused by both names") {
    const std::string use = "--optimizer gradient_descent";
    SUBCASE("two tensors") {
        Problem problem("lasso");
        problem.add("A", {3, 5});
        problem.add("b", {4, 2});
        CHECK(contains(
            problem.solve(use).refusal(),
            "2 l2o: error: p.safetensors: tensor 'A' [m, n] has m = 3, but tensor 'b' [B, m] has m = 2"));
    }
    SUBCASE("one tensor") {
        Problem problem("quadratic");
        problem.add("W", {2, 2, 3});
        problem.add("y", {2, 2});
        CHECK(contains(problem.solve(use).refusal(),
                       "'W' [B, n, n] has n = 2, but tensor 'W' [B, n, n] has n = 3"));
    }
    SUBCASE("an option") {
        Problem problem = small_quadratic();
        problem.metadata["l2o.options"] = R"({"n": 3})";
        CHECK(contains(
            problem.solve(use).refusal(),
            "2 l2o: error: p.safetensors: option 'n' of metadata 'l2o.options' is 3, but axis 'n' of "
            "tensor 'W' [B, n, n] has size 2"));
    }
    SUBCASE("the number of axes") {
        Problem problem("quadratic");
        problem.add("W", {2, 2});
        problem.add("y", {2, 2});
        CHECK(contains(problem.solve(use).refusal(), "tensor 'W' has shape [2, 2]; expected [B, n, n]"));
    }
    SUBCASE("the number of instances") {
        Problem problem("quadratic");
        problem.add("W", {2, 2, 2});
        problem.add("y", {3, 2});
        CHECK(contains(problem.solve(use).refusal(),
                       "2 l2o: error: p.safetensors: tensor 'y' has 3 instances"));
    }
    SUBCASE("the start") {
        Problem problem = small_quadratic();
        problem.add("x0", {2, 3});
        CHECK(
            contains(problem.solve(use).refusal(), "tensor 'x0' is float64 [2, 3]; expected float64 [2, 2]"));
    }
}

TEST_CASE("a problem file that lacks something says what") {
    const std::string use = "--optimizer gradient_descent";
    Problem problem = small_quadratic();
    SUBCASE("a tensor") {
        problem.tensors.erase("y");
        CHECK(contains(problem.solve(use).refusal(),
                       "2 l2o: error: p.safetensors: tensor 'y' [2, 2] is missing"));
    }
    SUBCASE("the optimizee") {
        problem.metadata.clear();
        CHECK(contains(problem.solve(use).refusal(),
                       "2 l2o: error: p.safetensors: metadata 'l2o.optimizee' is missing"));
    }
    SUBCASE("an optimizee that exists") {
        problem.metadata["l2o.optimizee"] = "quadratik";
        CHECK(contains(
            problem.solve(use).refusal(),
            "2 l2o: error: p.safetensors: metadata 'l2o.optimizee': unknown optimizee 'quadratik'; did "
            "you mean 'quadratic'?"));
    }
    SUBCASE("options that are JSON") {
        problem.metadata["l2o.options"] = "n=2";
        CHECK(contains(
            problem.solve(use).refusal(),
            "2 l2o: error: p.safetensors: metadata 'l2o.options' is 'n=2', which is not valid JSON ("));
    }
    SUBCASE("an option that exists") {
        problem.metadata["l2o.options"] = R"({"init_sdt": 2})";
        CHECK(contains(problem.solve(use).refusal(), "has no option 'init_sdt'; did you mean 'init_std'?"));
    }
    SUBCASE("a tensor that the optimizee knows") {
        problem.add("z", {2});
        CHECK(contains(problem.solve(use).refusal(), "unknown tensor 'z' for 'quadratic'"));
    }
    SUBCASE("one precision") {
        problem.tensors["y"] = tensor(Dtype::kF32, {2, 2}, kY);
        CHECK(contains(
            problem.solve(use).refusal(),
            "2 l2o: error: p.safetensors: tensor 'W' is float64, tensor 'y' is float32; expected one "
            "precision"));
    }
    SUBCASE("finite numbers") {
        Numbers w = kW;
        w[5] = NAN;
        problem.add("W", {2, 2, 2}, w);
        CHECK(contains(problem.solve(use).refusal(),
                       "2 l2o: error: p.safetensors: tensor 'W' [1, 0, 1] is nan; expected finite numbers"));
        problem.add("W", {2, 2, 2}, kW);
        problem.add("x0", {2, 2}, {0, 0, 0, -INFINITY});
        CHECK(contains(problem.solve(use).refusal(), "tensor 'x0' [1, 1] is -inf; expected finite numbers"));
    }
}

TEST_CASE("integers are computed in float64, beside float32 in that where it holds them") {
    const std::string use = "--optimizer gradient_descent --iterations 2";
    const Numbers w{1, 2, 0, 1, 3, 0, 1, 1}, y{16777217, 2, 3, 4};
    Problem wide("quadratic"), whole("quadratic");
    wide.add("W", {2, 2, 2}, w);
    wide.add("y", {2, 2}, y);
    whole.tensors["W"] = tensor(Dtype::kI64, {2, 2, 2}, w);
    whole.tensors["y"] = tensor(Dtype::kI64, {2, 2}, y);
    for (Problem* problem : {&wide, &whole}) {
        problem->add("x0", {2, 2}, Numbers(4, 0.0));
        if (problem == &whole) problem->tensors["x0"] = tensor(Dtype::kI64, {2, 2}, Numbers(4, 0.0));
        REQUIRE(problem->solve(use).code == 0);
    }
    CHECK(whole.output().at("x").dtype() == Dtype::kF64);
    CHECK(numbers(whole.output().at("x")) == numbers(wide.output().at("x")));
    whole.tensors["x0"] = tensor(Dtype::kF32, {2, 2}, Numbers(4, 0.0));
    CHECK(contains(
        whole.solve(use).refusal(),
        "2 l2o: error: p.safetensors: tensor 'y' [0, 0] is 16777217; expected an integer that float32 "
        "holds without rounding; store the file's float32 tensors as float64"));
    whole.tensors["y"] = tensor(Dtype::kI64, {2, 2}, {16777216, 2, 3, 4});
    REQUIRE(whole.solve(use).code == 0);
    CHECK(whole.output().at("x").dtype() == Dtype::kF32);
    whole.tensors["x0"] = tensor(Dtype::kF64, {2, 2}, Numbers(4, 0.0));
    whole.tensors["y"].values<std::int64_t>()[3] = (std::int64_t{1} << 53) + 1;
    CHECK(contains(
        whole.solve(use).refusal(),
        "tensor 'y' [1, 1] is 9007199254740993; expected an integer that float64 holds without rounding"));
}

TEST_CASE("a tensor that is an option has the option's range") {
    for (const auto& [lambda, text] :
         {std::pair{-1.0, "-1"}, std::pair{0.0, "0"}, std::pair{double(NAN), "nan"}}) {
        Problem problem("lasso");
        problem.add("A", {3, 4});
        problem.add("b", {2, 3});
        problem.add("lambda", {}, {lambda});
        CHECK(contains(
            problem.solve("--optimizer fista").refusal(),
            std::string("2 l2o: error: p.safetensors: tensor 'lambda' in float64: l2o.options.lambda is '") +
                text + "'; expected a number > 0"));
        CHECK_FALSE(std::filesystem::exists(problem.folder / "out.safetensors"));
    }
    Problem twice("lasso");
    twice.add("A", {3, 4});
    twice.add("b", {2, 3});
    twice.add("lambda", {}, {0.25});
    twice.metadata["l2o.options"] = R"({"lambda": 0.5})";
    CHECK(contains(twice.solve("--optimizer fista").refusal(),
                   "2 l2o: error: p.safetensors: tensor 'lambda' is 0.25, and option 'lambda' of metadata "
                   "'l2o.options' is 0.5; expected one of them, or the same number"));
    twice.metadata["l2o.options"] = R"({"lambda": 0.25})";
    CHECK(twice.solve("--optimizer fista").code == 0);
    Problem narrow("lasso", Dtype::kF32);
    narrow.add("A", {3, 4});
    narrow.add("b", {2, 3});
    narrow.metadata["l2o.options"] = R"({"lambda": 1e-60})";
    CHECK(contains(narrow.solve("--optimizer fista").refusal(),
                   "lambda is no number > 0 of float32; set dtype to float64"));
}
