#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "tests/support/lab.hpp"

using namespace l2o::test;

namespace {

const OptionText kSmall{{"hidden", "5,4"}, {"latent", "3"}, {"batch", "6"}};

/// With nets that are linear: G(z) = z W + b, D(x) = x W + b.
OptionText linear_with(const char* key, const char* value) {
    return {{"hidden", ""}, {"latent", "1"}, {key, value}};
}
std::vector<double> centre(int k) {
    const double angle = std::numbers::pi / 4 * k;
    return {2 * std::cos(angle), 2 * std::sin(angle)};
}

/// Weights of a generator of three latent numbers, hidden 3 and 8, that are at the centre `goes_to[k]` where
/// their signs are those of the binary digits of k.
std::vector<double> ring_of(const std::vector<int>& goes_to) {
    std::vector<double> w;
    for (int i = 0; i < 3; ++i)
        for (int j = 0; j < 3; ++j) w.push_back(i == j ? 1e6 : 0);  // signs
    w.insert(w.end(), 3, 0);
    for (int digit = 0; digit < 3; ++digit)
        for (int k = 0; k < 8; ++k) w.push_back((k >> digit & 1) != 0 ? 20 : -20);
    w.insert(w.end(), 8, -40);  // 1 where all three agree, else -1
    double sum[2] = {};
    for (const int k : goes_to)
        for (int c = 0; c < 2; ++c) {
            w.push_back(centre(k)[std::size_t(c)] / 2);
            sum[c] += w.back();
        }
    w.insert(w.end(), sum, sum + 2);
    return w;
}

}  // namespace

TEST_CASE("gaussian_gan: gradient and Hessian products agree with central differences, of the penalty too") {
    for (const char* gamma : {"0", "0.7"}) {
        CAPTURE(gamma);
        OptionText options = kSmall;
        options["gamma"] = gamma;
        CHECK(ProblemLab({.optimizee = "gaussian_gan", .options = options}).gradient_error() <= 1e-7);
        CHECK(ProblemLab({.optimizee = "gaussian_gan", .options = options}).hvp_error() <= 1e-7);
    }
}

TEST_CASE("gaussian_gan: V is -2 ln 2 where D is 0, and G has no gradient there") {
    ProblemLab lab({.optimizee = "gaussian_gan", .instances = 2});
    set_values(lab.x()[1], std::vector<double>(2 * 1185, 0));
    for (const double f : lab.objective()) CHECK(f == doctest::Approx(-2 * std::log(2)).epsilon(1e-15));
    const std::vector<double> g = lab.gradient()[0];
    CHECK(std::ranges::all_of(g, [](double entry) { return entry == 0; }));
}

TEST_CASE("gaussian_gan: of a D that is linear the penalty is gamma / 2 |w|^2, and its gradient -gamma w") {
    const auto at = [](const char* gamma) {
        ProblemLab lab({.optimizee = "gaussian_gan", .options = linear_with("gamma", gamma), .instances = 1});
        set_values(lab.x()[1], {0.3, -0.4, 0.1});
        return std::pair{lab.objective()[0], lab.gradient()};
    };
    const auto [plain, g] = at("0");
    const auto [penalised, h] = at("0.5");
    CHECK(penalised - plain == doctest::Approx(-0.25 * 0.25).epsilon(1e-13));
    CHECK(h[1][0] - g[1][0] == doctest::Approx(-0.15).epsilon(1e-13));
    CHECK(h[1][1] - g[1][1] == doctest::Approx(0.2).epsilon(1e-13));
    CHECK(h[1][2] == g[1][2]);
    CHECK(h[0] == g[0]);
}

TEST_CASE("gaussian_gan: x is drawn from 8 centres at radius 2, alike often, with deviation 0.05") {
    // With D(x) = w x_1 the slope of V by the bias is mean s(-D(x)) - mean s(D(G(z))); of a steep D the first
    // is the share of x with x_1 < 0: 3 / 8 and, at the two centres with x_1 = 0, half of 2 / 8.
    ProblemLab lab({.optimizee = "gaussian_gan", .options = linear_with("batch", "20000"), .instances = 1});
    set_values(lab.x()[0], {0, 0, -1, 0});  // G(z) = (-1, 0): s(D(G(z))) = 0 for w > 0
    const auto share_below = [&](double at) {
        set_values(lab.x()[1], {1e6, 0, -1e6 * at});
        return lab.gradient()[1][2];
    };
    CHECK(std::abs(share_below(0) - 0.5) <= 0.018);  // 5 standard errors
    CHECK(std::abs(share_below(1) - 5.0 / 8) <= 0.018);
    CHECK(std::abs(share_below(1.7) - 7.0 / 8) <= 0.012);
    CHECK(std::abs(share_below(2.05) - (7 + 0.8413) / 8) <= 0.005);  // one deviation above the last
    CHECK(share_below(2.5) == doctest::Approx(1).epsilon(1e-12));
}

TEST_CASE("gaussian_gan: a generator on all centres covers 8 modes, on 7 covers 7, all of high quality") {
    ProblemLab lab(
        {.optimizee = "gaussian_gan", .options = {{"hidden", "3,8"}, {"latent", "3"}}, .instances = 1});
    set_values(lab.x()[0], ring_of({0, 1, 2, 3, 4, 5, 6, 7}));
    CHECK(lab.metric("modes")[0] == 8);
    CHECK(lab.metric("high_quality")[0] == 1);
    const double all = lab.metric("sliced_wasserstein")[0];
    const double share = lab.metric("covered")[0];
    CHECK(share <= 1);
    CHECK(share > 0.93);  // 1 less half of what eight shares of 2,500 draws are off by: 0.02
    CHECK(all < 0.1);     // the deviation within modes, and that shares of 2,500 draws are not quite equal
    CHECK(all > 0.02);
    set_values(lab.x()[0], ring_of({0, 1, 2, 3, 4, 5, 6, 6}));
    CHECK(lab.metric("modes")[0] == 7);
    CHECK(lab.metric("high_quality")[0] == 1);
    CHECK(std::abs(lab.metric("covered")[0] - (share - 0.125)) <= 0.03);
    CHECK(lab.metric("sliced_wasserstein")[0] > all + 0.05);
}

TEST_CASE("gaussian_gan: a mode needs 20 of 2,500 samples within 3 deviations; fewer still are of quality") {
    ProblemLab lab(
        {.optimizee = "gaussian_gan", .options = {{"hidden", ""}, {"latent", "1"}}, .instances = 1});
    const auto along_x = [&](double scale, double x, double y) {
        set_values(lab.x()[0], {scale, 0, x, y});  // G(z) = (scale z + x, y)
    };
    along_x(0, 2, 0.149);
    CHECK(lab.metric("modes")[0] == 1);
    CHECK(lab.metric("high_quality")[0] == 1);
    CHECK(lab.metric("covered")[0] == doctest::Approx(0.125).epsilon(1e-14));
    along_x(0, 2, 0.151);
    CHECK(lab.metric("modes")[0] == 0);
    CHECK(lab.metric("high_quality")[0] == 0);
    along_x(2, 0, 0);  // P(|2 z - 2| <= 0.15) = 0.03631, at 2 and at -2
    CHECK(lab.metric("modes")[0] == 2);
    CHECK(std::abs(lab.metric("high_quality")[0] - 0.0726) <= 0.026);  // 5 standard errors
    along_x(40, 0, 0);                                                 // 0.003, or 7.5 samples
    CHECK(lab.metric("modes")[0] == 0);
    CHECK(lab.metric("high_quality")[0] > 0);
}

TEST_CASE("gaussian_gan: the sliced distance of a point at the centre is 4 / pi, and grows as it moves off") {
    ProblemLab lab(
        {.optimizee = "gaussian_gan", .options = {{"hidden", ""}, {"latent", "1"}}, .instances = 1});
    set_values(lab.x()[0], {0, 0, 0, 0});
    // Of a point at radius r the mean over directions of |r cos| is 2 r / pi.
    CHECK(lab.metric("sliced_wasserstein")[0] == doctest::Approx(4 / std::numbers::pi).epsilon(3e-3));
    set_values(lab.x()[0], {0, 0, 30, 40});
    CHECK(lab.metric("sliced_wasserstein")[0] == doctest::Approx(2 * 50 / std::numbers::pi).epsilon(3e-3));
}

TEST_CASE("gaussian_gan: weights start at N(0, 1 / fan-in), biases at 0, of 1,410 and 1,185 numbers") {
    ProblemLab lab({.optimizee = "gaussian_gan", .instances = 20});
    const std::vector<double> g = values(lab.x()[0]), d = values(lab.x()[1]);
    REQUIRE(g.size() == 20 * 1410);
    REQUIRE(d.size() == 20 * 1185);
    const auto mean_square =
        [](const std::vector<double>& all, std::size_t row, std::size_t from, std::size_t to) {
            double sum = 0;
            for (std::size_t r = 0; r < 20; ++r)
                for (std::size_t i = from; i < to; ++i) sum += all[r * row + i] * all[r * row + i];
            return sum / double(20 * (to - from));
        };
    CHECK(mean_square(g, 1410, 0, 256) == doctest::Approx(1.0 / 8).epsilon(0.1));
    CHECK(mean_square(g, 1410, 256, 288) == 0);
    CHECK(mean_square(g, 1410, 288, 1312) == doctest::Approx(1.0 / 32).epsilon(0.05));
    CHECK(mean_square(g, 1410, 1344, 1408) == doctest::Approx(1.0 / 32).epsilon(0.2));
    CHECK(mean_square(d, 1185, 0, 64) == doctest::Approx(1.0 / 2).epsilon(0.2));
    CHECK(mean_square(d, 1185, 1184, 1185) == 0);
}

TEST_CASE("gaussian_gan: every step draws anew, and all rows of a step see the same draws") {
    Lab lab({.optimizer = "gradient_descent_ascent",
             .options = {{"learning_rate", "1e-200"}},
             .problem = {.optimizee = "gaussian_gan", .options = kSmall, .instances = 2}});
    for (Tensor& block : lab.problem().x()) {
        std::vector<double> both = values(block);
        std::copy_n(both.begin(), both.size() / 2, both.begin() + std::ptrdiff_t(both.size() / 2));
        set_values(block, both);
    }
    const Lab::Run run = lab.run(2);
    REQUIRE(relative_error(run.x[1], run.x[0]) <= 1e-100);
    CHECK(run.f[1][0] != run.f[0][0]);
    CHECK(run.f[1][0] == run.f[1][1]);
}

TEST_CASE("gaussian_gan: alternating Adam brings G near to the ring within 1,000 steps") {
    Lab lab({.optimizer = "adam_descent_ascent",
             .options = {{"order", "alternating"}, {"learning_rate", "0.01"}},
             .problem = {.optimizee = "gaussian_gan", .instances = 1, .dtype = Dtype::kF32}});
    const double before = lab.problem().metric("sliced_wasserstein")[0];
    const Lab::Run run = lab.run(1000);
    set_values(lab.problem().x()[0], {run.x.back().begin(), run.x.back().begin() + 1410});
    MESSAGE("sliced distance " << before << " to " << lab.problem().metric("sliced_wasserstein")[0]);
    CHECK(lab.problem().metric("sliced_wasserstein")[0] < before / 3);
    CHECK(lab.problem().metric("modes")[0] >= 4);
}
