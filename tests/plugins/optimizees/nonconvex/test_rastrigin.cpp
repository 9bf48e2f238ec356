#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include "framework/cancel.hpp"
#include "framework/error.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::test;
using namespace l2o::framework;

TEST_CASE(
    "rastrigin: the classic function is 0 at 0, ||x||^2 / 2 at integers and 20 n more half way between") {
    ProblemLab lab(
        {.optimizee = "rastrigin", .options = {{"family", "classic"}, {"n", "2"}}, .instances = 3});
    set_values(lab.x()[0], {0, 0, 3, -1, 0.5, 1.5});
    const std::vector<double> f = lab.objective();
    CHECK(f[0] == 0);
    CHECK(f[1] == doctest::Approx(5).epsilon(1e-14));
    CHECK(f[2] == doctest::Approx(1.25 + 40).epsilon(1e-14));
    CHECK(lab.gradient()[0][0] == 0);
    CHECK(lab.gradient()[0][1] == 0);
}

TEST_CASE("rastrigin: with bowl 1 the classic function is the usual one, ||x||^2 at integers") {
    ProblemLab lab({.optimizee = "rastrigin", .options = {{"family", "classic"}, {"n", "2"}, {"bowl", "1"}}});
    set_values(lab.x()[0], {0, 0, 3, -1, 0.5, 1.5, 0.25, 0});
    const std::vector<double> f = lab.objective();
    CHECK(f[0] == 0);
    CHECK(f[1] == doctest::Approx(10).epsilon(1e-14));
    CHECK(f[2] == doctest::Approx(2.5 + 40).epsilon(1e-14));
    CHECK(f[3] == doctest::Approx(0.0625 + 10).epsilon(1e-14));
}

TEST_CASE("rastrigin: gradient and Hessian-vector product agree with central differences to 1e-7") {
    for (const OptionText& options : {OptionText{{"family", "random"}},
                                      OptionText{{"family", "classic"}},
                                      OptionText{{"family", "shifted"}, {"bowl", "1"}},
                                      OptionText{{"period", "0.7"}, {"bowl", "2"}},
                                      OptionText{{"period_spread", "2"}}}) {
        CAPTURE(options);
        const ProblemLab::Setup setup{.optimizee = "rastrigin", .options = options};
        CHECK(ProblemLab(setup).gradient_error() <= 1e-7);
        CHECK(ProblemLab(setup).hvp_error() <= 1e-7);
    }
}

TEST_CASE("rastrigin: a period p is the function of period 1 at x / p, with a bowl of p^2") {
    const auto value = [](const char* period, const char* bowl, double scale) {
        ProblemLab lab({.optimizee = "rastrigin",
                        .options = {{"family", "classic"}, {"period", period}, {"bowl", bowl}},
                        .instances = 1});
        std::vector<double> x = values(lab.x()[0]);
        for (double& x_i : x) x_i *= scale;
        set_values(lab.x()[0], x);
        return lab.objective()[0];
    };
    CHECK(value("2", "0.5", 2) == doctest::Approx(value("1", "2", 1)).epsilon(1e-13));
    CHECK(value("2", "0.5", 2) != doctest::Approx(value("1", "0.5", 1)).epsilon(1e-3));
}

TEST_CASE("rastrigin: period_spread 2 draws periods from p / 2 to 2 p, as many below p as above") {
    ProblemLab lab(
        {.optimizee = "rastrigin", .options = {{"period", "3"}, {"period_spread", "2"}}, .instances = 2000});
    double sum = 0, squares = 0;
    for (const double period : values(lab.data("period"))) {
        CHECK(period >= 1.5);
        CHECK(period <= 6);
        const double u = std::log2(period / 3);  // uniform on [-1, 1]
        sum += u;
        squares += u * u;
    }
    CHECK(std::abs(sum / 2000) < 0.05);
    CHECK(squares / 2000 == doctest::Approx(1. / 3).epsilon(0.05));
    // Every row has its own.
    const double one = values(lab.data("period"))[1];
    ProblemLab alone(
        {.optimizee = "rastrigin", .options = {{"period", std::to_string(one)}}, .instances = 2});
    CHECK(lab.objective()[1] == doctest::Approx(alone.objective()[1]).epsilon(1e-4));
    CHECK(lab.objective()[0] != doctest::Approx(alone.objective()[0]).epsilon(1e-4));
}

TEST_CASE(
    "rastrigin: the shifted family is a moved bowl, b ~ N(0, 0.5^2), under ripples of c ~ N(1, 0.1^2)") {
    ProblemLab lab(
        {.optimizee = "rastrigin", .options = {{"family", "shifted"}, {"n", "1"}}, .instances = 4000});
    const auto moments = [&](const char* name) {
        double sum = 0, squares = 0;
        for (const double v : values(lab.data(name))) sum += v, squares += v * v;
        return std::pair{sum / 4000, std::sqrt(squares / 4000 - sum * sum / 16e6)};
    };
    CHECK(std::abs(moments("b").first) < 0.03);
    CHECK(moments("b").second == doctest::Approx(0.5).epsilon(0.04));
    CHECK(std::abs(moments("c").first - 1) < 0.006);
    CHECK(moments("c").second == doctest::Approx(0.1).epsilon(0.04));
    CHECK(moments("A") == std::pair{1., 0.});
}

TEST_CASE("rastrigin: a problem file without a period has that of the option") {
    const ProblemLab lab({.optimizee = "rastrigin", .options = {{"n", "1"}, {"period", "0.25"}}});
    std::map<std::string, Tensor> file;
    for (const char* name : {"A", "b", "c"})
        file.emplace(name, Tensor(Dtype::kF64, *name == 'A' ? Shape{3, 1, 1} : Shape{3, 1}));
    const ProblemData data = lab.optimizee().bind(file, "p.safetensors");
    CHECK(values(data.tensors[3]) == std::vector<double>{0.25});
}

TEST_CASE("rastrigin: f is never below alpha (n - ||c||_1)") {
    ProblemLab lab({.optimizee = "rastrigin", .instances = 200});
    const std::vector<double> f = lab.objective(), c = values(lab.data("c"));
    for (std::size_t row = 0; row < f.size(); ++row) {
        double norm = 0;
        for (std::size_t i = 0; i < 10; ++i) norm += std::abs(c[row * 10 + i]);
        CHECK(f[row] >= 10 * (10 - norm));
    }
}

// E f = E 1/2 ||A x - b||^2 + alpha n, for c has mean 0; E ||A x||^2 = n E ||x||^2.
TEST_CASE("rastrigin: the mean of f over starts is (n^2 std^2 + n) / 2 + 10 n") {
    const auto mean = [](const char* n, const char* init_std) {
        ProblemLab lab(
            {.optimizee = "rastrigin", .options = {{"n", n}, {"init_std", init_std}}, .instances = 4000});
        double sum = 0;
        for (const double f : lab.objective()) sum += f;
        return sum / 4000;
    };
    CHECK(mean("10", "1") == doctest::Approx(155).epsilon(0.02));
    CHECK(mean("2", "1") == doctest::Approx(23).epsilon(0.04));
    CHECK(mean("2", "0.01") == doctest::Approx(21).epsilon(0.06));
}

TEST_CASE("rastrigin: instances [0, 8) and [8, 16) are instances [0, 16); A, b and c are drawn apart") {
    const ProblemLab lab({.optimizee = "rastrigin"});
    const auto draw = [&](std::uint64_t first, std::int64_t count) {
        const ProblemData data = lab.optimizee().sample({5, 0}, Split::kTest, first, count, false);
        std::vector<std::vector<double>> tensors;
        for (const Tensor& tensor : data.tensors) tensors.push_back(values(tensor));
        return tensors;
    };
    const auto all = draw(0, 16), low = draw(0, 8), high = draw(8, 8);
    for (std::size_t i = 0; i < 3; ++i) {
        std::vector<double> joined = low[i];
        joined.insert(joined.end(), high[i].begin(), high[i].end());
        CHECK(joined == all[i]);
    }
    CHECK(all[1] != all[2]);
    CHECK(all[0][0] != all[1][0]);
}

TEST_CASE("rastrigin: the oracle is at least the floor alpha (n - ||c||_1), and the value of its own point") {
    for (const char* n : {"1", "2", "10"}) {
        CAPTURE(n);
        ProblemLab lab(
            {.optimizee = "rastrigin", .options = {{"n", n}, {"oracle_starts", "50"}}, .instances = 32});
        const std::vector<double> f_star = values(lab.data("f_star")), c = values(lab.data("c"));
        const std::size_t width = c.size() / 32;
        lab.x()[0] = lab.data("x_star").clone();
        const std::vector<double> f = lab.objective(), gap = lab.metric("gap");
        for (std::size_t row = 0; row < 32; ++row) {
            double floor = 0;
            for (std::size_t i = 0; i < width; ++i) floor += 10 * (1 - std::abs(c[row * width + i]));
            CHECK(f_star[row] >= floor);
            CHECK(f[row] == doctest::Approx(f_star[row]).epsilon(1e-12));
            CHECK(std::abs(gap[row]) < 1e-10);
        }
        const std::vector<double> slopes = lab.gradient()[0];
        for (const double slope : slopes) CHECK(std::abs(slope) < 1e-5);
    }
}

namespace {

/// The least f of every row over a grid of a square.
std::vector<double> least_on_grid(ProblemLab& lab, double half, int steps) {
    std::vector<double> least(static_cast<std::size_t>(lab.data().instances), INFINITY);
    for (int i = -steps; i <= steps; ++i)
        for (int j = -steps; j <= steps; ++j) {
            std::vector<double> x;
            for (std::size_t row = 0; row < least.size(); ++row)
                x.insert(x.end(), {half * i / steps, half * j / steps});
            set_values(lab.x()[0], x);
            const std::vector<double> f = lab.objective();
            for (std::size_t row = 0; row < least.size(); ++row) least[row] = std::min(least[row], f[row]);
        }
    return least;
}

}  // namespace

TEST_CASE("rastrigin: at n = 2 no point of a fine grid is below the oracle, whatever the period") {
    for (const char* period : {"0.5", "1", "2"}) {
        CAPTURE(period);
        ProblemLab lab({.optimizee = "rastrigin",
                        .options = {{"n", "2"}, {"oracle_starts", "75"}, {"period", period}},
                        .instances = 64});
        const std::vector<double> f_star = values(lab.data("f_star")), grid = least_on_grid(lab, 4, 80);
        for (std::size_t row = 0; row < 64; ++row) CHECK(grid[row] >= f_star[row]);
    }
}

TEST_CASE(
    "rastrigin: where the bowl is steep beside the ripples no search ends below the oracle, nor in a box") {
    struct Case {
        std::string bowl, box, optimizer;
        OptionText options;
    };
    const OptionText again{{"restart", "true"}};
    for (const Case& searched : {Case{"50", "0", "lbfgs", again},
                                 Case{"1000", "0", "lbfgs", again},
                                 Case{"100000", "0", "lbfgs", again},
                                 Case{"100", "0.5", "nelder_mead", again},
                                 Case{"1000", "1.2", "nelder_mead", again}}) {
        CAPTURE(searched.bowl);
        CAPTURE(searched.box);
        Lab lab({.optimizer = searched.optimizer,
                 .options = searched.options,
                 .problem = {.optimizee = "rastrigin",
                             .options = {{"n", "3"},
                                         {"oracle_starts", "300"},
                                         {"bowl", searched.bowl},
                                         {"box", searched.box}},
                             .instances = 32}});
        const std::vector<double> f_star = values(lab.problem().data("f_star"));
        for (const std::vector<double>& found : lab.run(600).f)
            for (std::size_t row = 0; row < 32; ++row)
                CHECK(found[row] >= f_star[row] - 1e-9 * (1 + std::abs(f_star[row])));
    }
}

TEST_CASE("rastrigin: in a box the oracle is in it, and not above a fine grid by more than its steps allow") {
    for (const char* box : {"0.4", "1.1"}) {
        CAPTURE(box);
        ProblemLab lab({.optimizee = "rastrigin",
                        .options = {{"n", "2"}, {"oracle_starts", "75"}, {"box", box}},
                        .instances = 64});
        for (const double x : values(lab.data("x_star"))) CHECK(std::abs(x) <= std::stod(box));
        const std::vector<double> f_star = values(lab.data("f_star")),
                                  grid = least_on_grid(lab, std::stod(box), 50);
        for (std::size_t row = 0; row < 64; ++row) {
            CHECK(grid[row] >= f_star[row] - 1e-12);
            CHECK(grid[row] - f_star[row] < 0.8);
        }
    }
}

TEST_CASE("rastrigin: the oracle of the classic function is 0 at 0; without ripples it is that of the bowl") {
    ProblemLab classic(
        {.optimizee = "rastrigin", .options = {{"family", "classic"}, {"oracle_starts", "3"}}});
    for (const double f : values(classic.data("f_star"))) CHECK(std::abs(f) < 1e-12);
    for (const double x : values(classic.data("x_star"))) CHECK(std::abs(x) < 1e-9);
    OptionText options{{"family", "shifted"}, {"alpha", "0"}, {"oracle_starts", "3"}};
    ProblemLab bowl({.optimizee = "rastrigin", .options = options});
    CHECK(relative_error(values(bowl.data("x_star")), values(bowl.data("b"))) < 1e-12);
    options["box"] = "0.3";
    ProblemLab boxed({.optimizee = "rastrigin", .options = options});
    std::vector<double> nearest = values(boxed.data("b"));
    for (double& x : nearest) x = std::clamp(x, -0.3, 0.3);
    CHECK(relative_error(values(boxed.data("x_star")), nearest) < 1e-12);
}

TEST_CASE("rastrigin: at n = 10 twice the starts move the mean of the oracle by at most 0.02, and never up") {
    const auto oracle = [](const char* starts) {
        ProblemLab lab({.optimizee = "rastrigin", .options = {{"oracle_starts", starts}}, .instances = 32});
        return values(lab.data("f_star"));
    };
    const std::vector<double> once = oracle("75"), twice = oracle("150");
    double moved = 0;
    for (std::size_t row = 0; row < 32; ++row) {
        CHECK(twice[row] <= once[row] + 1e-10);
        moved += once[row] - twice[row];
    }
    CHECK(moved / 32 <= 0.02);
}

TEST_CASE("rastrigin: the oracle of an instance depends neither on the others nor on the element type") {
    const OptionText options{{"oracle_starts", "20"}};
    ProblemLab all({.optimizee = "rastrigin", .options = options, .instances = 8}),
        few({.optimizee = "rastrigin", .options = options, .instances = 2}),
        narrow({.optimizee = "rastrigin", .options = options, .instances = 8, .dtype = Dtype::kF32});
    std::vector<double> first = values(all.data("f_star"));
    CHECK(relative_error(values(narrow.data("f_star")), first) < 1e-5);
    first.resize(2);
    CHECK(values(few.data("f_star")) == first);
}

TEST_CASE("rastrigin: gap is f - f_star, and without oracle_starts there is neither") {
    ProblemLab lab({.optimizee = "rastrigin", .options = {{"oracle_starts", "5"}}});
    const std::vector<double> f = lab.objective(), f_star = values(lab.data("f_star"));
    std::vector<double> gap(f);
    for (std::size_t row = 0; row < f.size(); ++row) gap[row] -= f_star[row];
    CHECK(relative_error(lab.metric("gap"), gap) < 1e-12);
    const ProblemLab plain({.optimizee = "rastrigin"});
    CHECK(plain.optimizee().metrics().empty());
    CHECK_FALSE(plain.optimizee().data_index("f_star"));
}

TEST_CASE("rastrigin: the oracle stops when the run is cancelled") {
    const ProblemLab lab({.optimizee = "rastrigin", .options = {{"oracle_starts", "5"}}, .instances = 1});
    auto& cancel = l2o::framework::cancel_flag();
    cancel = 1;
    CHECK_THROWS_AS(lab.optimizee().sample({3, 4}, Split::kTest, 0, 2, true), Error);
    cancel = 0;
    CHECK_NOTHROW(lab.optimizee().sample({3, 4}, Split::kTest, 0, 2, true));
}

TEST_CASE("rastrigin: an unknown family is refused with the known ones") {
    CHECK_THROWS_WITH_AS(ProblemLab({.optimizee = "rastrigin", .options = {{"family", "classical"}}}),
                         doctest::Contains("classic"),
                         Error);
}
