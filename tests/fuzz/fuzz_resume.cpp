#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "framework/cancel.hpp"
#include "framework/error.hpp"
#include "framework/experiment/run.hpp"
#include "framework/store/atomic_file.hpp"
#include "framework/store/safetensors.hpp"
#include "tests/fuzz/bundle.hpp"

namespace {

using namespace l2o::framework;
namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kExperiment = R"(name fuzz
seed 5
optimizee { use sparse_recovery  m 2  n 3 }
contestants {
    ista { optimizer { use ista } }
    learned {
        optimizer { use lista  layers 2 }
        train {
            epochs 3
            horizon 2
            unroll 2
            batch 2
            shard_rows 1
            checkpoint_every_s 0
            loss { use mse_to_solution }
            meta_optimizer { use adam }
            imitation { probability 0.5  teacher { use ista } }
            validate { every 1  instances 2 }
        }
    }
}
evaluate { instances 2  iterations 2 }
)";

constexpr const char* kMetrics = "metrics.jsonl";
constexpr const char* kTraining = "checkpoints/learned.train.safetensors";
constexpr const char* kEvaluation = "checkpoints/ista.evaluation.safetensors";

const Catalog& catalog() {
    static const Catalog catalog(plugin_search_path());
    return catalog;
}

RunPart go_on(const fs::path& run, const ProgressSink& progress = {}) {
    const ResumedRun resumed = resumed_run(catalog(), run);
    (void)run_experiment(resumed.experiment,
                         {.part = resumed.request.part, .resume = run, .progress = progress});
    return resumed.request.part;
}

/// The files of a run that was stopped in its training, and of what it had evaluated when another was stopped
/// there; by name.
struct Stopped {
    ScratchFolder root;
    std::map<std::string, std::string> files;

    Stopped() {
        const Experiment experiment = read_experiment(catalog(), Config::parse(kExperiment, "/fuzz.info"));
        std::string stops_in = "training learned";
        const auto stop = [&](const Progress& progress) {
            if (progress.what == stops_in && progress.done > 0) cancel_flag() = 1;
        };
        try {
            (void)run_experiment(experiment, {.root = root / "", .progress = stop});
        } catch (const Error&) {
            cancel_flag() = 0;
        }
        for (const auto& entry : fs::directory_iterator(root / "fuzz")) take(entry.path());
        stops_in = "evaluating learned";
        try {
            (void)go_on(run(), stop);
        } catch (const Error&) {
            cancel_flag() = 0;
        }
        if (fs::exists(run() / kEvaluation)) files[kEvaluation] = read_file(run() / kEvaluation);
        if (!files.contains(kTraining) || !files.contains(kEvaluation)) std::abort();
    }

    [[nodiscard]] fs::path run() const { return fs::directory_iterator(root / "fuzz")->path(); }

  private:
    void take(const fs::path& folder) {
        for (const auto& entry : fs::recursive_directory_iterator(folder)) {
            if (entry.is_regular_file())
                files[fs::relative(entry.path(), folder).string()] = read_file(entry.path());
        }
    }
};

/// Makes a file that can be read one that is not refused for its seal, or for the run that it is of.
void seal(const fs::path& path, const fs::path& genuine) try {
    TensorFile file = read_safetensors(path);
    for (const auto& [key, text] : read_safetensors(genuine).metadata) {
        const json want = json::parse(text, nullptr, false);
        if (!want.is_object() || !want.contains("hash") || !file.metadata.contains(key)) continue;
        json got = json::parse(file.metadata[key], nullptr, false);
        if (!got.is_object()) continue;
        got["hash"] = want["hash"];
        file.metadata[key] = got.dump();
    }
    TensorRefs tensors;
    for (const auto& [name, tensor] : file.tensors) tensors[name] = &tensor;
    write_safetensors(path, tensors, sealed(tensors, file.metadata));
} catch (const Error&) {
} catch (const json::exception&) {  // a text that is not UTF-8
}

}  // namespace

/// Whatever has become of the files of a run that was stopped, going on with it is refused with an Error, or
/// ends with results.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const Stopped stopped;
    const auto changed = l2o::test::files_of(data, size, {kMetrics, "request.json", kTraining, kEvaluation});
    auto files = stopped.files;
    for (const auto& [name, text] : changed) files[name] = text;
    static const ScratchFolder root;
    const fs::path run = root / "fuzz/run";
    fs::remove_all(root / "weights");
    l2o::test::write_files(run, files);
    for (const std::string name : {kTraining, kEvaluation}) {
        if (!changed.contains(name)) continue;
        l2o::test::write_files(root / "genuine", {{"file", stopped.files.at(name)}});
        seal(run / name, root / "genuine/file");
    }
    try {
        if (go_on(run) != RunPart::kTrain && !fs::exists(run / "results.json")) std::abort();
    } catch (const Error&) {
    }
    return 0;
}
