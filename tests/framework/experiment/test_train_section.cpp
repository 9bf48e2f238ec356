#include <doctest/doctest.h>

#include <map>
#include <string>
#include <vector>

#include "framework/experiment/experiment.hpp"
#include "tests/framework/experiment/read_text.hpp"

using namespace l2o::framework;
using l2o::test::hash_of;
using l2o::test::lista;
using l2o::test::read_text;
using l2o::test::refused;
using l2o::test::train_of;

TEST_CASE("experiment: a teacher must be there, known, and need no training") {
    const std::string text = lista("imitation { teacher { use adam } }");
    CHECK(hash_of(text) != hash_of(text, {"train.imitation.probability=0.4"}));
    CHECK(hash_of(text) != hash_of(text, {"train.imitation.teacher.learning_rate=0.4"}));
    CHECK(hash_of(text, {"train.imitation.probability=0"}) == hash_of(lista("batch 128")));
    CHECK(refused(lista("imitation { probability 0.5 }"))
              .starts_with(
                  "2 dir/run.info:4: contestants.lista.train.imitation.teacher.use is missing; expected "
                  "'use ID'; known: "));
    CHECK(
        refused(lista("imitation { teacher { use adma } }"))
            .starts_with("2 dir/run.info:4: contestants.lista.train.imitation.teacher.use: unknown optimizer "
                         "'adma'; did you mean 'adam'?"));
    CHECK(refused(lista("imitation { teacher { use lista } }")) ==
          "2 dir/run.info:4: contestants.lista.train.imitation.teacher.use is 'lista', which is learned; "
          "expected an optimizer that needs no training, such as 'adam'");
    CHECK(refused(lista("imitation { teacher { use adam } probability 1.5 }"))
              .starts_with(
                  "2 dir/run.info:4: contestants.lista.train.imitation.probability is '1.5'; expected"));
}

TEST_CASE("experiment: a curriculum is read with its stages, and refused without what it needs") {
    const std::string text = lista(
        "schedule curriculum validate { every 2 } imitation { teacher { use adam } }\n"
        "stages { a { horizon 2 unroll 1 imitation 0 } b { horizon 4 epochs 9 } }");
    const TrainSettings train = train_of(read_text(text));
    CHECK(train.schedule == Schedule::kCurriculum);
    CHECK(train.patience == 3);
    REQUIRE(train.stages.size() == 2);
    CHECK(train.stages[0].horizon == 2);
    CHECK(train.stages[0].unroll == 1);
    CHECK(train.stages[0].imitation == 0);
    CHECK(train.stages[1].horizon == 4);
    CHECK(train.stages[1].unroll == 0);
    CHECK(train.stages[1].epochs == 9);
    CHECK_FALSE(train.stages[1].imitation.has_value());
    for (const char* change :
         {"train.stages.a.horizon=3", "train.stages.b.unroll=2", "train.stages.b.imitation=0.1"})
        CHECK(hash_of(text) != hash_of(text, {change}));

    const std::string at = "2 dir/run.info:4: contestants.lista.train.";
    CHECK(refused(lista("schedule curriculum validate { every 2 patience 0 }")) ==
          at + "validate.patience is 0; a curriculum goes on by validation: expected a whole number >= 1");
    CHECK(refused(lista("schedule curriculum stages { a { horizon 2 } }")) ==
          at + "validate.every is 0; a curriculum goes on by validation: set validate.every, in epochs");
    CHECK(
        refused(lista("schedule curriculum validate { every 2 }")) ==
        at +
            "stages: a curriculum has none; expected 'stages { NAME { horizon 100 } NAME { horizon 200 } }'");
    CHECK(refused(
              lista("schedule curriculum validate { every 2 } stages { a { horizon 4 } b { horizon 3 } }")) ==
          at + "stages.b.horizon is '3'; expected at least that of the stage before, 4");
    CHECK(refused(lista("stages { a { horizon 4 unroll 5 } }")) ==
          at + "stages.a.unroll is '5'; expected at most the horizon, 4");
    CHECK(
        refused(lista("stages { a { imitation 0.5 } }")) ==
        at + "stages.a.imitation: there is no teacher; expected 'imitation { teacher { use ID } }' in train");
}

TEST_CASE("experiment: lengths are drawn from the shortest to the longest") {
    const std::string text = lista("horizon 50 horizon_from 10 unroll 8 unroll_from 2");
    CHECK(train_of(read_text(text)).horizon_from == 10);
    CHECK(train_of(read_text(text)).unroll_from == 2);
    CHECK(hash_of(text) != hash_of(text, {"train.unroll_from=3"}));
    CHECK(
        refused(lista("horizon 50 horizon_from 51")) ==
        "2 dir/run.info:4: contestants.lista.train.horizon_from is '51'; expected at most train.horizon, 50, "
        "or 0 for a fixed length");
}

TEST_CASE("experiment: a wrong estimator and pairs that do not divide the batch are refused at their place") {
    CHECK(refused(lista("estimator pse")) ==
          "2 dir/run.info:4: contestants.lista.train.estimator is 'pse'; expected one of: bptt, es, pes, "
          "cma_es; did you mean 'pes'?");
    CHECK(refused(lista("batch 12 evolution { pairs 5 }")) ==
          "2 dir/run.info:4: contestants.lista.train.evolution.pairs is '5'; expected a divisor of "
          "train.batch, 12");
    CHECK(
        refused(lista("estimator cma_es clip_norm 1")) ==
        "2 dir/run.info:4: contestants.lista.train.clip_norm is set, and estimator 'cma_es' has no gradient; "
        "remove it, or use es or pes");
    CHECK(refused(lista("estimator cma_es imitation { teacher { use adam } }")) ==
          "2 dir/run.info:4: contestants.lista.train.imitation is learned by a gradient, and estimator "
          "'cma_es' has none; remove it, or use bptt, es or pes");
    CHECK(refused(lista("evolution { sigma 0 }"))
              .starts_with("2 dir/run.info:4: contestants.lista.train.evolution.sigma is '0'; expected"));
    CHECK(refused(lista("estimator cma_es evolution { population 1 }")) ==
          "2 dir/run.info:4: contestants.lista.train.evolution.population is '1', which nothing ranks; "
          "expected "
          "0, or at least 2");
    CHECK(refused(lista("evolution { sigam 1 }")).find("did you mean 'sigma'?") != std::string::npos);
}

TEST_CASE("experiment: an unroll longer than the horizon is refused") {
    CHECK(refused(lista("horizon 4 unroll 5")) ==
          "2 dir/run.info:4: contestants.lista.train.unroll is '5'; expected at most the horizon, 4");
}

TEST_CASE("experiment: stages take from the training what they do not say themselves") {
    const Experiment experiment = read_text(
        lista("horizon 4 epochs 5 decay cosine multipliers { S 0.5 B 0.1 }\n"
              "stages { numbers { multipliers { S 0 } }\n all { epochs 9\n rate 0.2\n decay constant\n"
              "loss { use mse_to_solution } } }\n"));
    const std::vector<StageSettings>& stages = experiment.contestants[0].train.value().stages;
    REQUIRE(stages.size() == 2);
    CHECK(stages[0].name == "numbers");
    CHECK(stages[0].epochs == 5);
    CHECK(stages[0].rate == 1);
    CHECK(stages[0].decay == Decay::kCosine);
    CHECK(stages[0].multipliers == std::map<std::string, double>{{"S", 0}, {"B", 0.1}});
    CHECK(stages[1].epochs == 9);
    CHECK(stages[1].rate == 0.2);
    CHECK(stages[1].decay == Decay::kConstant);
    CHECK(stages[1].multipliers == std::map<std::string, double>{{"S", 0.5}, {"B", 0.1}});
    CHECK(!stages[0].loss);
    REQUIRE(stages[1].loss);
    CHECK(stages[1].loss->id() == "mse_to_solution");
}

TEST_CASE("experiment: estimator cma_es takes whole trajectories, also of a stage with its own horizon") {
    const std::string stages = "stages { a { horizon 2 } b { horizon 4 } c { } d { horizon 4 unroll 3 } }";
    const auto unrolls = [](const std::string& text) {
        std::vector<std::int64_t> out;
        const Experiment experiment = read_text(lista(text));
        for (const StageSettings& stage : experiment.contestants[0].train.value().stages)
            out.push_back(stage.unroll);
        return out;
    };
    CHECK(unrolls("estimator cma_es horizon 3 " + stages) == std::vector<std::int64_t>{2, 4, 0, 3});
    CHECK(unrolls("estimator cma_es horizon 3 unroll_from 2 " + stages) ==
          std::vector<std::int64_t>{0, 0, 0, 3});
    CHECK(unrolls("estimator cma_es horizon 3 unroll 1 " + stages) == std::vector<std::int64_t>{0, 0, 0, 3});
    CHECK(unrolls("horizon 3 " + stages) == std::vector<std::int64_t>{0, 0, 0, 3});
}

TEST_CASE("experiment: stages of a layer-wise training, and patience without validation, are refused") {
    CHECK(refused(lista("horizon 4 schedule layerwise stages { a { epochs 3 } }")) ==
          "2 dir/run.info:4: contestants.lista.train.stages: a layer-wise training has stages of its own; "
          "expected 'schedule flat', or 'layerwise { ... }' instead");
    CHECK(refused(lista("horizon 4 validate { patience 3 }")) ==
          "2 dir/run.info:4: contestants.lista.train.validate.patience is 3, and nothing is validated; set "
          "validate.every");
}
