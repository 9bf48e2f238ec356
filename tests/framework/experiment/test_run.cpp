#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "framework/cancel.hpp"
#include "framework/evaluate/curve_file.hpp"
#include "framework/evaluate/results.hpp"
#include "framework/evaluate/results_file.hpp"
#include "framework/experiment/run.hpp"
#include "framework/experiment/run_folder.hpp"
#include "framework/report/report.hpp"
#include "framework/store/atomic_file.hpp"
#include "framework/store/csv.hpp"
#include "framework/store/lock_file.hpp"
#include "framework/store/safetensors.hpp"
#include "framework/text/json.hpp"
#include "tests/framework/config/refusal.hpp"
#include "tests/framework/store/scratch_folder.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::framework;
using l2o::test::catalog;
using l2o::test::refusal;
using l2o::test::values;
namespace fs = std::filesystem;

namespace {

using Source = WeightsReport::Source;

// One learned contestant beside an analytic one; 2 x 2 rows in shards of 3.
constexpr const char* kSmall = R"(
name small
seed 5
optimizee { use sparse_recovery
            m 4
            n 6 }
train { epochs 6
        horizon 3
        batch 4
        shard_rows 2
        checkpoint_every_s 0
        loss { use mse_to_solution } }
contestants { ista { optimizer { use ista } }
              lista { optimizer { use lista
                                  layers 3 } } }
evaluate { instances 2
           starts 2
           iterations 3
           shard_rows 3 }
)";

/// The small experiment with `more` laid over it.
Experiment read(const std::string& more = "") {
    static const ScratchFolder folder;
    const fs::path small = folder / "small.info";
    if (!fs::exists(small)) write_file_atomically(small, kSmall);
    return read_experiment(catalog(),
                           Config::parse("#include \"" + small.string() + "\"\n" + more, "run.info"));
}

RunResult run(const ScratchFolder& folder, RunOptions options = {}, const std::string& more = "") {
    options.root = folder / "runs";
    return run_experiment(read(more), options);
}

std::vector<std::vector<double>> rows(const RunResult& result) {
    std::vector<std::vector<double>> all;
    for (const Curve& curve : result.results.curves)
        all.insert(all.end(), curve.final_rows.begin(), curve.final_rows.end());
    return all;
}

std::map<std::string, std::vector<double>> tensors(const fs::path& file) {
    std::map<std::string, std::vector<double>> all;
    for (const auto& [name, tensor] : read_safetensors(file).tensors) all[name] = values(tensor);
    return all;
}

/// Of "...; go on with: l2o run --resume FOLDER".
fs::path advised_folder(const std::string& text) {
    const std::string advice = "; go on with: l2o run --resume ";
    const auto begin = text.find(advice);
    REQUIRE(begin != std::string::npos);
    return text.substr(begin + advice.size());
}

/// Interrupts once `what` is `done` steps on.
ProgressSink interrupt_at(const std::string& what, std::int64_t done) {
    return [what, done](const Progress& progress) {
        if (progress.what == what && progress.done >= done) cancel_flag() = 1;
    };
}
std::string interrupted(const ScratchFolder& folder, RunOptions options, const std::string& more = "") {
    const std::string text = refusal([&] { (void)run(folder, std::move(options), more); });
    cancel_flag() = 0;
    REQUIRE(text.starts_with("130 "));
    return text;
}

/// What `l2o run --resume` does.
RunResult resume(const fs::path& path, RunOptions options = {}) {
    const ResumedRun resumed = resumed_run(catalog(), path);
    options.part = resumed.request.part;
    options.resume = path;
    options.root = "nowhere/else";
    return run_experiment(resumed.experiment, options);
}

/// The records of a run, without what the clock says.
std::vector<nlohmann::json> records(const fs::path& run) {
    std::vector<nlohmann::json> all;
    std::ifstream file(run / "metrics.jsonl");
    for (std::string line; std::getline(file, line);) {
        all.push_back(nlohmann::json::parse(line));
        all.back().erase("seconds");
    }
    return all;
}

/// Another learned contestant and one that takes part only in the comparison.
constexpr const char* kShort = "short { optimizer { use lista\n layers 3 }\n train { epochs 2 } }";
const std::string kMore = std::string("contestants { ") + kShort + " }";

}  // namespace

TEST_CASE("run: trains, evaluates everybody in the order of the file, and writes the folder") {
    const ScratchFolder folder;
    const RunResult result = run(folder);
    CHECK(result.folder.parent_path() == folder / "runs/small");
    for (const char* name : {"config.info",
                             "environment.json",
                             "request.json",
                             "metrics.jsonl",
                             "curves.csv",
                             "finals.csv",
                             "results.json",
                             "summary.csv",
                             "checkpoints/lista.safetensors"}) {
        CAPTURE(name);
        CHECK(fs::is_regular_file(result.folder / name));
    }
    CHECK_FALSE(fs::exists(result.folder / "checkpoints/lista.train.safetensors"));
    CHECK(read_file(result.folder / "config.info") == read().info);

    REQUIRE(result.results.curves.size() == 2);
    CHECK(result.results.curves[0].contestant == "ista");
    CHECK(result.results.curves[0].training_seconds == 0);
    CHECK(result.results.curves[1].contestant == "lista");
    CHECK(result.results.curves[1].training_seconds > 0);
    CHECK(result.results.curves[1].final_rows[0].size() == 4);
    CHECK(result.results.judging.metric == "nmse_db");
    CHECK(result.results.judging.reference == "ista");
    CHECK(result.results.judging.starts == 2);
    for (const Curve& curve : result.results.curves) CHECK(curve.reached.size() == 4);
    // Both start at the same points of the same instances.
    CHECK(result.results.curves[0].distributions[0][0].median ==
          result.results.curves[1].distributions[0][0].median);

    REQUIRE(result.weights.size() == 1);
    CHECK(result.weights[0].source == Source::kTrained);
    CHECK(result.weights[0].file ==
          folder / ("runs/weights/lista-" + read().contestants[1].hash + ".safetensors").c_str());
    CHECK(result.weights[0].training.value().meta_steps > 0);
    CHECK(tensors(result.weights[0].file) == tensors(result.folder / "checkpoints/lista.safetensors"));
}

TEST_CASE("run: weights are found again, with the same results and the time that their training took") {
    const ScratchFolder folder;
    const RunResult first = run(folder);
    const RunResult second = run(folder);
    CHECK(second.folder != first.folder);
    CHECK(second.weights.at(0).source == Source::kFound);
    CHECK(second.weights.at(0).seconds == first.weights.at(0).seconds);
    CHECK(rows(second) == rows(first));
    CHECK(run(folder, {}, "train { epochs 7 }").weights.at(0).source == Source::kTrained);
}

TEST_CASE("run: weights that were damaged or edited are not found again, but told and trained again") {
    const ScratchFolder folder;
    std::vector<std::string> notes;
    const auto listen = [&notes](const std::string& text) { notes.push_back(text); };
    const RunResult first = run(folder, {.note = listen});
    CHECK(notes.empty());
    const fs::path weights = first.weights.at(0).file;
    const auto whole = tensors(weights);
    std::string bytes = read_file(weights);
    bytes.back() = static_cast<char>(bytes.back() ^ 1);
    write_file_atomically(weights, bytes);

    const std::string damaged = weights.string() + ": has been changed or damaged since it was written";
    CHECK(refusal([&] { (void)run(folder, {.part = RunPart::kEvaluate}); }).starts_with("2 " + damaged));
    const RunResult second = run(folder, {.note = listen});
    CHECK(second.weights.at(0).source == Source::kTrained);
    REQUIRE(notes.size() == 1);
    CHECK(notes[0].starts_with(damaged));
    CHECK(notes[0].ends_with("; 'lista' is trained again"));
    CHECK(tensors(weights) == whole);
    CHECK(run(folder).weights.at(0).source == Source::kFound);
}

TEST_CASE("run: weights that other builds of the plugins have made are used with a note of both") {
    const ScratchFolder folder;
    const RunResult first = run(folder);
    const fs::path weights = first.weights.at(0).file;
    std::vector<std::string> notes;
    const auto listen = [&notes](const std::string& text) { notes.push_back(text); };
    TensorFile file = read_safetensors(weights);
    TensorRefs refs;
    for (const auto& [name, tensor] : file.tensors) refs[name] = &tensor;
    file.metadata["l2o.builds"] =
        R"({"optimizer lista": "0123456789abcdef", "loss mse_to_solution": "fedcba"})";
    write_safetensors(weights, refs, sealed(refs, file.metadata));
    const RunResult again = run(folder, {.note = listen});
    CHECK(again.weights.at(0).source == Source::kFound);
    REQUIRE(notes.size() == 1);
    CHECK(notes[0].find("loss mse_to_solution fedcba, here ") != std::string::npos);
    CHECK(notes[0].find("optimizer lista 0123456789ab, here ") != std::string::npos);
}

TEST_CASE("run: weights found again tell what their training came to, and a report of them does") {
    const ScratchFolder folder;
    const std::string more = "train { epochs 2\n batch 4\n meta_optimizer { learning_rate 1e30 } }";
    const RunResult first = run(folder, {}, more), second = run(folder, {}, more);
    CHECK(second.weights.at(0).source == Source::kFound);
    for (const RunResult* result : {&first, &second}) {
        REQUIRE(result->weights.at(0).training);
        const TrainingOutcome& outcome = *result->weights[0].training;
        CHECK(outcome.meta_steps == 1);
        CHECK(outcome.skipped == 1);
        CHECK(outcome.diverged);
        CHECK(outcome.improved() == false);
        CHECK(remarks_on(outcome).size() == 3);
        constexpr std::int64_t kShardRows = 3;  // of evaluate, see above
        const Results kept = read_results(result->folder, kShardRows);
        CHECK(to_json(kept.curves.at(1).training.value()) == to_json(outcome));
        CHECK_FALSE(kept.curves.at(0).training);
    }
    // What is kept is where it began.
    const RunResult untrained = run(folder, {.untrained = true}, more);
    CHECK(rows(second) == rows(untrained));
    CHECK_FALSE(untrained.results.curves.at(1).training);
}

TEST_CASE("run: results tell the content of every file that the experiment names") {
    const ScratchFolder folder;
    Tensor matrix(Dtype::kF64, {4, 6});
    const auto run_on = [&](double first) {
        std::vector<double> entries(24);
        for (double& entry : entries) entry = std::fmod(first += 7, 5);
        l2o::test::set_values(matrix, entries);
        write_safetensors(folder / "a.safetensors", {{"A", &matrix}}, {});
        return run(folder,
                   {.untrained = true},
                   "optimizee { matrix " + (folder / "a.safetensors").string() + " }")
            .folder;
    };
    const fs::path one = run_on(1), two = run_on(2);
    CHECK(one.filename().string().substr(16, 8) ==
          two.filename().string().substr(16, 8));  // one configuration
    const auto files = [](const fs::path& path) { return read_results(path, 3).files.value(); };
    const FileContents first = files(one), second = files(two);
    REQUIRE(first.size() == 2);
    CHECK(first.contains("contestants.lista.train.optimizee.matrix"));
    CHECK(first.at("optimizee.matrix").path == (folder / "a.safetensors").string());
    CHECK(second.at("optimizee.matrix").sha1 == content_hash(folder / "a.safetensors"));
    CHECK(first.at("optimizee.matrix").sha1 != second.at("optimizee.matrix").sha1);
    CHECK(refusal([&] {
              (void)write_report({one, two}, folder / "both");
          }).starts_with("2 " + two.string() + " was run on another content of "));
    CHECK(files(run(folder).folder).empty());
}

TEST_CASE("run: a training whose every window diverges leaves no weights to be found again") {
    const ScratchFolder folder;
    const std::string more = "train { meta_optimizer { learning_rate 1e300 } }";
    for (int i = 0; i < 2; ++i) {
        CHECK(refusal([&] {
                  (void)run(folder, {}, more);
              }).starts_with("4 training of 'lista': all 6 windows diverged (a step of the meta-optimizer"));
        for (const auto& entry : fs::directory_iterator(folder / "runs/weights"))
            CHECK(entry.path().extension() == ".lock");
    }
}

namespace {

/// The file again, with other metadata and its checksum.
void write_with(const fs::path& path, const std::string& key, const std::string& text) {
    TensorFile file = read_safetensors(path);
    file.metadata[key] = text;
    TensorRefs tensors;
    for (const auto& [name, tensor] : file.tensors) tensors[name] = &tensor;
    write_safetensors(path, tensors, sealed(tensors, file.metadata));
}

/// Of the small experiment with weights that are given, too.
std::string given(const fs::path& weights) {
    return "contestants { given { optimizer { use lista }\n weights \"" + weights.string() + "\" } }";
}

}  // namespace

TEST_CASE("run: weights that do not suit are trained again where they were found, and refused where given") {
    const ScratchFolder folder;
    const fs::path found = run(folder).weights.at(0).file, mine = folder / "mine.safetensors";
    fs::copy(found, mine);
    const auto whole = tensors(found);
    std::vector<std::string> notes;
    const auto listen = [&notes](const std::string& text) { notes.push_back(text); };
    std::string fault;
    SUBCASE("for what they say of their training") {
        fault = ": metadata l2o.training is '{\"skipped\": 1}'; expected what 'l2o train' writes there";
        for (const fs::path& path : {found, mine}) write_with(path, "l2o.training", "{\"skipped\": 1}");
    }
    SUBCASE("for a tensor of another shape") {
        fault = ": tensor 'shared.B' has shape [2]; expected [6, 4]";
        for (const fs::path& path : {found, mine}) {
            TensorFile file = read_safetensors(path);
            file.tensors.insert_or_assign("shared.B", Tensor(Dtype::kF32, {2}));
            TensorRefs refs;
            for (const auto& [name, tensor] : file.tensors) refs[name] = &tensor;
            write_safetensors(path, refs, sealed(refs, file.metadata));
        }
    }
    CHECK(refusal([&] { (void)run(folder, {}, given(mine)); }) == "2 " + mine.string() + fault);
    const RunResult again = run(folder, {.note = listen});
    CHECK(again.weights.at(0).source == Source::kTrained);
    CHECK(notes == std::vector<std::string>{found.string() + fault + "; 'lista' is trained again"});
    CHECK(tensors(found) == whole);
}

TEST_CASE("run: weights that somebody has written anew are not found again, and serve where they are given") {
    const ScratchFolder folder;
    const fs::path found = run(folder).weights.at(0).file, mine = folder / "mine.safetensors";
    const TensorFile file = read_safetensors(found);
    TensorRefs refs;
    for (const auto& [name, tensor] : file.tensors) refs[name] = &tensor;
    for (const fs::path& path : {found, mine})
        write_safetensors(path,
                          refs,
                          {{"l2o.format", "1"},
                           {"l2o.optimizer", "lista"},
                           {"l2o.options", file.metadata.at("l2o.options")}});
    std::vector<std::string> notes;
    const RunResult again =
        run(folder, {.note = [&](const std::string& text) { notes.push_back(text); }}, given(mine));
    CHECK(again.weights.at(0).source == Source::kTrained);
    CHECK(again.weights.at(1).source == Source::kGiven);
    CHECK(again.results.curves.at(2).final_rows == again.results.curves.at(1).final_rows);
    REQUIRE(notes.size() == 1);
    CHECK(notes[0].starts_with(found.string() + ": belongs to another training"));
}

TEST_CASE("run: training again, and on two threads, gives the same bits") {
    const ScratchFolder folder;
    const RunResult first = run(folder);
    const auto weights = tensors(first.weights.at(0).file);
    const RunResult second = run(folder, {.retrain = true, .threads = 2});
    CHECK(second.weights.at(0).source == Source::kTrained);
    CHECK(tensors(second.weights.at(0).file) == weights);
    CHECK(rows(second) == rows(first));
}

TEST_CASE("run: training alone writes the weights, evaluation alone wants them") {
    const ScratchFolder folder;
    const std::string refused = refusal([&] { (void)run(folder, {.part = RunPart::kEvaluate}); });
    CHECK(
        refused.starts_with("2 contestants.lista: 'lista' has not been trained with these settings: there is "
                            "no "));
    CHECK(refused.ends_with("; train it first ('l2o train'), or name its weights ('weights FILE')"));
    CHECK_FALSE(fs::exists(folder / "runs"));

    const RunResult trained = run(folder, {.part = RunPart::kTrain});
    CHECK(trained.results.curves.empty());
    CHECK_FALSE(fs::exists(trained.folder / "curves.csv"));
    const RunResult evaluated = run(folder, {.part = RunPart::kEvaluate});
    CHECK(evaluated.weights.at(0).source == Source::kFound);
    CHECK(evaluated.results.curves.size() == 2);
}

TEST_CASE("run: untrained, learned contestants run from their start values, whatever weights there are") {
    const ScratchFolder folder;
    const RunResult untrained = run(folder, {.part = RunPart::kEvaluate, .untrained = true});
    CHECK(untrained.weights.empty());
    CHECK_FALSE(fs::exists(folder / "runs" / "weights"));
    const RunResult trained = run(folder);
    CHECK(rows(trained) != rows(untrained));
    const RunOptions options{.part = RunPart::kEvaluate, .untrained = true};
    const RunResult again = run(folder, options);
    CHECK(rows(again) == rows(untrained));
    // What is trained there in between changes nothing of what was asked for.
    RunOptions training{.part = RunPart::kTrain};
    training.resume = again.folder;
    CHECK_FALSE(run_experiment(resumed_run(catalog(), again.folder).experiment, training).weights.empty());
    CHECK(rows(resume(again.folder)) == rows(untrained));
}

TEST_CASE("run: given weights are evaluated as they are") {
    const ScratchFolder folder;
    const RunResult first = run(folder);
    const RunResult second = run(folder,
                                 {},
                                 "contestants { given { optimizer { use lista }\n weights \"" +
                                     first.weights.at(0).file.string() + "\" } }");
    REQUIRE(second.weights.size() == 2);
    CHECK(second.weights[1].source == Source::kGiven);
    CHECK(second.results.curves.at(2).final_rows == first.results.curves.at(1).final_rows);
}

TEST_CASE("run: weights of another matrix are used with a note, also those that were found") {
    const ScratchFolder folder;
    const RunResult first = run(folder);
    std::vector<std::string> notes;
    const auto listen = [&notes](const std::string& text) { notes.push_back(text); };
    const Experiment other =
        read_experiment(catalog(),
                        Config::parse("name other\nseed 6\noptimizee { use sparse_recovery\n m 4\n n 6 }\n"
                                      "contestants { given { optimizer { use lista }\n weights \"" +
                                          first.weights.at(0).file.string() +
                                          "\" } }\nevaluate { instances 2\n iterations 3 }",
                                      "other.info"));
    CHECK(run_experiment(other, {.root = folder / "runs", .note = listen}).results.curves.size() == 1);
    REQUIRE(notes.size() == 1);
    CHECK(notes[0].find(": these weights were learned for another problem: its A") != std::string::npos);
    // Trained on one distribution, compared on another.
    notes.clear();
    const std::string elsewhere = "train { optimizee { condition_number 9 } }";
    CHECK(run(folder, {.note = listen}, elsewhere).weights.at(0).source == Source::kTrained);
    CHECK(run(folder, {.note = listen}, elsewhere).weights.at(0).source == Source::kFound);
    REQUIRE(notes.size() == 2);
    CHECK(notes[0] == notes[1]);
    CHECK(notes[0].find(": these weights were learned for another problem: its A") != std::string::npos);
}

TEST_CASE("run: what cannot be evaluated is refused before anything is trained or written") {
    const ScratchFolder folder;
    CHECK(refusal([&] {
              (void)run(folder, {}, "evaluate { iterations 4 }");
          }).starts_with("2 contestants.lista: 'lista' has 3 layers"));
    CHECK(refusal([&] {
              (void)run(folder, {}, "evaluate { metric nmse }");
          }).starts_with("2 evaluate.metric: 'sparse_recovery' has no metric 'nmse'"));
    CHECK(refusal([&] { (void)run(folder, {}, "optimizee { use quadratic }"); }) ==
          "3 contestants.ista: optimizer 'ista' needs the problem data 'A', which 'quadratic' does not offer "
          "(it offers W, y)");
    CHECK_FALSE(fs::exists(folder / "runs"));
}

TEST_CASE("run: an interrupted training goes on where it was, and ends with the same weights") {
    const ScratchFolder folder, other;
    const auto want = tensors(run(other).weights.at(0).file);

    RunOptions interrupted;
    interrupted.progress = [](const Progress& progress) {
        if (progress.what == "training lista" && progress.done >= 3) cancel_flag() = 1;
    };
    const std::string text = refusal([&] { (void)run(folder, interrupted); });
    cancel_flag() = 0;
    CHECK(text.starts_with("130 training of 'lista' interrupted"));
    const fs::path path = advised_folder(text);
    REQUIRE(fs::is_regular_file(path / "checkpoints/lista.train.safetensors"));

    const Experiment experiment = resumed_run(catalog(), path).experiment;
    CHECK(experiment.hash == read().hash);
    const RunResult result = run_experiment(experiment, {.root = other / "ignored", .resume = path});
    CHECK(result.folder == path);
    CHECK(result.weights.at(0).source == Source::kTrained);
    CHECK(tensors(result.weights.at(0).file) == want);
    CHECK(result.weights.at(0).file.string().starts_with((folder / "runs/weights").string()));
    CHECK(fs::is_regular_file(path / "summary.csv"));
    CHECK_FALSE(fs::exists(path / "checkpoints/lista.train.safetensors"));
}

TEST_CASE("run: who goes on with other builds of the plugins is told which, and the folder tells of these") {
    const ScratchFolder folder;
    const fs::path path =
        advised_folder(interrupted(folder, {.progress = interrupt_at("training lista", 3)}));
    const std::string file = (path / "environment.json").string();
    const nlohmann::json before = nlohmann::json::parse(read_file(file));
    std::string lista;
    for (const auto& [name, plugin] : before.at("plugins").items()) {
        const auto& which = name;
        CAPTURE(which);
        CHECK(plugin.at("build").get<std::string>().size() == 40);
        CHECK(fs::is_regular_file(plugin.at("library").get<std::string>()));
        if (name.starts_with("optimizer lista@")) lista = name;
    }
    REQUIRE(!lista.empty());
    CHECK(before.at("plugins").contains("optimizee sparse_recovery@1.0.0"));
    nlohmann::json edited = before;
    edited["plugins"][lista]["build"] = "0123456789";
    write_file_atomically(file, edited.dump());
    std::string notes;
    (void)resume(path, {.note = [&](const std::string& text) { notes += text + "\n"; }});
    CHECK(notes.find(": was begun with other builds of its plugins: " + lista +
                     " (build 01234567 before, ") != std::string::npos);
    CHECK(nlohmann::json::parse(read_file(file)) == before);
}

TEST_CASE("run: two runs of the same second have folders of their own") {
    const ScratchFolder folder;
    const Experiment experiment = read();
    std::vector<fs::path> paths;
    for (int i = 0; i < 5; ++i) paths.push_back(RunFolder::create(folder / "runs", experiment, {}).path);
    for (std::size_t i = 0; i < paths.size(); ++i) {
        CHECK(paths[i].filename().string().find("-" + experiment.hash.substr(0, 8)) == 15);
        for (std::size_t j = 0; j < i; ++j) CHECK(paths[i] != paths[j]);
    }
}

TEST_CASE("run: a folder that is no run is refused, with or without a slash at its end") {
    const ScratchFolder folder;
    CHECK(refusal([&] {
              (void)RunFolder::open(folder / "none");
          }).find("none has no config.info; expected the folder of an earlier run") != std::string::npos);
    const RunFolder made = RunFolder::create(folder / "runs", read(), {});
    CHECK(RunFolder::open(made.path).path == made.path);
    CHECK(RunFolder::open(made.path / "").path == made.path);
    CHECK(made.root() == folder / "runs");
}

TEST_CASE("run: a folder that is done is found done wherever it has gone, and leaves no weights elsewhere") {
    const ScratchFolder folder;
    const RunResult first = run(folder);
    const fs::path back = fs::current_path(), elsewhere = folder / "home/me";
    fs::create_directories(elsewhere / "small");
    fs::create_directory_symlink(first.folder, elsewhere / "latest");
    fs::copy(first.folder, elsewhere / "copy", fs::copy_options::recursive);
    fs::copy(first.folder, elsewhere / "small/copy", fs::copy_options::recursive);
    fs::current_path(first.folder.parent_path());
    for (const fs::path& path : {first.folder,
                                 first.folder / "",
                                 fs::path(".") / first.folder.filename(),
                                 elsewhere / "latest",
                                 elsewhere / "latest/",
                                 elsewhere / "copy",
                                 elsewhere / "small/copy"}) {
        CAPTURE(path);
        const RunResult again = resume(path);
        CHECK(again.weights.at(0).source == Source::kFound);
        CHECK(again.weights.at(0).seconds == first.weights.at(0).seconds);
        CHECK(rows(again) == rows(first));
        CHECK(again.folder == fs::canonical(path));
    }
    fs::current_path(back);
    // Also without the root that it was made in, and without the folder that it was copied from.
    fs::rename(folder / "runs", folder / "gone");
    for (const fs::path& path : {elsewhere / "copy", folder / "gone/small" / first.folder.filename()})
        CHECK(resume(path).weights.at(0).source == Source::kFound);
    for (const fs::path& strange :
         {elsewhere / "weights", folder / "home/weights", folder / "runs", back / "nowhere"})
        CHECK_FALSE(fs::exists(strange));
}

TEST_CASE("run: an unfinished training goes on in a folder that was moved, and its weights stay in there") {
    const ScratchFolder folder, other;
    const auto want = tensors(run(other).weights.at(0).file);
    const fs::path path =
        advised_folder(interrupted(folder, {.progress = interrupt_at("training lista", 3)}));
    fs::create_directory(folder / "home");
    fs::rename(path, folder / "home/moved");
    fs::remove_all(folder / "runs");
    const RunResult result = resume(folder / "home/moved");
    CHECK(result.weights.at(0).source == Source::kTrained);
    CHECK(result.weights.at(0).file == folder / "home/moved/checkpoints/lista.safetensors");
    CHECK(tensors(result.weights.at(0).file) == want);
    for (const char* strange : {"weights", "home/weights", "runs"}) CHECK_FALSE(fs::exists(folder / strange));
    CHECK(resume(folder / "home/moved").weights.at(0).source == Source::kFound);

    // Where the root still is, the weights go there.
    const fs::path next =
        advised_folder(interrupted(folder, {.progress = interrupt_at("training lista", 3)}));
    fs::rename(next, folder / "home/next");
    CHECK(resume(folder / "home/next").weights.at(0).file.parent_path() == folder / "runs/weights");
    CHECK(run(folder).weights.at(0).source == Source::kFound);
}

TEST_CASE(
    "run: what is asked of a folder is kept in it: a training of one contestant goes on with that alone") {
    const ScratchFolder folder;
    Experiment experiment = read(kMore);
    REQUIRE(experiment.contestants.at(2).name == "short");
    std::erase_if(experiment.contestants,
                  [](const Contestant& contestant) { return contestant.name != "lista"; });
    const std::string text = refusal([&] {
        (void)run_experiment(experiment,
                             {.part = RunPart::kTrain,
                              .root = folder / "runs",
                              .resume_options = " --plugin-path 'a b'",
                              .progress = interrupt_at("training lista", 3)});
    });
    cancel_flag() = 0;
    REQUIRE(text.ends_with(" --plugin-path 'a b'"));
    const fs::path path = advised_folder(text.substr(0, text.size() - 20));
    const ResumedRun resumed = resumed_run(catalog(), path);
    CHECK(resumed.request.part == RunPart::kTrain);
    REQUIRE(resumed.experiment.contestants.size() == 1);
    CHECK(resumed.experiment.contestants[0].name == "lista");
    const RunResult result = resume(path);
    REQUIRE(result.weights.size() == 1);
    CHECK(result.weights[0].contestant == "lista");
    CHECK(result.weights[0].source == Source::kTrained);
    CHECK(result.results.curves.empty());
    CHECK_FALSE(fs::exists(path / "checkpoints/short.safetensors"));

    write_file_atomically(path / "request.json", "{}");
    CHECK(refusal([&] {
              (void)resume(path);
          }).starts_with("5 " + path.string() + "/request.json: not what 'l2o run' writes ("));
    fs::remove(path / "request.json");  // of an earlier version: all of everything
    CHECK(resume(path).results.curves.size() == 3);
}

TEST_CASE("run: training again in a folder replaces what was trained and recorded there") {
    const ScratchFolder folder;
    const RunResult first = run(folder, {}, kMore);
    const auto lines = records(first.folder);
    REQUIRE(lines.size() == 8);
    const RunResult again = resume(first.folder, {.retrain = true});
    for (const WeightsReport& report : again.weights) CHECK(report.source == Source::kTrained);
    CHECK(records(first.folder) == lines);
    CHECK(tensors(again.weights.at(0).file) == tensors(first.weights.at(0).file));

    // Interrupted in the first training: the second is still to be done again, though its weights can be
    // found.
    const std::string text = refusal([&] {
        (void)resume(first.folder, {.retrain = true, .progress = interrupt_at("training lista", 3)});
    });
    cancel_flag() = 0;
    CHECK(advised_folder(text) == first.folder);
    const RunResult rest = resume(first.folder);
    for (const WeightsReport& report : rest.weights) CHECK(report.source == Source::kTrained);
    CHECK(records(first.folder) == lines);
    for (const WeightsReport& report : resume(first.folder).weights) CHECK(report.source == Source::kFound);
    CHECK(records(first.folder) == lines);
}

TEST_CASE("run: a folder whose configuration was edited says so, and mixes no trainings") {
    const ScratchFolder folder;
    const RunResult first = run(folder);
    std::vector<std::string> notes;
    const RunOptions listening{.note = [&](const std::string& text) { notes.push_back(text); }};
    const std::string config = read_file(first.folder / "config.info");
    const auto edit = [&](const std::string& part, const std::string& by) {
        std::string edited = config;
        REQUIRE(edited.find(part) != std::string::npos);
        write_file_atomically(first.folder / "config.info",
                              edited.replace(edited.find(part), part.size(), by));
    };
    edit("starts 2", "starts 3 ; more of them");
    CHECK(resume(first.folder, listening).results.curves.at(0).final_rows.at(0).size() == 6);
    REQUIRE(notes.size() == 3);  // one, and that the rows of two contestants are of another configuration
    CHECK(notes[0].starts_with((first.folder / "config.info").string() +
                               " has been edited since the run began"));
    edit("starts 2", "starts 2 ; a comment");
    notes.clear();
    (void)resume(first.folder, listening);
    CHECK(notes.size() == 2);
    edit("epochs 6", "epochs 7");
    const std::string refused = refusal([&] { (void)resume(first.folder, listening); });
    CHECK(refused.starts_with(
        "2 " + (first.folder / "checkpoints/lista.safetensors").string() +
        ": belongs to another training (its configuration, plugin version or seed differs): metadata "
        "l2o.training_hash is '"));
    CHECK(refused.ends_with(
        "'; restore the configuration, remove this file to train 'lista' again, or start a new run"));
}

TEST_CASE("run: weights in its own folder that cannot be read are a failure of a file, not of its use") {
    const ScratchFolder folder;
    const RunResult first = run(folder);
    const fs::path own = first.folder / "checkpoints/lista.safetensors";
    const std::string bytes = read_file(own);
    write_file_atomically(own, bytes.substr(0, bytes.size() - 1));
    const std::string cut = refusal([&] { (void)resume(first.folder); });
    CHECK(cut.starts_with("5 " + own.string() + ": "));
    CHECK(cut.ends_with("; remove this file to train 'lista' again, or start a new run"));
    CHECK(cut.find("restore the configuration") == std::string::npos);
    fs::remove(own);
    CHECK(resume(first.folder).weights.at(0).source == Source::kFound);  // those of all runs

    // Of all runs: an evaluation says so, a run replaces them.
    const fs::path shared = first.weights.at(0).file;
    const std::string whole = read_file(shared);
    write_file_atomically(shared, whole.substr(0, whole.size() - 1));
    CHECK(refusal([&] {
              (void)run(folder, {.part = RunPart::kEvaluate});
          }).starts_with("5 " + shared.string() + ": "));
    CHECK(run(folder).weights.at(0).source == Source::kTrained);
}

namespace {

/// What is evaluated, in order.
ProgressSink listing(std::vector<std::string>& evaluated) {
    return [&evaluated](const Progress& progress) {
        if (progress.what.starts_with("evaluating ") &&
            (evaluated.empty() || evaluated.back() != progress.what.substr(11)))
            evaluated.push_back(progress.what.substr(11));
    };
}

/// A file of a run without the columns that the clock decides.
std::string without_times(const fs::path& path) {
    const CsvTable table = CsvTable::read(path);
    std::string text;
    for (std::size_t row = 0; row < table.rows(); ++row) {
        for (const std::string& column : table.header())
            if (column.find("seconds") == std::string::npos && column != "break_even_solves")
                text += table.text(row, table.column(column)) + ",";
        text += "\n";
    }
    return text;
}

}  // namespace

TEST_CASE("run: an interrupted evaluation goes on with those who are not yet evaluated, to the same bits") {
    const std::string safe = std::string("contestants { ") + kShort +
                             "safe { optimizer { use lista\n layers 3 }\n train { epochs 2 }\n"
                             "safeguard { use ista } }\n last { optimizer { use ista } } }";
    const ScratchFolder folder, other;
    const RunResult whole = run(other, {}, safe);
    REQUIRE(whole.results.curves.size() == 5);
    const fs::path path =
        advised_folder(interrupted(folder, {.progress = interrupt_at("evaluating last", 1)}, safe));
    CHECK(fs::is_regular_file(path / "checkpoints/safe.evaluation.safetensors"));
    CHECK_FALSE(fs::exists(path / "checkpoints/last.evaluation.safetensors"));

    std::vector<std::string> evaluated;
    const RunResult rest = resume(path, {.progress = listing(evaluated)});
    CHECK(evaluated == std::vector<std::string>{"last"});
    CHECK(rows(rest) == rows(whole));
    for (const char* name : {"curves.csv", "finals.csv", "summary.csv"}) {
        CAPTURE(name);
        CHECK(without_times(path / name) == without_times(whole.folder / name));
        CHECK(!without_times(path / name).empty());
    }
    for (std::size_t i = 0; i < whole.results.curves.size(); ++i)
        CHECK((rest.results.curves[i].fallback_rate == whole.results.curves[i].fallback_rate) ==
              !std::isnan(whole.results.curves[i].fallback_rate));
    const auto kept = [](const fs::path& run, const std::string& name) {
        return read_curve(run / ("checkpoints/" + name + ".evaluation.safetensors")).history.values;
    };
    CHECK(kept(path, "safe") == kept(whole.folder, "safe"));
    CHECK(kept(path, "last") == kept(whole.folder, "last"));
}

TEST_CASE("run: rows that are not to be kept are gone when the run is finished") {
    const ScratchFolder folder;
    const RunResult result = run(folder, {}, "evaluate { keep_rows false }");
    CHECK_FALSE(fs::exists(result.folder / "checkpoints/ista.evaluation.safetensors"));
    CHECK(fs::exists(result.folder / "checkpoints/lista.safetensors"));
}

TEST_CASE("run: what an interrupted evaluation has kept is believed only if nothing has changed since") {
    const ScratchFolder folder;
    const fs::path path =
        advised_folder(interrupted(folder, {.progress = interrupt_at("evaluating short", 1)}, kMore));
    const auto evaluated_after = [&](const auto& change) {
        const fs::path copy = folder / "copy";
        fs::remove_all(copy);
        fs::copy(path, copy, fs::copy_options::recursive);
        change(copy);
        std::vector<std::string> evaluated, notes;
        (void)resume(copy, {.progress = listing(evaluated), .note = [&](const std::string& text) {
                                notes.push_back(text);
                            }});
        std::string all;
        for (const std::string& name : evaluated) all += name + " ";
        for (const std::string& note : notes)
            all += note.find("is evaluated again") != std::string::npos ? "noted " : "";
        return all;
    };
    CHECK(evaluated_after([](const fs::path&) {}) == "short ");
    CHECK(evaluated_after([](const fs::path& copy) {
              const fs::path file = copy / "checkpoints/ista.evaluation.safetensors";
              std::string bytes = read_file(file);
              bytes[bytes.size() - 3] ^= 1;
              write_file_atomically(file, bytes);
          }) == "ista short noted ");
    CHECK(evaluated_after([](const fs::path& copy) {
              const fs::path file = copy / "checkpoints/lista.evaluation.safetensors";
              write_file_atomically(file, read_file(file).substr(0, 100));
          }) == "lista short noted ");
    CHECK(evaluated_after([](const fs::path& copy) {
              fs::rename(copy / "checkpoints/lista.evaluation.safetensors",
                         copy / "checkpoints/ista.evaluation.safetensors");
          }) == "ista lista short noted ");
    CHECK(evaluated_after([](const fs::path& copy) {
              const std::string config = read_file(copy / "config.info"), part = "iterations 3";
              std::string edited = config;
              edited.replace(edited.find(part), part.size(), "iterations 2");
              write_file_atomically(copy / "config.info", edited);
          }) == "ista lista short noted noted ");
}

TEST_CASE("run: with checkpoint_every_s 0 every contestant is kept, so that a kill costs one evaluation") {
    const ScratchFolder folder;
    std::vector<std::string> kept;
    std::string at;
    const std::string more = kMore + "evaluate { checkpoint_every_s 0 }";
    const auto look = [&](const Progress& progress) {
        if (progress.what == at || progress.what == "timing") return;
        at = progress.what;
        for (const auto& entry : fs::recursive_directory_iterator(folder / "runs"))
            if (entry.path().filename().string().ends_with(".evaluation.safetensors"))
                kept.push_back(at.substr(11) + ":" + entry.path().stem().stem().string());
    };
    (void)run(folder, {.progress = look}, more);
    std::ranges::sort(kept);
    CHECK(kept == std::vector<std::string>{"lista:ista", "short:ista", "short:lista"});
}

TEST_CASE("run: of two trainings of the same weights the second waits, says for whom, and finds them") {
    const ScratchFolder folder, other;
    const RunResult first = run(other);
    const fs::path weights = folder / "runs/weights", file = weights / first.weights.at(0).file.filename();
    fs::create_directories(weights);
    const fs::path lock = weights / ("." + file.stem().string() + ".lock");
    auto theirs = std::make_unique<LockFile>(lock, "process 12 in runs/small/now", [](const std::string&) {});
    std::vector<std::string> notes;
    const RunResult second = run(folder, {.note = [&](const std::string& text) {
                                     notes.push_back(text);
                                     fs::copy(first.weights.at(0).file, file);
                                     theirs.reset();
                                 }});
    CHECK(notes ==
          std::vector<std::string>{"waiting for the training of 'lista' by process 12 in runs/small/now"});
    CHECK(second.weights.at(0).source == Source::kFound);
    CHECK(rows(second) == rows(first));
    CHECK(records(second.folder).empty());
    CHECK_FALSE(fs::exists(lock));

    fs::remove(file);
    theirs = std::make_unique<LockFile>(lock, "", [](const std::string&) {});
    const std::string text = interrupted(folder, {.note = [](const std::string&) { cancel_flag() = 1; }});
    CHECK(text.starts_with("130 interrupted, waiting for the training of 'lista'; go on with: "));
    theirs.reset();
    CHECK(resume(advised_folder(text)).weights.at(0).source == Source::kTrained);
}

namespace {

// Four trainings, two of them of the same weights, and six evaluations.
const std::string kMany = std::string("contestants { ") + kShort + R"(
    wide { optimizer { use lista
                       layers { sweep 3 4 } }
           train { epochs 3 } }
    again { optimizer { use lista
                        layers 3 } } })";

}  // namespace

TEST_CASE("run: contestants side by side come to the same bits as one after the other") {
    const ScratchFolder one, two;
    const RunResult alone = run(one, {.threads = 2}, kMany);
    std::mutex mutex;
    std::map<std::thread::id, std::set<std::string>> work;
    const RunResult beside = run(two,
                                 {.threads = 2,
                                  .jobs = 2,
                                  .progress =
                                      [&](const Progress& progress) {
                                          const std::lock_guard lock(mutex);
                                          work[std::this_thread::get_id()].insert(progress.what);
                                      }},
                                 kMany);
    CHECK(work.size() == 2);
    CHECK(rows(alone) == rows(beside));
    REQUIRE(alone.weights.size() == beside.weights.size());
    for (std::size_t i = 0; i < alone.weights.size(); ++i) {
        CHECK(alone.weights[i].contestant == beside.weights[i].contestant);
        CHECK(tensors(alone.weights[i].file) == tensors(beside.weights[i].file));
    }
    // Of two with the same weights one is trained, the other finds them.
    const auto trained = std::ranges::count(beside.weights, Source::kTrained, &WeightsReport::source);
    CHECK(trained == 4);
    std::vector<nlohmann::json> in_order = records(alone.folder), any_order = records(beside.folder);
    const auto by_contestant = [](const nlohmann::json& record) {
        return std::pair(record["contestant"].get<std::string>(), record["epoch"].get<int>());
    };
    // Which of the two was trained is a matter of chance.
    for (auto* all : {&in_order, &any_order}) {
        for (nlohmann::json& record : *all)
            if (record["contestant"] == "again") record["contestant"] = "lista";
        std::ranges::sort(*all, {}, by_contestant);
    }
    CHECK(in_order == any_order);
}

TEST_CASE("run: interrupted in two trainings at a time it goes on with both, to the same bits") {
    const ScratchFolder one, two;
    const RunResult whole = run(one, {}, kMany);
    std::string text =
        interrupted(two, {.threads = 2, .jobs = 2, .progress = interrupt_at("training short", 1)}, kMany);
    const fs::path folder = advised_folder(text);
    text = refusal([&] {
        (void)resume(folder, {.threads = 2, .jobs = 2, .progress = interrupt_at("evaluating lista", 1)});
    });
    cancel_flag() = 0;
    REQUIRE(text.starts_with("130 "));
    const RunResult again = resume(folder, {.threads = 2, .jobs = 2});
    CHECK(rows(again) == rows(whole));
    REQUIRE(again.weights.size() == whole.weights.size());
    for (std::size_t i = 0; i < whole.weights.size(); ++i)
        CHECK(tensors(again.weights[i].file) == tensors(whole.weights[i].file));
}

TEST_CASE("run: a failure beside another training is told at once, and that training is kept") {
    const ScratchFolder folder;
    std::mutex mutex;
    std::vector<std::string> notes;
    const std::string text = refusal([&] {
        (void)run(folder,
                  {.threads = 2,
                   .jobs = 2,
                   .note =
                       [&](const std::string& note) {
                           const std::lock_guard lock(mutex);
                           notes.push_back(note);
                       }},
                  "contestants { wild { optimizer { use lista\n layers 3 }\n"
                  "train { meta_optimizer { learning_rate 1e300 } } } }");
    });
    CHECK(text.starts_with("4 training of 'wild'"));
    REQUIRE(notes.size() == 1);
    CHECK(notes.front() == text.substr(2) + "; what runs beside it goes on to its end");
    const RunResult kept = run(folder);
    CHECK(kept.weights.front().source == Source::kFound);
}

TEST_CASE("run: a folder that somebody works in is locked under any name of it") {
    const ScratchFolder folder;
    const RunResult first = run(folder);
    fs::create_directory_symlink(first.folder, folder / "latest");
    const FileHandle theirs = RunFolder::open(first.folder).lock();
    CHECK(refusal([&] { (void)resume(folder / "latest"); }).find("another l2o is at work in this folder") !=
          std::string::npos);
    fs::rename(first.folder, folder / "moved");
    CHECK(refusal([&] { (void)resume(folder / "moved"); }).find("another l2o is at work in this folder") !=
          std::string::npos);
}

TEST_CASE("run: training again that ends between two contestants goes on with the second alone") {
    const ScratchFolder folder;
    const RunResult first = run(folder, {}, kMore);
    const auto lines = records(first.folder);
    const fs::path weights = first.weights.at(1).file;
    const auto want = tensors(weights);
    // Whoever has the lock of the second's weights stops this run between the two.
    auto theirs = std::make_unique<LockFile>(
        weights.parent_path() / ("." + weights.stem().string() + ".lock"), "", [](const std::string&) {});
    RunOptions again{.retrain = true, .note = [](const std::string&) { cancel_flag() = 1; }};
    fs::path path = first.folder;
    std::string text;
    SUBCASE("in a folder of an earlier run") {
        text = refusal([&] { (void)resume(path, again); });
    }
    SUBCASE("in a new folder") {
        text = refusal([&] { (void)run(folder, again, kMore); });
    }
    cancel_flag() = 0;
    REQUIRE(text.starts_with("130 interrupted, waiting for the training of 'short'"));
    path = advised_folder(text);
    theirs.reset();
    CHECK(fs::exists(path / "checkpoints/lista.safetensors"));
    CHECK_FALSE(fs::exists(path / "checkpoints/short.safetensors"));

    std::vector<std::string> trained;
    const RunResult rest = resume(path, {.progress = [&](const Progress& progress) {
                                      if (progress.what.starts_with("training "))
                                          trained.push_back(progress.what);
                                  }});
    CHECK(trained == std::vector<std::string>(2, "training short"));
    CHECK(rest.weights.at(0).source == Source::kFound);
    CHECK(rest.weights.at(1).source == Source::kTrained);
    CHECK(records(path) == lines);
    CHECK(tensors(path / "checkpoints/short.safetensors") == want);
    CHECK(rows(rest) == rows(first));
}

TEST_CASE("run: a finished run is told as it was stored, and nobody is evaluated again") {
    const ScratchFolder folder;
    const RunResult first = run(folder, {}, kMore);
    CHECK_FALSE(first.was_finished);
    std::vector<std::string> evaluated, notes;
    const RunOptions listening{.progress = listing(evaluated),
                               .note = [&](const std::string& text) { notes.push_back(text); }};
    // Nothing is written either, where that is not permitted.
    const fs::path checkpoints = first.folder / "checkpoints";
    const auto request = read_file(first.folder / "request.json");
    for (const fs::path& path : {checkpoints, first.folder})
        fs::permissions(path, fs::perms::owner_write, fs::perm_options::remove);
    const RunResult again = resume(first.folder, listening);
    for (const fs::path& path : {checkpoints, first.folder})
        fs::permissions(path, fs::perms::owner_write, fs::perm_options::add);
    CHECK(again.was_finished);
    CHECK(evaluated.empty());
    CHECK(notes ==
          std::vector<std::string>{first.folder.string() +
                                   ": this run is finished; what it came to is told as it was stored"});
    CHECK(rows(again) == rows(first));
    CHECK(result_table(again.results.curves, again.results.judging) ==
          result_table(first.results.curves, first.results.judging));
    CHECK(comparison_table(again.results.curves, again.results.judging) ==
          comparison_table(first.results.curves, first.results.judging));
    REQUIRE(again.weights.size() == 2);
    CHECK(again.weights[1].seconds == first.weights[1].seconds);
    CHECK(read_file(first.folder / "request.json") == request);
    // So it is of one that was moved, and of one that trains only.
    fs::rename(first.folder, folder / "moved");
    CHECK(resume(folder / "moved").was_finished);
    const RunResult trained = run(folder, {.part = RunPart::kTrain}, kMore);
    CHECK(resume(trained.folder).was_finished);
}

TEST_CASE("run: results that are gone, edited or of something else are made again, and then it is finished") {
    const ScratchFolder folder;
    const RunResult first = run(folder);
    const fs::path path = first.folder;
    const auto replace = [&](const char* name, const std::string& part, const std::string& by) {
        std::string text = read_file(path / name);
        REQUIRE(text.find(part) != std::string::npos);
        write_file_atomically(path / name, text.replace(text.find(part), part.size(), by));
    };
    const std::string curves = without_times(path / "curves.csv");
    std::size_t rows_of_each = 4;
    SUBCASE("a file is gone") { fs::remove(path / "summary.csv"); }
    SUBCASE("a number was edited") { replace("finals.csv", "ista,0,0,", "ista,0,0,1"); }
    SUBCASE("the configuration is another") {
        replace("config.info", "starts 2", "starts 1");
        rows_of_each = 2;
    }
    SUBCASE("an earlier version has not kept what it was") {
        write_file_atomically(path / "request.json",
                              R"({"part": "all", "contestants": [], "untrained": false, "retrained": [],
                                  "forgotten": [], "hash": "", "root": ""})");
    }
    std::vector<std::string> evaluated;
    const RunResult again = resume(path, {.progress = listing(evaluated)});
    CHECK_FALSE(again.was_finished);
    // What every row did is kept, and still true unless the configuration is another.
    const std::vector<std::string> nobody, all{"ista", "lista"};
    CHECK(evaluated == (rows_of_each == 4 ? nobody : all));
    CHECK(again.results.curves.at(0).final_rows.at(0).size() == rows_of_each);
    CHECK((without_times(path / "curves.csv") == curves) == (rows_of_each == 4));
    CHECK(resume(path).was_finished);
}

TEST_CASE("run: what may not be written in a folder to go on in is told before the work") {
    const ScratchFolder folder;
    const fs::path path =
        advised_folder(interrupted(folder, {.progress = interrupt_at("training lista", 3)}));
    for (const char* name : {"summary.csv", "results.json", "checkpoints/lista.safetensors"}) {
        CAPTURE(name);
        fs::create_directory(path / name);
        bool has_worked = false;
        CHECK(refusal([&] {
                  (void)resume(path, {.progress = [&](const Progress&) { has_worked = true; }});
              }) == "5 " + (path / name).string() + ": is a folder; expected the name of a file");
        CHECK_FALSE(has_worked);
        fs::remove(path / name);
    }
    CHECK(resume(path).weights.at(0).source == Source::kTrained);
}

TEST_CASE("run: a memory that holds no step is refused, also where the weights are there already") {
    const ScratchFolder folder;
    const auto refused = [&](const std::string& memory) {
        return refusal([&] { (void)run(folder, {}, "train { memory " + memory + " }"); });
    };
    const std::string expected =
        "2 contestants.lista: train.memory is 12 bytes for 2 shards, of which each needs more than 288; "
        "raise train.memory, or "
        "lower "
        "train.shard_rows";
    CHECK(refused("12") == expected);
    CHECK(run(folder).weights.at(0).source == Source::kTrained);
    CHECK(refused("12") == expected);
    CHECK(refused("1MiB") == "no error");
}
