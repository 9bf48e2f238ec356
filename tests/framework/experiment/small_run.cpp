#include "tests/framework/experiment/small_run.hpp"

#include <doctest/doctest.h>

#include "framework/cancel.hpp"
#include "framework/store/atomic_file.hpp"
#include "framework/store/csv.hpp"
#include "framework/store/safetensors.hpp"
#include "tests/framework/config/refusal.hpp"
#include "tests/support/lab.hpp"

namespace l2o::test {

using namespace l2o::framework;
namespace fs = std::filesystem;

namespace {

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

}  // namespace

Experiment small_experiment(const std::string& more) {
    static const ScratchFolder folder;
    const fs::path small = folder / "small.info";
    if (!fs::exists(small)) write_file_atomically(small, kSmall);
    return read_experiment(catalog(),
                           Config::parse("#include \"" + small.string() + "\"\n" + more, "run.info"));
}

RunResult run(const ScratchFolder& folder, RunOptions options, const std::string& more) {
    options.root = folder / "runs";
    return run_experiment(small_experiment(more), options);
}

RunResult resume(const fs::path& path, RunOptions options) {
    const ResumedRun resumed = resumed_run(catalog(), path);
    options.part = resumed.request.part;
    options.resume = path;
    options.root = "nowhere/else";
    return run_experiment(resumed.experiment, options);
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

ProgressSink interrupt_at(const std::string& what, std::int64_t done) {
    return [what, done](const Progress& progress) {
        if (progress.what == what && progress.done >= done) cancel_flag() = 1;
    };
}

std::string interrupted(const ScratchFolder& folder, RunOptions options, const std::string& more) {
    const std::string text = refusal([&] { (void)run(folder, std::move(options), more); });
    cancel_flag() = 0;
    REQUIRE(text.starts_with("130 "));
    return text;
}

fs::path advised_folder(const std::string& text) {
    const std::string advice = "; go on with: l2o run --resume ";
    const auto begin = text.find(advice);
    REQUIRE(begin != std::string::npos);
    return text.substr(begin + advice.size());
}

ProgressSink listing(std::vector<std::string>& evaluated) {
    return [&evaluated](const Progress& progress) {
        if (progress.what.starts_with("evaluating ") &&
            (evaluated.empty() || evaluated.back() != progress.what.substr(11)))
            evaluated.push_back(progress.what.substr(11));
    };
}

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

}  // namespace l2o::test
