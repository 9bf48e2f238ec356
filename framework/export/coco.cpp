#include "framework/export/coco.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace l2o::framework {
namespace {

constexpr const char* kHead =
    "% f evaluations | g evaluations | best noise-free fitness - Fopt | measured fitness | best measured "
    "fitness | x1 | x2...\n";

/// In quotes in a file whose fields end with ", ".
std::string algorithm(std::string name) {
    std::ranges::replace(name, '\'', '_');
    for (std::size_t at = 0; (at = name.find(", ", at)) != std::string::npos;) name.erase(at + 1, 1);
    return name;
}

}  // namespace

ExportFiles coco_files(const std::vector<Trials>& all, const BenchmarkName& name, std::int64_t dimension) {
    ExportFiles files;
    const std::string stem = fmt::format("bbobexp_f{}_DIM{}", name.function, dimension);
    for (const Trials& one : all) {
        const std::string data = fmt::format("data_f{}/{}", name.function, stem);
        std::string log, ends;
        for (const Trial& trial : one.trials) {
            log += kHead;
            for (const auto& [evaluations, gap] : trial.log)
                log += fmt::format("{0} 0 {1:+.16e} {1:+.16e} {1:+.16e}\n", evaluations, gap);
            const auto& [evaluations, gap] = trial.log.back();
            ends += fmt::format(", {}:{}|{:.1e}", trial.instance + 1, evaluations, gap);
        }
        const std::string info = fmt::format(
            "suite = '{}', funcId = {}, DIM = {}, Precision = 1.000e-08, algId = '{}', "
            "coco_version = '', logger = 'bbob', data_format = 'bbob-new2'\n"
            "% written by 'l2o export'\n"
            "{}.dat{}\n",
            name.suite,
            name.function,
            dimension,
            algorithm(one.contestant),
            data,
            ends);
        const std::string folder = one.contestant + "/";
        files[folder + stem + ".info"] = info;
        // Both have every improvement: .dat is read by targets, .tdat by budgets.
        files[folder + data + ".dat"] = log;
        files[folder + data + ".tdat"] = log;
    }
    return files;
}

}  // namespace l2o::framework
