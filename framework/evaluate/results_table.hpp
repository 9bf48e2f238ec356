#pragma once

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "framework/store/csv.hpp"

namespace l2o::framework {

inline constexpr double kMostIterations = 1e15;  // counted in doubles

/// "<file>: <text>; expected what 'l2o run' writes" @throw Error kIo
[[noreturn]] void refuse_results(const std::filesystem::path& path, const std::string& text);
[[noreturn]] void refuse_row(const std::filesystem::path& path, std::size_t row, const std::string& text);

/// A CSV file of a run folder with just these columns. What it is asked for and is not, it refuses.
class ResultsTable {
  public:
    ResultsTable(std::filesystem::path path, const std::vector<std::string>& header);

    [[nodiscard]] const std::filesystem::path& path() const { return path_; }
    [[nodiscard]] std::size_t rows() const { return csv_.rows(); }
    [[nodiscard]] const std::string& text(std::size_t row, std::size_t column) const {
        return csv_.text(row, column);
    }
    [[nodiscard]] double number(std::size_t row, std::size_t column) const {
        return csv_.number(row, column);
    }
    /// An empty cell is NAN.
    [[nodiscard]] double number_or_nan(std::size_t row, std::size_t column) const {
        return text(row, column).empty() ? NAN : number(row, column);
    }
    /// Finite and not below 0.
    [[nodiscard]] double amount(std::size_t row, std::size_t column) const;
    [[nodiscard]] std::int64_t whole(std::size_t row, std::size_t column, double min, double max) const;

  private:
    std::filesystem::path path_;
    CsvTable csv_;
    std::vector<std::string> header_;
};

}  // namespace l2o::framework
