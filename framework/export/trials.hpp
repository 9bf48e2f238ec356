#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "framework/export/kept_run.hpp"

namespace l2o::framework {

/// Files of an export: what is in each, by its name in the folder.
using ExportFiles = std::map<std::string, std::string>;

/// What the loggers of benchmarks record of one start.
struct Trial {
    std::int64_t instance = 0;  ///< from 0
    /// (evaluations, least f - f_opt by then): evaluations rise from 1, the values fall; the last entry has
    /// all that was spent.
    std::vector<std::pair<std::int64_t, double>> log{};
};

/// Of one contestant.
struct Trials {
    std::string contestant{};
    const Curve* curve = nullptr;
    std::vector<Trial> trials{};
};

/// Where f_opt comes from.
struct FOpt {
    enum class Source { kDeclared, kBest, kValue } source = Source::kDeclared;
    double value = 0;
};

/// The least f of every instance: what the optimizee declares, the least that any contestant has paid for, or
/// a value; NAN where it is not known. Nothing: the optimizee declares none.
[[nodiscard]] std::optional<std::vector<double>> optima_of(const KeptRun& run, const FOpt& f_opt);

/// Of everybody who has paid for a value, on instances with a known optimum. COCO and IOHprofiler want a line
/// at the first evaluation: where nothing was known then, as in a population that pays for several at once,
/// it has a value that reaches no target.
/// @param optima  per instance; see optima_of()
/// @throw Error kUsage: the objective is not the metric that counts, or its points cannot be compared; costs
///              that are no whole numbers; nobody has paid for a value
[[nodiscard]] std::vector<Trials> trials_of(const KeptRun& run, const std::vector<double>& optima);

}  // namespace l2o::framework
