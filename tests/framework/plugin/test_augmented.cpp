// Problems made harder for training: random scaling and a convex term.
#include <doctest/doctest.h>

#include <cmath>

#include "framework/rollout/stepper.hpp"
#include "framework/train/augmented.hpp"
#include "tests/support/lab.hpp"

namespace {

using namespace l2o::framework;
using namespace l2o::test;

constexpr std::int64_t kN = 3, kInstances = 4, kConvex = 5;
constexpr Key kDraw{3, 4}, kStart{5, 6};

std::unique_ptr<const Optimizee> rastrigin() {
    const Catalog::Entry& entry = catalog().find(Kind::kOptimizee, "rastrigin");
    const OptionContext context{
        .origin = "test", .path = "optimizee", .kind = "optimizee", .id = "rastrigin"};
    return std::make_unique<const Optimizee>(
        entry,
        resolve_options(
            entry.component.options, settings_from({{"n", std::to_string(kN)}}, {.file = "test"}), context),
        Dtype::kF64);
}

/// A batch of a problem, with an optimizer that does nothing but let it be evaluated.
struct Batch {
    explicit Batch(std::unique_ptr<const Optimizee> of, std::uint64_t first = 0)
        : optimizee(std::move(of)),
          data(optimizee->sample(kDraw, Split::kTrain, first, kInstances, true)),
          x0(optimizee->init_point(kStart, first, data)) {
        const Catalog::Entry& entry = catalog().find(Kind::kOptimizer, "gradient_descent");
        optimizer = std::make_unique<Optimizer>(
            entry, resolve_options(entry.component.options, {}, {}), task_of(*optimizee, 0));
        scene = std::make_unique<Scene>(Scene{*optimizer, *optimizee, data, params, {7, 8}, 0});
        stepper = std::make_unique<Stepper>(*scene);
        point = Point(stepper->layout(), {.g = true, .f = true, .state = true});
        for (std::size_t k = 0; k < x0.size(); ++k) set_values(point.x[k], values(x0[k]));
    }
    void evaluate() {
        point.forget();
        stepper->evaluate(point, 0, true, true, kFree);
    }
    /// Sum of f over the rows.
    double objective() {
        evaluate();
        double sum = 0;
        for (const double f : values(point.f)) sum += f;
        return sum;
    }
    const Tensor& of(const std::string& name) const { return data.tensors[*optimizee->data_index(name)]; }

    std::unique_ptr<const Optimizee> optimizee;
    ProblemData data;
    std::vector<Tensor> x0;
    TensorSet params;
    std::unique_ptr<const Optimizer> optimizer;
    std::unique_ptr<Scene> scene;
    std::unique_ptr<Stepper> stepper;
    Point point;
};

Augmentation both() { return {.random_scaling = 3, .convex_term = kConvex}; }

}  // namespace

TEST_CASE("augmented: without anything to add it is the problem itself") {
    auto plain = rastrigin();
    const Optimizee* same = plain.get();
    CHECK(augmented(std::move(plain), {}).get() == same);
}

TEST_CASE(
    "augmented: scaling does not change the objective at the start, and the convex term is added to it") {
    Batch plain(rastrigin()), scaled(augmented(rastrigin(), {.random_scaling = 3, .convex_term = 0})),
        harder(augmented(rastrigin(), both()));
    plain.evaluate();
    scaled.evaluate();
    harder.evaluate();
    CHECK(relative_error(values(scaled.point.f), values(plain.point.f)) < 1e-14);
    for (std::int64_t row = 0; row < kInstances; ++row) {
        double term = 0;  // at y = 0
        for (std::int64_t j = 0; j < kConvex; ++j)
            term += std::pow(harder.of("convex.a").value(row * kConvex + j), 2);
        CHECK(harder.point.f.value(row) ==
              doctest::Approx(plain.point.f.value(row) + term / kConvex).epsilon(1e-13));
    }
}

TEST_CASE("augmented: factors are exp(u) with |u| <= r, other ones for every coordinate and instance") {
    Batch scaled(augmented(rastrigin(), {.random_scaling = 2, .convex_term = 0}));
    const std::vector<double> factors = values(scaled.of("scaling.x"));
    REQUIRE(factors.size() == kInstances * kN);
    for (std::size_t i = 0; i < factors.size(); ++i) {
        CHECK(std::abs(std::log(factors[i])) <= 2);
        for (std::size_t j = 0; j < i; ++j) CHECK(factors[i] != factors[j]);
    }
    // Instance 2 is the same wherever the batch begins.
    Batch later(augmented(rastrigin(), {.random_scaling = 2, .convex_term = 0}), 2);
    for (std::size_t j = 0; j < kN; ++j) CHECK(values(later.of("scaling.x"))[j] == factors[2 * kN + j]);
}

TEST_CASE("augmented: the gradient is that of differences, and H v that of gradients") {
    Batch harder(augmented(rastrigin(), both()));
    set_values(harder.point.x[1],
               [] {  // some are beyond the cap
                   std::vector<double> y;
                   for (std::int64_t i = 0; i < kInstances * kConvex; ++i)
                       y.push_back(0.7 * double(i % 7) - 2);
                   return y;
               }());
    harder.evaluate();
    std::vector<double> gradient, differences;
    for (std::size_t k = 0; k < 2; ++k)
        for (const double g : values(harder.point.g[k])) gradient.push_back(g);
    constexpr double kStep = 1e-6;
    for (std::size_t k = 0; k < 2; ++k)
        for (double& x : harder.point.x[k].values<double>()) {
            const double kept = x;
            x = kept + kStep;
            const double above = harder.objective();
            x = kept - kStep;
            const double below = harder.objective();
            x = kept;
            differences.push_back((above - below) / (2 * kStep));
        }
    CHECK(relative_error(gradient, differences) < 1e-7);

    Point direction(harder.stepper->layout(), {.g = true, .f = false, .state = false});
    for (std::size_t k = 0; k < 2; ++k)
        for (std::size_t i = 0; double& v : direction.x[k].values<double>()) v = std::sin(double(++i));
    harder.stepper->hvp(harder.point.x_rows, direction.x_rows, 0, direction.g_rows);
    std::vector<double> product, slopes;
    const auto gradients_at = [&](double step) {
        Point moved(harder.stepper->layout(), {.g = true, .f = false, .state = false});
        std::vector<double> out;
        for (std::size_t k = 0; k < 2; ++k)
            for (std::size_t i = 0; double& x : moved.x[k].values<double>()) {
                x = harder.point.x[k].value(std::int64_t(i)) + step * direction.x[k].value(std::int64_t(i));
                ++i;
            }
        harder.stepper->gradient_at(moved.x_rows, 0, moved.g_rows);
        for (std::size_t k = 0; k < 2; ++k)
            for (const double g : values(moved.g[k])) out.push_back(g);
        return out;
    };
    const auto above = gradients_at(kStep), below = gradients_at(-kStep);
    for (std::size_t k = 0; k < 2; ++k)
        for (const double h : values(direction.g[k])) product.push_back(h);
    for (std::size_t i = 0; i < above.size(); ++i) slopes.push_back((above[i] - below[i]) / (2 * kStep));
    CHECK(relative_error(product, slopes) < 1e-6);
}
