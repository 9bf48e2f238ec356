#include "framework/export/kept_run.hpp"

#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "framework/config/info_file.hpp"
#include "framework/config/value_text.hpp"
#include "framework/error.hpp"
#include "framework/evaluate/curve_file.hpp"
#include "framework/experiment/run_folder.hpp"
#include "framework/store/atomic_file.hpp"
#include "framework/text/plugin_name.hpp"

namespace l2o::framework {
namespace {

/// Rows that were evaluated together; `written` of config.info was checked when it was read.
std::int64_t shard_rows_of(const ConfigNode& config) {
    const ConfigNode* evaluate = config.find("evaluate");
    const ConfigNode* rows = evaluate != nullptr ? evaluate->find("shard_rows") : nullptr;
    if (rows == nullptr) return EvaluateSettings{}.shard_rows;
    const auto value = parse_int(rows->value);
    if (value && *value >= 1) return *value;
    throw Error(
        ExitCode::kIo,
        rows->origin.text() + ": evaluate.shard_rows is '" + rows->value + "'; expected a whole number >= 1");
}

std::string value_of(const ConfigNode& config, const char* section, const char* key) {
    const ConfigNode* node = config.find(section);
    if (node != nullptr && *key != '\0') node = node->find(key);
    return node != nullptr ? node->value : "";
}

/// Bit by bit: NAN is NAN.
bool are_same(const std::vector<double>& a, const std::vector<double>& b) {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i)
        if (a[i] != b[i] && !(std::isnan(a[i]) && std::isnan(b[i]))) return false;
    return true;
}

void add_rows(const RunFolder& folder, const std::string& metric, Curve& curve) {
    const std::filesystem::path file = folder.evaluation(curve.contestant);
    if (!std::filesystem::exists(file))
        throw Error(ExitCode::kIo,
                    file.string() +
                        ": is not there, so it is not known what every start did; expected a run with "
                        "'evaluate { keep_rows true }', the default; run the experiment again");
    Curve kept = read_curve(file);
    const std::size_t shown = shown_metric(curve.metrics, metric);
    const bool is_of_these = kept.metrics == curve.metrics && kept.iteration == curve.iteration &&
                             are_same(kept.final_rows[shown], curve.final_rows[shown]);
    if (!is_of_these)
        throw Error(ExitCode::kIo,
                    file.string() + ": not what the results beside it came from; run the experiment again");
    curve.history = std::move(kept.history);
    curve.staircases = std::move(kept.staircases);
}

}  // namespace

KeptRun read_kept_run(const std::filesystem::path& path) {
    const RunFolder folder = RunFolder::open(path);
    if (!std::filesystem::exists(folder.results()))
        throw Error(ExitCode::kIo,
                    path.string() +
                        ": there is no results.json, so the run is not finished; expected one that was "
                        "evaluated ('l2o run --resume " +
                        path.string() + "' goes on with it)");
    const ConfigNode config = parse_info(read_file(folder.config()), folder.config());
    KeptRun run{.folder = folder.path,
                .name = value_of(config, "name", ""),
                .optimizee = value_of(config, "optimizee", "use"),
                .results = read_results(folder.path, shard_rows_of(config))};
    run.optimizee = PluginName(run.optimizee).id;
    check_written(folder.path, run.results);
    if (run.results.dimension == 0 || run.results.curves.front().optimizer.empty())
        throw Error(ExitCode::kIo,
                    folder.results().string() +
                        ": does not tell dimension and options; was it written by another l2o? run the "
                        "experiment again");
    const std::size_t rows = run.results.curves.front().reached.size(),
                      starts = static_cast<std::size_t>(run.results.judging.starts);
    if (run.results.optima && run.results.optima->size() * starts != rows)
        throw Error(ExitCode::kIo,
                    folder.results().string() + ": there are " + std::to_string(run.results.optima->size()) +
                        " optima, and " + std::to_string(rows / starts) + " instances; evaluate again");
    for (Curve& curve : run.results.curves) add_rows(folder, run.results.judging.metric, curve);
    return run;
}

}  // namespace l2o::framework
