#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "framework/cancel.hpp"
#include "framework/evaluate/results_file.hpp"
#include "framework/experiment/run_folder.hpp"
#include "framework/store/atomic_file.hpp"
#include "framework/store/lock_file.hpp"
#include "framework/store/safetensors.hpp"
#include "tests/framework/config/refusal.hpp"
#include "tests/framework/experiment/small_run.hpp"
#include "tests/framework/store/records.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::framework;
using l2o::test::advised_folder;
using l2o::test::catalog;
using l2o::test::interrupted;
using l2o::test::records;
using l2o::test::refusal;
using l2o::test::resume;
using l2o::test::rows;
using l2o::test::run;
using l2o::test::tensors;
using Source = WeightsReport::Source;
namespace fs = std::filesystem;

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
    CHECK(records(second.folder / "metrics.jsonl").empty());
    CHECK_FALSE(fs::exists(lock));

    fs::remove(file);
    theirs = std::make_unique<LockFile>(lock, "", [](const std::string&) {});
    const std::string text = interrupted(folder, {.note = [](const std::string&) { cancel_flag() = 1; }});
    CHECK(text.starts_with("130 interrupted, waiting for the training of 'lista'; go on with: "));
    theirs.reset();
    CHECK(resume(advised_folder(text)).weights.at(0).source == Source::kTrained);
}
