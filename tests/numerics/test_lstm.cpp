#define EIGEN_RUNTIME_NO_MALLOC
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "central_difference.hpp"
#include "l2o/numerics/lstm.hpp"

using namespace l2o::numerics;

namespace {

double logistic(double v) { return 1 / (1 + std::exp(-v)); }

/// One cell, its input and its output on n coordinates, all blocks contiguous.
template <class Scalar>
struct Step {
    Index inputs, hidden, n;
    std::vector<Scalar> w = random_normal<Scalar>(size((inputs + hidden) * 4 * hidden), 1, 0.3);
    std::vector<Scalar> b = random_normal<Scalar>(size(4 * hidden), 2, 0.5);
    std::vector<Scalar> x = random_normal<Scalar>(size(inputs * n), 3);
    std::vector<Scalar> h = random_normal<Scalar>(size(hidden * n), 4);
    std::vector<Scalar> c = random_normal<Scalar>(size(hidden * n), 5);
    std::vector<Scalar> h_next = std::vector<Scalar>(size(hidden * n));
    std::vector<Scalar> c_next = h_next;
    std::vector<Scalar> tape = std::vector<Scalar>(size(kLstmTapeRows * hidden * n));

    static std::size_t size(Index count) { return std::size_t(count); }
    LstmCell<Scalar> cell() const { return {inputs, hidden, w.data(), b.data()}; }
    LstmInput<Scalar> input() const { return {.x = {x.data(), n}, .h = {h.data(), n}, .c = {c.data(), n}}; }
    void forward() {
        lstm_forward(
            cell(), n, input(), {.h = {h_next.data(), n}, .c = {c_next.data(), n}}, {tape.data(), n});
    }
};

}  // namespace

TEST_CASE("lstm: with zero weights the gates are s(0), tanh(0), s(1), s(0)") {
    Step<double> step{.inputs = 2, .hidden = 3, .n = 5};
    std::ranges::fill(step.w, 0);
    std::ranges::fill(step.b, 0);
    step.forward();
    for (std::size_t k = 0; k < step.c.size(); ++k) {
        const double c = logistic(1) * step.c[k];
        CHECK(step.c_next[k] == doctest::Approx(c).epsilon(1e-14));
        CHECK(step.h_next[k] == doctest::Approx(0.5 * std::tanh(c)).epsilon(1e-14));
    }
}

TEST_CASE("lstm: the biases are grouped i, j, f, o") {
    Step<double> step{.inputs = 1, .hidden = 1, .n = 1};
    std::ranges::fill(step.w, 0);
    step.b = {0.3, -0.7, 1.1, -0.4};
    step.forward();
    const double c = logistic(1.1 + 1) * step.c[0] + logistic(0.3) * std::tanh(-0.7);
    CHECK(step.c_next[0] == doctest::Approx(c).epsilon(1e-14));
    CHECK(step.h_next[0] == doctest::Approx(logistic(-0.4) * std::tanh(c)).epsilon(1e-14));
}

TEST_CASE("lstm: the step is the formula written out, input rows of w before hidden rows") {
    Step<double> step{.inputs = 2, .hidden = 3, .n = 70};
    step.forward();
    const Index hidden = step.hidden, n = step.n;
    for (Index at : {0, 31, 69})
        for (Index unit = 0; unit < hidden; ++unit) {
            std::array<double, 4> z{};
            for (Index gate = 0; gate < 4; ++gate) {
                const Index column = gate * hidden + unit;
                double sum = step.b[std::size_t(column)];
                for (Index r = 0; r < 2; ++r)
                    sum += step.x[std::size_t(r * n + at)] * step.w[std::size_t(r * 4 * hidden + column)];
                for (Index r = 0; r < hidden; ++r)
                    sum +=
                        step.h[std::size_t(r * n + at)] * step.w[std::size_t((2 + r) * 4 * hidden + column)];
                z[std::size_t(gate)] = sum;
            }
            const auto k = std::size_t(unit * n + at);
            const double c = logistic(z[2] + 1) * step.c[k] + logistic(z[0]) * std::tanh(z[1]);
            CHECK(step.c_next[k] == doctest::Approx(c).epsilon(1e-13));
            CHECK(step.h_next[k] == doctest::Approx(logistic(z[3]) * std::tanh(c)).epsilon(1e-13));
        }
}

TEST_CASE("lstm: the float step is the double step to a few units of float rounding") {
    Step<float> narrow{.inputs = 2, .hidden = 20, .n = 64};
    Step<double> wide{.inputs = 2, .hidden = 20, .n = 64};
    narrow.forward();
    wide.forward();
    for (std::size_t k = 0; k < wide.h.size(); ++k) {
        CHECK(std::abs(double(narrow.h_next[k]) - wide.h_next[k]) < 2e-6);
        CHECK(std::abs(double(narrow.c_next[k]) - wide.c_next[k]) < 2e-6 * (1 + std::abs(wide.c_next[k])));
    }
}

TEST_CASE_TEMPLATE("lstm: the slopes of a saturated cell keep their digits", T, float, double) {
    // Gates and cells where 1 - s and 1 - tanh^2 are below the rounding of 1.
    Step<T> step{.inputs = 1, .hidden = 1, .n = 2};
    std::ranges::fill(step.w, T(0));
    const double scale = std::is_same_v<T, float> ? 1 : 2;
    step.b = {T(18 * scale), T(-9 * scale), T(17 * scale - 1), T(16 * scale)};
    step.c = {T(9.5 * scale), T(-8.5 * scale)};
    step.forward();
    const auto slope_of_logistic = [](double z) { return std::exp(-z) / std::pow(1 + std::exp(-z), 2); };
    const auto slope_of_tanh = [](double z) { return std::pow(std::cosh(z), -2); };
    for (std::size_t k = 0; k < 2; ++k) {
        const double c = step.c[k], j = std::tanh(-9 * scale), i = logistic(18 * scale);
        const double c_next = logistic(17 * scale) * c + i * j;
        const double o = logistic(16 * scale), slopes[] = {j * slope_of_logistic(18 * scale),
                                                           i * slope_of_tanh(-9 * scale),
                                                           c * slope_of_logistic(17 * scale),
                                                           std::tanh(c_next) * slope_of_logistic(16 * scale),
                                                           o * slope_of_tanh(c_next),
                                                           logistic(17 * scale)};
        for (std::size_t row = 0; row < 6; ++row)
            CHECK(double(step.tape[2 * row + k]) ==
                  doctest::Approx(slopes[row]).epsilon(std::is_same_v<T, float> ? 2e-5 : 1e-12).scale(0));
    }
}

TEST_CASE("lstm: the step and the vjp of a slice of coordinates have the bits of the slice of the whole") {
    Step<float> step{.inputs = 2, .hidden = 5, .n = 71};
    step.forward();
    const Index n = step.n, hidden = step.hidden;
    const auto h_bar = random_normal<float>(step.h.size(), 6), c_bar = random_normal<float>(step.h.size(), 7);
    std::vector<float> w_bar(step.w.size()), b_bar(step.b.size());
    std::vector<float> workspace(std::size_t(lstm_vjp_workspace<float>(hidden, n)));
    std::vector<float> x_prev(step.x.size()), h_prev(step.h.size()), c_prev(step.h.size());
    lstm_vjp(step.cell(),
             n,
             step.input(),
             {step.tape.data(), n},
             {.h = {h_bar.data(), n}, .c = {c_bar.data(), n}},
             LstmGradient<float>{.w = w_bar.data(),
                                 .b = b_bar.data(),
                                 .x = {x_prev.data(), n},
                                 .h = {h_prev.data(), n},
                                 .c = {c_prev.data(), n}},
             workspace.data());

    const Index first = 3, count = 37;
    const auto unwritten = [](std::size_t size) { return std::vector<float>(size); };
    auto h_next = unwritten(step.h.size()), c_next = h_next, h_slice = h_next, c_slice = h_next;
    auto x_slice = unwritten(step.x.size());
    const LstmInput<float> input{
        .x = {step.x.data() + first, n}, .h = {step.h.data() + first, n}, .c = {step.c.data() + first, n}};
    lstm_forward(
        step.cell(), count, input, {.h = {h_next.data() + first, n}, .c = {c_next.data() + first, n}});
    lstm_vjp(step.cell(),
             count,
             input,
             {step.tape.data() + first, n},
             {.h = {h_bar.data() + first, n}, .c = {c_bar.data() + first, n}},
             LstmGradient<float>{.w = w_bar.data(),
                                 .b = b_bar.data(),
                                 .x = {x_slice.data() + first, n},
                                 .h = {h_slice.data() + first, n},
                                 .c = {c_slice.data() + first, n}},
             workspace.data());
    for (Index r = 0; r < hidden; ++r)
        for (Index at = 0; at < n; ++at) {
            const bool inside = at >= first && at < first + count;
            const auto k = std::size_t(r * n + at);
            CHECK(h_next[k] == (inside ? step.h_next[k] : 0));
            CHECK(c_next[k] == (inside ? step.c_next[k] : 0));
            CHECK(h_slice[k] == (inside ? h_prev[k] : 0));
            CHECK(c_slice[k] == (inside ? c_prev[k] : 0));
            if (r < 2) CHECK(x_slice[k] == (inside ? x_prev[k] : 0));
        }
}

TEST_CASE("lstm: the vjp is the central difference for w, b, x, h and c, and adds to w, b and x") {
    for (Index inputs : {1, 2, 6}) {
        Step<double> step{.inputs = inputs, .hidden = 5, .n = 37};
        const Index n = step.n;
        const auto h_bar = random_normal(step.h.size(), 6), c_bar = random_normal(step.h.size(), 7);
        const auto f = [&] {
            step.forward();
            return dot(step.h_next, h_bar) + dot(step.c_next, c_bar);
        };
        f();
        std::vector<double> w(step.w.size(), 1), b(step.b.size(), 2), x(step.x.size(), 3);
        std::vector<double> h = h_bar, c = c_bar;  // in place
        std::vector<double> workspace(std::size_t(lstm_vjp_workspace<double>(5, n)));
        lstm_vjp(
            step.cell(),
            n,
            step.input(),
            {step.tape.data(), n},
            {.h = {h.data(), n}, .c = {c.data(), n}},
            LstmGradient<double>{
                .w = w.data(), .b = b.data(), .x = {x.data(), n}, .h = {h.data(), n}, .c = {c.data(), n}},
            workspace.data());
        for (double& v : w) v -= 1;
        for (double& v : b) v -= 2;
        for (double& v : x) v -= 3;
        CHECK(relative_error(w, central_difference(f, step.w)) < 1e-8);
        CHECK(relative_error(b, central_difference(f, step.b)) < 1e-8);
        CHECK(relative_error(x, central_difference(f, step.x)) < 1e-8);
        CHECK(relative_error(h, central_difference(f, step.h)) < 1e-8);
        CHECK(relative_error(c, central_difference(f, step.c)) < 1e-8);
    }
}

TEST_CASE("lstm: double accumulators collect what float ones do, x may be unwanted, and nothing allocates") {
    Step<float> step{.inputs = 2, .hidden = 20, .n = 64};
    const Index n = step.n;
    const auto h_bar = random_normal<float>(step.h.size(), 6), c_bar = random_normal<float>(step.h.size(), 7);
    std::vector<float> w(step.w.size()), b(step.b.size()), h(step.h.size()), c(step.h.size());
    std::vector<double> w_wide(step.w.size()), b_wide(step.b.size());
    std::vector<float> workspace(std::size_t(lstm_vjp_workspace<float>(20, n)));
    const auto vjp = [&](auto* w_sum, auto* b_sum) {
        using Accumulator = std::remove_pointer_t<decltype(w_sum)>;
        lstm_vjp(step.cell(),
                 n,
                 step.input(),
                 {step.tape.data(), n},
                 {.h = {h_bar.data(), n}, .c = {c_bar.data(), n}},
                 LstmGradient<float, Accumulator>{
                     .w = w_sum, .b = b_sum, .x = {}, .h = {h.data(), n}, .c = {c.data(), n}},
                 workspace.data());
    };
    Eigen::internal::set_is_malloc_allowed(false);
    step.forward();
    vjp(w.data(), b.data());
    vjp(w_wide.data(), b_wide.data());
    Eigen::internal::set_is_malloc_allowed(true);
    CHECK(relative_error(std::vector<double>(w.begin(), w.end()), w_wide) < 1e-6);
    CHECK(relative_error(std::vector<double>(b.begin(), b.end()), b_wide) < 1e-6);
    CHECK(std::abs(w_wide[0]) > 0);
}

TEST_CASE("lstm: block by block into double, the float gradient of a million coordinates keeps five digits") {
    constexpr Index kN = 1000000, kBlock = 64, kInputs = 2, kHidden = 4;
    // Cotangents of one sign: a float sum of so many would lose its last digits.
    const auto gradient = [&]<class Scalar>(Scalar) {
        const auto numbers = [](Index count, std::uint64_t seed, double scale) {
            const auto narrow = random_normal<float>(std::size_t(count), seed, scale);
            return std::vector<Scalar>(narrow.begin(), narrow.end());
        };
        const auto w = numbers((kInputs + kHidden) * 4 * kHidden, 1, 0.3), b = numbers(4 * kHidden, 2, 0.5);
        const LstmCell<Scalar> cell{kInputs, kHidden, w.data(), b.data()};
        const std::vector<Scalar> bar(std::size_t(kHidden * kBlock), Scalar(1));
        std::vector<Scalar> h_next(bar.size()), c_next(bar.size()), h_bar(bar.size()), c_bar(bar.size());
        std::vector<Scalar> tape(std::size_t(kLstmTapeRows * kHidden * kBlock));
        std::vector<Scalar> workspace(std::size_t(lstm_vjp_workspace<Scalar>(kHidden, kBlock)));
        std::vector<double> w_bar(w.size()), b_bar(b.size());
        for (Index first = 0; first < kN; first += kBlock) {
            const auto seed = std::uint64_t(first);
            const auto x = numbers(kInputs * kBlock, seed + 10, 1),
                       h = numbers(kHidden * kBlock, seed + 11, 1),
                       c = numbers(kHidden * kBlock, seed + 12, 1);
            const LstmInput<Scalar> in{{x.data(), kBlock}, {h.data(), kBlock}, {c.data(), kBlock}};
            lstm_forward(
                cell, kBlock, in, {{h_next.data(), kBlock}, {c_next.data(), kBlock}}, {tape.data(), kBlock});
            lstm_vjp(cell,
                     kBlock,
                     in,
                     {tape.data(), kBlock},
                     {{bar.data(), kBlock}, {bar.data(), kBlock}},
                     LstmGradient<Scalar, double>{
                         w_bar.data(), b_bar.data(), {}, {h_bar.data(), kBlock}, {c_bar.data(), kBlock}},
                     workspace.data());
        }
        w_bar.insert(w_bar.end(), b_bar.begin(), b_bar.end());
        return w_bar;
    };
    CHECK(relative_error(gradient(float{}), gradient(double{})) <= 1e-5);
}
