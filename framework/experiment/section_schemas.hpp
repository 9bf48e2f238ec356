#pragma once

#include <span>

#include "framework/config/settings.hpp"

namespace l2o::framework {

/// The largest count that an experiment may ask for, of instances, iterations, epochs ...: the product of two
/// fits std::int64_t a hundred times.
inline constexpr double kMaxCount = 1e8;

/// Of `train`, `evaluate`, `safeguard` and `tune`. The defaults are those of TrainSettings, EvaluateSettings,
/// safeguard_schema() and TuneSettings.
[[nodiscard]] const SectionSchema& train_schema();
[[nodiscard]] const SectionSchema& evaluate_schema();
[[nodiscard]] const SectionSchema& safeguard_section_schema();
[[nodiscard]] const SectionSchema& tune_schema();

/// All of them: what `l2o describe` knows beside plugins.
[[nodiscard]] std::span<const SectionSchema* const> section_schemas();

}  // namespace l2o::framework
