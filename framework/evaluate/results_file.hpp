#pragma once

#include <filesystem>
#include <vector>

#include "framework/evaluate/compare.hpp"

namespace l2o::framework {

/// What a finished run knows, and what is read back from its folder.
struct Results {
    Judging judging{};
    std::vector<Curve> curves{};
};

/// One line per contestant and row: contestant, instance, start, reached_iteration (-1: never),
/// reached_evaluations, reached_seconds, and every metric at the last point. @throw Error kIo
void write_finals(const std::filesystem::path& path, const Results& results);

/// What the CSV files do not hold: the metric that counts, the reference, the target, training times,
/// safeguards.
/// @throw Error kIo
void write_results(const std::filesystem::path& path, const Results& results);

/// Reads results.json, curves.csv and finals.csv of a run folder, and believes nothing: sizes, indices and
/// ranges are checked, and what the files say of one another.
/// @throw Error kIo, with file and place
[[nodiscard]] Results read_results(const std::filesystem::path& folder);

}  // namespace l2o::framework
