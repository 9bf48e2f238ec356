#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <stdexcept>

#include "framework/error.hpp"
#include "framework/store/safetensors.hpp"
#include "tests/framework/config/refusal.hpp"
#include "tests/framework/store/scratch_folder.hpp"
#include "tests/framework/train/trainee.hpp"

namespace {

using namespace l2o::framework;
using namespace l2o::test;

/// Windows of 10, 10 and 5 steps, 5 instances in shards of 2, 2 and 1: 9 windows.
Trainee windows_of(Dtype dtype) {
    Trainee trainee({.optimizer = "l2o_dm", .options = {{"hidden", "4"}}, .dtype = dtype},
                    {.epochs = 3,
                     .horizon = 25,
                     .unroll = 10,
                     .batch = 5,
                     .shard_rows = 2,
                     .validate_every = 2,
                     .validate_instances = 3});
    return trainee;
}
Trainee flat() { return windows_of(Dtype::kF64); }
Trainee single() { return windows_of(Dtype::kF32); }
/// A population that asks: 9 windows.
Trainee scouting() {
    Trainee trainee({.optimizer = "learned_scouts"});
    trainee.settings() = flat().settings();
    return trainee;
}
/// A state of whole numbers: 9 windows.
Trainee counting() {
    Trainee trainee({.optimizer = "learned_decay"});
    trainee.settings() = flat().settings();
    return trainee;
}
Trainee layerwise() {
    Trainee trainee = layerwise_lista();
    trainee.settings().instances = 10;
    trainee.settings().validate_every = 2;
    trainee.settings().validate_instances = 3;
    return trainee;
}
/// Two stages with a running mean; the second one may end early.
Trainee staged() {
    Trainee trainee = windows_of(Dtype::kF64);
    TrainSettings& settings = trainee.settings();
    settings.average = 0.9;
    settings.patience = 2;
    settings.validate_every = 1;
    settings.instances = 10;
    settings.stages = {{.name = "one", .epochs = 2, .multipliers = {}},
                       {.name = "two", .epochs = 6, .rate = 30, .decay = Decay::kCosine, .multipliers = {}}};
    return trainee;
}
/// 8 windows, every second one diverges.
Trainee diverging() {
    Trainee trainee(
        {.options = {{"gives_up_at", "7"}}},
        {.epochs = 4, .horizon = 20, .unroll = 5, .batch = 3, .shard_rows = 2, .validate_every = 1});
    return trainee;
}

/// Its first meta-step is its last good one; 9 windows, no validation.
Trainee ruined() {
    Trainee trainee({.meta_options = {{"learning_rate", "1000"}}},
                    {.epochs = 8, .horizon = 10, .unroll = 5, .batch = 3});
    return trainee;
}

/// 9 windows; persistent pairs are in different phases.
Trainee evolving(EstimatorKind kind) {
    Trainee trainee = windows_of(Dtype::kF64);
    trainee.settings().estimator = kind;
    trainee.settings().batch = 6;
    trainee.settings().pairs = 3;
    return trainee;
}
Trainee es() { return evolving(EstimatorKind::kEs); }
Trainee pes() { return evolving(EstimatorKind::kPes); }
/// 5 generations.
Trainee search() {
    Trainee trainee({});
    trainee.settings().estimator = EstimatorKind::kCmaEs;
    trainee.settings().epochs = 5;
    trainee.settings().batch = 6;
    trainee.settings().horizon = trainee.settings().unroll = 10;
    return trainee;
}
/// The same on a fixed training set, in two stages.
Trainee pes_in_stages() {
    Trainee trainee = staged();
    trainee.settings().estimator = EstimatorKind::kPes;
    trainee.settings().pairs = 5;
    return trainee;
}

/// Trajectories of imitation among them, with a meta-optimizer and a teacher that have a state.
Trainee imitating() {
    Trainee trainee = pes();
    trainee.settings().epochs = 6;
    trainee.settings().imitation = {.teacher = choice(Kind::kOptimizer, "adam", {{"learning_rate", "0.01"}}),
                                    .probability = 0.5};
    return trainee;
}

/// Stages that grow; the last one with windows of drawn lengths.
Trainee growing() {
    Trainee trainee = windows_of(Dtype::kF64);
    TrainSettings& settings = trainee.settings();
    settings.schedule = Schedule::kCurriculum;
    settings.patience = 2;
    settings.validate_every = 1;
    settings.unroll_from = 3;
    settings.imitation = {.teacher = choice(Kind::kOptimizer, "adam", {{"learning_rate", "0.01"}}),
                          .probability = 0.5};
    settings.stages = {
        {.name = "one", .epochs = 3, .horizon = 8, .unroll = 8, .imitation = 0, .multipliers = {}},
        {.name = "two", .epochs = 3, .horizon = 15, .rate = 30, .multipliers = {}}};
    return trainee;
}
/// Trajectories of drawn lengths, in pairs that are in different phases.
Trainee drawn() {
    Trainee trainee = pes();
    trainee.settings().horizon_from = 12;
    trainee.settings().unroll_from = 3;
    return trainee;
}

/// Rows that are learned from are chosen by what carried on.
Trainee paced() {
    Trainee trainee = windows_of(Dtype::kF64);
    trainee.settings().self_paced = {.share = 0.4, .epochs = 2};
    return trainee;
}

/// What an uninterrupted training gives.
struct Reference {
    explicit Reference(Trainee& trainee) {
        const ScratchFolder folder;
        const TrainResult result = trainee.train(
            {.checkpoint = folder / "state", .metrics = folder / "metrics"}, 1, [this](const Progress& p) {
                windows = p.done;
            });
        params = bytes(result.params);
        best_validation = bytes_of_real(result.best_validation);
        engine_bytes = result.engine_bytes;
        outcome = to_json(result).dump();
        lines = records(folder / "metrics");
    }
    void check(const TrainResult& result, const std::filesystem::path& metrics) const {
        CHECK(bytes(result.params) == params);
        CHECK(bytes_of_real(result.best_validation) == best_validation);
        CHECK(to_json(result).dump() == outcome);
        CHECK(result.engine_bytes == engine_bytes);
        CHECK(records(metrics) == lines);
    }
    static std::string bytes_of_real(double value) {
        return {reinterpret_cast<const char*>(&value), sizeof value};
    }

    std::int64_t windows = 0, engine_bytes = 0;
    std::string params, best_validation, outcome;
    std::vector<nlohmann::json> lines;
};

struct Crash : std::runtime_error {
    Crash() : std::runtime_error("crash") {}
};
ProgressSink crash_after(std::int64_t window) {
    return [window](const Progress& progress) {
        if (progress.done == window) throw Crash();
    };
}

}  // namespace

TEST_CASE(
    "a training interrupted after any window and resumed ends with the bits and records of a whole one") {
    for (Trainee (*make)() : {flat,
                              single,
                              scouting,
                              counting,
                              layerwise,
                              staged,
                              diverging,
                              ruined,
                              es,
                              pes,
                              pes_in_stages,
                              imitating,
                              growing,
                              drawn,
                              paced}) {
        Trainee trainee = make();
        const Reference reference(trainee);
        CAPTURE(trainee.optimizer().id());
        REQUIRE(reference.windows >= 8);
        for (std::int64_t window = 1; window <= reference.windows; ++window) {
            CAPTURE(window);
            const ScratchFolder folder;
            TrainFiles files{.checkpoint = folder / "state", .metrics = folder / "metrics"};
            CHECK_THROWS_AS(trainee.train(files, 1, interrupt_after(window)), Error);
            files.resume = true;
            const TrainResult result = trainee.train(files, 2);
            reference.check(result, files.metrics);
        }
    }
}

TEST_CASE("a training interrupted after every window ends with the bits and records of a whole one") {
    for (Trainee (*make)() : {flat, layerwise, staged, diverging, es, pes, search, imitating}) {
        Trainee trainee = make();
        const Reference reference(trainee);
        const ScratchFolder folder;
        const TrainFiles files{.checkpoint = folder / "state", .metrics = folder / "metrics", .resume = true};
        for (std::int64_t window = 1; window <= reference.windows; ++window)
            CHECK_THROWS_AS(trainee.train(files, 1, interrupt_after(window)), Error);
        reference.check(trainee.train(files), files.metrics);
    }
}

TEST_CASE(
    "a training that dies without a word goes on from its last checkpoint, and no record is there twice") {
    for (const double every_s : {0.0, 1e6}) {
        for (Trainee (*make)() : {flat, layerwise, staged, diverging}) {
            Trainee trainee = make();
            trainee.settings().checkpoint_every_s = every_s;
            const Reference reference(trainee);
            for (std::int64_t window = 1; window <= reference.windows; window += 3) {
                const ScratchFolder folder;
                std::ofstream(folder / "metrics") << "{\"contestant\":\"another\"}\n";
                const TrainFiles files{
                    .checkpoint = folder / "state", .metrics = folder / "metrics", .resume = true};
                CHECK_THROWS_AS(trainee.train(files, 1, crash_after(window)), Crash);
                const TrainResult result = trainee.train(files);
                CHECK(bytes(result.params) == reference.params);
                std::vector<nlohmann::json> want = reference.lines;
                want.insert(want.begin(), nlohmann::json::object({{"contestant", "another"}}));
                CHECK(records(files.metrics) == want);
            }
        }
    }
}

TEST_CASE("a checkpoint due after every window changes nothing") {
    Trainee trainee = flat();
    const Reference reference(trainee);
    trainee.settings().checkpoint_every_s = 0;
    const ScratchFolder folder;
    const TrainFiles files{.checkpoint = folder / "state", .metrics = folder / "metrics"};
    reference.check(trainee.train(files), files.metrics);
    CHECK(std::filesystem::exists(files.checkpoint));
}

TEST_CASE("an interruption says where the training stands and where its state is") {
    const ScratchFolder folder;
    const TrainFiles files{.checkpoint = folder / "state"};
    Trainee one_stage = flat(), stages = layerwise();
    CHECK(refusal([&] { one_stage.train(files, 1, interrupt_after(4)); }) ==
          "130 training of 'trainee' interrupted, at epoch 1 of 3; its state is in " +
              files.checkpoint.string());
    CHECK(refusal([&] { one_stage.train({}, 1, interrupt_after(4)); }) ==
          "130 training of 'trainee' interrupted, at epoch 1 of 3");
    CHECK(refusal([&] { stages.train(files, 1, interrupt_after(6)); }) ==
          "130 training of 'trainee' interrupted, at epoch 1 of 2 (layer 2: new); its state is in " +
              files.checkpoint.string());
}

TEST_CASE("an interruption that a plugin sees while instances are drawn leaves a checkpoint too") {
    const auto trainee = [](const char* stops_at) {
        Trainee made({.optimizee = "stopping", .problem = {{"stops_at", stops_at}, {"reason", "cancelled"}}},
                     {.epochs = 4, .horizon = 10, .unroll = 5, .batch = 3});
        return made;
    };
    Trainee whole = trainee("-1"), stopped = trainee("6");
    const Reference reference(whole);
    const ScratchFolder folder;
    TrainFiles files{.checkpoint = folder / "state", .metrics = folder / "metrics"};
    CHECK(refusal([&] { stopped.train(files); }) ==
          "130 training of 'trainee' interrupted, optimizee 'stopping': interrupted; its state is in " +
              files.checkpoint.string());
    // Nothing is trained twice.
    files.resume = true;
    std::int64_t first = 0;
    const TrainResult result =
        whole.train(files, 1, [&](const Progress& p) { first = first == 0 ? p.done : first; });
    CHECK(first == 5);
    reference.check(result, files.metrics);

    Trainee never_started = trainee("0");
    const ScratchFolder empty;
    CHECK(refusal([&] { never_started.train({.checkpoint = empty / "state"}); }) ==
          "130 training of 'trainee' interrupted, optimizee 'stopping': interrupted");
}

TEST_CASE("a checkpoint of another training is refused, and one that is no checkpoint") {
    Trainee trainee = flat();
    const ScratchFolder folder;
    TrainFiles files{.checkpoint = folder / "state"};
    CHECK_THROWS_AS(trainee.train(files, 1, interrupt_after(4)), Error);
    files.resume = true;
    trainee.contestant().hash = "4567";
    CHECK(
        refusal([&] { trainee.train(files); }) ==
        "2 " + files.checkpoint.string() +
            ": belongs to another training (its configuration, plugin version or seed differs); start a new "
            "run, or restore the configuration");

    constexpr const char* kRemedy = "; remove this file, and its training begins anew";
    const std::string path = files.checkpoint.string();
    Tensor tensor(Dtype::kF64, {1});
    write_safetensors(path, {{"x", &tensor}}, {});
    CHECK(refusal([&] { trainee.train(files); }) ==
          "5 " + path + ": not a checkpoint (no metadata 'l2o.checkpoint')" + kRemedy);
    write_safetensors(path, {{"x", &tensor}}, {{"l2o.checkpoint", R"({"hash":"4567"})"}});
    CHECK(refusal([&] { trainee.train(files); }) ==
          "5 " + path +
              ": written by another version of l2o (checkpoints of format '1'; this one has format '3')" +
              kRemedy);
    write_safetensors(path, {{"x", &tensor}}, {{"l2o.checkpoint", "{"}});
    CHECK(refusal([&] { trainee.train(files); }).starts_with("5 " + path + ": malformed checkpoint: "));
    std::ofstream(files.checkpoint) << "nonsense";
    const std::string nonsense = refusal([&] { trainee.train(files); });
    CHECK(nonsense.starts_with("5 " + path));
    CHECK(nonsense.ends_with(kRemedy));
}

namespace {

/// A checkpoint in the middle of a trajectory of the second stage, to be edited.
struct Edited {
    explicit Edited(Trainee& made) : trainee(made) {
        CHECK_THROWS_AS(trainee.train(files, 1, interrupt_after(8)), Error);
        files.resume = true;
        file = read_safetensors(files.checkpoint);
        cursor = nlohmann::json::parse(file.metadata.at("l2o.checkpoint"));
    }
    /// What a training says to it, without its path.
    std::string refused(bool with_seal = true) {
        TensorRefs tensors;
        for (const auto& [name, tensor] : file.tensors) tensors[name] = &tensor;
        std::map<std::string, std::string> metadata = file.metadata;
        metadata["l2o.checkpoint"] = cursor.dump();
        write_safetensors(files.checkpoint, tensors, with_seal ? sealed(tensors, metadata) : metadata);
        const std::string text = refusal([&] { (void)trainee.train(files); });
        const std::string path = "5 " + files.checkpoint.string() + ": ";
        return text.starts_with(path) ? text.substr(path.size()) : text;
    }

    Trainee& trainee;
    const ScratchFolder folder;
    TrainFiles files{.checkpoint = folder / "state", .metrics = folder / "metrics"};
    TensorFile file;
    nlohmann::json cursor;
};

}  // namespace

TEST_CASE("a checkpoint is believed only if it is what was written") {
    Trainee trainee = staged();
    {
        Edited untouched(trainee);
        CHECK(untouched.cursor.at("stage") == 1);
        CHECK(untouched.cursor.at("t") == 20);
        CHECK(untouched.refused(false) == "no error");
    }
    const auto edit = [&](const char* key, nlohmann::json value) {
        Edited edited(trainee);
        edited.cursor[key] = std::move(value);
        CHECK(edited.refused(false) ==
              "not as it was written: its checksum differs; remove this file, and its training begins anew");
        return edited.refused();
    };
    for (const char* key :
         {"stage", "epoch", "trajectory", "t", "meta_t", "meta_steps", "stale", "records"}) {
        CAPTURE(key);
        CHECK(edit(key, -1) ==
              "'" + std::string(key) +
                  "' is -1; expected a whole number in [0, 1e15]; remove this file, and its training "
                  "begins anew");
        CHECK(edit(key, 1e300).starts_with("'" + std::string(key) + "' is 1e+300; expected a whole number"));
        CHECK(edit(key, std::uint64_t{1} << 63)
                  .starts_with("'" + std::string(key) + "' is 9223372036854775808"));
    }
    for (const auto& [key, value] : std::map<std::string, std::int64_t>{
             {"stage", 2}, {"epoch", 7}, {"trajectory", 99}, {"t", 5}, {"meta_t", 9}, {"stale", 77}}) {
        const auto& which = key;
        CAPTURE(which);
        CHECK(edit(key.c_str(), value).starts_with("the training is never at step "));
    }
    CHECK(edit("t", 1'000'000'000'000).starts_with("the training is never at step 1000000000000 of "));
    CHECK(edit("records", 4)
              .find("metrics: holds 2 records of 'trainee', and the checkpoint goes on after 4") !=
          std::string::npos);
    CHECK(edit("seconds", "long").starts_with("malformed checkpoint: "));
}

TEST_CASE("the tensors of a checkpoint are all there, have their shapes, and parameters are finite") {
    Trainee trainee = staged();
    const std::string phi = std::string("phi/") + trainee.optimizer().params()[0]->name;
    {
        Edited edited(trainee);
        edited.file.tensors.at(phi) = Tensor(Dtype::kF64, {1, 2});
        CHECK(edited.refused().starts_with("tensor '" + phi + "' is float64 [1, 2]; expected float64 "));
    }
    {
        Edited edited(trainee);
        edited.file.tensors.at(phi) = edited.file.tensors.at(phi).clone();
        edited.file.tensors.at(phi).values<double>()[0] = NAN;
        CHECK(edited.refused() ==
              "tensor '" + phi + "' is not finite; remove this file, and its training begins anew");
    }
    for (const char* name : {"carried/0/0", "meta/0"}) {
        Edited edited(trainee);
        edited.file.tensors.erase(name);
        CHECK(edited.refused() ==
              "has no tensor '" + std::string(name) + "'; remove this file, and its training begins anew");
    }
    Trainee pairs = pes_in_stages();
    {
        Edited edited(pairs);
        edited.file.tensors.erase("pairs/0/where");
        CHECK(edited.refused().starts_with("has no tensor 'pairs/0/where'"));
    }
    for (const std::int64_t t : {-1, 1000}) {
        Edited edited(pairs);
        edited.file.tensors.at("pairs/1/where") = edited.file.tensors.at("pairs/1/where").clone();
        edited.file.tensors.at("pairs/1/where").values<std::int64_t>()[1] = t;
        CHECK(edited.refused().starts_with("a training is never at pairs/1/where = ["));
    }
}

TEST_CASE("a metrics log that is missing or shorter is told with what to do, and nothing is changed") {
    Trainee trainee = staged();
    Edited edited(trainee);
    const std::string log = edited.files.metrics.string();
    const std::string remedy =
        "; put it back, or remove " + edited.files.checkpoint.string() + ", and the training begins anew";
    std::filesystem::rename(log, log + ".away");
    CHECK(refusal([&] { trainee.train(edited.files); }) ==
          "5 " + log + ": is missing, and the checkpoint goes on after 2 records of 'trainee'" + remedy);
    std::ofstream(log) << "";
    CHECK(refusal([&] { trainee.train(edited.files); }) ==
          "5 " + log +
              ": holds 0 records of 'trainee', and the checkpoint goes on after 2; expected the log and the "
              "checkpoint of one run" +
              remedy);
    // What the remedies say.
    const Reference whole(trainee);
    std::filesystem::rename(log + ".away", log);
    whole.check(trainee.train(edited.files), log);
    std::filesystem::remove(edited.files.checkpoint);
    whole.check(trainee.train(edited.files), log);
}

TEST_CASE("without resume a checkpoint that lies there is ignored and replaced") {
    Trainee trainee = flat();
    const Reference reference(trainee);
    const ScratchFolder folder;
    const TrainFiles files{.checkpoint = folder / "state"};
    CHECK_THROWS_AS(trainee.train(files, 1, interrupt_after(4)), Error);
    CHECK(bytes(trainee.train(files).params) == reference.params);
}
