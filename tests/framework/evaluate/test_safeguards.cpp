#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include "tests/framework/evaluate/arena.hpp"

using namespace l2o::framework;
using l2o::test::Arena;
using l2o::test::kQuadratic;
using l2o::test::kSparse;

TEST_CASE("evaluate: a safeguard makes a diverging method descend; its steps are counted, and charged") {
    const std::string diverging = "optimizer { use gradient_descent\n learning_rate 10 }";
    const std::string safeguard =
        "safeguard { use gradient_descent\n learning_rate 0.001\n bound geometric\n theta 0.9 }";
    Arena arena({kQuadratic, diverging + safeguard, "iterations 6"});
    const Curve safe = arena.run(), alone = Arena({kQuadratic, diverging, "iterations 6"}).run();
    CHECK(alone.safeguard.empty());
    CHECK(std::isnan(alone.fallback_rate));
    CHECK(alone.distributions[0][6].median > 1e6 * alone.distributions[0][0].median);
    CHECK(safe.safeguard == "gradient_descent");
    CHECK(safe.fallback_rate == 1);
    const Curve classic =
        Arena({kQuadratic, "optimizer { use gradient_descent\n learning_rate 0.001 }", "iterations 6"}).run();
    CHECK(safe.final_rows == classic.final_rows);
    CHECK(safe.gradients == std::vector<double>{0, 3, 5, 7, 9, 11, 13});  // at x_0; at y_k and at x_k

    const Curve budget = Arena({kQuadratic, diverging + safeguard, "iterations 6\n max_evaluations 8"}).run();
    // Three steps and a gradient at their end, which is f there as well; not the one of another proposal.
    CHECK(budget.iteration.back() == 4);
    CHECK(budget.evaluations.back() == 8);
    CHECK(budget.final_rows[0] ==
          Arena({kQuadratic, diverging + safeguard, "iterations 3"}).run().final_rows[0]);
}

TEST_CASE("evaluate: behind the last layer the method that goes on needs no safeguard") {
    const std::string contestant =
        "optimizer { use lista\n layers 2 }\n continue_with { use ista }\n safeguard { use ista }";
    const Curve curve = Arena({kSparse, contestant, "iterations 5"}).run();
    // T at x_0 and at two proposals at least, beside the optimizer's own; then one in every step.
    CHECK(curve.gradients[2] >= 2 + 3);
    CHECK(curve.gradients[5] == curve.gradients[2] + 3);
    CHECK(curve.fallback_rate >= 0);
    CHECK(curve.fallback_rate <= 1);
}

TEST_CASE("evaluate: a safeguard that is none is refused at its place") {
    CHECK(
        Arena({kQuadratic, "optimizer { use gradient_descent }\n safeguard { use adam }", "iterations 3"})
            .refused() ==
        "2 contestants.it: safeguard: 'adam' keeps a state ('m'), and a safeguard needs a step that depends "
        "on "
        "x alone; expected one such as 'ista' or 'gradient_descent'");
}
