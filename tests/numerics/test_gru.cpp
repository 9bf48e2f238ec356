#define EIGEN_RUNTIME_NO_MALLOC
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "central_difference.hpp"
#include "l2o/numerics/gru.hpp"

using namespace l2o::numerics;

namespace {

double logistic(double v) { return 1 / (1 + std::exp(-v)); }

/// One cell, its input and its output on n coordinates, all blocks contiguous.
template <class Scalar>
struct Step {
    Index inputs, hidden, n;
    std::vector<Scalar> w_gates = random_normal<Scalar>(size((inputs + hidden) * 2 * hidden), 1, 0.3);
    std::vector<Scalar> w_candidate = random_normal<Scalar>(size((inputs + hidden) * hidden), 2, 0.3);
    std::vector<Scalar> b = random_normal<Scalar>(size(3 * hidden), 3, 0.5);
    std::vector<Scalar> x = random_normal<Scalar>(size(inputs * n), 4);
    std::vector<Scalar> h = random_normal<Scalar>(size(hidden * n), 5);
    std::vector<Scalar> message = random_normal<Scalar>(size(3 * hidden * n), 7, 0.5);
    std::vector<Scalar> h_next = std::vector<Scalar>(size(hidden * n));
    std::vector<Scalar> tape = std::vector<Scalar>(size(kGruTapeRows * hidden * n));

    static std::size_t size(Index count) { return std::size_t(count); }
    GruCell<Scalar> cell() const { return {inputs, hidden, w_gates.data(), w_candidate.data(), b.data()}; }
    void forward() {
        gru_forward(cell(),
                    n,
                    {x.data(), n},
                    {h.data(), n},
                    {h_next.data(), n},
                    {tape.data(), n},
                    {message.data(), n});
    }
};

}  // namespace

TEST_CASE("gru: an update gate at 1 keeps the state, one at 0 takes the candidate") {
    Step<double> step{.inputs = 2, .hidden = 2, .n = 3};
    std::ranges::fill(step.w_gates, 0);
    std::ranges::fill(step.w_candidate, 0);
    std::ranges::fill(step.message, 0);
    step.b = {0, 0, 100, -100, 0.3, 0.7};
    step.forward();
    for (std::size_t k = 0; k < 3; ++k) {
        CHECK(step.h_next[k] == doctest::Approx(step.h[k]).epsilon(1e-14));
        CHECK(step.h_next[3 + k] == doctest::Approx(std::tanh(0.7)).epsilon(1e-14));
    }
}

TEST_CASE("gru: the step is the formula written out, the reset before the candidate's product") {
    Step<double> step{.inputs = 2, .hidden = 3, .n = 70};
    step.forward();
    const Index hidden = step.hidden, n = step.n;
    for (const Index at : {0, 31, 69}) {
        const auto of = [&](const std::vector<double>& block, Index row) {
            return block[std::size_t(row * n + at)];
        };
        const auto sum = [&](const std::vector<double>& w, Index columns, Index column, auto&& state) {
            double total = 0;
            for (Index i = 0; i < 2; ++i) total += of(step.x, i) * w[std::size_t(i * columns + column)];
            for (Index i = 0; i < hidden; ++i) total += state(i) * w[std::size_t((2 + i) * columns + column)];
            return total;
        };
        const auto gate = [&](Index column) {
            const double z = sum(step.w_gates, 2 * hidden, column, [&](Index i) { return of(step.h, i); });
            return logistic(z + step.b[std::size_t(column)] + of(step.message, column));
        };
        for (Index unit = 0; unit < hidden; ++unit) {
            const double z =
                sum(step.w_candidate, hidden, unit, [&](Index i) { return gate(i) * of(step.h, i); });
            const double c =
                std::tanh(z + step.b[std::size_t(2 * hidden + unit)] + of(step.message, 2 * hidden + unit));
            const double u = gate(hidden + unit);
            const double want = u * of(step.h, unit) + (1 - u) * c;
            CHECK(of(step.h_next, unit) == doctest::Approx(want).epsilon(1e-13));
        }
    }
}

TEST_CASE("gru: a coordinate's bits do not depend on where it lies") {
    Step<float> step{.inputs = 12, .hidden = 10, .n = 71};
    step.forward();
    const Index n = step.n, first = 3, count = 37;
    std::vector<float> part(step.h.size()), tape(step.tape.size());
    gru_forward(step.cell(),
                count,
                {step.x.data() + first, n},
                {step.h.data() + first, n},
                {part.data() + first, n},
                {tape.data() + first, n},
                {step.message.data() + first, n});
    for (Index i = 0; i < step.hidden; ++i)
        for (Index at = 0; at < n; ++at) {
            const bool inside = at >= first && at < first + count;
            const auto k = std::size_t(i * n + at);
            CHECK(part[k] == (inside ? step.h_next[k] : 0));
        }
}

TEST_CASE(
    "gru: the vjp is the central difference for the weights, b, x, h and the message, and allocates "
    "nothing") {
    for (const Index n : {1, 37}) {
        Step<double> step{.inputs = 3, .hidden = 5, .n = n};
        const auto h_bar = random_normal(step.h.size(), 6);
        const auto f = [&] {
            step.forward();
            return dot(step.h_next, h_bar);
        };
        f();
        std::vector<double> gates(step.w_gates.size(), 1), candidate(step.w_candidate.size(), 2);
        std::vector<double> b(step.b.size(), 3), x(step.x.size(), 4), h = h_bar;  // h in place
        const Index padded = round_up_to_lanes<double>(n);
        std::vector<double> z(std::size_t(15 * padded)), message_bar;
        std::vector<double> workspace(std::size_t(gru_vjp_workspace<double>(5, n)));
        Eigen::internal::set_is_malloc_allowed(false);
        gru_vjp(step.cell(),
                n,
                {step.x.data(), n},
                {step.h.data(), n},
                {step.tape.data(), n},
                {h.data(), n},
                GruGradient<double>{.w_gates = gates.data(),
                                    .w_candidate = candidate.data(),
                                    .b = b.data(),
                                    .x = {x.data(), n},
                                    .h = {h.data(), n},
                                    .z = {z.data(), padded}},
                workspace.data());
        Eigen::internal::set_is_malloc_allowed(true);
        for (double& v : gates) v -= 1;
        for (double& v : candidate) v -= 2;
        for (double& v : b) v -= 3;
        for (double& v : x) v -= 4;
        CHECK(relative_error(gates, central_difference(f, step.w_gates)) < 1e-8);
        CHECK(relative_error(candidate, central_difference(f, step.w_candidate)) < 1e-8);
        CHECK(relative_error(b, central_difference(f, step.b)) < 1e-8);
        CHECK(relative_error(x, central_difference(f, step.x)) < 1e-8);
        CHECK(relative_error(h, central_difference(f, step.h)) < 1e-8);
        for (Index i = 0; i < 15; ++i)
            message_bar.insert(message_bar.end(), z.begin() + i * padded, z.begin() + i * padded + n);
        CHECK(relative_error(message_bar, central_difference(f, step.message)) < 1e-8);
    }
}
