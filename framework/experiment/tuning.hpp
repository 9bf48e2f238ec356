#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "framework/evaluate/compare.hpp"
#include "framework/experiment/experiment.hpp"

namespace l2o::framework {

/// Settings of a contestant that is tuned, and who has them: several where seeds of the training are swept.
struct Candidate {
    std::vector<std::pair<std::string, std::string>> settings{};  ///< what is swept, without the seed
    std::vector<std::size_t> members{};                           ///< of the contestants
};
/// All that stand for one contestant of the file.
struct Candidates {
    std::string group{};
    TuneSettings tune{};
    std::vector<Candidate> all{};
};
/// Of every contestant that is tuned, in the order of the file.
[[nodiscard]] std::vector<Candidates> candidates_of(const std::vector<Contestant>& contestants);

/// The candidate whose members end best, by the mean over them of what stands for all rows of one; the first
/// of those that are equally good. One with a NAN is the worst. Tuned::instances is left to the caller.
/// @param curves  of all members, with one shape of rows
[[nodiscard]] Tuned choose(const Candidates& candidates,
                           const std::map<std::size_t, Curve>& curves,
                           const Judging& judging);

}  // namespace l2o::framework
