#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "framework/experiment/experiment.hpp"
#include "framework/experiment/section_schemas.hpp"
#include "framework/plugin/keys.hpp"
#include "framework/store/hash.hpp"
#include "framework/store/safetensors.hpp"
#include "framework/weights/weights.hpp"
#include "tests/framework/config/refusal.hpp"
#include "tests/framework/store/scratch_folder.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::framework;
using l2o::test::catalog;
using l2o::test::refusal;

namespace {

Experiment read(const std::string& text, const std::vector<std::string>& overrides = {}) {
    return read_experiment(catalog(), Config::parse(text, "dir/run.info", overrides));
}

std::string refused(const std::string& text) {
    return refusal([&] { (void)read(text); });
}

const std::string kProblem = "optimizee { use sparse_recovery\n m 8\n n 16 }\n";

/// One learned contestant with this shared `train`, and this of its own.
std::string lista(const std::string& shared, const std::string& own = "") {
    return kProblem + (shared.empty() ? "" : "train { " + shared + " }\n") +
           "contestants { lista { optimizer { use lista\n layers 4 }\n" +
           (own.empty() ? "" : "train { " + own + " }\n") + "} }\n";
}

const TrainSettings& train_of(const Experiment& experiment) {
    return experiment.contestants.at(0).train.value();
}

std::string hash_of(const std::string& text, const std::vector<std::string>& overrides = {}) {
    return read(text, overrides).contestants.at(0).hash;
}

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
            CHECK(refusal([&] { (void)read(text, {override}); }) == "no error");
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
    const Experiment experiment = read(R"(
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
    CHECK(read(text).evaluate.reference == "a");
    CHECK(read(text + "evaluate { reference b target -20 tolerance 0.01 }\n").evaluate.reference == "b");
    CHECK(read(text + "evaluate { reference b\n target -20\n }\n").evaluate.target == -20);
    CHECK_FALSE(read(text).evaluate.target.has_value());
    CHECK(refused(text + "evaluate { reference c }\n")
              .find("evaluate.reference is 'c'; expected the name of a contestant") != std::string::npos);
    CHECK(refused(text + "evaluate { tolerance 1 }\n").find("evaluate.tolerance is '1'") !=
          std::string::npos);
}

TEST_CASE("experiment: a training of another seed is another one, and seed 0 the one without a seed") {
    const std::string without = hash_of(lista("epochs 100"));
    CHECK(hash_of(lista("epochs 100"), {"train.seed=0"}) == without);
    CHECK(hash_of(lista("epochs 100"), {"train.seed=1"}) != without);
    CHECK(hash_of(lista("epochs 100"), {"train.seed=1"}) != hash_of(lista("epochs 100"), {"train.seed=2"}));
    CHECK(read(lista("epochs 100"), {"train.seed=3"}).contestants.at(0).train.value().seed == 3);
}

TEST_CASE("experiment: the hash of a training knows the content of its files") {
    const ScratchFolder folder;
    const auto hash = [&](const std::vector<double>& entries) {
        Tensor a(Dtype::kF64, {1, 2});
        std::copy(entries.begin(), entries.end(), a.values<double>().begin());
        write_safetensors(folder / "a", {{"A", &a}});
        return hash_of(lista("horizon 4\n loss { use mse_to_solution }"),
                       {"optimizee.m=1", "optimizee.n=2", "optimizee.matrix=" + (folder / "a").string()});
    };
    CHECK(hash({1, 2}) == hash({1, 2}));
    CHECK(hash({1, 2}) != hash({1, 3}));
}

TEST_CASE("experiment: the hash of a training knows the content of a folder of files") {
    const ScratchFolder folder;
    std::filesystem::create_directory(folder / "data");
    const auto hash = [&](const char* file, const std::string& rows) {
        std::ofstream(folder / file) << rows;
        return hash_of(lista("horizon 4\n loss { use mse_to_solution }"),
                       {"optimizee.m=1", "optimizee.n=2", "optimizee.data=" + (folder / "data").string()});
    };
    const std::string first = hash("data/train.csv", "1,2\n");
    CHECK(first == hash("data/train.csv", "1,2\n"));
    CHECK(first == hash("elsewhere.csv", "1,2\n"));
    CHECK(first != hash("data/train.csv", "1,3\n"));
    CHECK(first == hash("data/train.csv", "1,2\n"));
    CHECK(first != hash("data/test.csv", ""));
}

TEST_CASE("experiment: what is not written has its default") {
    const Experiment experiment = read(lista("horizon 4"));
    CHECK(experiment.name == "run");
    CHECK(experiment.seed == 0);
    CHECK(experiment.dtype == Dtype::kF32);
    CHECK(experiment.evaluate.iterations == 100);
    const TrainSettings& train = train_of(experiment);
    CHECK(train.unroll == 4);
    CHECK(train_of(read(lista("horizon 30"))).unroll == 20);
    CHECK(train.estimator == EstimatorKind::kBptt);
    CHECK_FALSE(train.imitation.has_value());
    CHECK(train_of(read(lista("imitation { teacher { use adam } }"))).imitation.value().probability == 0.3);
    CHECK(train.pairs == 16);
    CHECK(train_of(read(lista("batch 21"))).pairs == 7);
    CHECK(train.loss.id() == "trajectory_sum");
    CHECK(train.meta_optimizer.id() == "adam");
    CHECK(train.meta_optimizer.resolve().canonical().at("learning_rate") == "0.001");
    CHECK(train.optimizee.resolve().canonical() == experiment.optimizee.resolve().canonical());
}

TEST_CASE(
    "experiment: a contestant's train is laid over the shared one, and another plugin drops its settings") {
    const TrainSettings train =
        train_of(read(lista("horizon 4 epochs 5 meta_optimizer { beta1 0.5 } loss { use mse_to_solution }",
                            "epochs 6 loss { use trajectory_sum } meta_optimizer { learning_rate 1e-2 }")));
    CHECK(train.epochs == 6);
    CHECK(train.horizon == 4);
    CHECK(train.loss.id() == "trajectory_sum");
    CHECK(train.meta_optimizer.resolve().canonical().at("beta1") == "0.5");
    CHECK(train.meta_optimizer.resolve().canonical().at("learning_rate") == "0.01");
    const TrainSettings other =
        train_of(read(lista("meta_optimizer { beta1 0.5 }", "meta_optimizer { use gradient_descent }")));
    CHECK(other.meta_optimizer.resolve().canonical().at("learning_rate") == "0.01");
}

TEST_CASE("experiment: the hash changes with what training depends on, and with nothing else") {
    const std::string text = lista("horizon 4 epochs 5");
    const std::string hash = hash_of(text);
    CHECK(hash == hash_of(lista("epochs 5", "horizon 4")));
    CHECK(hash == hash_of(text + "; a comment\nname other evaluate { iterations 3 }\n"));
    CHECK(hash == hash_of(text, {"train.memory=1MiB", "train.checkpoint_every_s=1"}));
    CHECK(hash == hash_of(text, {"train.meta_optimizer.learning_rate=0.001", "train.unroll=4"}));
    for (const char* change : {"seed=1",
                               "dtype=float64",
                               "optimizee.m=9",
                               "contestants.lista.optimizer.layers=3",
                               "train.epochs=6",
                               "train.loss.use=mse_to_solution",
                               "train.meta_optimizer.beta1=0.8",
                               "train.shard_rows=16",
                               "train.decay=cosine",
                               "train.average=0.9",
                               "train.layerwise.layer_decay_of=gradient",
                               "train.validate.restore=false",
                               "train.estimator=es",
                               "train.update_probability.last=0.5",
                               "train.stages.one.epochs=3",
                               "train.multipliers.shared.B=0.5"}) {
        CAPTURE(change);
        CHECK(hash != hash_of(text, {change}));
    }
}

TEST_CASE("experiment: how values alone are perturbed counts in the hash where it is done") {
    const std::string bptt = lista("horizon 4"), pes = lista("horizon 4 estimator pes");
    CHECK(hash_of(bptt) == hash_of(bptt, {"train.evolution.sigma=0.1"}));
    CHECK(hash_of(pes) != hash_of(pes, {"train.evolution.sigma=0.1"}));
    CHECK(hash_of(pes) != hash_of(pes, {"train.evolution.pairs=8"}));
    const std::string search = lista("estimator cma_es horizon 40");
    CHECK(train_of(read(search)).unroll == 40);
    CHECK(train_of(read(search)).sigma == 0.3);
    CHECK(hash_of(search) != hash_of(search, {"train.evolution.population=8"}));
    CHECK(hash_of(search) == hash_of(search, {"train.evolution.pairs=8"}));
    CHECK(hash_of(pes) != hash_of(pes, {"train.estimator=es"}));
}

TEST_CASE("experiment: a teacher must be there, known, and need no training") {
    const std::string text = lista("imitation { teacher { use adam } }");
    CHECK(hash_of(text) != hash_of(text, {"train.imitation.probability=0.4"}));
    CHECK(hash_of(text) != hash_of(text, {"train.imitation.teacher.learning_rate=0.4"}));
    CHECK(hash_of(text, {"train.imitation.probability=0"}) == hash_of(lista("batch 128")));
    CHECK(
        refused(lista("imitation { probability 0.5 }")) ==
        "2 dir/run.info:4: contestants.lista.train.imitation.teacher.use is missing; expected a text that is "
        "not empty");
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
    const TrainSettings train = train_of(read(text));
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
    CHECK(train_of(read(text)).horizon_from == 10);
    CHECK(train_of(read(text)).unroll_from == 2);
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
    CHECK(refused(lista("evolution { sigam 1 }")).find("did you mean 'sigma'?") != std::string::npos);
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
    const Experiment first = read(lista("horizon 4 epochs 5"), {"train.epochs=9", "seed=5"});
    CHECK(first.hash == sha1_hex(first.info));
    const Experiment again = read_experiment(catalog(), Config::parse(first.info, "elsewhere/config.info"));
    CHECK(again.info == first.info);
    CHECK(again.hash == first.hash);
    CHECK(again.name == "run");
    CHECK(again.seed == 5);
    CHECK(train_of(again).epochs == 9);
    CHECK(again.contestants[0].hash == first.contestants[0].hash);
}

TEST_CASE(
    "experiment: options of a weight file count more than the file's and less than the command line's") {
    const ScratchFolder folder;
    const std::filesystem::path file = folder / "w.safetensors";
    write_safetensors(
        file,
        {},
        {{"l2o.format", "1"}, {"l2o.optimizer", "lista"}, {"l2o.options", R"({"layers": 5, "ridge": 0.5})"}});
    const std::string text = kProblem + "contestants { a { optimizer { use lista\n layers 4 }\n weights " +
                             file.string() + " } }\n";
    const auto options = [&](const std::vector<std::string>& overrides) {
        const Contestant contestant = read(text, overrides).contestants[0];
        CHECK(contestant.weights == file);
        return contestant.optimizer.resolve(weight_options(contestant.weights, "lista")).canonical();
    };
    CHECK(options({}).at("layers") == "5");
    CHECK(options({"contestants.a.optimizer.layers=6"}).at("layers") == "6");
    CHECK(options({"contestants.a.optimizer.layers=6"}).at("ridge") == "0.5");
}

TEST_CASE("experiment: weights are relative to the file that names them, and absolute in the written one") {
    const ScratchFolder folder;
    const std::string name = (folder / "w.safetensors").string();
    write_safetensors(name, {}, {{"l2o.format", "1"}, {"l2o.optimizer", "lista"}});
    const Config config =
        Config::parse(kProblem + "contestants { a { optimizer { use lista }\n weights w.safetensors } }\n",
                      folder / "run.info");
    const Experiment experiment = read_experiment(catalog(), config);
    CHECK(experiment.contestants[0].weights == name);
    CHECK(experiment.info.find("weights " + name + "\n") != std::string::npos);
}

TEST_CASE("experiment: a mistyped key is reported as such, at every level") {
    CHECK(refused("optimisee { use lasso }\n") ==
          "2 dir/run.info:1: unknown key 'optimisee'; did you mean 'optimizee'? known: contestants, dtype, "
          "evaluate, name, optimizee, seed, train");
    CHECK(refused(kProblem + "contestants { a { optimiser { use ista } } }\n") ==
          "2 dir/run.info:4: unknown key 'contestants.a.optimiser'; did you mean 'optimizer'? known: "
          "continue_with, optimizer, restarts, safeguard, train, tune, untrained, weights");
    CHECK(refused(lista("epohcs 3"))
              .find("run.info:4: unknown key 'contestants.lista.train.epohcs'; did you "
                    "mean 'epochs'?") != std::string::npos);
    CHECK(refused(kProblem + "contestants { a { optimizer { use ista } } }\nevaluate { iteration 3 }\n")
              .find("unknown key 'evaluate.iteration'; did you mean 'iterations'?") != std::string::npos);
    CHECK(refused(kProblem + "train { epohcs 3 }\ncontestants { a { optimizer { use ista } } }\n")
              .find("run.info:4: unknown key 'train.epohcs'") != std::string::npos);
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
    CHECK(refused("optimizee { m 3 }\ncontestants { a { optimizer { use ista } } }\n") ==
          "2 dir/run.info:1: optimizee.use is missing; expected a text that is not empty");
    CHECK(refused(kProblem + "contestants { a { optimizer { step 3 } } }\n") ==
          "2 dir/run.info:4: contestants.a.optimizer.use is missing; expected 'optimizer { use ID }'");
    CHECK(refused(kProblem + "contestants { a { optimizer { use ista } restarts 0 } }\n")
              .ends_with("contestants.a.restarts is '0'; expected a whole number >= 1"));
    CHECK(refused(kProblem + "contestants { a { continue_with { use ista } } }\n") ==
          "2 dir/run.info:4: contestants.a.optimizer is missing; expected 'optimizer { use ID }'");
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
    const Experiment experiment = read(contestant("use ista\n theta 0.5\n step_size frobenius"));
    const SafeguardChoice& safeguard = experiment.contestants[0].safeguard.value();
    CHECK(safeguard.classic.id() == "ista");
    CHECK(safeguard.classic.resolve().canonical().at("step_size") == "frobenius");
    CHECK(safeguard.rule.theta == 0.5);
    CHECK(read(experiment.info).contestants[0].safeguard->rule.theta == 0.5);
    CHECK(refused(contestant("test objective")) ==
          "2 dir/run.info:5: contestants.a.safeguard.use is missing; expected a text that is not empty");
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

TEST_CASE("experiment: missing weights are reported before anything else happens") {
    CHECK(refused(kProblem + "contestants { a { optimizer { use lista }\n weights none.safetensors } }\n")
              .find("dir/none.safetensors") != std::string::npos);
}

TEST_CASE("experiment: an unroll longer than the horizon is refused") {
    CHECK(refused(lista("horizon 4 unroll 5")) ==
          "2 dir/run.info:4: contestants.lista.train.unroll is '5'; expected at most the horizon, 4");
}

TEST_CASE("experiment: stages take from the training what they do not say themselves") {
    const Experiment experiment =
        read(lista("horizon 4 epochs 5 decay cosine multipliers { S 0.5 B 0.1 }\n"
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

TEST_CASE("experiment: stages of a layer-wise training, and patience without validation, are refused") {
    CHECK(refused(lista("horizon 4 schedule layerwise stages { a { epochs 3 } }")) ==
          "2 dir/run.info:4: contestants.lista.train.stages: a layer-wise training has stages of its own; "
          "expected 'schedule flat', or 'layerwise { ... }' instead");
    CHECK(refused(lista("horizon 4 validate { patience 3 }")) ==
          "2 dir/run.info:4: contestants.lista.train.validate.patience is 3, and nothing is validated; set "
          "validate.every");
}

TEST_CASE("experiment: a warm start is relative to the file that names it, and part of the hash") {
    const ScratchFolder folder;
    std::ofstream(folder / "w.safetensors") << "one";
    const auto hash = [&] {
        return hash_of(lista("horizon 4 warm_start " + (folder / "w.safetensors").string()));
    };
    const std::string before = hash();
    CHECK(before == hash());
    std::ofstream(folder / "w.safetensors") << "two";
    CHECK(before != hash());
    CHECK(refused(lista("horizon 4 warm_start none.safetensors")).find("dir/none.safetensors") !=
          std::string::npos);
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

TEST_CASE("experiment: training and test data share one key, all other keys differ") {
    const Keys keys = keys_of(7);
    CHECK(keys.train_data == keys.test_data);
    const std::vector<Key> different{keys.train_data,
                                     keys.train_start,
                                     keys.train_steps,
                                     keys.test_start,
                                     keys.test_steps,
                                     keys.init_params,
                                     keys_of(8).train_data};
    for (std::size_t i = 0; i < different.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) CHECK(different[i] != different[j]);
    }
}
