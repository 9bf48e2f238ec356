#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "tests/plugins/optimizers/linear_task.hpp"
#include "tests/plugins/optimizers/rig.hpp"

using namespace l2o::test;

namespace {

using Numbers = std::vector<double>;

Lab::Setup lasso(const OptionText& options = {}, std::int64_t instances = 4) {
    return {.optimizer = "l2o_pa",
            .options = options,
            .problem = {.optimizee = "lasso",
                        .options = {{"m", "5"}, {"n", "8"}, {"init_std", "1"}},
                        .instances = instances}};
}

double logistic(double z) { return 1 / (1 + std::exp(-z)); }

/// [in, rows of h] w + b, all in plain loops.
Numbers affine(const Numbers& in, const Numbers& w, const Numbers& b) {
    REQUIRE(w.size() == in.size() * b.size());
    Numbers out = b;
    for (std::size_t i = 0; i < in.size(); ++i)
        for (std::size_t o = 0; o < b.size(); ++o) out[o] += in[i] * w[i * b.size() + o];
    return out;
}

/// One layer with the gates i, j, f, o and a forget bias of 1.
void lstm(Numbers in, Numbers& h, Numbers& c, const Numbers& w, const Numbers& b) {
    in.insert(in.end(), h.begin(), h.end());
    const Numbers z = affine(in, w, b);
    const std::size_t hidden = h.size();
    for (std::size_t u = 0; u < hidden; ++u) {
        c[u] = logistic(z[2 * hidden + u] + 1) * c[u] + logistic(z[u]) * std::tanh(z[hidden + u]);
        h[u] = logistic(z[3 * hidden + u]) * std::tanh(c[u]);
    }
}

}  // namespace

TEST_CASE("l2o_pa: it learns 5582 weights: two layers of 20, a head of 20 and the two outputs") {
    Lab lab(lasso());
    std::int64_t count = 0;
    for (std::size_t i = 0; i < lab.params().size(); ++i)
        if (!has(*lab.optimizer().params()[i], L2O_SPEC_DERIVED)) count += lab.params()[i].size();
    CHECK(count == 22 * 80 + 80 + 40 * 80 + 80 + 20 * 20 + 20 + 20 * 2 + 2);
    CHECK(count == 5582);
    CHECK(lab.param("head/w1").shape() == Shape{20, 2});
}

TEST_CASE("l2o_pa: six steps are those of an independent evaluation, to 1e-12") {
    constexpr std::size_t kM = 5, kN = 8, kBatch = 20, kHidden = 4;  // more than a tile of coordinates
    Lab lab(lasso({{"hidden", "4"}}, kBatch));
    const Numbers a = values(lab.problem().data("A")), b = values(lab.problem().data("b"));
    const double lambda = values(lab.problem().data("lambda"))[0];
    const double step = 1 / values(lab.param("const.L"))[0];
    set_values(lab.param("head/b1"), {0.3, -0.4});
    const auto weights = [&](const char* name) { return values(lab.param(name)); };
    const Lab::Run run = lab.run(6);
    Numbers largest(2, 0.0);
    for (std::size_t r = 0; r < kBatch; ++r) {
        Numbers x(run.x[0].begin() + std::ptrdiff_t(r * kN), run.x[0].begin() + std::ptrdiff_t((r + 1) * kN));
        Numbers y = x;
        std::vector<Numbers> h1(kN, Numbers(kHidden, 0.0)), c1 = h1, h2 = h1, c2 = h1;
        for (std::size_t t = 1; t <= 6; ++t) {
            Numbers residual(kM), next(kN), next_y(kN);
            for (std::size_t i = 0; i < kM; ++i) {
                residual[i] = -b[r * kM + i];
                for (std::size_t j = 0; j < kN; ++j) residual[i] += a[i * kN + j] * y[j];
            }
            for (std::size_t j = 0; j < kN; ++j) {
                double g = 0;
                for (std::size_t i = 0; i < kM; ++i) g += a[i * kN + j] * residual[i];
                lstm({g, y[j]}, h1[j], c1[j], weights("lstm_1/w_gates"), weights("lstm_1/b_gates"));
                lstm(h1[j], h2[j], c2[j], weights("lstm_2/w_gates"), weights("lstm_2/b_gates"));
                Numbers unit = affine(h2[j], weights("head/w0"), weights("head/b0"));
                for (double& value : unit) value = std::max(value, 0.0);
                const Numbers o = affine(unit, weights("head/w1"), weights("head/b1"));
                const double p = 2 * logistic(o[0]), momentum = 2 * logistic(o[1]);
                const double z = y[j] - p * step * g;
                next[j] = std::copysign(std::max(std::abs(z) - lambda * p * step, 0.0), z);
                next_y[j] = next[j] + momentum * (next[j] - x[j]);
                const double error = std::abs(next[j] - run.x[t][r * kN + j]);
                largest[0] = std::max(largest[0], error);
                largest[1] = std::max(largest[1], std::abs(next[j]));
            }
            x = next, y = next_y;
        }
    }
    CHECK(largest[1] > 0.1);
    CHECK(largest[0] <= 1e-12 * largest[1]);
}

TEST_CASE("l2o_pa: with P = A = 1 the first step is that of ISTA, with P = 0 nothing moves") {
    Lab lab(lasso());
    Lab ista({.optimizer = "ista", .problem = lasso().problem});
    set_values(lab.param("head/w1"), Numbers(40, 0.0));
    const Lab::Run run = lab.run(1);
    CHECK(relative_error(run.x[1], ista.run(1).x[1]) <= 1e-13);
    CHECK(relative_error(run.x[1], run.x[0]) > 1e-3);
    set_values(lab.param("head/b1"), {-1e3, 0});
    const Lab::Run still = lab.run(3);
    CHECK(still.x[3] == still.x[0]);
}

TEST_CASE("l2o_pa: step_vjp equals central differences") {
    for (const std::int64_t steps : {0, 3}) {
        Lab lab(lasso({{"hidden", "6"}}, 13));
        CHECK(lab.step_vjp_error(steps) <= 1e-6);
    }
}

TEST_CASE("l2o_pa: the state of the LSTM starts at zero, or normal with numbers of its own in every row") {
    for (const bool is_normal : {false, true}) {
        Lab lab(lasso({{"state_init", is_normal ? "normal" : "zero"}}));
        CHECK(((lab.optimizer().info().flags & L2O_FLAG_STOCHASTIC) != 0) == is_normal);
        // Equal rows go equal ways if all that differs is the start of the LSTM.
        Tensor& b = lab.problem().data("b");
        Numbers numbers = values(b);
        std::copy_n(numbers.begin(), 5, numbers.begin() + 5);
        set_values(b, numbers);
        Numbers x = values(lab.problem().x()[0]);
        std::copy_n(x.begin(), 8, x.begin() + 8);
        set_values(lab.problem().x()[0], x);
        const Numbers end = lab.run(2).x[2];
        const Numbers first(end.begin(), end.begin() + 8), second(end.begin() + 8, end.begin() + 16);
        CHECK((relative_error(first, second) > 1e-6) == is_normal);
    }
}

TEST_CASE("l2o_pa: a problem of another form and a bad option are answered in a sentence") {
    LinearTask task;
    task.a.shape = {3};
    CHECK(refusal("l2o_pa", task).find("A is [3]; expected a matrix [m, n]") != std::string::npos);
    const std::string text = refusal("l2o_pa", {}, {{"state_init", "random"}});
    CHECK(text.find("random") != std::string::npos);
    CHECK(text.find("zero, normal") != std::string::npos);
}
