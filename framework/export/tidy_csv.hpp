#pragma once

#include <filesystem>
#include <string_view>

#include "framework/export/kept_run.hpp"

namespace l2o::framework {

/// A line per contestant, row and recorded point, in that order: contestant, group, optimizer, a column per
/// swept setting and per option ("option.KEY") of any contestant, training_seed, instance, start, iteration,
/// evaluations (until then, with that of the value), the metric that counts under its name (of a ratio that
/// of the row), best_objective: the least value that the row had paid for by then. Empty where there is
/// nothing to tell. The file is written part by part, see AtomicFile. @throw Error kIo
void write_tidy_csv(const std::filesystem::path& path, const KeptRun& run);

/// What its first line begins with.
inline constexpr std::string_view kTidyBegin = "contestant,group,optimizer,";

}  // namespace l2o::framework
