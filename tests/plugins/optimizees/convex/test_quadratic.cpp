#include <doctest/doctest.h>

#include <Eigen/SVD>
#include <algorithm>
#include <cmath>

#include "framework/error.hpp"
#include "tests/framework/config/refusal.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::test;
using namespace l2o::framework;

TEST_CASE("quadratic: with W = I and y = 1, f(0) is n and the gradient there is -2: no factor 1/2") {
    ProblemLab lab({.optimizee = "quadratic", .options = {{"n", "3"}}, .instances = 1});
    set_values(lab.data("W"), {1, 0, 0, 0, 1, 0, 0, 0, 1});
    set_values(lab.data("y"), {1, 1, 1});
    set_values(lab.x()[0], {0, 0, 0});
    CHECK(lab.objective() == std::vector<double>{3});
    CHECK(lab.gradient()[0] == std::vector<double>{-2, -2, -2});
}

TEST_CASE("quadratic: gradient and Hessian-vector product agree with central differences to 1e-8") {
    CHECK(ProblemLab({.optimizee = "quadratic"}).gradient_error() <= 1e-8);
    CHECK(ProblemLab({.optimizee = "quadratic"}).hvp_error() <= 1e-8);
}

TEST_CASE("quadratic: at x_star the gradient vanishes, and f is f_star and 0 to rounding") {
    ProblemLab lab({.optimizee = "quadratic", .instances = 16});
    set_values(lab.x()[0], values(lab.data("x_star")));
    const std::vector<double> f = lab.objective(), f_star = values(lab.data("f_star"));
    for (std::size_t i = 0; i < f.size(); ++i) {
        CHECK(f[i] <= 1e-20);
        CHECK(f_star[i] <= 1e-20);
    }
    CHECK(relative_error(lab.gradient()[0], std::vector<double>(160)) <= 1e-9);
}

TEST_CASE("quadratic: instances [0, 8) and [8, 16) are instances [0, 16), and splits and keys differ") {
    const ProblemLab lab({.optimizee = "quadratic"});
    const auto draw = [&](std::uint64_t first, std::int64_t count, Split split, std::uint64_t key) {
        const ProblemData data = lab.optimizee().sample({key, 0}, split, first, count, false);
        std::vector<std::vector<double>> tensors{values(data.tensors[0]), values(data.tensors[1])};
        return tensors;
    };
    const auto all = draw(0, 16, Split::kTrain, 5), low = draw(0, 8, Split::kTrain, 5),
               high = draw(8, 8, Split::kTrain, 5);
    for (std::size_t i = 0; i < 2; ++i) {
        std::vector<double> joined = low[i];
        joined.insert(joined.end(), high[i].begin(), high[i].end());
        CHECK(joined == all[i]);
        CHECK(low[i] != high[i]);
        CHECK(draw(0, 16, Split::kTest, 5)[i] != all[i]);
        CHECK(draw(0, 16, Split::kTrain, 6)[i] != all[i]);
    }
}

TEST_CASE("quadratic: entries of W and y are uniform on [0, 1), starts have the standard deviation 0.01") {
    ProblemLab lab({.optimizee = "quadratic", .instances = 1000});
    const auto moments = [](const std::vector<double>& draws) {
        double mean = 0, square = 0;
        for (const double d : draws) mean += d / double(draws.size());
        for (const double d : draws) square += (d - mean) * (d - mean) / double(draws.size());
        return std::pair(mean, std::sqrt(square));
    };
    for (const char* name : {"W", "y"}) {
        const std::vector<double> draws = values(lab.data(name));
        const auto [mean, deviation] = moments(draws);
        // 10,000 draws or more: 4 standard errors are 0.012 and 0.007.
        CHECK(std::abs(mean - 0.5) < 0.012);
        CHECK(std::abs(deviation - std::sqrt(1.0 / 12)) < 0.007);
        CHECK(std::ranges::all_of(draws, [](double d) { return d >= 0 && d < 1; }));
    }
    const auto [mean, deviation] = moments(values(lab.x()[0]));
    CHECK(std::abs(mean) < 0.0004);
    CHECK(std::abs(deviation - 0.01) < 0.0003);
}

// 37 variables: vector loops have a body and a tail, and rows begin at different alignments.
TEST_CASE("quadratic: a row has the same f and g alone and in a batch, bit for bit") {
    constexpr std::size_t kN = 37;
    for (const auto dtype : {Dtype::kF32, Dtype::kF64}) {
        ProblemLab::Setup setup{
            .optimizee = "quadratic", .options = {{"n", "37"}}, .instances = 5, .dtype = dtype};
        ProblemLab batch(setup);
        const std::vector<double> f = batch.objective(), g = batch.gradient()[0];
        setup.instances = 1;
        for (std::size_t row = 0; row < 5; ++row) {
            ProblemLab alone(setup);
            const auto part = [row](const std::vector<double>& all, std::size_t cols) {
                return std::vector<double>(all.begin() + static_cast<std::ptrdiff_t>(row * cols),
                                           all.begin() + static_cast<std::ptrdiff_t>((row + 1) * cols));
            };
            set_values(alone.data("W"), part(values(batch.data("W")), kN * kN));
            set_values(alone.data("y"), part(values(batch.data("y")), kN));
            set_values(alone.x()[0], part(values(batch.x()[0]), kN));
            CHECK(alone.objective()[0] == f[row]);
            CHECK(alone.gradient()[0] == part(g, kN));
        }
    }
}

TEST_CASE("quadratic: n = 0 is refused") {
    CHECK_THROWS_WITH_AS(ProblemLab({.optimizee = "quadratic", .options = {{"n", "0"}}}),
                         doctest::Contains("expected a whole number >= 1"),
                         Error);
}

namespace {

/// W of every instance.
std::vector<Eigen::MatrixXd> matrices(const OptionText& options, std::uint64_t seed = 1) {
    ProblemLab lab({.optimizee = "quadratic", .options = options, .instances = 8, .seed = seed});
    const std::vector<double> all = values(lab.data("W"));
    const auto n = static_cast<Eigen::Index>(std::sqrt(double(all.size()) / 8));
    std::vector<Eigen::MatrixXd> w;
    for (Eigen::Index i = 0; i < 8; ++i)
        w.emplace_back(
            Eigen::Map<const Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>(
                all.data() + i * n * n, n, n));
    return w;
}

}  // namespace

TEST_CASE("quadratic: with condition_number the eigenvalues of the Hessian go evenly from 2 to 2 / K") {
    for (const double condition : {1.5, 100.0, 1e6}) {
        CAPTURE(condition);
        for (const Eigen::MatrixXd& w :
             matrices({{"n", "20"}, {"condition_number", std::to_string(condition)}})) {
            // The eigenvalues are squares of the singular values, which are exact to the last digits.
            const Eigen::VectorXd s = Eigen::JacobiSVD<Eigen::MatrixXd>(w).singularValues();
            for (Eigen::Index i = 0; i < 20; ++i)
                CHECK(2 * s(i) * s(i) ==
                      doctest::Approx(2 * std::pow(condition, -double(i) / 19)).epsilon(1e-9));
        }
    }
}

TEST_CASE("quadratic: rotations differ between instances and seeds, and have no preferred direction") {
    const OptionText options{{"n", "2"}, {"condition_number", "4"}};
    const std::vector<Eigen::MatrixXd> w = matrices(options), other = matrices(options, 2);
    CHECK(w[0] != w[1]);
    CHECK(w[0] != other[0]);
    // The first row of W is a unit vector at an angle that is uniform on the circle.
    ProblemLab lab({.optimizee = "quadratic", .options = options, .instances = 4000});
    const std::vector<double> all = values(lab.data("W"));
    double x = 0, y = 0, cos2 = 0, sin2 = 0, turns = 0;
    for (std::size_t i = 0; i < all.size(); i += 4) {
        x += all[i] / 4000, y += all[i + 1] / 4000;
        cos2 += (all[i] * all[i] - all[i + 1] * all[i + 1]) / 4000, sin2 += 2 * all[i] * all[i + 1] / 4000;
        turns += (all[i] * all[i + 3] - all[i + 1] * all[i + 2] > 0 ? 1 : -1) / 4000.0;
    }
    // Five standard errors: of a cosine 0.71 / sqrt(4000), of a sign 1 / sqrt(4000).
    for (const double mean : {x, y, cos2, sin2}) CHECK(std::abs(mean) < 0.056);
    CHECK(std::abs(turns) < 0.08);
}

TEST_CASE("quadratic: with condition_number y and the start stay, and 0 or 1 leave W as it is drawn") {
    ProblemLab plain({.optimizee = "quadratic"});
    ProblemLab one({.optimizee = "quadratic", .options = {{"condition_number", "1"}}});
    ProblemLab spread({.optimizee = "quadratic", .options = {{"condition_number", "10"}}});
    CHECK(values(one.data("W")) == values(plain.data("W")));
    CHECK(values(spread.data("W")) != values(plain.data("W")));
    CHECK(values(spread.data("y")) == values(plain.data("y")));
    CHECK(values(spread.x()[0]) == values(plain.x()[0]));
}

TEST_CASE("quadratic: with condition_number 1e6 the solution is known, and gradients are right there") {
    ProblemLab lab({.optimizee = "quadratic", .options = {{"condition_number", "1e6"}}, .instances = 16});
    CHECK(lab.gradient_error() <= 1e-8);
    CHECK(lab.hvp_error() <= 1e-8);
    set_values(lab.x()[0], values(lab.data("x_star")));
    for (const double f : lab.objective()) CHECK(f <= 1e-20);
    for (const double f : values(lab.data("f_star"))) CHECK(f <= 1e-20);
}

TEST_CASE("quadratic: in float32 the condition number is that in float64 to 1 %") {
    for (const char* condition : {"1e4", "1e8"}) {
        ProblemLab lab({.optimizee = "quadratic",
                        .options = {{"n", "20"}, {"condition_number", condition}},
                        .instances = 1,
                        .dtype = Dtype::kF32});
        const std::vector<double> w = values(lab.data("W"));
        const Eigen::VectorXd s =
            Eigen::JacobiSVD<Eigen::MatrixXd>(Eigen::Map<const Eigen::MatrixXd>(w.data(), 20, 20))
                .singularValues();
        CHECK(std::pow(s(0) / s(19), 2) == doctest::Approx(std::stod(condition)).epsilon(0.01));
        for (const double f : values(lab.data("f_star"))) CHECK(std::isfinite(f));
    }
}

TEST_CASE("quadratic: a condition number below 1, above 1e10, or of one variable is refused") {
    const auto refused = [](const OptionText& options) {
        return refusal([&] { const ProblemLab lab({.optimizee = "quadratic", .options = options}); });
    };
    CHECK(refused({{"condition_number", "0.5"}})
              .ends_with("condition_number is 0.500000; expected 0 or at least 1"));
    CHECK(refused({{"condition_number", "1e11"}})
              .find("condition_number is '1e11'; expected a number in [0, 1e+10]") != std::string::npos);
    CHECK(refused({{"condition_number", "10"}, {"n", "1"}})
              .ends_with(
                  "condition_number is 10.000000, and with n = 1 there is one eigenvalue; expected n >= 2"));
}
