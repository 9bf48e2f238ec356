#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "framework/store/atomic_file.hpp"
#include "framework/store/safetensors.hpp"
#include "framework/text/json.hpp"
#include "tests/host/command.hpp"

using namespace l2o::framework;
using l2o::test::contains, l2o::test::run_l2o, l2o::test::run_until, l2o::test::Outcome;

namespace {

using Metadata = std::map<std::string, std::string>;
using Numbers = std::vector<double>;

Tensor tensor(Dtype dtype, const Shape& shape, const Numbers& numbers) {
    Tensor out(dtype, shape);
    REQUIRE(numbers.size() == static_cast<std::size_t>(out.size()));
    for (std::size_t i = 0; i < numbers.size(); ++i) {
        if (dtype == Dtype::kF32) out.values<float>()[i] = static_cast<float>(numbers[i]);
        if (dtype == Dtype::kF64) out.values<double>()[i] = numbers[i];
        if (dtype == Dtype::kI64) out.values<std::int64_t>()[i] = static_cast<std::int64_t>(numbers[i]);
    }
    return out;
}

Numbers numbers(const Tensor& tensor) {
    Numbers out;
    for (std::int64_t i = 0; i < tensor.size(); ++i) out.push_back(tensor.value(i));
    return out;
}

/// A problem file in a folder of its own, and runs of `l2o solve` on it.
class Problem {
  public:
    explicit Problem(const std::string& optimizee, Dtype dtype = Dtype::kF64) : dtype_(dtype) {
        metadata["l2o.optimizee"] = optimizee;
    }

    void add(const std::string& name, const Shape& shape, const Numbers& values) {
        tensors[name] = tensor(dtype_, shape, values);
    }
    /// Entries 0.1, 0.2, ... modulo 0.7.
    void add(const std::string& name, const Shape& shape) {
        Numbers values;
        for (std::int64_t i = 0; i < element_count(shape); ++i)
            values.push_back(0.1 * static_cast<double>(i % 7 + 1));
        add(name, shape, values);
    }
    Outcome solve(const std::string& arguments, const std::string& before = "") {
        return run_l2o(folder, written_for(arguments), before);
    }
    /// Writes the problem; the words of an l2o that solves it.
    std::string written_for(const std::string& arguments) {
        TensorRefs refs;
        for (const auto& [name, value] : tensors) refs[name] = &value;
        write_safetensors(folder / "p.safetensors", refs, metadata);
        return "solve --problem p.safetensors --output out.safetensors " + arguments;
    }
    [[nodiscard]] TensorFile output() const { return read_safetensors(folder / "out.safetensors"); }

    std::unique_ptr<ScratchFolder> scratch = std::make_unique<ScratchFolder>();
    ScratchFolder& folder = *scratch;
    Metadata metadata;
    std::map<std::string, Tensor> tensors;

  private:
    Dtype dtype_;
};

const Numbers kW{1, 0.5, -0.25, 2, 0.75, -1, 0.5, 1.5}, kY{1, -2, 0.5, 0.25}, kStart{0.5, -0.5, 1, 2};

/// Two instances of ||W x - y||^2 in two variables.
Problem small_quadratic(Dtype dtype = Dtype::kF64) {
    Problem problem("quadratic", dtype);
    problem.add("W", {2, 2, 2}, kW);
    problem.add("y", {2, 2}, kY);
    problem.add("x0", {2, 2}, kStart);
    return problem;
}

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
    CHECK(numbers(problem.output().at("f"))[2 * 99] != f[2 * 99]);
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
    Problem narrow("lasso", Dtype::kF32);
    narrow.add("A", {3, 4});
    narrow.add("b", {2, 3});
    narrow.metadata["l2o.options"] = R"({"lambda": 1e-60})";
    CHECK(contains(narrow.solve("--optimizer fista").refusal(),
                   "lambda is no number > 0 of float32; set dtype to float64"));
}

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

TEST_CASE("a command line that lacks something says what") {
    CHECK(contains(run_l2o("solve --optimizer adam").refusal(),
                   "2 l2o: error: l2o solve: --problem is missing"));
    Problem problem = small_quadratic();
    CHECK(contains(problem.solve("").refusal(), "2 l2o: error: l2o solve: --optimizer is missing"));
    CHECK(contains(problem.solve("--optimizer gradient_decent").refusal(),
                   "2 l2o: error: unknown optimizer 'gradient_decent'; did you mean 'gradient_descent'?"));
    CHECK(contains(problem.solve("--optimizer gradient_descent --set rate").refusal(),
                   "2 l2o: error: --set is 'rate'; expected key=value"));
    CHECK(
        contains(problem.solve("--optimizer gradient_descent --set learning_rat=1").refusal(),
                 "optimizer 'gradient_descent' has no option 'learning_rat'; did you mean 'learning_rate'?"));
    CHECK(contains(problem.solve("--optimizer gradient_descent --set learning_rate=-1").refusal(),
                   "2 l2o: error: --set: optimizer.learning_rate is '-1'; expected a number > 0"));
    CHECK(
        contains(problem.solve("--optimizer gradient_descent --iterations -1").refusal(), "2 l2o: error: "));
}

TEST_CASE("files that cannot be read or written are exit code 5") {
    const ScratchFolder folder;
    CHECK(
        contains(run_l2o(folder, "solve --optimizer gradient_descent --problem none --output out").refusal(),
                 "5 l2o: error: none: "));
    Problem problem = small_quadratic();
    problem.solve("--optimizer gradient_descent");
    CHECK(contains(
        run_l2o(problem.folder, "solve --optimizer gradient_descent --problem p.safetensors --output no/out")
            .refusal(),
        "5 l2o: error: no"));
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
    CHECK(contains(outcome.out, "2 of 2 instances"));
    CHECK(problem.output().at("f").shape() == Shape{201, 2});
}

namespace {

Problem small_lasso() {
    Problem problem("lasso");
    problem.add("A", {3, 5}, {1, 0, 0, .6, 0, 0, 1, 0, .8, 0, 0, 0, 1, 0, 1});
    problem.add("b", {2, 3});
    return problem;
}

}  // namespace

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
                   "2 l2o: error: l2o solve: continue_with: a population cannot take over"));
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

namespace {

/// A quadratic problem that any of these solves.
void add_quadratic(Problem& problem) {
    problem.add("W", {2, 2, 2}, kW);
    problem.add("y", {2, 2}, kY);
}

}  // namespace

TEST_CASE("l2o solve: an output that is stdout is written through, alone, and the link to it stays") {
    Problem problem("quadratic");
    add_quadratic(problem);
    const std::string solve = "--optimizer gradient_descent --iterations 3 --output ";
    const Outcome plain = problem.solve("--optimizer gradient_descent --iterations 3");
    REQUIRE(plain.code == 0);
    const std::string want = read_file(problem.folder / "out.safetensors");
    std::filesystem::create_symlink("/proc/self/fd/1", problem.folder / "link");
    const Outcome through = run_l2o(problem.folder, "solve --problem p.safetensors " + solve + "link");
    CHECK(through.code == 0);
    CHECK(through.out == want);
    CHECK(contains(through.err, "gradient_descent on quadratic"));
    CHECK(std::filesystem::is_symlink(problem.folder / "link"));
    const Outcome quiet = run_l2o(problem.folder, "solve --quiet --problem p.safetensors " + solve + "link");
    CHECK(quiet.refusal() == "0 ");
    CHECK(quiet.out == want);
}

TEST_CASE("l2o solve: an output that cannot be written is refused before anything is read") {
    const ScratchFolder folder;
    CHECK(
        run_l2o(folder, "solve --optimizer gradient_descent --problem none --output no/x").refusal() ==
        "5 l2o: error: no/x: cannot create a temporary file beside it: No such file or directory; check that "
        "the folder exists and is writable\n");
    CHECK(folder.file_names().size() == 2);  // what the test itself keeps of the output
}

TEST_CASE("l2o solve: an output that is the problem itself, by whatever name, is refused and left alone") {
    Problem problem = small_quadratic();
    const std::string words = problem.written_for("--optimizer gradient_descent");
    const std::string before = read_file(problem.folder / "p.safetensors");
    std::filesystem::create_hard_link(problem.folder / "p.safetensors", problem.folder / "x");
    CHECK(run_l2o(problem.folder, words + " --output x").code == 2);
    const Outcome outcome =
        run_l2o(problem.folder,
                "solve --optimizer gradient_descent --problem p.safetensors --output ./p.safetensors");
    CHECK(outcome.refusal() ==
          "2 l2o: error: --output is './p.safetensors', which is p.safetensors itself, a file that is read; "
          "expected another name; see 'l2o solve --help'\n");
    CHECK(read_file(problem.folder / "p.safetensors") == before);
}

#ifndef __SANITIZE_ADDRESS__  // which needs terabytes of addresses
TEST_CASE(
    "l2o solve: a limit of memory that leaves nothing to BLAS is told, and fewer threads do with less") {
    Problem problem("lasso");
    problem.add("A", {20, 40});
    problem.add("b", {200, 20});
    // In KiB: 128 MiB are what OpenBLAS asks for, per thread.
    const auto solve = [&](const std::string& limit) {
        return problem.solve("--optimizer fista --iterations 3 --threads 64", "ulimit -v " + limit + " &&");
    };
    const Outcome none = solve("110000");
    CHECK(none.code == 2);
    CHECK(contains(none.err, "l2o: error: out of memory: "));
    CHECK(solve("600000").refusal() == "0 ");
}
#endif

TEST_CASE("l2o solve: in a working folder that was removed absolute paths work, and a relative one is told") {
    Problem problem("quadratic");
    add_quadratic(problem);
    REQUIRE(problem.solve("--optimizer gradient_descent").code == 0);
    const std::string here = (problem.folder / "").string(),
                      gone = "mkdir gone && cd gone && rmdir ../gone &&";
    const Outcome solved = run_l2o(problem.folder,
                                   "solve --optimizer gradient_descent --set learning_rate=0.1 --problem " +
                                       here + "p.safetensors --output " + here + "x",
                                   gone);
    CHECK(solved.refusal() == "0 ");
    CHECK(std::filesystem::exists(problem.folder / "x"));
    const Outcome relative =
        run_l2o(problem.folder,
                "solve --optimizer gradient_descent --problem p.safetensors --output " + here + "y",
                gone);
    CHECK(relative.refusal() ==
          "5 l2o: error: p.safetensors: cannot open: No such file or directory; check the path and its "
          "permissions\n");
}

TEST_CASE("l2o solve: a FIFO in place of a problem is refused and not waited for") {
    const ScratchFolder folder;
    const Outcome outcome =
        run_l2o(folder, "solve --optimizer gradient_descent --problem fifo --output x", "mkfifo fifo &&");
    CHECK(outcome.refusal() ==
          "5 l2o: error: fifo: is not a regular file; the file is damaged or is not safetensors\n");
}
