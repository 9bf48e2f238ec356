#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "tests/plugins/optimizers/unrolled/by_hand.hpp"

namespace {

using namespace l2o::test;

const ProblemLab::Setup kSparse{
    .optimizee = "sparse_recovery", .options = {{"m", "40"}, {"n", "80"}}, .instances = 9};
const ProblemLab::Setup kSmall{
    .optimizee = "sparse_recovery", .options = {{"m", "6"}, {"n", "10"}}, .instances = 12};

double logistic(double v) { return 1 / (1 + std::exp(-v)); }
double softplus(double v) { return std::log(1 + std::exp(v)); }

/// torch.nn.LSTMCell: gates i, f, g, o.
void lstm_by_hand(Lab& lab, const Eigen::VectorXd& y, Eigen::VectorXd& h, Eigen::VectorXd& c) {
    const Eigen::VectorXd gates = wide(lab.param("lstm.w_ih")) * y + wide(lab.param("lstm.b_ih")) +
                                  wide(lab.param("lstm.w_hh")) * h + wide(lab.param("lstm.b_hh"));
    const Eigen::Index hidden = h.size();
    for (Eigen::Index i = 0; i < hidden; ++i) {
        c(i) = logistic(gates(hidden + i)) * c(i) + logistic(gates(i)) * std::tanh(gates(2 * hidden + i));
        h(i) = logistic(gates(3 * hidden + i)) * std::tanh(c(i));
    }
}

/// The equations, row by row: `layer` keeps the LSTM's state of every row for the next one.
struct Plain {
    Lab& lab;
    std::vector<int> counts;
    std::vector<Eigen::VectorXd> h{}, c{};

    double scalar(const char* name) const { return lab.param(name).value(0); }
    Eigen::MatrixXd layer(int k, const Eigen::MatrixXd& x) {
        const Eigen::MatrixXd a = wide(lab.problem().data("A")), b = wide(lab.problem().data("b"));
        const Eigen::MatrixXd w = wide(lab.param("const.W"));
        Eigen::MatrixXd next = x;
        for (Eigen::Index r = 0; r < x.rows(); ++r) {
            if (k == 0) h.push_back(wide(lab.param("h0"))), c.push_back(wide(lab.param("c0")));
            const Eigen::VectorXd residual = a * x.row(r).transpose() - b.row(r).transpose();
            const Eigen::VectorXd u = w.transpose() * residual;
            Eigen::VectorXd y(2), &h_r = h[std::size_t(r)], &c_r = c[std::size_t(r)];
            y << (residual.lpNorm<1>() - scalar("norm.mu1")) / scalar("norm.s1"),
                (u.lpNorm<1>() - scalar("norm.mu2")) / scalar("norm.s2");
            lstm_by_hand(lab, y, h_r, c_r);
            const Eigen::VectorXd layer = (wide(lab.param("V")) * c_r + wide(lab.param("bV"))).cwiseMax(0);
            const Eigen::VectorXd out = wide(lab.param("U")) * layer + wide(lab.param("bU"));
            const double gamma = softplus(out(0)), theta = softplus(out(1));
            const Eigen::VectorXd z = x.row(r).transpose() - gamma * u;
            std::vector<double> magnitude;
            for (const double z_i : z) magnitude.push_back(std::abs(z_i));
            std::ranges::sort(magnitude, std::greater<>{});
            const int count = counts[std::size_t(k)];
            const double bar = count == 0 ? INFINITY : magnitude[std::size_t(count) - 1];
            for (Eigen::Index i = 0; i < x.cols(); ++i)
                next(r, i) = std::abs(z(i)) > bar ? z(i) : soft_by_hand(z(i), theta);
        }
        return next;
    }
};

}  // namespace

TEST_CASE("na_alista: every layer is the equations with torch's LSTM cell, in both element types") {
    for (const char* hidden : {"7", "16"})
        for (const auto dtype : {Dtype::kF64, Dtype::kF32}) {
            auto problem = kSparse;
            problem.dtype = dtype;
            Lab lab({.optimizer = "na_alista",
                     .options = {{"hidden", hidden}, {"layers", "5"}},
                     .problem = problem});
            shake(lab, 0.3);
            // 1.2 * 8 = 9.6: linspace(1, 9.6, 5).astype(int)
            Plain plain{lab, {1, 3, 5, 7, 9}};
            const double error =
                layer_error(lab, 5, [&](int k, const Eigen::MatrixXd& x) { return plain.layer(k, x); });
            CHECK(error < (dtype == Dtype::kF64 ? 1e-11 : 1e-5));
        }
}

TEST_CASE("na_alista: with a read-out of biases alone and soft thresholds it is ALISTA") {
    Lab lab({.optimizer = "na_alista", .options = {{"support_max", "0"}}, .problem = kSparse});
    set_values(lab.param("U"), std::vector<double>(256, 0.0));
    set_values(lab.param("bU"), {std::log(std::exp(0.9) - 1), std::log(std::exp(0.1) - 1)});
    Lab alista({.optimizer = "alista", .options = {{"support_max", "0"}}, .problem = kSparse});
    for (int k = 0; k < 16; ++k) {
        set_values(alista.param(layer_param(k, "gamma")), {0.9});
        set_values(alista.param(layer_param(k, "theta")), {0.1});
    }
    const auto got = lab.run(16).x, want = alista.run(16).x;
    for (std::size_t t = 0; t <= 16; ++t) CHECK(relative_error(got[t], want[t]) < 1e-12);
}

TEST_CASE(
    "na_alista: below a high threshold p_k - 1 entries are left, p_k as in the code for n = 500, s = 50") {
    Lab lab({.optimizer = "na_alista",
             .problem = {
                 .optimizee = "sparse_recovery", .options = {{"m", "20"}, {"n", "500"}}, .instances = 1}});
    set_values(lab.param("U"), std::vector<double>(256, 0.0));
    set_values(lab.param("bU"), {-3, 1e4});
    const auto x = lab.run(16).x;
    // numpy.linspace((50 * 1.2) // 16, 50 * 1.2, 16).astype(int)
    const int counts[] = {3, 6, 10, 14, 18, 22, 25, 29, 33, 37, 41, 44, 48, 52, 56, 60};
    for (std::size_t k = 0; k < 16; ++k)
        CHECK(std::ranges::count_if(x[k + 1], [](double x_i) { return x_i != 0; }) == counts[k] - 1);
}

TEST_CASE("na_alista: step_vjp is the derivative of step, also in the first step of rows without a signal") {
    const OptionText options{{"hidden", "7"}, {"layers", "4"}, {"support_max", "30"}};
    Lab first({.optimizer = "na_alista", .options = options, .problem = kSmall});
    const auto b = values(first.problem().data("b"));
    REQUIRE(std::search_n(b.begin(), b.end(), 6, 0.0) != b.end());
    shake(first, 0.3);
    CHECK(first.step_vjp_error(0) < 1e-6);
    for (const auto& x : first.run(4).x)
        for (const double x_i : x) CHECK(std::isfinite(x_i));

    // Later such a row sits where |r|_1 has its kink.
    auto all_have_signals = kSmall;
    all_have_signals.options["density"] = "0.5";
    Lab later({.optimizer = "na_alista", .options = options, .problem = all_have_signals});
    shake(later, 0.3);
    CHECK(later.step_vjp_error(1) < 1e-6);
    CHECK(later.step_vjp_error(3) < 1e-6);
}

TEST_CASE("na_alista: mu and s are mean and deviation of |b|_1 and |b W|_1; of one instance s = mu") {
    Lab lab({.optimizer = "na_alista", .problem = kSparse});
    const Eigen::MatrixXd b = wide(lab.problem().data("b"));
    const Eigen::VectorXd sizes[] = {b.rowwise().lpNorm<1>(),
                                     (b * wide(lab.param("const.W"))).rowwise().lpNorm<1>()};
    for (int i = 0; i < 2; ++i) {
        const std::string number = std::to_string(i + 1);
        const double mean = sizes[i].mean();
        CHECK(lab.param("norm.mu" + number).value(0) == doctest::Approx(mean).epsilon(1e-12));
        CHECK(lab.param("norm.s" + number).value(0) ==
              doctest::Approx(std::sqrt((sizes[i].array() - mean).square().sum() / 8)).epsilon(1e-12));
    }
    auto one = kSparse;
    one.instances = 1;
    Lab alone({.optimizer = "na_alista", .problem = one});
    CHECK(alone.param("norm.s1").value(0) == alone.param("norm.mu1").value(0));
}

TEST_CASE(
    "na_alista: names and shapes are torch's; nothing that is learned depends on the sizes of the problem") {
    Lab lab({.optimizer = "na_alista", .options = {{"hidden", "5"}}, .problem = kSmall});
    std::string learned, buffers;
    for (const auto* spec : lab.optimizer().params()) {
        std::string& text = !has(*spec, L2O_SPEC_DERIVED) ? learned : buffers;
        text += spec->name;
        for (std::int32_t i = 0; i < spec->ndim; ++i) text += "," + std::to_string(spec->shape[i]);
        text += " ";
    }
    CHECK(learned ==
          "lstm.w_ih,20,2 lstm.w_hh,20,5 lstm.b_ih,20 lstm.b_hh,20 V,5,5 bV,5 U,2,5 bU,2 h0,5 c0,5 ");
    CHECK(buffers == "const.W,6,10 norm.mu1 norm.s1 norm.mu2 norm.s2 ");
    CHECK((lab.optimizer().info().flags & L2O_OPTIMIZER_PARAMS_BY_PROBLEM) == 0);
    for (const double w : values(lab.param("V"))) CHECK(std::abs(w) <= 1 / std::sqrt(5.0));
}
