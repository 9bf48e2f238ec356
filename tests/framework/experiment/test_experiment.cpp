#include <doctest/doctest.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "framework/experiment/experiment.hpp"
#include "framework/experiment/section_schemas.hpp"
#include "framework/store/hash.hpp"
#include "tests/framework/config/refusal.hpp"
#include "tests/framework/experiment/read_text.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::framework;
using l2o::test::catalog;
using l2o::test::hash_of;
using l2o::test::kProblem;
using l2o::test::lista;
using l2o::test::read_text;
using l2o::test::refusal;
using l2o::test::refused;
using l2o::test::train_of;

namespace {

/// A value that a setting takes: its default, or where that depends on others the least of its range.
std::string some_value(const OptionSchema& option) {
    if (option.def && !option.def->empty()) return *option.def;
    if (!option.choices.empty()) return option.choices.front();
    return std::to_string(static_cast<int>(range_of(option).contains(0) ? 0 : option.min));
}

/// "train.validate.every=0" for all settings of a section and those in it, without the plugins'.
void list_overrides(const SectionSchema& section,
                    const std::string& path,
                    std::vector<std::string>& overrides) {
    if (!section.plugin.empty()) return;
    for (const OptionSchema& option : section.options) {
        if (option.type != L2O_OPTION_PATH && option.type != L2O_OPTION_TEXT)
            overrides.push_back(path + "." + option.key + "=" + some_value(option));
    }
    for (const SectionSchema& child : section.sections)
        list_overrides(child, path + "." + child.key, overrides);
}

}  // namespace

TEST_CASE("experiment: every setting of the manual can be written") {
    const std::string text = lista("imitation { teacher { use adam } }") + "evaluate { }\n";
    for (const SectionSchema* section : {&train_schema(), &evaluate_schema()}) {
        std::vector<std::string> overrides;
        list_overrides(*section, section->key, overrides);
        REQUIRE(overrides.size() >= 9);
        for (const std::string& override : overrides) {
            CAPTURE(override);
            CHECK(refusal([&] { (void)read_text(text, {override}); }) == "no error");
        }
    }
}

TEST_CASE("experiment: a default that the manual states is the one that counts") {
    std::vector<std::string> all, stated;
    list_overrides(train_schema(), "train", all);
    for (const std::string& override : all) {
        if (override.find("NAME") == std::string::npos && override.find("imitation") == std::string::npos &&
            override.find("pairs") == std::string::npos)
            stated.push_back(override);
    }
    REQUIRE(stated.size() > 30);
    CHECK(hash_of(lista("epochs 100"), stated) == hash_of(lista("epochs 100")));
    CHECK(hash_of(lista("epochs 100"), {"train.epochs=101"}) != hash_of(lista("epochs 100")));
}

TEST_CASE("experiment: every setting of a full file arrives where it belongs") {
    const Experiment experiment = read_text(R"(
name full
seed 42
dtype float64
optimizee { use sparse_recovery
            m 8
            n 16 }
train { epochs 7
        horizon 4
        unroll 2
        batch 3
        instances 9
        reduction sum
        clip_norm 0.5
        estimator pes
        imitation { teacher { use adam
                              learning_rate 0.02 }
                    probability 0.2 }
        evolution { sigma 0.02
                    pairs 1 }
        second_order exact
        memory 4GiB
        shard_rows 5
        schedule layerwise
        checkpoint_every_s 1.5
        loss { use mse_to_solution }
        meta_optimizer { use adam
                         learning_rate 2e-3 }
        optimizee { m 9 }
        validate { every 10
                   instances 11
                   patience 12
                   restore false }
        decay linear
        average 0.99
        layerwise { steps_new 1
                    steps_all 2
                    steps_fine 3
                    rate_new 0.9
                    rate_all 0.8
                    rate_fine 0.7
                    layer_decay 0.6
                    layer_decay_of gradient }
        multipliers { linear/w 0.1
                      layer { 03 { theta 0.2 } } } }
contestants {
    ista { optimizer { use ista } }
    lista { optimizer { use lista
                        layers 4 }
            train { epochs 500 }
            continue_with { use fista } }
}
evaluate { instances 6
           starts 2
           iterations 12
           metrics_every 3
           metric nmse_db
           max_evaluations 50
           shard_rows 4 }
)");
    CHECK(experiment.name == "full");
    CHECK(experiment.seed == 42);
    CHECK(experiment.dtype == Dtype::kF64);
    CHECK(experiment.optimizee.resolve().canonical().at("m") == "8");

    REQUIRE(experiment.contestants.size() == 2);
    CHECK(experiment.contestants[0].name == "ista");
    CHECK_FALSE(experiment.contestants[0].is_learned());
    CHECK_FALSE(experiment.contestants[0].train.has_value());
    CHECK(experiment.contestants[0].hash.empty());

    const Contestant& contestant = experiment.contestants[1];
    CHECK(contestant.name == "lista");
    CHECK(contestant.is_learned());
    CHECK(contestant.hash.size() == 40);
    CHECK(contestant.continue_with.value().id() == "fista");
    const TrainSettings& train = contestant.train.value();
    CHECK(train.epochs == 500);
    CHECK(train.horizon == 4);
    CHECK(train.unroll == 2);
    CHECK(train.batch == 3);
    CHECK(train.instances == 9);
    CHECK_FALSE(train.mean);
    CHECK(train.clip_norm == 0.5);
    CHECK(train.estimator == EstimatorKind::kPes);
    CHECK(train.imitation.value().probability == 0.2);
    CHECK(train.imitation->teacher.resolve().canonical().at("learning_rate") == "0.02");
    CHECK(train.sigma == 0.02);
    CHECK(train.pairs == 1);
    CHECK(train.second_order == SecondOrder::kExact);
    CHECK(train.memory_bytes == std::uint64_t{4} << 30);
    CHECK(train.shard_rows == 5);
    CHECK(train.schedule == Schedule::kLayerwise);
    CHECK(train.checkpoint_every_s == 1.5);
    CHECK(train.loss.id() == "mse_to_solution");
    CHECK(train.meta_optimizer.resolve().canonical().at("learning_rate") == "0.002");
    CHECK(train.optimizee.resolve().canonical().at("m") == "9");
    CHECK(train.optimizee.resolve().canonical().at("n") == "16");
    CHECK(train.validate_every == 10);
    CHECK(train.validate_instances == 11);
    CHECK(train.steps_new == 1);
    CHECK(train.steps_all == 2);
    CHECK(train.steps_fine == 3);
    CHECK(train.rate_new == 0.9);
    CHECK(train.rate_all == 0.8);
    CHECK(train.rate_fine == 0.7);
    CHECK(train.layer_decay == 0.6);
    CHECK(train.layer_decay_of == LayerDecay::kGradient);
    CHECK(train.patience == 12);
    CHECK_FALSE(train.restore);
    CHECK(train.decay == Decay::kLinear);
    CHECK(train.average == 0.99);
    CHECK(train.multipliers == std::map<std::string, double>{{"linear/w", 0.1}, {"layer.03.theta", 0.2}});

    CHECK(experiment.evaluate.instances == 6);
    CHECK(experiment.evaluate.starts == 2);
    CHECK(experiment.evaluate.iterations == 12);
    CHECK(experiment.evaluate.metrics_every == 3);
    CHECK(experiment.evaluate.metric == "nmse_db");
    CHECK(experiment.evaluate.max_evaluations == 50);
    CHECK(experiment.evaluate.shard_rows == 4);
}

TEST_CASE("experiment: the reference is the one that is named, or the first that is not learned") {
    const std::string text = kProblem +
                             "train { horizon 4 }\ncontestants { l { optimizer { use lista layers 4 } }\n"
                             "a { optimizer { use ista } }\nb { optimizer { use ista } } }\n";
    CHECK(read_text(text).evaluate.reference == "a");
    CHECK(read_text(text + "evaluate { reference b target -20 tolerance 0.01 }\n").evaluate.reference == "b");
    CHECK(read_text(text + "evaluate { reference b\n target -20\n }\n").evaluate.target == -20);
    CHECK_FALSE(read_text(text).evaluate.target.has_value());
    CHECK(refused(text + "evaluate { reference c }\n")
              .find("evaluate.reference is 'c'; expected the name of a contestant") != std::string::npos);
    CHECK(refused(text + "evaluate { tolerance 1 }\n").find("evaluate.tolerance is '1'") !=
          std::string::npos);
}

TEST_CASE("experiment: what is not written has its default") {
    const Experiment experiment = read_text(lista("horizon 4"));
    CHECK(experiment.name == "run");
    CHECK(experiment.seed == 0);
    CHECK(experiment.dtype == Dtype::kF32);
    CHECK(experiment.evaluate.iterations == 100);
    const TrainSettings& train = train_of(experiment);
    CHECK(train.unroll == 4);
    CHECK(train_of(read_text(lista("horizon 30"))).unroll == 20);
    CHECK(train.estimator == EstimatorKind::kBptt);
    CHECK_FALSE(train.imitation.has_value());
    CHECK(train_of(read_text(lista("imitation { teacher { use adam } }"))).imitation.value().probability ==
          0.3);
    CHECK(train.pairs == 16);
    CHECK(train_of(read_text(lista("batch 21"))).pairs == 7);
    CHECK(train.loss.id() == "trajectory_sum");
    CHECK(train.meta_optimizer.id() == "adam");
    CHECK(train.meta_optimizer.resolve().canonical().at("learning_rate") == "0.001");
    CHECK(train.optimizee.resolve().canonical() == experiment.optimizee.resolve().canonical());
}

TEST_CASE(
    "experiment: a contestant's train is laid over the shared one, and another plugin drops its settings") {
    const TrainSettings train = train_of(
        read_text(lista("horizon 4 epochs 5 meta_optimizer { beta1 0.5 } loss { use mse_to_solution }",
                        "epochs 6 loss { use trajectory_sum } meta_optimizer { learning_rate 1e-2 }")));
    CHECK(train.epochs == 6);
    CHECK(train.horizon == 4);
    CHECK(train.loss.id() == "trajectory_sum");
    CHECK(train.meta_optimizer.resolve().canonical().at("beta1") == "0.5");
    CHECK(train.meta_optimizer.resolve().canonical().at("learning_rate") == "0.01");
    const TrainSettings other =
        train_of(read_text(lista("meta_optimizer { beta1 0.5 }", "meta_optimizer { use gradient_descent }")));
    CHECK(other.meta_optimizer.resolve().canonical().at("learning_rate") == "0.01");
}

TEST_CASE("experiment: the seed of the command line replaces that of the file") {
    const Config config = Config::parse("seed 3\n" + lista("horizon 4"), "run.info");
    const Experiment experiment = read_experiment(catalog(), config, 8);
    CHECK(experiment.seed == 8);
    CHECK(experiment.info.find("seed 8\n") != std::string::npos);
    CHECK(refusal([&] { (void)read_experiment(catalog(), config, std::uint64_t{1} << 63); }) ==
          "2 the seed is 9223372036854775808; expected a whole number below 2^63");
}

TEST_CASE("experiment: the written configuration reads back as the same experiment") {
    const Experiment first = read_text(lista("horizon 4 epochs 5"), {"train.epochs=9", "seed=5"});
    CHECK(first.hash == sha1_hex(first.info));
    const Experiment again = read_experiment(catalog(), Config::parse(first.info, "elsewhere/config.info"));
    CHECK(again.info == first.info);
    CHECK(again.hash == first.hash);
    CHECK(again.name == "run");
    CHECK(again.seed == 5);
    CHECK(train_of(again).epochs == 9);
    CHECK(again.contestants[0].hash == first.contestants[0].hash);
}
