#include "framework/export/ioh.hpp"

#include <fmt/format.h>

#include "framework/text/json.hpp"
#include "framework/text/printable.hpp"

namespace l2o::framework {
namespace {

using nlohmann::json;

json attributes(const Curve& curve) {
    json all = json::array();
    for (const auto& [key, value] : curve.swept) all.push_back({{key, value}});
    for (const auto& [key, value] : curve.options) all.push_back({{"option." + key, value}});
    if (curve.training_seed) all.push_back({{"training_seed", std::to_string(*curve.training_seed)}});
    return all;
}

}  // namespace

ExportFiles ioh_files(const std::vector<Trials>& all,
                      const BenchmarkName& name,
                      const std::string& function_name,
                      std::int64_t dimension) {
    ExportFiles files;
    const std::string function = fmt::format("f{}_{}", name.function, function_name);
    const std::string data =
        fmt::format("data_{}/IOHprofiler_f{}_DIM{}.dat", function, name.function, dimension);
    for (const Trials& one : all) {
        std::string log;
        json runs = json::array();
        for (const Trial& trial : one.trials) {
            log += "evaluations raw_y\n";
            for (const auto& [evaluations, gap] : trial.log)
                log += fmt::format("{} {:.17g}\n", evaluations, gap);
            const auto& [evaluations, gap] = trial.log.back();
            std::size_t best = trial.log.size() - 1;
            while (best > 0 && trial.log[best - 1].second == gap) --best;
            runs.push_back({{"instance", trial.instance + 1},
                            {"evals", evaluations},
                            {"best", {{"evals", trial.log[best].first}, {"y", gap}, {"x", json::array()}}}});
        }
        const json head{
            {"version", "0.3.5"},
            {"suite", name.suite},
            {"function_id", name.function},
            {"function_name", function_name},
            {"maximization", false},
            {"algorithm", {{"name", one.contestant}, {"info", one.curve->optimizer}}},
            {"experiment_attributes", attributes(*one.curve)},
            {"attributes", {"evaluations", "raw_y"}},
            {"scenarios", json::array({{{"dimension", dimension}, {"path", data}, {"runs", runs}}})}};
        files[fmt::format("{}/IOHprofiler_{}_DIM{}.json", one.contestant, function, dimension)] =
            json_text(head, 2) + "\n";
        files[one.contestant + "/" + data] = log;
    }
    return files;
}

}  // namespace l2o::framework
