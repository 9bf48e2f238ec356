#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "framework/experiment/experiment.hpp"
#include "tests/framework/experiment/read_text.hpp"

using namespace l2o::framework;
using l2o::test::hash_of;
using l2o::test::kProblem;
using l2o::test::lista;
using l2o::test::read_text;
using l2o::test::refusal;
using l2o::test::refused;

TEST_CASE("experiment: a mistyped key is reported as such, at every level") {
    CHECK(refused("optimisee { use lasso }\n") ==
          "2 dir/run.info:1: unknown key 'optimisee'; did you mean 'optimizee'? known: contestants, dtype, "
          "evaluate, name, optimizee, seed, train");
    CHECK(refused(kProblem + "contestants { a { optimiser { use ista } } }\n") ==
          "2 dir/run.info:4: unknown key 'contestants.a.optimiser'; did you mean 'optimizer'? known: "
          "continue_with, optimizer, restarts, safeguard, train, tune, untrained, weights");
    CHECK(refused(lista("epohcs 3"))
              .find("run.info:4: unknown key 'train.epohcs'; did you "
                    "mean 'epochs'?") != std::string::npos);
    CHECK(refused(kProblem + "contestants { a { optimizer { use ista } } }\nevaluate { iteration 3 }\n")
              .find("unknown key 'evaluate.iteration'; did you mean 'iterations'?") != std::string::npos);
    CHECK(refused(kProblem + "train { epohcs 3 }\ncontestants { a { optimizer { use ista } } }\n")
              .find("run.info:4: unknown key 'train.epohcs'") != std::string::npos);
    const std::string shared =
        "contestants { lista { optimizer { use lista } } }\ntrain { horizon 4\n validate { evry 2 } }\n";
    CHECK(refused(kProblem + shared)
              .starts_with("2 dir/run.info:6: unknown key 'train.validate.evry'; did you mean 'every'?"));
    CHECK(refusal([] {
              (void)read_text(lista("horizon 4"), {"train.epoch=5"});
          }).starts_with("2 --set: unknown key 'train.epoch'; did you mean 'epochs'? known: "));
}

TEST_CASE("experiment: an unknown plugin or option is reported at its place") {
    CHECK(refused(kProblem + "contestants { a { optimizer { use itsa } } }\n")
              .starts_with("2 dir/run.info:4: contestants.a.optimizer.use: unknown optimizer 'itsa'; did you "
                           "mean 'ista'?"));
    CHECK(
        refused(kProblem + "contestants { a { optimizer { use ista\n step 3 } } }\n")
            .starts_with("2 dir/run.info:5: contestants.a.optimizer: optimizer 'ista' has no option 'step'"));
    CHECK(refused(lista("loss { use mse }"))
              .starts_with("2 dir/run.info:4: contestants.lista.train.loss.use: "
                           "unknown loss 'mse'"));
    const auto without_use = [](const std::string& text, const std::string& expected) {
        const std::string found = refused(text);
        CAPTURE(found);
        CHECK(found.starts_with(expected));
        return found.substr(std::min(found.size(), expected.size()));
    };
    CHECK(without_use("optimizee { m 3 }\ncontestants { a { optimizer { use ista } } }\n",
                      "2 dir/run.info:1: optimizee.use is missing; expected 'use ID'; known: ")
              .find("lasso, ") != std::string::npos);
    CHECK(
        without_use(kProblem + "contestants { a { optimizer { step 3 } } }\n",
                    "2 dir/run.info:4: contestants.a.optimizer.use is missing; expected 'optimizer { use ID "
                    "}'; known: ")
            .find("adam, ") != std::string::npos);
    CHECK(refused(kProblem + "contestants { a { optimizer { use ista } restarts 0 } }\n")
              .ends_with("contestants.a.restarts is '0'; expected a whole number >= 1"));
    CHECK(refused(kProblem + "contestants { a { continue_with { use ista } } }\n")
              .starts_with("2 dir/run.info:4: contestants.a.optimizer is missing; expected 'optimizer { use "
                           "ID }'; known: "));
}

TEST_CASE("experiment: an experiment without a contestant is refused") {
    const std::string expected =
        "there is no contestant; expected 'contestants { NAME { optimizer { use ID } } }'";
    CHECK(refused(kProblem) == "2 dir/run.info: contestants: " + expected);
}

TEST_CASE("experiment: training and weights are refused where they make no sense") {
    CHECK(refused(kProblem + "contestants { a { optimizer { use ista }\n train { epochs 3 } } }\n") ==
          "2 dir/run.info:5: contestants.a.train: 'ista' has nothing to learn; remove 'train'");
    CHECK(refused(kProblem + "contestants { a { optimizer { use ista }\n weights w } }\n") ==
          "2 dir/run.info:5: contestants.a.weights: 'ista' has nothing to learn; remove 'weights'");
    CHECK(refused(kProblem +
                  "contestants { a { optimizer { use lista }\n weights w\n train { epochs 3 } } }\n") ==
          "2 dir/run.info:6: contestants.a.train: with 'weights' nothing is trained; remove one of the two");
    CHECK(refused(lista("")) ==
          "2 dir/run.info:4: contestants.lista: 'lista' is learned and has no weights; expected 'train { ... "
          "}' here or at the top level, 'weights FILE', or 'untrained true'");
    CHECK(refused(kProblem +
                  "train { horizon 4 }\ncontestants { lista { optimizer { use lista\n layers 4 }\n" +
                  "continue_with { use lista } } }\n")
              .ends_with(
                  "contestants.lista.continue_with: 'lista' is learned; expected an optimizer that needs "
                  "no training, such as 'fista'"));
}

TEST_CASE(
    "experiment: a safeguard has settings of its own and those of the classic optimizer, at their place") {
    const auto contestant = [](const std::string& safeguard) {
        return kProblem + "contestants { a { optimizer { use fista }\n safeguard { " + safeguard + " } } }\n";
    };
    const Experiment experiment = read_text(contestant("use ista\n theta 0.5\n step_size frobenius"));
    const SafeguardChoice& safeguard = experiment.contestants[0].safeguard.value();
    CHECK(safeguard.classic.id() == "ista");
    CHECK(safeguard.classic.resolve().canonical().at("step_size") == "frobenius");
    CHECK(safeguard.rule.theta == 0.5);
    CHECK(read_text(experiment.info).contestants[0].safeguard->rule.theta == 0.5);
    CHECK(refused(contestant("test objective"))
              .starts_with("2 dir/run.info:5: contestants.a.safeguard.use is missing; expected 'use ID'; "
                           "known: "));
    CHECK(refused(contestant("use itsa"))
              .starts_with("2 dir/run.info:5: contestants.a.safeguard.use: unknown optimizer 'itsa'; did you "
                           "mean 'ista'?"));
    CHECK(refused(contestant("use ista\n alhpa 0.5"))
              .starts_with("2 dir/run.info:6: contestants.a.safeguard: neither the safeguard nor 'ista' has "
                           "an option 'alhpa'; did "
                           "you mean 'alpha'?"));
    // What is evaluated does not change what was trained.
    CHECK(hash_of(lista("horizon 4"), {"contestants.lista.safeguard.use=ista"}) ==
          hash_of(lista("horizon 4")));
}

TEST_CASE("experiment: names that cannot be names of files are refused") {
    CHECK(
        refused("name a/b\n" + kProblem + "contestants { a { optimizer { use ista } } }\n") ==
        "2 dir/run.info:1: name is 'a/b', and a folder is named after it; expected letters, digits, '_' and "
        "'-'");
    CHECK(refused(kProblem + "contestants { a/b { optimizer { use ista } } }\n") ==
          "2 dir/run.info:4: the contestant 'a/b' has a '/' in its name, and files are named after it; "
          "expected "
          "letters, digits, '_' and '-'");
}
