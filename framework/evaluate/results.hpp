#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "framework/evaluate/evaluate.hpp"

namespace l2o::framework {

/// One line per contestant, recorded point and metric: contestant, iteration, values, gradients, seconds,
/// metric, mean, median, q10, q25, q75, q90, finite. @throw Error kIo
void write_curves(const std::filesystem::path& path, const std::vector<Curve>& curves);

/// One line per contestant and metric, at the last point: contestant, metric, median, q10, q90, mean,
/// value_evaluations, gradient_evaluations, seconds, training_seconds, finite, rows. @throw Error kIo
void write_summary(const std::filesystem::path& path, const std::vector<Curve>& curves);

/// The table for the terminal: per contestant the metric at its last point (median, 10-90 %), evaluations of
/// values and gradients per row, time and training time; then a line for everyone with rows that diverged.
/// @param metric  "" : the first one of the optimizee, or else the objective.
[[nodiscard]] std::string result_table(const std::vector<Curve>& curves, const std::string& metric);

/// Whether not a single row of any contestant has a finite objective at the end.
[[nodiscard]] bool all_diverged(const std::vector<Curve>& curves);

}  // namespace l2o::framework
