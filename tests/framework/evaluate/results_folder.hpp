#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "framework/evaluate/results_file.hpp"
#include "tests/framework/store/scratch_folder.hpp"

namespace l2o::test {

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Of four rows, of which so many are finite.
framework::Distribution around(double median, std::int64_t finite);

/// A curve of two starts of two instances, all in one shard, whose last point is that of its rows.
framework::Curve rows_of(const std::string& name, std::vector<double> objective, std::vector<double> nmse);

/// A folder of one curve that is judged by the objective, with what its rows paid for at best.
framework::Results by_objective();

/// A run folder's files, and one of them edited.
class Edited {
  public:
    Edited();
    [[nodiscard]] const framework::Results& written() const { return results_; }
    [[nodiscard]] std::filesystem::path path(const char* file) const { return folder_ / file; }
    [[nodiscard]] framework::Results read() const { return framework::read_results(folder_ / ""); }
    /// What reading says after one edit, without the folder.
    std::string refused(const char* file,
                        const std::string& from,
                        const std::string& to,
                        const framework::Results* other = nullptr);
    /// Edits {from, to, what is said of it}, one at a time.
    void check_refused(const char* file,
                       const std::vector<std::array<std::string, 3>>& edits,
                       const std::string& end = "");
    void write(const framework::Results& results) const;

  private:
    ScratchFolder folder_;
    framework::Results results_;
};

}  // namespace l2o::test
