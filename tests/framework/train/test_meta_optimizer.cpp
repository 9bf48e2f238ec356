#include <doctest/doctest.h>

#include <cmath>
#include <l2o/numerics/philox.hpp>

#include "framework/train/meta_optimizer.hpp"
#include "framework/train/shards.hpp"
#include "tests/framework/config/refusal.hpp"
#include "tests/framework/train/trainee.hpp"

namespace {

using namespace l2o::framework;
using namespace l2o::test;

/// alista: learned scalars, and a matrix that is derived and never trained.
Trainee alista() {
    return Trainee({.optimizer = "alista",
                    .options = {{"layers", "3"}},
                    .optimizee = "sparse_recovery",
                    .problem = {{"m", "4"}, {"n", "8"}}});
}
Trainee dm() { return Trainee({.optimizer = "l2o_dm", .options = {{"hidden", "3"}}}); }

/// A gradient that is another one for every t.
void draw(TensorSet& gradient, std::uint64_t t) {
    l2o::numerics::Stream random(Key{31, 41}, t);
    for (Tensor& tensor : gradient.tensors()) {
        if (!tensor) continue;
        for (double& value : tensor.values<double>()) value = random.normal();
    }
}

}  // namespace

TEST_CASE("adam as a meta-optimizer is Adam's recursion on every element, over 1000 steps") {
    constexpr double kRate = 0.01, kBeta1 = 0.9, kBeta2 = 0.999, kEpsilon = 1e-8;
    const Trainee trainee = dm();
    TensorSet phi = trainee.initial_params(), gradient = gradient_like(trainee.optimizer(), phi);
    std::vector<std::vector<double>> want, m, v;
    for (const Tensor& tensor : phi.tensors()) {
        want.push_back(values(tensor));
        m.emplace_back(want.back().size(), 0.0);
        v.emplace_back(want.back().size(), 0.0);
    }
    MetaOptimizer meta(
        choice(Kind::kOptimizer, "adam", {{"learning_rate", "0.01"}}), trainee.optimizer(), phi);
    const std::vector<double> rates(phi.size(), 1.0);
    for (std::uint64_t t = 1; t <= 1000; ++t) {
        draw(gradient, t);
        meta.step(gradient, rates);
        for (std::size_t k = 0; k < want.size(); ++k) {
            for (std::size_t i = 0; i < want[k].size(); ++i) {
                const double g = gradient[k].value(static_cast<std::int64_t>(i));
                m[k][i] = kBeta1 * m[k][i] + (1 - kBeta1) * g;
                v[k][i] = kBeta2 * v[k][i] + (1 - kBeta2) * g * g;
                const double m_hat = m[k][i] / (1 - std::pow(kBeta1, t)),
                             v_hat = v[k][i] / (1 - std::pow(kBeta2, t));
                want[k][i] -= kRate * m_hat / (std::sqrt(v_hat) + kEpsilon);
            }
        }
    }
    CHECK(meta.t() == 1000);
    for (std::size_t k = 0; k < want.size(); ++k) CHECK(relative_error(values(phi[k]), want[k]) <= 1e-12);
}

TEST_CASE("a rate scales the increment of its tensor and leaves the recursion alone") {
    const Trainee trainee = dm();
    TensorSet plain = trainee.initial_params(), scaled = trainee.initial_params();
    TensorSet gradient = gradient_like(trainee.optimizer(), plain);
    const PluginChoice adam = choice(Kind::kOptimizer, "adam", {{"learning_rate", "0.01"}});
    MetaOptimizer meta_plain(adam, trainee.optimizer(), plain),
        meta_scaled(adam, trainee.optimizer(), scaled);
    std::vector<double> ones(plain.size(), 1.0), rates(ones);
    rates[1] = 0.25;
    const std::vector<double> start = values(plain[1]);
    for (std::uint64_t t = 0; t < 20; ++t) {
        draw(gradient, t);
        meta_plain.step(gradient, ones);
        meta_scaled.step(gradient, rates);
    }
    for (std::size_t k = 0; k < plain.size(); ++k) {
        if (k != 1) CHECK(bytes(scaled[k]) == bytes(plain[k]));
    }
    std::vector<double> want = values(plain[1]);
    for (std::size_t i = 0; i < want.size(); ++i) want[i] = start[i] + 0.25 * (want[i] - start[i]);
    CHECK(relative_error(values(scaled[1]), want) <= 1e-13);
}

TEST_CASE("rate 0 leaves every bit of a tensor, also that of -0 and where its gradient is not finite") {
    const Trainee trainee = dm();
    TensorSet phi = trainee.initial_params(), gradient = gradient_like(trainee.optimizer(), phi);
    phi[1].values<double>()[0] = -0.0;
    const std::string before = bytes(phi[1]);
    MetaOptimizer meta(choice(Kind::kOptimizer, "adam"), trainee.optimizer(), phi);
    std::vector<double> rates(phi.size(), 1.0);
    rates[1] = 0;
    draw(gradient, 1);
    gradient[1].values<double>()[0] = -1;
    gradient[1].values<double>()[1] = NAN;
    meta.step(gradient, rates);
    CHECK(bytes(phi[1]) == before);
}

TEST_CASE("what is derived from the problem is not a block of the meta-optimizer") {
    const Trainee trainee = alista();
    TensorSet phi = trainee.initial_params(), gradient = gradient_like(trainee.optimizer(), phi);
    const std::string weight = bytes(param(trainee, phi, "const.W"));
    MetaOptimizer meta(choice(Kind::kOptimizer, "adam"), trainee.optimizer(), phi);
    draw(gradient, 1);
    meta.step(gradient, std::vector<double>(phi.size(), 1.0));
    CHECK(bytes(param(trainee, phi, "const.W")) == weight);
    CHECK(bytes(phi) != bytes(trainee.initial_params()));
}

TEST_CASE("after reset() the steps are those of a new meta-optimizer") {
    const Trainee trainee = dm();
    TensorSet phi = trainee.initial_params(), gradient = gradient_like(trainee.optimizer(), phi);
    MetaOptimizer meta(choice(Kind::kOptimizer, "adam"), trainee.optimizer(), phi);
    const std::vector<double> rates(phi.size(), 1.0);
    draw(gradient, 1);
    meta.step(gradient, rates);
    const std::string first = bytes(phi);
    phi.copy_from(trainee.initial_params());
    meta.reset();
    meta.step(gradient, rates);
    CHECK(bytes(phi) == first);
}

TEST_CASE("a meta-optimizer that reads objective values, asks, is a population or learned is refused") {
    const Trainee trainee = dm();
    TensorSet phi = trainee.initial_params();
    const auto text = [&](const char* id, const OptionText& options) {
        PluginChoice meta = choice(Kind::kOptimizer, id, options);
        meta.context = {.origin = "a.info:3", .path = "train.meta_optimizer", .kind = "optimizer", .id = id};
        return refusal([&] { MetaOptimizer(meta, trainee.optimizer(), phi); });
    };
    const auto refused = [](const char* id) {
        return "2 a.info:3: train.meta_optimizer: optimizer '" + std::string(id) +
               "' cannot be a meta-optimizer: it needs objective values, or has parameters of its own; use a "
               "gradient method such as adam, rmsprop or momentum";
    };
    CHECK(text("particle_swarm", {}) == refused("particle_swarm"));
    CHECK(text("gradient_descent", {{"step_rule", "armijo"}}) == refused("gradient_descent"));
    CHECK(text("l2o_dm", {}) == refused("l2o_dm"));
    CHECK(text("gradient_descent", {}) == "no error");
}

TEST_CASE("a meta-optimizer that needs problem data is refused: parameters have none") {
    const Trainee trainee = dm();
    TensorSet phi = trainee.initial_params();
    CHECK(refusal([&] { MetaOptimizer(choice(Kind::kOptimizer, "lista"), trainee.optimizer(), phi); }) ==
          "3 optimizer 'lista' needs the problem data 'A', which 'the parameters of l2o_dm' does not offer "
          "(it offers none)");
}

TEST_CASE("an optimizer without learned parameters cannot be trained") {
    const Trainee trainee({.optimizer = "gradient_descent"});
    TensorSet phi = trainee.initial_params();
    CHECK(refusal([&] { MetaOptimizer(choice(Kind::kOptimizer, "adam"), trainee.optimizer(), phi); }) ==
          "2 optimizer 'gradient_descent' has no parameters to train");
}

TEST_CASE("what is sliced has the same bits for any number of threads, and a factor is one of the gradient") {
    const Trainee trainee({.optimizer = "lista",
                           .options = {{"layers", "11"}},
                           .optimizee = "sparse_recovery",
                           .problem = {{"m", "64"}, {"n", "128"}}});
    for (const char* const id : {"adam", "momentum", "projected_gradient"}) {  // the last one: all at once
        CAPTURE(id);
        std::vector<TensorSet> phi;
        for (const int threads : {1, 3, 0}) {
            phi.push_back(trainee.initial_params());
            REQUIRE(phi.back().bytes() > 1 << 20);
            TensorSet gradient = gradient_like(trainee.optimizer(), phi.back());
            MetaOptimizer meta(
                choice(Kind::kOptimizer, id), trainee.optimizer(), phi.back(), {}, std::max(threads, 1));
            for (std::uint64_t t = 0; t < 3; ++t) {
                draw(gradient, t);
                for (Tensor& tensor : gradient.tensors())
                    for (double& value : tensor.values<double>()) value *= threads == 0 ? 0.25 : 1;
                meta.step(gradient, std::vector<double>(phi.back().size(), 0.5), threads == 0 ? 1 : 0.25);
            }
        }
        CHECK(bytes(phi[0]) != bytes(trainee.initial_params()));
        CHECK(bytes(phi[1]) == bytes(phi[0]));
        CHECK(bytes(phi[2]) == bytes(phi[0]));
    }
}

TEST_CASE("a step leaves what the parameters were; one that is not finite leaves them there, too") {
    const Trainee trainee({.optimizer = "lista",
                           .options = {{"layers", "3"}},
                           .optimizee = "sparse_recovery",
                           .problem = {{"m", "64"}, {"n", "128"}}});
    for (const char* const id : {"gradient_descent", "projected_gradient"}) {
        CAPTURE(id);
        TensorSet phi = trainee.initial_params(), gradient = gradient_like(trainee.optimizer(), phi),
                  before = clone(phi);
        MetaOptimizer meta(
            choice(Kind::kOptimizer, id, {{"learning_rate", "1e-3"}}), trainee.optimizer(), phi);
        const std::vector<double> rates(phi.size(), 1.0);
        draw(gradient, 1);
        meta.step(gradient, rates);
        const std::string first = bytes(phi);
        meta.step(gradient, rates, 1, &before);
        CHECK(bytes(before) == first);
        const std::string second = bytes(phi);
        CHECK(second != first);
        gradient[gradient.size() - 1].values<double>().back() = 1e308;
        CHECK_THROWS_AS(meta.step(gradient, rates, 1e5, &before), Diverged);
        CHECK(bytes(phi) == second);
        CHECK(bytes(before) == second);
        CHECK(meta.t() == 0);
    }
}
