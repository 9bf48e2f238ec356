#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "framework/evaluate/compare.hpp"
#include "framework/evaluate/results_table.hpp"

// What the files of a run say of one another. All throw Error kIo.
namespace l2o::framework {

/// Whether quantiles and mean are what they can be when some rows diverged: an earlier l2o left those out.
void check_distribution(const ResultsTable& csv,
                        std::size_t row,
                        const Distribution& d,
                        const Judging& judging,
                        const std::string& metric);

/// Whether the last point of the curves is that of the single rows.
void check_end(const std::filesystem::path& path, const Curve& curve, const Judging& judging);

/// Whether what the rows of a contestant paid to the target is what the curve says that all paid by then:
/// rows of a shard pay the same, and one that arrives later no less.
void check_ways(const std::filesystem::path& path,
                const Curve& curve,
                const Judging& judging,
                std::int64_t shard_rows);

/// Whether who reached a target is who has it at the end, as far as the end tells.
void check_target(const std::filesystem::path& path, const Curve& curve, const Judging& judging);

}  // namespace l2o::framework
