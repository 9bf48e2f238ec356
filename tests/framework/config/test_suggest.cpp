#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "framework/text/suggest.hpp"

using namespace l2o::framework;

namespace {
const std::vector<std::string> kOptimizers{"lbfgs", "adam", "gradient_descent"};
}

TEST_CASE("suggest: a missing, a wrong, a swapped letter and a capital are near misses") {
    CHECK(nearest_name("adm", kOptimizers) == "adam");
    CHECK(nearest_name("adem", kOptimizers) == "adam");
    CHECK(nearest_name("aadm", kOptimizers) == "adam");
    CHECK(nearest_name("LBFGS", kOptimizers) == "lbfgs");
    CHECK(nearest_name("gradientdescend", kOptimizers) == "gradient_descent");
}

TEST_CASE("suggest: a swap of neighbours counts once, as one wrong letter and not as two") {
    CHECK(nearest_name("dcoy", std::vector<std::string>{"docy"}) == "docy");
    CHECK(nearest_name("dxxy", std::vector<std::string>{"docy"}).empty());
}

TEST_CASE("suggest: a name with little in common is not suggested") {
    CHECK(nearest_name("sgd", kOptimizers).empty());
    CHECK(nearest_name("m", std::vector<std::string>{"v"}).empty());
    CHECK(nearest_name("", kOptimizers).empty());
}

TEST_CASE("suggest: of equally near names the first in the alphabet is taken") {
    CHECK(nearest_name("beta", std::vector<std::string>{"beta2", "beta1"}) == "beta1");
}

TEST_CASE("suggest: the message asks, and lists the known names sorted") {
    CHECK(did_you_mean("adm", kOptimizers) == "; did you mean 'adam'? known: adam, gradient_descent, lbfgs");
    CHECK(did_you_mean("sgd", kOptimizers) == "; known: adam, gradient_descent, lbfgs");
    CHECK(did_you_mean("sgd", std::vector<std::string>{}) == "");
}

TEST_CASE("suggest: a long list is cut, but never for a single name") {
    std::vector<std::string> names;
    for (char c = 'a'; c < 'a' + 13; ++c) names.emplace_back(1, c);
    CHECK(did_you_mean("zzz", names) == "; known: a, b, c, d, e, f, g, h, i, j, k, l, m");
    names.emplace_back("n");
    CHECK(did_you_mean("zzz", names) == "; known: a, b, c, d, e, f, g, h, i, j, k, l and 2 more");
}

TEST_CASE("suggest: a wrong choice gets a question only where something is near") {
    const std::vector<std::string> choices{"drop", "exact", "fd"};
    CHECK(one_of(choices) == "one of: drop, exact, fd");
    CHECK(near_choice("drp", choices) == "; did you mean 'drop'?");
    CHECK(near_choice("hessian", choices) == "");
}
