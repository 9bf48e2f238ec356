#include <doctest/doctest.h>

#include <array>
#include <cmath>

#include "framework/error.hpp"
#include "tests/plugins/optimizers/recurrent/mlp_method.hpp"

using namespace l2o::test;

namespace {

constexpr std::array<double, 6> kDecays{0.1, 0.5, 0.9, 0.99, 0.999, 0.9999};

/// The features of one tensor at step t, [8][n], from its means, which are updated.
std::vector<std::vector<double>> features(const std::vector<double>& g,
                                          const std::vector<double>& x,
                                          std::array<std::vector<double>, 6>& means) {
    std::vector<std::vector<double>> rows{g, x};
    for (std::size_t i = 0; i < kDecays.size(); ++i) {
        for (std::size_t j = 0; j < g.size(); ++j)
            means[i][j] = kDecays[i] * means[i][j] + (1 - kDecays[i]) * g[j];
        rows.push_back(means[i]);
    }
    return rows;
}

std::string refusal(const OptionText& options) {
    try {
        const Rig rig("mlp_lopt", options, {block("x", {2})});
    } catch (const l2o::framework::Error& error) {
        return error.what();
    }
    return "";
}

}  // namespace

TEST_CASE("mlp_lopt: it has 1762 weights in six tensors, of which the first reads 19 features") {
    Rig rig("mlp_lopt", {}, {block("W", {4, 3}), block("b", {})});
    std::int64_t count = 0;
    for (const Tensor& param : rig.params.tensors()) count += param.size();
    CHECK(count == 1762);
    CHECK(rig.param("mlp/w0").shape() == Shape{19, 32});
    CHECK(rig.param("mlp/b0").shape() == Shape{32});
    CHECK(rig.param("mlp/w1").shape() == Shape{32, 32});
    CHECK(rig.param("mlp/w2").shape() == Shape{32, 2});
    CHECK(rig.param("mlp/b2").shape() == Shape{2});
}

TEST_CASE("mlp_lopt: five steps on two tensors are those of an independent evaluation, to 1e-12") {
    // 60 rows: more than are worked on at once.
    constexpr std::int64_t kBatch = 60;
    constexpr double kStep = 0.3, kExp = 0.7, kTimes = 0.02;
    Rig rig("mlp_lopt",
            {{"step_mult", "0.3"}, {"exp_mult", "0.7"}, {"time_scale", "0.02"}, {"hidden", "5"}},
            {block("W", {4, 3}), block("b", {})});
    randomise(rig.params, 1);
    const std::vector<std::size_t> sizes{12, 1};
    TensorSet x = rig.blocks(kBatch), g = rig.blocks(kBatch), state = rig.state(kBatch);
    randomise(x, 2);
    std::vector<std::array<std::vector<double>, 6>> means(2 * kBatch);
    for (std::size_t r = 0; r < means.size(); ++r)
        for (auto& mean : means[r]) mean.assign(sizes[r % 2], 0.0);
    for (int t = 0; t < 5; ++t) {
        randomise(g, 10U + unsigned(t));
        std::vector<std::vector<double>> want(2);
        for (std::size_t r = 0; r < kBatch; ++r)
            for (std::size_t k = 0; k < 2; ++k) {
                const auto raw = features(row(g[k], r), row(x[k], r), means[2 * r + k]);
                const std::vector<double> next = mlp_method_step(rig, raw, t, kStep, kExp, kTimes);
                want[k].insert(want[k].end(), next.begin(), next.end());
            }
        step_once(rig, state, x, g, kBatch, t);
        for (std::size_t k = 0; k < 2; ++k) CHECK(relative_error(values(x[k]), want[k]) <= 1e-12);
    }
}

TEST_CASE(
    "mlp_lopt: a feature of time is tanh(t / tau - 1), tanh(-1) at the start, and time_scale stretches it") {
    // One weight 1 from the feature to a chain of units that stay above 0: o0 = 2 + feature.
    constexpr std::array<double, 11> kTau{1, 3, 10, 30, 100, 300, 1e3, 3e3, 1e4, 3e4, 1e5};
    for (const double scale : {1.0, 0.1}) {
        Rig rig("mlp_lopt",
                {{"step_mult", "1"}, {"hidden", "1"}, {"time_scale", std::to_string(scale)}},
                {block("x", {3})});
        for (std::size_t i = 0; i < kTau.size(); ++i) {
            rig.params.zero();
            std::vector<double> w(19, 0.0);
            w[8 + i] = 1;
            set_values(rig.param("mlp/w0"), w);
            set_values(rig.param("mlp/b0"), {2});
            set_values(rig.param("mlp/w1"), {1});
            set_values(rig.param("mlp/w2"), {1, 0});
            for (const std::int64_t t : {0, 1, 700}) {
                TensorSet x = rig.blocks(1), g = rig.blocks(1), state = rig.state(1);
                const std::vector<double> moved = step_once(rig, state, x, g, 1, t);
                const double feature = std::tanh(double(t) / (scale * kTau[i]) - 1);
                if (t == 0) CHECK(feature == std::tanh(-1.0));
                for (const double value : moved) CHECK(value == doctest::Approx(-2 - feature).epsilon(1e-14));
            }
        }
    }
}

TEST_CASE("mlp_lopt: the second output is the logarithm of the step's size, times exp_mult") {
    Rig rig("mlp_lopt", {{"exp_mult", "0.5"}}, {block("x", {2})});
    rig.params.zero();
    set_values(rig.param("mlp/b2"), {-3, 4});
    TensorSet x = rig.blocks(1), g = rig.blocks(1), state = rig.state(1);
    for (const double moved : step_once(rig, state, x, g, 1))
        CHECK(moved == doctest::Approx(3e-3 * std::exp(2.0)).epsilon(1e-14));
}

TEST_CASE("mlp_lopt: the scale of the gradients does not matter") {
    Rig rig("mlp_lopt", {{"step_mult", "1"}}, {block("x", {9})});
    std::vector<double> moved[2];
    for (const double scale : {1e6, 1e9}) {
        TensorSet x = rig.blocks(2), g = rig.blocks(2), state = rig.state(2);
        for (int t = 0; t < 3; ++t) {
            randomise(g, 3U + unsigned(t));
            std::vector<double> scaled = values(g[0]);
            for (double& value : scaled) value *= scale;
            set_values(g[0], scaled);
            moved[scale > 1e7] = step_once(rig, state, x, g, 2, t);
        }
    }
    CHECK(relative_error(moved[0], moved[1]) <= 1e-6);
    CHECK(relative_error(moved[0], std::vector<double>(18, 0.0)) > 0.1);
}

TEST_CASE("mlp_lopt: coordinates of a tensor may be renamed") {
    constexpr std::int64_t kN = 37;
    Rig rig("mlp_lopt", {{"step_mult", "1"}}, {block("x", {kN})});
    TensorSet x = rig.blocks(1), g = rig.blocks(1), state = rig.state(1);
    TensorSet x_turned = rig.blocks(1), g_turned = rig.blocks(1), state_turned = rig.state(1);
    const auto turn = [](std::vector<double> list) {
        std::rotate(list.begin(), list.begin() + 11, list.end());
        return list;
    };
    randomise(x, 1);
    set_values(x_turned[0], turn(values(x[0])));
    for (int t = 0; t < 3; ++t) {
        randomise(g, 5U + unsigned(t));
        set_values(g_turned[0], turn(values(g[0])));
        step_once(rig, state, x, g, 1, t);
        step_once(rig, state_turned, x_turned, g_turned, 1, t);
    }
    CHECK(relative_error(values(x_turned[0]), turn(values(x[0]))) <= 1e-12);
    CHECK(relative_error(values(x_turned[0]), values(x[0])) > 0.1);
}

TEST_CASE("mlp_lopt: step_vjp equals central differences") {
    for (const std::int64_t steps : {0, 4}) {
        Lab lab({.optimizer = "mlp_lopt",
                 .options = {{"step_mult", "0.5"}, {"exp_mult", "0.5"}, {"hidden", "6"}},
                 .problem = {
                     .optimizee = "quadratic", .options = {{"n", "7"}, {"init_std", "1"}}, .instances = 80}});
        CHECK(lab.step_vjp_error(steps) <= 1e-6);
    }
}

TEST_CASE("mlp_lopt: a row's bits depend neither on the rows beside it nor on the batch") {
    for (const Dtype dtype : {Dtype::kF32, Dtype::kF64})
        for (const std::int64_t n : {10, 37, 600}) {
            Rig rig("mlp_lopt", {}, {block("x", {n})}, dtype);
            CHECK(rows_are_apart(rig, 60));
        }
}

TEST_CASE("mlp_lopt: float32 follows float64") {
    Rig narrow("mlp_lopt", {{"step_mult", "0.1"}}, {block("x", {70})}, Dtype::kF32);
    Rig wide("mlp_lopt", {{"step_mult", "0.1"}}, {block("x", {70})}, Dtype::kF64);
    for (std::size_t i = 0; i < wide.params.size(); ++i) set_values(wide.params[i], values(narrow.params[i]));
    TensorSet x32 = narrow.blocks(1), g32 = narrow.blocks(1), s32 = narrow.state(1);
    TensorSet x64 = wide.blocks(1), g64 = wide.blocks(1), s64 = wide.state(1);
    std::vector<double> got, want;
    for (int t = 0; t < 20; ++t) {
        randomise(g32, 4U + unsigned(t));
        set_values(g64[0], values(g32[0]));
        got = step_once(narrow, s32, x32, g32, 1, t);
        want = step_once(wide, s64, x64, g64, 1, t);
    }
    CHECK(relative_error(got, want) <= 1e-5);
}

TEST_CASE("mlp_lopt: weights start as a normal truncated at two standard deviations, biases at 0") {
    Rig rig("mlp_lopt", {}, {block("x", {1})});
    for (const auto& [name, fan] : {std::pair{"mlp/w0", 19.0}, {"mlp/w1", 32.0}, {"mlp/w2", 32.0}}) {
        double squares = 0, largest = 0;
        const std::vector<double> weights = values(rig.param(name));
        for (const double weight : weights) {
            squares += weight * weight;
            largest = std::max(largest, std::abs(weight));
        }
        const double spread = std::sqrt(squares * fan / double(weights.size()));
        CHECK(std::abs(spread - 0.8796) <= 3 * 0.8796 / std::sqrt(2 * double(weights.size())));
        CHECK(largest * std::sqrt(fan) <= 2);
    }
    CHECK(values(rig.param("mlp/b1")) == std::vector<double>(32, 0.0));
}

TEST_CASE("mlp_lopt: a bad option is answered with what was found and what is expected") {
    const std::string text = refusal({{"time_scale", "0"}});
    CHECK(text.find("time_scale") != std::string::npos);
    CHECK(text.find("expected a number > 0") != std::string::npos);
}

TEST_CASE("mlp_lopt: a minimax problem is refused by name of the block") {
    try {
        Rig rig("mlp_lopt", {}, {block("u", {2}), block("v", {2}, L2O_SPEC_MAXIMISED)});
        FAIL("not refused");
    } catch (const l2o::framework::Error& error) {
        CHECK(std::string(error.what()).find("block 'v' is to be maximised") != std::string::npos);
    }
}
