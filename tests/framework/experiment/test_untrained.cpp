#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "framework/experiment/run.hpp"
#include "tests/framework/config/refusal.hpp"
#include "tests/framework/store/scratch_folder.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::framework;
using l2o::test::catalog;
using l2o::test::refusal;

namespace {

/// ista, lista, and with `more`, in line 5, whoever else takes part.
Experiment read(const std::string& more, const std::string& train = "") {
    return read_experiment(
        catalog(),
        Config::parse("optimizee { use sparse_recovery\n m 4\n n 6 }\ncontestants {\n" + more +
                          "\nista { optimizer { use ista } }\nlista { optimizer { use lista\n layers 2 } } "
                          "}\ntrain { epochs 3\n horizon 2\n unroll 2\n" +
                          train + " }\nevaluate { instances 3\n iterations 2 }\n",
                      "run.info"));
}

const std::string kStart = "start { optimizer { use lista\n layers 2 }\n untrained true }";

}  // namespace

TEST_CASE("untrained: a contestant runs from its start values beside the same one trained") {
    const ScratchFolder folder;
    const RunResult both = run_experiment(read(kStart), {.root = folder / "both"});
    const RunResult none =
        run_experiment(read(""), {.part = RunPart::kEvaluate, .root = folder / "none", .untrained = true});
    REQUIRE(both.results.curves.size() == 3);
    CHECK(both.results.curves[0].final_rows == none.results.curves[1].final_rows);
    CHECK(both.results.curves[0].final_rows != both.results.curves[2].final_rows);
    CHECK_FALSE(both.results.curves[0].training);
    REQUIRE(both.weights.size() == 1);
    CHECK(both.weights[0].contestant == "lista");
}

TEST_CASE("untrained: what is swept in 'train' does not multiply it, what is swept in its options does") {
    std::vector<std::string> names;
    for (const Contestant& contestant : read(kStart, "seeds 2").contestants) names.push_back(contestant.name);
    CHECK(names == std::vector<std::string>{"start", "ista", "lista.seed=0", "lista.seed=1"});
    const Experiment swept =
        read("start { optimizer { use lista\n layers { sweep 2 3 } }\n untrained true }");
    CHECK(swept.contestants.size() == 4);
    CHECK(swept.contestants[1].hash.empty());
}

TEST_CASE("untrained: beside 'train' or 'weights', of what has nothing to learn, or a value that is none") {
    const auto refused = [](const std::string& optimizer, const std::string& more) {
        return refusal([&] { (void)read("a { optimizer { use " + optimizer + " }\n" + more + " }"); });
    };
    CHECK(refused("lista", "untrained true\n train { epochs 2 }") ==
          "2 run.info:7: contestants.a.train: with 'untrained true' start values are used; remove one of the "
          "two");
    CHECK(refused("lista", "untrained true\n weights w") ==
          "2 run.info:7: contestants.a.weights: with 'untrained true' start values are used; remove one of "
          "the two");
    CHECK(refused("ista", "untrained true") ==
          "2 run.info:6: contestants.a.untrained: 'ista' has nothing to learn; remove 'untrained'");
    CHECK(refused("lista", "untrained yes") ==
          "2 run.info:6: contestants.a.untrained is 'yes'; expected true or false");
    CHECK(refused("lista", "untrained { sweep true false }") ==
          "2 run.info:6: contestants.a.untrained is 'true false'; expected true or false");
}
