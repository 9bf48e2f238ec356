#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "framework/evaluate/compare.hpp"
#include "framework/evaluate/runtimes.hpp"
#include "framework/store/content_hash.hpp"

namespace l2o::framework {

/// What a finished run knows, and what is read back from its folder.
struct Results {
    Judging judging{};
    std::vector<Curve> curves{};
    std::optional<FileContents> files{};  ///< see Experiment::files; nothing: of an l2o that did not tell
    /// Of every tensor of the instances and starts a sum and the size of its terms: what two builds of a
    /// plugin, or two processors, agree on to rounding. Nothing: of an l2o that did not tell.
    std::optional<std::vector<std::pair<double, double>>> instances{};
    std::int64_t dimension = 0;  ///< of x; 0: of an l2o that did not tell
    /// The least f of every instance, NAN where it is not certified; nothing: the optimizee declares none.
    std::optional<std::vector<double>> optima{};
    std::optional<Runtimes> runtimes{};            ///< nothing: the objective is not what is paid for
    std::map<std::string, std::string> written{};  ///< SHA-1 of the files beside results.json, by name
};

/// One line per contestant and row: contestant, instance, start, reached_iteration (-1: never),
/// reached_evaluations, reached_seconds, and every metric at the last point. @throw Error kIo
void write_finals(const std::filesystem::path& path, const Results& results);

/// All that tables and pages say: the metric that counts, the reference, the target, instances that are left
/// out; of every contestant where it ended, its times, its training and what chose it; of every entry the
/// comparison with the reference and the way to the target (entries_json()); the expected running times; and
/// what names the data. A number that is not finite is null.
/// @pre there is a curve at least
[[nodiscard]] nlohmann::json to_json(const Results& results);

/// to_json(), and the SHA-1 of config.info, curves.csv, finals.csv and metrics.jsonl, as they are beside it
/// now: `results.written` does not count. Write it last.
/// @throw Error kIo
void write_results(const std::filesystem::path& path, const Results& results);

/// Reads results.json, curves.csv and finals.csv of a run folder, and believes nothing: types, sizes, names,
/// indices and ranges are checked, and what the files say of one another.
/// @param shard_rows  rows that were evaluated together, whose counts go together.
/// @throw Error kIo, with file, place and what was expected
[[nodiscard]] Results read_results(const std::filesystem::path& folder,
                                   std::int64_t shard_rows = EvaluateSettings{}.shard_rows);

/// Refuses files that are not those that results.json was written beside; one that it does not tell of is as
/// good as any. Finds what read_results() cannot see. @throw Error kIo
void check_written(const std::filesystem::path& folder, const Results& results);

}  // namespace l2o::framework
