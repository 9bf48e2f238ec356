#include <doctest/doctest.h>

#include <string>

#include "framework/text/json.hpp"
#include "tests/host/command.hpp"

using l2o::test::contains, l2o::test::run_l2o, l2o::test::Outcome;
using nlohmann::json;

namespace {

const std::string kSound = " " L2O_PLUGINS "/l2o_optimizer_gradient_descent.so ";
const std::string kWrong = " " L2O_BROKEN_PLUGINS "/l2o_optimizer_wrong_vjp.so ";

}  // namespace

TEST_CASE("l2o check prints one line per check and exits with 0 if none fails") {
    const Outcome all = run_l2o("check" + kSound);
    CHECK(all.code == 0);
    CHECK(all.err == "");
    CHECK(contains(all.out, "\noptimizer gradient_descent, on lasso\n"));
    CHECK(contains(all.out, "\n  ok       row_invariant\n"));
    CHECK(contains(all.out, "\n  skipped  vjp            has no derivative\n"));
    CHECK(contains(all.out, " 0 failed, "));
}

TEST_CASE("l2o check names the rule that is broken, and exits with 3") {
    const Outcome one = run_l2o("check --only vjp" + kWrong);
    CHECK(one.code == 3);
    CHECK(contains(one.out, "  FAIL     vjp            step_vjp of step at t = 2 by params: wrong along"));
    CHECK(contains(one.out, "rule: step_vjp and init_state_vjp are the derivative of step and init_state\n"));
    CHECK(contains(one.out, "0 ok, 1 failed, 0 skipped\n"));
}

TEST_CASE("l2o check --component may be given again") {
    const Outcome two = run_l2o(
        "check --only box --optimizee quadratic --component used_early --component "
        "leaves_the_box " L2O_BROKEN_PLUGINS "/l2o_optimizer_claims.so");
    CHECK(two.code == 3);
    CHECK(contains(two.out, "optimizer leaves_the_box, on quadratic\n  FAIL     box"));
    CHECK(contains(two.out, "optimizer used_early, on quadratic\n  skipped  box"));
    CHECK(contains(two.out, "0 ok, 1 failed, 1 skipped\n"));
    CHECK(contains(run_l2o("check --component gradient_descent --component adm" + kSound).refusal(),
                   "no component 'adm'"));
}

TEST_CASE("l2o check takes fewer rows where one is megabytes, and says so") {
    const Outcome one = run_l2o("check --only batch --set n=700 " L2O_PLUGINS "/l2o_optimizee_quadratic.so");
    CHECK(one.code == 0);
    CHECK(contains(one.out, "  ok       batch          of 17 rows at most: one is 3.9 MB\n"));
}

TEST_CASE("l2o check takes a time limit") {
    const Outcome hung =
        run_l2o("check --only bounds --time-limit 1 " L2O_BROKEN_PLUGINS "/l2o_optimizer_hangs.so");
    CHECK(hung.code == 3);
    CHECK(contains(hung.out, "did not come back within 1 s"));
}

TEST_CASE("l2o check --json is an array of findings") {
    const Outcome one = run_l2o("check --json --only vjp --only resume" + kWrong);
    CHECK(one.code == 3);
    const json all = json::parse(one.out);
    REQUIRE(all.size() == 2);
    CHECK(all[0].at("check") == "resume");
    CHECK(all[0].at("verdict") == "ok");
    CHECK(all[1].at("component") == "optimizer wrong_vjp");
    CHECK(all[1].at("verdict") == "FAIL");
}

TEST_CASE("l2o check refuses what is no check, no option, no optimizee or no library") {
    CHECK(contains(run_l2o("check").refusal(),
                   "2 l2o: error: l2o check: the file of a plugin library is missing"));
    CHECK(contains(run_l2o("check nothing.so").refusal(), "5 l2o: error: nothing.so: no such file"));
    CHECK(contains(run_l2o("check .").refusal(),
                   "5 l2o: error: .: is a folder; expected a plugin library, one FILE.so"));
    CHECK(contains(run_l2o("check nothing.so --set a=1 --set b=1 --set a=2").refusal(),
                   "2 l2o: error: --set gives 'a' twice, '1' and '2'; expected one of them"));
    CHECK(contains(run_l2o("check --only vpj" + kSound).refusal(),
                   "2 l2o: error: unknown check 'vpj'; did you mean 'vjp'?"));
    CHECK(contains(run_l2o("check --set learning_rat=1" + kSound).refusal(),
                   "has no option 'learning_rat'; did you mean 'learning_rate'?"));
    CHECK(contains(run_l2o("check --optimizee quadratik" + kSound).refusal(), "did you mean 'quadratic'?"));
    CHECK(contains(run_l2o("check --optimizee-set n=3" + kSound).refusal(), "name it with --optimizee"));
    CHECK(contains(run_l2o("check /etc/passwd").out, "cannot be loaded: it is no ELF file"));
}

TEST_CASE(
    "l2o check --optimizee all checks on every optimizee that suits, and says once why another does not") {
    const Outcome all = run_l2o("check --optimizee all --only schema --only bounds" + kSound);
    CHECK(all.code == 0);
    CHECK(contains(all.out, "optimizer gradient_descent, on lasso\n  ok       schema"));
    CHECK(contains(all.out, "\noptimizer gradient_descent, on quadratic\n  ok       schema"));
    CHECK(contains(all.out,
                   "\noptimizer gradient_descent, on rotated_saddle\n"
                   "  skipped  creates        does not suit: optimizer 'gradient_descent' on "
                   "'rotated_saddle': block 'v' is to be maximised"));
    CHECK(all.out.find("on rotated_saddle") == all.out.rfind("on rotated_saddle"));

    const Outcome thorough = run_l2o("check --thorough --json --only bounds" + kSound);
    CHECK(thorough.code == 0);
    bool is_on_lasso = false, is_on_quadratic = false;
    for (const json& finding : json::parse(thorough.out)) {
        is_on_lasso = is_on_lasso || finding.at("optimizee") == "lasso";
        is_on_quadratic = is_on_quadratic || finding.at("optimizee") == "quadratic";
    }
    CHECK(is_on_lasso);
    CHECK(is_on_quadratic);
}

TEST_CASE(
    "l2o check --optimizee all takes options of an optimizee behind its id, and small sizes of its own") {
    const Outcome sized = run_l2o("check --optimizee all --optimizee-set lasso.n=20 --only creates" + kSound);
    CHECK(sized.code == 0);
    CHECK(contains(sized.out, ", on lasso\n  ok       creates        float32, float64\n"));
    CHECK(contains(sized.out, ", on sparse_recovery\n  ok       creates        float32, float64, with m=64"));
    CHECK(contains(run_l2o("check --optimizee all --optimizee-set lasso.n=0.5" + kSound).refusal(), "n"));
    CHECK(contains(
        run_l2o("check --optimizee all --optimizee-set n=20" + kSound).refusal(),
        "2 l2o: error: 'n' is no option of an optimizee; with --optimizee all expected ID.KEY=VALUE"));
}

TEST_CASE("l2o check --fuzz tells of every case that fails how to repeat it") {
    const Outcome found = run_l2o("check --fuzz 3 --seed 4 --only vjp --optimizee quadratic" + kWrong);
    CHECK(found.code == 3);
    CHECK(
        contains(found.out, "optimizer wrong_vjp, on quadratic\n  FAIL     vjp            step_vjp of step"));
    CHECK(
        contains(found.out,
                 "wrong_vjp.so --component wrong_vjp --optimizee quadratic --seed 4 --case 0 --only vjp\n"));
    CHECK(contains(found.out, "  FAIL     fuzz           3 cases of seed 4: 0 refused, 3 failed\n"));
    const Outcome alone = run_l2o("check --json --seed 4 --case 0 --only vjp --optimizee quadratic" + kWrong);
    CHECK(alone.code == 3);
    const json all = json::parse(alone.out);
    REQUIRE(all.size() == 2);
    CHECK(contains(found.out, all[0].at("text").get<std::string>()));
    CHECK(contains(all[0].at("repeat").get<std::string>(), "--seed 4 --case 0 --only vjp"));
    CHECK(all[1].at("text") == "case 0 of seed 4: 0 refused, 1 failed");
    CHECK(contains(run_l2o("check --fuzz 0" + kSound).refusal(), "--fuzz"));
}

TEST_CASE("l2o check skips the rest of a plugin that no optimizee suits") {
    const Outcome none = run_l2o("check --optimizee rotated_saddle" + kSound);
    CHECK(none.code == 3);
    CHECK(contains(none.out, "FAIL     creates        no optimizee suits: "));
    CHECK(contains(none.out, "skipped  vjp            it cannot be created\n"));
}
