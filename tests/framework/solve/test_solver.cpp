#include <doctest/doctest.h>

#include <algorithm>
#include <cfenv>
#include <clocale>
#include <cmath>
#include <cstdint>
#include <limits>
#include <locale>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "framework/evaluate/evaluate.hpp"
#include "framework/float_control.hpp"
#include "framework/solve/solver.hpp"
#include "framework/store/safetensors.hpp"
#include "framework/weights/weights.hpp"
#include "tests/framework/config/refusal.hpp"
#include "tests/framework/solve/allocations.hpp"
#include "tests/framework/store/scratch_folder.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::framework;
using l2o::test::allocations;
using l2o::test::Lab;
using l2o::test::OptionText;
using l2o::test::ProblemLab;
using l2o::test::refusal;
using l2o::test::relative_error;
using l2o::test::set_values;
using l2o::test::values;

namespace {

/// A problem file and a weight file, written for an optimizer with its start values.
class Files {
  public:
    explicit Files(const Lab::Setup& setup) : lab_(setup) {
        const Optimizee& optimizee = lab_.problem().optimizee();
        TensorRefs tensors;
        for (std::size_t i = 0; i < optimizee.data().size(); ++i) {
            const Tensor& tensor = lab_.problem().data().tensors[i];
            const bool is_scalar = tensor.shape().empty();
            if (!has(*optimizee.data()[i], L2O_SPEC_SOLUTION) && !is_scalar)
                tensors[optimizee.data()[i]->name] = &tensor;
        }
        write_safetensors(problem,
                          tensors,
                          {{"l2o.optimizee", optimizee.id()}, {"l2o.options", options_text(setup.problem)}});
        std::vector<Tensor> borrowed;
        for (Tensor& tensor : lab_.params())
            borrowed.push_back(Tensor::borrow(tensor.dtype(), tensor.shape(), tensor.data()));
        write_weights(weights, lab_.optimizer(), TensorSet(std::move(borrowed)));
    }

    Lab& lab() { return lab_; }
    [[nodiscard]] SolverSettings both() const { return {.problem = problem, .weights = weights}; }
    [[nodiscard]] SolverSettings classic(const std::string& id) const {
        return {.problem = problem, .optimizer = id};
    }

    const ScratchFolder folder;
    const std::filesystem::path problem = folder / "problem.safetensors", weights = folder / "w.safetensors";

  private:
    /// lambda alone: the sizes follow from the shapes.
    static std::string options_text(const l2o::test::ProblemLab::Setup& setup) {
        const auto lambda = setup.options.find("lambda");
        return lambda == setup.options.end() ? "{}" : "{\"lambda\": " + lambda->second + "}";
    }

    Lab lab_;
};

const Lab::Setup kAlista{.optimizer = "alista",
                         .problem = {.optimizee = "sparse_recovery",
                                     .options = {{"m", "64"}, {"n", "128"}, {"lambda", "0.001"}},
                                     .instances = 5,
                                     .dtype = Dtype::kF32}};
const Lab::Setup kDiverging{
    .optimizer = "lista_cpss",
    .options = {{"start", "reference"}},
    .problem = {
        .optimizee = "lasso", .options = {{"m", "20"}, {"n", "24"}, {"lambda", "0.1"}}, .instances = 3}};

std::vector<double> row(const std::vector<double>& rows, std::size_t r, std::size_t cols) {
    return {rows.begin() + static_cast<std::ptrdiff_t>(r * cols),
            rows.begin() + static_cast<std::ptrdiff_t>((r + 1) * cols)};
}

std::string refused(const SolverSettings& settings) {
    return refusal([&] { const Solver solver(settings); });
}

}  // namespace

TEST_CASE("solver: weights that were learned for another matrix say so") {
    Files files(kAlista);
    CHECK(Solver(files.both()).notes().empty());
    Lab& lab = files.lab();
    const Optimizee& optimizee = lab.problem().optimizee();
    const ProblemData other = optimizee.sample({9, 9}, Split::kTrain, 0, 1, false);
    const TensorSet params(lab.optimizer().init_params({1, 2}, other));
    write_weights(
        files.weights, lab.optimizer(), params, problem_metadata(lab.optimizer(), optimizee, other));
    const Solver solver(files.both());
    REQUIRE(solver.notes().size() == 1);
    CHECK(solver.notes()[0].find(": these weights were learned for another problem: its A") !=
          std::string::npos);
}

TEST_CASE("solver: weights of a training that diverged say so") {
    Files files(kAlista);
    Lab& lab = files.lab();
    write_weights(files.weights,
                  lab.optimizer(),
                  TensorSet(lab.optimizer().init_params({1, 2}, lab.problem().data())),
                  training_metadata("12", 1, {.meta_steps = 1, .diverged = true}));
    const std::vector<std::string> notes = Solver(files.both()).notes();
    CHECK(notes ==
          std::vector<std::string>{
              files.weights.string() +
              ": of its training: diverged: its last parameters are of no use, earlier ones are kept"});
}

TEST_CASE("solver: solves one instance after the other as the plain loop does in a batch") {
    Files files(kAlista);
    Solver solver(files.both());
    CHECK(solver.optimizer() == "alista");
    CHECK(solver.problem() == "sparse_recovery");
    CHECK(solver.iterations() == 16);
    const std::vector<double> b = values(files.lab().problem().data("b"));
    const Lab::Run want = files.lab().run(16);
    CHECK(values(solver.input("b")) == row(b, 0, 64));  // the file's first instance
    for (std::size_t r = 0; r < 5; ++r) {
        set_values(solver.input("b"), row(b, r, 64));
        const Tensor& x = solver.solve();
        CHECK(x.dtype() == Dtype::kF32);
        CHECK(x.shape() == Shape{1, 128});
        CHECK(relative_error(values(x), row(want.x[16], r, 128)) < 1e-5);
        CHECK(&x == &solver.solution());
        CHECK(solver.objective().value(0) == doctest::Approx(want.f[16][r]).epsilon(1e-4));
    }
    CHECK(solver.fallback_rate() == 0);
}

TEST_CASE(
    "solver: a batch is solved at once, fewer iterations end earlier, and a solve leaves nothing behind") {
    Files files(kAlista);
    SolverSettings settings = files.both();
    settings.batch = 7;
    settings.iterations = 9;
    Solver solver(settings);
    const Lab::Run want = files.lab().run(9);
    const std::vector<double> first = values(solver.solve());
    for (std::size_t r = 0; r < 7; ++r)
        CHECK(relative_error(row(first, r, 128), row(want.x[9], r % 5, 128)) < 1e-5);
    CHECK(values(solver.solve()) == first);
    set_values(solver.input("b"), std::vector<double>(std::size_t{7} * 64, 0.0));
    CHECK(values(solver.solve()) == std::vector<double>(std::size_t{7} * 128, 0.0));
}

TEST_CASE("solver: solve allocates nothing, with a safeguard neither") {
    Files files(kAlista);
    for (const char* safeguard : {"", "ista"}) {
        SolverSettings settings = files.both();
        settings.safeguard = safeguard;
        settings.iterations = 20;
        settings.continue_with = "fista";
        Solver solver(settings);
        solver.solve();
        const std::int64_t before = allocations();
        CHECK(before > 0);
        for (int i = 0; i < 10; ++i) solver.solve();
        CHECK(allocations() == before);
    }
}

TEST_CASE("solver: rounding and denormal handling of the program change no bit, and are left alone") {
    Files files(kAlista);
    SolverSettings settings = files.both();
    settings.safeguard = "ista";
    Solver solver(settings);
    const std::vector<double> x = values(solver.solve()), f = values(solver.objective());
    constexpr std::uint32_t kFlush = 0x8040;  // FTZ and DAZ
    for (const int rounding : {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO}) {
        CAPTURE(rounding);
        REQUIRE(std::fesetround(rounding) == 0);
        FloatControl own = FloatControl::now();
        own.sse |= kFlush;
        own.set();
        Solver other(settings);
        const std::vector<double> got = values(other.solve()), got_f = values(other.objective());
        const std::vector<double> again = values(solver.solve());
        const FloatControl after = FloatControl::now();
        kStandardFloat.set();
        CHECK(after == own);
        CHECK(got == x);
        CHECK(got_f == f);
        CHECK(again == x);
    }
}

TEST_CASE("solver: numbers are read with a point, whatever the locale of the program") {
    struct Comma : std::numpunct<char> {
        char do_decimal_point() const override { return ','; }
        char do_thousands_sep() const override { return '.'; }
        std::string do_grouping() const override { return "\3"; }
    };
    Files files(kAlista);
    const std::vector<double> x = values(Solver(files.both()).solve());
    const std::locale before = std::locale::global(std::locale(std::locale::classic(), new Comma));
    const std::string c_locale = std::setlocale(LC_ALL, nullptr);
    for (const char* name : {"de_DE.UTF-8", "de_DE.utf8", "de_DE"})  // where it is installed
        if (std::setlocale(LC_ALL, name) != nullptr) break;
    Solver solver(files.both());
    const std::vector<double> got = values(solver.solve());
    std::setlocale(LC_ALL, c_locale.c_str());
    std::locale::global(before);
    CHECK(got == x);
}

TEST_CASE("solver: a safeguard and a method that goes on bring a diverging network to the minimum") {
    Files files(kDiverging);
    const double f_alone = [&] {
        Solver alone(files.both());
        alone.solve();
        return alone.objective().value(0);
    }();
    CHECK(!(f_alone < 1e3));
    SolverSettings settings = files.both();
    settings.safeguard = "ista";
    settings.safeguard_options = {{"bound", "geometric"}, {"theta", "0.8"}};
    settings.continue_with = "fista";
    settings.iterations = 1500;
    settings.batch = 3;
    Solver solver(settings);
    SolverSettings classic = files.classic("fista");
    classic.iterations = 3000;
    classic.batch = 3;
    Solver best(classic);
    CHECK(relative_error(values(solver.solve()), values(best.solve())) < 1e-4);
    CHECK(solver.fallback_rate() > 0.1);
    CHECK(solver.fallback_rate() <= 1);
    CHECK(best.fallback_rate() == 0);
}

TEST_CASE("solver: in a game, what runs away is safeguarded by a classic track; nothing is allocated") {
    Files files({.optimizer = "gradient_descent_ascent",
                 .options = {{"learning_rate", "1"}},
                 .problem = {.optimizee = "rotated_saddle", .instances = 3}});
    SolverSettings settings = files.both();
    settings.iterations = 500;
    settings.batch = 3;
    settings.safeguard = "halpern";
    CHECK(refused(settings) ==
          "2 solver: safeguard: 'halpern' keeps a state ('start.u'), and a safeguard needs a step that "
          "depends on x alone; expected test ahead, which takes it");
    settings.safeguard_options = {{"test", "ahead"}};
    Solver solver(settings);
    const std::vector<double> x = values(solver.solve());
    for (const double coordinate : x) CHECK(std::abs(coordinate) < 0.1);
    CHECK(solver.fallback_rate() > 0.8);
    CHECK(values(solver.solve()) == x);

    settings.safeguard = "gradient_descent_ascent";  // which asks nothing
    Solver other(settings);
    other.solve();
    CHECK(other.fallback_rate() > 0.8);
    const std::int64_t before = allocations();
    other.solve();
    CHECK(allocations() == before);
}

TEST_CASE("solver: others for further threads share the model and outlive it, and disturb nobody") {
    Files files(kAlista);
    auto solver = std::make_unique<Solver>(files.both());
    const std::vector<double> b = values(files.lab().problem().data("b")), want = values(solver->solve());
    std::vector<Solver> others;
    for (int i = 0; i < 3; ++i) others.push_back(solver->another());
    solver.reset();
    std::vector<std::thread> threads;
    std::vector<std::vector<double>> got(3);
    for (std::size_t i = 0; i < 3; ++i) {
        threads.emplace_back([&, i] {
            for (std::size_t r = 5; r-- > 0;) {
                set_values(others[i].input("b"), row(b, r, 64));
                got[i] = values(others[i].solve());
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    for (const std::vector<double>& x : got) CHECK(x == want);
}

TEST_CASE("solver: starts where the file, or the caller, says") {
    Files files({.optimizer = "gradient_descent",
                 .problem = {.optimizee = "quadratic", .options = {{"n", "3"}}, .instances = 2}});
    SolverSettings settings = files.classic("gradient_descent");
    settings.options = {{"learning_rate", "0.01"}};
    settings.iterations = 1;
    Solver solver(settings);
    set_values(solver.start(), {0, 0, 0});
    // x_1 = 0.01 2 W^T y.
    const std::vector<double> w = values(solver.input("W")), y = values(solver.input("y"));
    const std::vector<double> x = values(solver.solve());
    for (std::size_t i = 0; i < 3; ++i)
        CHECK(x[i] == doctest::Approx(0.02 * (w[i] * y[0] + w[3 + i] * y[1] + w[6 + i] * y[2])));
    set_values(solver.start(), x);
    CHECK(values(solver.solve()) != x);

    Solver network(Files(kAlista).both());
    network.start().values<float>()[3] = 1;
    CHECK(refusal([&] { network.solve(); }) ==
          "2 solver: 'alista' is defined from x = 0 only, and the start is another; expected a start() of "
          "zeros");
}

TEST_CASE("solver: a plugin that gives up is an error, and replaced under a safeguard") {
    Files files({.optimizer = "learned_momentum",
                 .options = {{"gives_up_at", "1"}},
                 .problem = {.optimizee = "quadratic", .options = {{"n", "3"}}, .instances = 1}});
    SolverSettings settings = files.both();
    settings.iterations = 3;
    Solver solver(settings);
    CHECK(refusal([&] { solver.solve(); }) ==
          "4 solver: 'learned_momentum' gave up: the momentum has lost its way");
    settings.safeguard = "gradient_descent";
    settings.safeguard_options = {{"learning_rate", "0.001"}};
    Solver safe(settings);
    CHECK_NOTHROW(safe.solve());
    CHECK(safe.fallback_rate() >= 1.0 / 3);
}

TEST_CASE("solver: a population answers with the best point that it has evaluated, and a budget ends it") {
    Files files({.optimizer = "gradient_descent",
                 .problem = {.optimizee = "rastrigin", .options = {{"n", "3"}}, .instances = 4}});
    SolverSettings settings = files.classic("particle_swarm");
    settings.options = {{"particles", "6"}};
    settings.batch = 4;
    std::vector<double> last(4, std::numeric_limits<double>::infinity());
    for (const std::int64_t iterations : {1, 5, 20}) {
        settings.iterations = iterations;
        Solver solver(settings);
        const std::vector<double> x = values(solver.solve()), f = values(solver.objective());
        CHECK(values(solver.solve()) == x);
        set_values(files.lab().problem().x()[0], x);
        CHECK(relative_error(files.lab().problem().objective(), f) <= 1e-14);
        for (std::size_t row = 0; row < 4; ++row) CHECK(f[row] <= last[row]);
        last = f;
    }
    settings.max_evaluations = 6;
    Solver once(settings);
    settings.max_evaluations = 0;
    settings.iterations = 1;
    Solver one(settings);
    CHECK(values(once.solve()) == values(one.solve()));
}

TEST_CASE("solver: under one budget it ends where an evaluation does that has to pay for the end") {
    for (const auto& [optimizer, optimizee] : std::vector<std::pair<const char*, const char*>>{
             {"adam", "rastrigin"}, {"particle_swarm", "rastrigin"}, {"fista", "lasso"}}) {
        const std::string name = optimizer;
        CAPTURE(name);
        Files files({.optimizer = optimizer, .problem = {.optimizee = optimizee, .instances = 3}});
        ProblemLab& problem = files.lab().problem();
        const TensorSet params(files.lab().optimizer().init_params({}, problem.data()));
        for (const auto& budget : std::vector<std::pair<std::int64_t, std::int64_t>>{
                 {1, 1}, {2, 1}, {3, 1}, {9, 1}, {1000, 1}, {9, 4}, {1000, 4}}) {
            const std::int64_t limit = budget.first, restarts = budget.second;
            if (restarts > 1 && name == "fista") continue;  // pays for no point
            INFO(limit, " evaluations, ", restarts, " starts");
            SolverSettings settings = files.classic(optimizer);
            settings.batch = 3;
            settings.iterations = 20;
            settings.max_evaluations = limit;
            settings.restarts = restarts;
            Solver solver(settings);
            set_values(solver.start(), values(problem.x()[0]));
            solver.solve();
            const Curve curve = evaluate({.iterations = 20, .max_evaluations = limit, .metric = "objective"},
                                         keys_of(0),
                                         problem.optimizee(),
                                         problem.data(),
                                         problem.x(),
                                         {.name = "it",
                                          .optimizer = &files.lab().optimizer(),
                                          .params = &params,
                                          .restarts = restarts},
                                         1,
                                         nullptr);
            CHECK(values(solver.objective()) == curve.final_rows[0]);
            CHECK(curve.evaluations.back() <= static_cast<double>(limit));
        }
    }
}

TEST_CASE("solver: settings that make no sense are refused, by name") {
    Files files(kAlista);
    CHECK(refused({}) == "2 solver: 'problem' is missing; expected a .safetensors file");
    CHECK(refused({.problem = files.problem}) ==
          "2 solver: neither 'optimizer' nor 'weights' is given; expected one of them");
    CHECK(refused(files.classic("alista")) ==
          "2 solver: 'alista' is learned; expected 'weights', which `l2o train` writes");
    CHECK(refused(files.classic("fitsa")).starts_with("2 unknown optimizer 'fitsa'; did you mean 'fista'?"));
    CHECK(refused({.problem = files.problem, .weights = files.problem}) ==
          "2 " + files.problem.string() + ": metadata l2o.format is missing; expected '1', a weight file");
    SolverSettings settings = files.both();
    settings.iterations = -3;
    CHECK(refused(settings) == "2 solver: 'iterations' is -3; expected a whole number >= 0");
    settings.iterations = 17;
    CHECK(
        refused(settings) ==
        "2 solver: 'alista' has 16 layers, one per step, and iterations is 17; set it to at most 16, or add "
        "a classic optimizer as 'continue_with'");
    settings.continue_with = "alista";
    CHECK(refused(settings) ==
          "2 solver: continue_with: 'alista' is learned; expected a classic optimizer, such as 'fista'");
    settings = files.both();
    settings.restarts = 0;
    CHECK(refused(settings) == "2 solver: 'restarts' is 0; expected a whole number >= 1");
    settings.restarts = 2;
    CHECK(refused(settings) ==
          "2 solver: restarts is 2, and 'alista' has layers, one per step; expected a method without, or 1");
    settings = files.both();
    settings.batch = 0;
    CHECK(refused(settings) == "2 solver: 'batch' is 0; expected a whole number >= 1");
    settings = files.both();
    settings.options = {{"layer", "3"}};
    CHECK(refused(settings).starts_with(
        "2 solver: options: optimizer 'alista' has no option 'layer'; did you mean 'layers'?"));
    settings = files.both();
    settings.safeguard = "fista";
    CHECK(refused(settings).starts_with("2 solver: safeguard: 'fista' keeps a state ('y')"));
    settings.safeguard = "ista";
    settings.safeguard_options = {{"alhpa", "0.5"}};
    CHECK(refused(settings).starts_with(
        "2 solver: safeguard_options: neither the safeguard nor 'ista' has an option 'alhpa'; did you mean "
        "'alpha'?"));
    Solver solver(files.both());
    CHECK(refusal([&] { (void)solver.input("bb"); }) ==
          "2 solver: the instances of 'sparse_recovery' have no data 'bb'; did you mean 'b'? known: b");
    CHECK(refusal([&] { (void)solver.input("A"); }) ==
          "2 solver: the instances of 'sparse_recovery' have no data 'A'; known: b");
}
