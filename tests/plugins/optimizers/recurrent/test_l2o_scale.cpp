#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "framework/error.hpp"
#include "tests/plugins/optimizers/rig.hpp"

using namespace l2o::test;

namespace {

const Tensor& state_of(const Rig& rig, const TensorSet& state, const std::string& name) {
    for (std::size_t i = 0; i < state.size(); ++i)
        if (rig.optimizer().state()[i]->name == name) return state[i];
    throw std::invalid_argument(name);
}

/// A few steps along fixed random gradients, from the start of the plugin's own. @return the last x and the
/// state there.
struct After {
    std::vector<double> x;
    TensorSet state;
};
After run(Rig& rig, std::int64_t batch, int steps, double scale = 1) {
    TensorSet x = rig.blocks(batch), g = rig.blocks(batch), state = rig.init_state(x, batch);
    for (int t = 0; t < steps; ++t) {
        randomise(g, 100 + static_cast<unsigned>(t));
        for (Tensor& tensor : g.tensors()) {
            std::vector<double> numbers = values(tensor);
            for (double& number : numbers) number *= scale;
            set_values(tensor, numbers);
        }
        step_once(rig, state, x, g, batch, t);
    }
    return {values(x[0]), std::move(state)};
}

}  // namespace

TEST_CASE("l2o_scale: it has 8349 weights, whatever the problem") {
    for (const Shape& shape : {Shape{3}, Shape{40, 7}}) {
        Rig rig("l2o_scale", {}, {block("W", shape), block("b", {})});
        std::int64_t count = 0;
        for (const Tensor& param : rig.params.tensors()) count += param.size();
        CHECK(count == 8349);
    }
}

TEST_CASE(
    "l2o_scale: reset puts means and decays to 0, cells to the learned vectors, rates into their range") {
    Rig rig("l2o_scale", {{"init_rate_min", "1e-5"}, {"init_rate_max", "1e-3"}}, {block("x", {50})});
    TensorSet x = rig.blocks(3);
    const TensorSet state = rig.init_state(x, 3), other = rig.init_state(x, 3, 2);
    for (const char* name : {"mean", "mean_square", "inp_decay", "scl_decay"})
        for (const double value : values(state_of(rig, state, name))) CHECK(value == 0);
    const std::vector<double> h0 = values(state_of(rig, state, "h0"));
    const std::vector<double> start = values(rig.param("init_vector0"));
    for (std::size_t i = 0; i < h0.size(); ++i) CHECK(h0[i] == start[i / 50 % 10]);
    CHECK(std::abs(start[0]) <= 1);
    CHECK(start[0] != start[1]);
    const std::vector<double> rates = values(state_of(rig, state, "log_rate"));
    for (const double rate : rates) {
        CHECK(rate >= std::log(1e-5));
        CHECK(rate <= std::log(1e-3));
    }
    CHECK(rates[0] != rates[1]);
    CHECK(rates != values(state_of(rig, other, "log_rate")));
}

TEST_CASE("l2o_scale: a row's start does not depend on the batch") {
    Rig rig("l2o_scale", {}, {block("x", {5})});
    TensorSet x = rig.blocks(4), first = rig.blocks(1);
    const std::vector<double> all = values(state_of(rig, rig.init_state(x, 4), "log_rate"));
    const std::vector<double> one = values(state_of(rig, rig.init_state(first, 1), "log_rate"));
    CHECK(std::vector<double>(all.begin(), all.begin() + 5) == one);
    CHECK(all[0] != all[5]);
}

TEST_CASE("l2o_scale: the decays of the first step are 0, so every mean is the gradient itself") {
    Rig rig("l2o_scale", {}, {block("x", {6})});
    TensorSet x = rig.blocks(1), g = rig.blocks(1), state = rig.state(1);
    randomise(state, 7);
    randomise(g, 1);
    step_once(rig, state, x, g, 1, 0);
    const std::vector<double> means = values(state_of(rig, state, "mean")), gradient = values(g[0]);
    for (std::size_t i = 0; i < means.size(); ++i) CHECK(means[i] == gradient[i % 6]);
    for (const double decay : values(state_of(rig, state, "inp_decay"))) CHECK(decay > 0);
    // Later each mean is slower than the one before.
    const double before = means[0], decay = values(state_of(rig, state, "inp_decay"))[0];
    g.zero();
    step_once(rig, state, x, g, 1, 1);
    const std::vector<double> slower = values(state_of(rig, state, "mean"));
    for (int s = 0; s < 4; ++s)
        CHECK(slower[std::size_t(6 * s)] ==
              doctest::Approx(before * std::pow(decay, std::pow(0.5, s))).epsilon(1e-12));
}

TEST_CASE("l2o_scale: the direction has a mean square of 1 over a tensor, so one element moves by its rate") {
    // The step size starts as exp(log_rate - 1): the read-out of the rate starts at 0, its offset at -1.
    Rig rig("l2o_scale", {}, {block("W", {9, 11}), block("b", {})});
    TensorSet x = rig.blocks(2), g = rig.blocks(2), state = rig.init_state(x, 2);
    randomise(g, 1);
    const std::vector<double> rate_w = values(state_of(rig, state, "log_rate.W"));
    const std::vector<double> rate_b = values(state_of(rig, state, "log_rate.b"));
    step_once(rig, state, x, g, 2);
    const std::vector<double> w = values(x[0]), b = values(x[1]);
    for (std::size_t r = 0; r < 2; ++r) {
        double squares = 0;
        for (std::size_t j = 0; j < 99; ++j)
            squares += std::pow(w[99 * r + j] / std::exp(rate_w[99 * r + j] - 1), 2) / 99;
        CHECK(squares == doctest::Approx(1).epsilon(1e-9));
        CHECK(std::abs(b[r]) == doctest::Approx(std::exp(rate_b[r] - 1)).epsilon(1e-9));
    }
}

TEST_CASE("l2o_scale: the scale of the gradient hardly matters") {
    Rig rig("l2o_scale", {}, {block("x", {70})});
    const std::vector<double> one = run(rig, 2, 6).x;
    CHECK(relative_error(run(rig, 2, 6, 1e4).x, one) <= 1e-6);
    CHECK(relative_error(run(rig, 2, 6, -1).x, one) > 0.1);
}

TEST_CASE("l2o_scale: coordinates of a tensor may be renumbered, tensors too") {
    Rig rig("l2o_scale", {}, {block("x", {70}), block("y", {70})});
    TensorSet x = rig.blocks(1), g = rig.blocks(1), state = rig.init_state(x, 1);
    TensorSet x_turned = rig.blocks(1), g_turned = rig.blocks(1), turned = rig.state(1);
    // Backwards within a tensor, and the two tensors exchanged.
    const auto turn = [](const Tensor& from, Tensor& to, std::size_t n) {
        std::vector<double> numbers = values(from);
        for (std::size_t first = 0; first < numbers.size(); first += n)
            std::reverse(numbers.begin() + static_cast<std::ptrdiff_t>(first),
                         numbers.begin() + static_cast<std::ptrdiff_t>(first + n));
        set_values(to, numbers);
    };
    for (std::size_t i = 0; i < state.size(); ++i) {
        const std::string name = rig.optimizer().state()[i]->name;
        const std::size_t from = name == "h2" ? i : i ^ 1U;
        if (name.starts_with("h1") || name == "h2")
            set_values(turned[i], values(state[from]));
        else
            turn(state[from], turned[i], 70);
    }
    for (int t = 0; t < 4; ++t) {
        randomise(g, 30 + static_cast<unsigned>(t));
        for (const std::size_t k : {0U, 1U}) turn(g[1 - k], g_turned[k], 70);
        step_once(rig, state, x, g, 1, t);
        step_once(rig, turned, x_turned, g_turned, 1, t);
    }
    for (const std::size_t k : {0U, 1U}) {
        std::vector<double> want = values(x[1 - k]);
        std::reverse(want.begin(), want.end());
        CHECK(relative_error(values(x_turned[k]), want) <= 1e-9);
    }
}

TEST_CASE("l2o_scale: the global cell hears every tensor; with global_input last only the last one") {
    for (const bool last : {false, true}) {
        Rig rig("l2o_scale",
                {{"global_input", last ? "last" : "mean"}},
                {block("first", {5}), block("second", {5})});
        std::vector<double> h2[2];
        for (const bool other : {false, true}) {
            TensorSet x = rig.blocks(1), g = rig.blocks(1), state = rig.init_state(x, 1);
            randomise(g, 1);
            // The mean of the features does not change with the size of g, so change its signs.
            if (other) set_values(g[0], {1, 1, 1, 1, 1});
            step_once(rig, state, x, g, 1);
            h2[other ? 1 : 0] = values(state_of(rig, state, "h2"));
        }
        CHECK((h2[0] == h2[1]) == last);
    }
}

TEST_CASE("l2o_scale: the clip of the step size lets gradients through") {
    Rig rig("l2o_scale", {}, {block("x", {4})});
    TensorSet x = rig.blocks(1), g = rig.blocks(1), state = rig.init_state(x, 1), x_bar = rig.blocks(1);
    randomise(g, 1);
    randomise(x_bar, 2);
    set_values(rig.param("learning_rate_bias"), {-100});
    const std::vector<double> rates = values(state_of(rig, state, "log_rate"));
    TensorSet state_bar = rig.state(1);
    const TensorSet bars = rig.reverse(state, x, g, x_bar, state_bar, 1, 0).params;
    const std::vector<double> moved = step_once(rig, state, x, g, 1);
    // x' = -exp(-33 - 1) d: d x' / d bias is x' itself as if there were no clip.
    double want = 0;
    for (std::size_t i = 0; i < moved.size(); ++i) {
        CHECK(std::abs(moved[i]) <= 2.1 * std::exp(-34));
        want += values(x_bar[0])[i] * moved[i];
    }
    for (std::size_t i = 0; i < rig.params.size(); ++i)
        if (std::string(rig.optimizer().params()[i]->name) == "learning_rate_bias")
            CHECK(values(bars[i])[0] == doctest::Approx(want).epsilon(1e-9));
}

TEST_CASE("l2o_scale: step_vjp equals central differences") {
    for (const std::int64_t steps : {0, 1, 4}) {
        Lab lab({.optimizer = "l2o_scale",
                 .options = {{"coordinate_hidden", "4"},
                             {"tensor_hidden", "3"},
                             {"global_hidden", "5"},
                             {"init_rate_min", "1e-2"},
                             {"init_rate_max", "1e-1"}},
                 .problem = {
                     .optimizee = "quadratic", .options = {{"n", "7"}, {"init_std", "1"}}, .instances = 3}});
        // Step sizes that say something.
        set_values(lab.param("param_stepsize_offset"), {1});
        set_values(lab.param("learning_rate_weights"), {0.3, -0.2, 0.1, 0.4});
        CHECK(lab.step_vjp_error(steps, 1e-5) <= 1e-6);
    }
}

TEST_CASE("l2o_scale: with several tensors, too, step_vjp equals central differences") {
    for (const char* global_input : {"mean", "last"}) {
        Rig rig("l2o_scale",
                {{"coordinate_hidden", "3"},
                 {"tensor_hidden", "2"},
                 {"global_hidden", "4"},
                 {"global_input", global_input}},
                {block("W", {2, 3}), block("b", {}), block("c", {2})});
        TensorSet x = rig.blocks(2), g = rig.blocks(2), state = rig.init_state(x, 2);
        set_values(rig.param("param_stepsize_offset"), {3});
        randomise(g, 1);
        step_once(rig, state, x, g, 2, 0);
        randomise(g, 2);
        const VjpError error = step_vjp_error(rig, state, x, g, 2, 1);
        CAPTURE(error.input);
        CHECK(error.worst <= 1e-6);
    }
}

TEST_CASE("l2o_scale: float32 follows float64") {
    Rig narrow("l2o_scale", {}, {block("x", {70})}, Dtype::kF32);
    Rig wide("l2o_scale", {}, {block("x", {70})}, Dtype::kF64);
    for (std::size_t i = 0; i < wide.params.size(); ++i) set_values(wide.params[i], values(narrow.params[i]));
    CHECK(relative_error(run(narrow, 2, 20).x, run(wide, 2, 20).x) <= 1e-3);
}

TEST_CASE("l2o_scale: bad input is refused in a sentence") {
    const auto message = [](auto&& body) -> std::string {
        try {
            body();
        } catch (const l2o::framework::Error& error) {
            return error.what();
        }
        return "not refused";
    };
    CHECK(message([] {
              Rig rig("l2o_scale", {}, {block("u", {2}), block("v", {2}, L2O_SPEC_MAXIMISED)});
          }).find("block 'v' is to be maximised") != std::string::npos);
    CHECK(message([] {
              Rig rig("l2o_scale", {{"init_rate_min", "1"}}, {block("u", {2})});
          }).find("'init_rate_min' is 1.000000, above 'init_rate_max', which is 0.010000") !=
          std::string::npos);
}
