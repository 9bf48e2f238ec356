#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "framework/error.hpp"
#include "tests/plugins/optimizers/recurrent/text_weights.hpp"

using namespace l2o::test;

namespace {

/// The network's first step on gradients g, from an empty state.
std::vector<double> first_step(Rig& rig, const std::vector<double>& gradients) {
    TensorSet x = rig.blocks(1), g = rig.blocks(1), state = rig.state(1);
    set_values(g[0], gradients);
    return step_once(rig, state, x, g, 1);
}

}  // namespace

TEST_CASE("l2o_rnnprop: the first step sees the sign of the gradient alone") {
    // Both features are sign(g) there, to epsilon / |g|.
    Rig rig("l2o_rnnprop", {{"output_scale", "1"}}, {block("x", {6})});
    const std::vector<double> moved = first_step(rig, {1e-2, 3.0, 1e5, -1e-2, -1e6, 0.0});
    CHECK(moved[0] == doctest::Approx(moved[1]).epsilon(1e-5));
    CHECK(moved[2] == doctest::Approx(moved[1]).epsilon(1e-5));
    CHECK(moved[4] == doctest::Approx(moved[3]).epsilon(1e-5));
    CHECK(std::abs(moved[1] - moved[3]) > 1e-3);
    CHECK(std::abs(moved[5] - moved[1]) > 1e-3);
}

TEST_CASE("l2o_rnnprop: both features of the first step are +-1, those of a gradient 0 are 0") {
    // e = ELU(w_0 f_0 + w_1 f_1); with all else zero but the candidate's weight of input 0, layer 1 holds
    // c = s(0) tanh(e_0), from which the features follow.
    for (const int row : {0, 1}) {
        Rig rig("l2o_rnnprop", {{"hidden", "1"}}, {block("x", {3})});
        rig.params.zero();
        std::vector<double> w{0, 0};
        w[static_cast<std::size_t>(row)] = 1;
        set_values(rig.param("input_projection/w"), w);
        set_values(rig.param("lstm_1/w_gates"), {0, 1, 0, 0, 0, 0, 0, 0});
        TensorSet x = rig.blocks(1), g = rig.blocks(1), state = rig.state(1);
        set_values(g[0], {0.3, -20, 0});
        step_once(rig, state, x, g, 1);
        const std::vector<double> c = values(state[1]);
        CHECK(c[0] == doctest::Approx(0.5 * std::tanh(1.0)).epsilon(1e-6));
        CHECK(c[1] == doctest::Approx(0.5 * std::tanh(std::exp(-1.0) - 1)).epsilon(1e-6));
        CHECK(c[2] == 0);
    }
}

TEST_CASE("l2o_rnnprop: feature_order says which row of the input projection reads the gradient") {
    // At the second step m^ = (0.95 g_1 + g_2) / 1.95: opposite gradients tell the features apart.
    std::vector<double> x_of[2];
    for (const bool mean_first : {false, true}) {
        Rig rig("l2o_rnnprop", {{"feature_order", mean_first ? "m_g" : "g_m"}}, {block("x", {1})});
        std::vector<double> w = values(rig.param("input_projection/w"));
        if (mean_first) std::rotate(w.begin(), w.begin() + 20, w.end());
        set_values(rig.param("input_projection/w"), w);
        TensorSet x = rig.blocks(1), g = rig.blocks(1), state = rig.state(1);
        for (int t = 0; t < 3; ++t) {
            set_values(g[0], {t % 2 == 0 ? 1.0 : -0.4});
            step_once(rig, state, x, g, 1, t);
        }
        x_of[mean_first ? 1 : 0] = values(x[0]);
        if (mean_first) continue;
        // The same weights read the other way round are another network.
        Rig other("l2o_rnnprop", {{"feature_order", "m_g"}}, {block("x", {1})});
        TensorSet y = other.blocks(1), other_state = other.state(1);
        for (int t = 0; t < 3; ++t) {
            set_values(g[0], {t % 2 == 0 ? 1.0 : -0.4});
            step_once(other, other_state, y, g, 1, t);
        }
        CHECK(values(y[0])[0] != doctest::Approx(x_of[0][0]).epsilon(1e-6));
    }
    CHECK(x_of[1][0] == doctest::Approx(x_of[0][0]).epsilon(1e-12));
}

TEST_CASE("l2o_rnnprop: m and v are Adam's moments, corrected by the step's number in the whole run") {
    Rig rig("l2o_rnnprop", {{"beta1", "0.9"}, {"beta2", "0.8"}}, {block("x", {2})});
    TensorSet x = rig.blocks(1), g = rig.blocks(1), state = rig.state(1);
    set_values(g[0], {2.0, -0.5});
    for (int t = 0; t < 3; ++t) step_once(rig, state, x, g, 1, t);
    CHECK(values(state[4])[0] == doctest::Approx(2 * (1 - std::pow(0.9, 3))).epsilon(1e-12));
    CHECK(values(state[5])[1] == doctest::Approx(0.25 * (1 - std::pow(0.8, 3))).epsilon(1e-12));

    // A constant gradient has features +-1 at every step, so two coordinates of one sign move together.
    set_values(g[0], {2.0, 2e-3});
    x.zero(), state.zero();
    std::vector<double> moved;
    for (int t = 0; t < 5; ++t) moved = step_once(rig, state, x, g, 1, t);
    CHECK(moved[0] == doctest::Approx(moved[1]).epsilon(1e-4));
}

TEST_CASE("l2o_rnnprop: no update is larger than output_scale, whatever the weights") {
    Rig rig("l2o_rnnprop", {{"output_scale", "0.125"}}, {block("x", {50})});
    randomise(rig.params, 3);
    set_values(rig.param("linear/b"), {4});
    TensorSet x = rig.blocks(2), g = rig.blocks(2), state = rig.state(2);
    randomise(g, 1);
    double largest = 0;
    for (int t = 0; t < 4; ++t) {
        x.zero();
        for (const double moved : step_once(rig, state, x, g, 2, t))
            largest = std::max(largest, std::abs(moved));
    }
    CHECK(largest <= 0.125);
    CHECK(largest > 0.1);
}

TEST_CASE("l2o_rnnprop: the published weights give the updates of an independent evaluator to 1e-6") {
    Rig rig("l2o_rnnprop", {{"feature_order", "m_g"}}, {block("x", {1})});
    if (!load_public_weights(rig, "rnnprop")) return;
    std::ifstream file(shared_weights() / "golden.json");
    const auto golden = nlohmann::json::parse(file);
    const auto gradients = golden["gradients"].get<std::vector<double>>();
    const auto want = golden["delta"]["rnnprop"].get<std::vector<double>>();
    REQUIRE(gradients.size() == want.size());
    TensorSet x = rig.blocks(1), g = rig.blocks(1), state = rig.state(1);
    for (std::size_t t = 0; t < want.size(); ++t) {
        set_values(g[0], {gradients[t]});
        x.zero();
        const double moved = step_once(rig, state, x, g, 1, static_cast<std::int64_t>(t))[0];
        CHECK(std::abs(moved - want[t]) <= 1e-6);
    }
}

TEST_CASE("l2o_rnnprop: the published weights minimise an ill-conditioned quadratic at their bounded pace") {
    // f = 1/2 sum a_i x_i^2, a log-uniform on [1e-3, 1], x_0 ~ N(0, 1); a coordinate moves by 0.01 at most.
    constexpr std::int64_t kRows = 64, kN = 6;
    Rig rig("l2o_rnnprop", {{"feature_order", "m_g"}}, {block("x", {kN})});
    if (!load_public_weights(rig, "rnnprop")) return;
    TensorSet x = rig.blocks(kRows), g = rig.blocks(kRows), state = rig.state(kRows);
    randomise(x, 5);
    std::mt19937 bits(6);
    std::uniform_real_distribution<double> exponent(-3, 0);
    std::vector<double> a(kRows * kN);
    for (double& value : a) value = std::pow(10.0, exponent(bits));
    std::vector<double> f;
    for (int t = 0; t < 150; ++t) {
        const std::vector<double> at = values(x[0]);
        std::vector<double> gradient(at.size());
        f.push_back(0);
        for (std::size_t i = 0; i < at.size(); ++i) {
            gradient[i] = a[i] * at[i];
            f.back() += 0.5 * gradient[i] * at[i] / double(kRows);
        }
        set_values(g[0], gradient);
        step_once(rig, state, x, g, kRows, t);
    }
    CAPTURE(f[0]);
    CAPTURE(f[20]);
    CAPTURE(f[50]);
    CAPTURE(f[149]);
    CHECK(f[20] > 0.5 * f[0]);
    CHECK(f[50] < 0.7 * f[0]);
    CHECK(f[149] < 0.1 * f[0]);
}

TEST_CASE("l2o_rnnprop: step_vjp equals central differences") {
    for (const char* order : {"g_m", "m_g"})
        for (const std::int64_t steps : {0, 3}) {
            Lab lab(
                {.optimizer = "l2o_rnnprop",
                 .options = {{"feature_order", order},
                             {"output_scale", "0.5"},
                             {"hidden", "6"},
                             {"epsilon", "1e-3"}},
                 .problem = {
                     .optimizee = "quadratic", .options = {{"n", "7"}, {"init_std", "1"}}, .instances = 13}});
            set_values(lab.param("linear/b"), {0.3});
            CHECK(lab.step_vjp_error(steps) <= 1e-6);
        }
}

TEST_CASE("l2o_rnnprop: a coordinate's bits depend neither on the batch nor on what lies beside it") {
    constexpr std::int64_t kRows = 5, kN = 37;
    for (const Dtype dtype : {Dtype::kF32, Dtype::kF64}) {
        Rig rig("l2o_rnnprop", {}, {block("x", {kN})}, dtype);
        TensorSet x = rig.blocks(kRows), g = rig.blocks(kRows), state = rig.state(kRows);
        randomise(x, 1);
        randomise(g, 2);
        for (int t = 0; t < 2; ++t) step_once(rig, state, x, g, kRows, t);
        TensorSet x_next = rig.blocks(kRows), state_next = rig.state(kRows);
        rig.step(state.in(), x.in(), g.in(), state_next.out(), x_next.out(), kRows, 2);
        TensorSet x_apart = rig.blocks(kRows), state_apart = rig.state(kRows);
        for (const auto& [first, count] : {std::pair{0, 16}, std::pair{16, 20}, std::pair{36, 1}}) {
            std::vector<std::unique_ptr<Slice>> slices;
            const auto slice = [&, from = first, n = count](TensorSet& set) {
                std::vector<l2o_tensor*> list;
                for (Tensor& tensor : set.tensors()) {
                    slices.push_back(std::make_unique<Slice>(tensor, from, n));
                    list.push_back(slices.back()->abi());
                }
                return list;
            };
            const auto state_in = slice(state), x_in = slice(x), g_in = slice(g);
            const auto state_out = slice(state_apart), x_out = slice(x_apart);
            rig.step(state_in.data(), x_in.data(), g_in.data(), state_out.data(), x_out.data(), kRows, 2);
        }
        CHECK(values(x_apart[0]) == values(x_next[0]));
        for (std::size_t i = 0; i < state.size(); ++i) CHECK(values(state_apart[i]) == values(state_next[i]));
    }
}

TEST_CASE("l2o_rnnprop: it has 6641 weights, and starts the projection with a bias of 0") {
    Rig rig("l2o_rnnprop", {}, {block("W", {4, 3}), block("b", {})});
    std::int64_t count = 0;
    for (const Tensor& param : rig.params.tensors()) count += param.size();
    CHECK(count == 6641);
    CHECK(values(rig.param("input_projection/b")) == std::vector<double>(20, 0.0));
    double largest = 0;
    for (const double weight : values(rig.param("input_projection/w")))
        largest = std::max(largest, std::abs(weight));
    CHECK(largest <= std::sqrt(2));
    CHECK(largest > 0.7);
}

TEST_CASE("l2o_rnnprop: a minimax problem is refused by name of the block") {
    try {
        Rig rig("l2o_rnnprop", {}, {block("u", {2}), block("v", {2}, L2O_SPEC_MAXIMISED)});
        FAIL("not refused");
    } catch (const l2o::framework::Error& error) {
        CHECK(std::string(error.what()).find("block 'v' is to be maximised") != std::string::npos);
    }
}
