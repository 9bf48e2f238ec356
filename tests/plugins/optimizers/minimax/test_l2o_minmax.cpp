#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <map>

#include "framework/error.hpp"
#include "game_lab.hpp"
#include "tests/plugins/optimizers/rig.hpp"

using namespace l2o::test;

namespace {

constexpr std::size_t kHidden = 3;
using Vector = std::vector<double>;

double logistic(double a) { return 1 / (1 + std::exp(-a)); }

/// Two LSTMs and a read-out, of one player and one pair of coordinates, as the equations have it.
class Net {
  public:
    Net(Lab& lab, const std::string& who, double memory) : memory_(memory) {
        for (const char* name : {"lstm_1.w_ih",
                                 "lstm_1.w_hh",
                                 "lstm_1.b_ih",
                                 "lstm_1.b_hh",
                                 "lstm_2.w_ih",
                                 "lstm_2.w_hh",
                                 "lstm_2.b_ih",
                                 "lstm_2.b_hh",
                                 "linear/w",
                                 "linear/b"})
            w_[name] = values(lab.param(who + name));
    }
    double operator()(double own, double other) {
        Vector in{own, other};
        for (std::size_t i = 0; i < 2; ++i) in = layer("lstm_" + std::to_string(i + 1), in, h_[i], c_[i]);
        double out = w_["linear/b"][0];
        for (std::size_t i = 0; i < kHidden; ++i) out += w_["linear/w"][i] * in[i];
        return out;
    }

  private:
    Vector layer(const std::string& name, const Vector& in, Vector& h, Vector& c) {
        const Vector &w_ih = w_[name + ".w_ih"], &w_hh = w_[name + ".w_hh"];
        const Vector before = h;
        const auto gate = [&](std::size_t number, std::size_t i) {  // in the order i, f, g, o
            const std::size_t row = number * kHidden + i;
            double sum = w_[name + ".b_ih"][row] + w_[name + ".b_hh"][row];
            for (std::size_t j = 0; j < in.size(); ++j) sum += w_ih[row * in.size() + j] * in[j];
            for (std::size_t j = 0; j < kHidden; ++j) sum += w_hh[row * kHidden + j] * memory_ * before[j];
            return sum;
        };
        for (std::size_t i = 0; i < kHidden; ++i) {
            c[i] = logistic(gate(1, i)) * memory_ * c[i] + logistic(gate(0, i)) * std::tanh(gate(2, i));
            h[i] = logistic(gate(3, i)) * std::tanh(c[i]);
        }
        return h;
    }

    double memory_;
    std::map<std::string, Vector> w_;
    std::array<Vector, 2> h_{Vector(kHidden), Vector(kHidden)}, c_ = h_;
};

Lab twin_on(const std::string& game, OptionText options = {}) {
    options.emplace("hidden", std::to_string(kHidden));
    return lab_on(game, "l2o_minmax", options);
}

}  // namespace

// rotated_saddle with a = b = 0.9: df/du = 1.8 u + 2 v, df/dv = 2 u - 1.8 v.
TEST_CASE(
    "l2o_minmax: the players take turns, each by its own LSTM of both gradients in units of their rms") {
    Lab lab = twin_on("rotated_saddle");
    Net min(lab, "min/", 1), max(lab, "max/", 1);
    const Lab::Run run = lab.run(9);
    double u = 0.3, v = -0.4, g_u = 0, g_v = 0;  // of both the gradients as they were seen last
    for (std::size_t t = 0; t < 9; ++t) {
        (t % 2 == 0 ? g_u : g_v) = t % 2 == 0 ? 1.8 * u + 2 * v : 2 * u - 1.8 * v;
        const double n = std::sqrt((g_u * g_u + g_v * g_v) / 2);
        (t % 2 == 0 ? u : v) += n * (t % 2 == 0 ? min(g_u / n, g_v / n) : max(g_v / n, g_u / n));
        CHECK(relative_error(run.x[t + 1], {u, v}) <= 1e-12);
    }
}

TEST_CASE("l2o_minmax: published, both gradients are new, memory fades and a fifth of the steps has a size") {
    Lab lab = twin_on("rotated_saddle", {{"form", "published"}, {"steps", "10"}});
    Net min(lab, "min/", 1e-4), max(lab, "max/", 1e-4);
    const Lab::Run run = lab.run(9);
    const std::array warm_up{1e-4, 1e-4 + 0.5 * (0.1 - 1e-4)};
    double u = 0.3, v = -0.4;
    for (std::size_t t = 0; t < 9; ++t) {
        const double g_u = 1.8 * u + 2 * v, g_v = 2 * u - 1.8 * v;
        const double out = t % 2 == 0 ? min(g_u, g_v) : max(g_v, g_u);
        (t % 2 == 0 ? u : v) += t < 2 ? std::copysign(warm_up[t], out) : out;
        CHECK(relative_error(run.x[t + 1], {u, v}) <= 1e-12);
    }
}

TEST_CASE("l2o_minmax: a step is charged one partial gradient, and two as published") {
    CHECK(twin_on("seesaw").run(7).gradient_evaluations == 7);
    CHECK(twin_on("seesaw", {{"form", "published"}}).run(7).gradient_evaluations == 14);
}

TEST_CASE("l2o_minmax: games whose starts differ by a factor of 2^-900 have iterates that differ by it") {
    for (const LinearGame& game : linear_games()) {
        CAPTURE(game.name);
        Lab near = twin_on(game.name), far = twin_on(game.name);
        const double factor = std::ldexp(1.0, -900);
        set_values(near.problem().x()[0], {0.3 * factor});
        set_values(near.problem().x()[1], {-0.4 * factor});
        const Lab::Run small = near.run(20), run = far.run(20);
        for (std::size_t t = 0; t <= 20; ++t)
            for (std::size_t k = 0; k < 2; ++k) CHECK(small.x[t][k] == factor * run.x[t][k]);
    }
}

TEST_CASE("l2o_minmax: at a solution nobody moves by more than the smallest number") {
    Lab lab = twin_on("rotated_saddle");
    set_values(lab.problem().x()[0], {0});
    set_values(lab.problem().x()[1], {0});
    const Lab::Run run = lab.run(10);
    for (const double z : run.x.back()) CHECK(std::abs(z) <= 1e-305);
}

TEST_CASE("l2o_minmax: it is the minimising block that moves first, also where it comes second") {
    const auto moved = [](bool max_first, std::int64_t t) {
        const auto u = block("u", {2}), v = block("v", {2}, L2O_SPEC_MAXIMISED);
        Rig rig("l2o_minmax", {}, max_first ? std::vector{v, u} : std::vector{u, v});
        // Parameters are in the order of the blocks: the same numbers by name.
        for (std::size_t i = 0; i < rig.params.size(); ++i) {
            const std::string name = rig.optimizer().params()[i]->name;
            Vector numbers = values(rig.params[i]);
            for (std::size_t j = 0; j < numbers.size(); ++j)
                numbers[j] = std::sin(double(j) + 10 * double(name.size()) + (name[1] == 'i' ? 0 : 1));
            set_values(rig.params[i], numbers);
        }
        TensorSet x = rig.blocks(1), g = rig.blocks(1), state = rig.state(1);
        set_values(g[max_first ? 1 : 0], {0.3, -0.2});
        set_values(g[max_first ? 0 : 1], {0.5, 0.1});
        step_once(rig, state, x, g, 1, t);
        Vector all = values(x[max_first ? 1 : 0]);
        for (const double z : values(x[max_first ? 0 : 1])) all.push_back(z);
        return all;
    };
    for (const std::int64_t t : {0, 1}) {
        const Vector z = moved(false, t);
        CHECK(moved(true, t) == z);
        CHECK((z[0] != 0) == (t == 0));
        CHECK((z[2] != 0) == (t == 1));
    }
}

TEST_CASE("l2o_minmax: step_vjp agrees with central differences to 1e-7, at early and at later steps") {
    Lab lab({.optimizer = "l2o_minmax",
             .options = {{"hidden", "5"}},
             .problem = {.optimizee = "matrix_game", .options = {{"d", "3"}}, .instances = 2}});
    for (const std::int64_t steps : {1, 2, 9, 14}) {
        CAPTURE(steps);
        CHECK(lab.step_vjp_error(steps, 1e-5) <= 1e-7);
    }
}

TEST_CASE("l2o_minmax: published, step_vjp agrees with central differences to 1e-7 where memory counts") {
    Rig rig("l2o_minmax",
            {{"form", "published"}, {"hidden", "5"}, {"steps", "10"}},
            {block("u", {2}), block("v", {2}, L2O_SPEC_MAXIMISED)});
    for (const std::int64_t t : {0, 1, 2, 3}) {
        TensorSet x = rig.blocks(3), g = rig.blocks(3), state = rig.state(3);
        randomise(x, 7);
        randomise(g, 8);
        randomise(state, 9);
        // Of what a player remembers 1e-4 counts; where it waits it is passed on, and large numbers only hide
        // others.
        for (std::size_t i = 0; i < state.size(); ++i) {
            const bool moves =
                std::string(rig.optimizer().state()[i]->name).ends_with(t % 2 == 0 ? ".u" : ".v");
            for (double& value : state[i].values<double>()) value *= moves ? 1e4 : 0;
        }
        const VjpError error = step_vjp_error(rig, state, x, g, 3, t);
        CAPTURE(t);
        CAPTURE(error.input);
        CHECK(error.worst <= 1e-7);
    }
}

TEST_CASE("l2o_minmax: players of different sizes, and a problem for one, are refused") {
    CHECK_THROWS_WITH_AS(Lab({.optimizer = "l2o_minmax", .problem = {.optimizee = "robust_least_squares"}}),
                         doctest::Contains("learned_secant"),
                         l2o::framework::Error);
    CHECK_THROWS_WITH_AS(Lab({.optimizer = "l2o_minmax", .problem = {.optimizee = "quadratic"}}),
                         doctest::Contains("two players"),
                         l2o::framework::Error);
}
