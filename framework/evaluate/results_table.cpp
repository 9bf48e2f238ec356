#include "framework/evaluate/results_table.hpp"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "framework/error.hpp"

namespace l2o::framework {

void refuse_results(const std::filesystem::path& path, const std::string& text) {
    throw Error(ExitCode::kIo, path.string() + ": " + text + "; expected what 'l2o run' writes");
}

void refuse_row(const std::filesystem::path& path, std::size_t row, const std::string& text) {
    refuse_results(path, "row " + std::to_string(row + 1) + ": " + text);
}

ResultsTable::ResultsTable(std::filesystem::path path, const std::vector<std::string>& header)
    : path_(std::move(path)), csv_(CsvTable::read(path_)), header_(header) {
    for (const std::string& column : header) (void)csv_.column(column);
    if (csv_.header() != header) refuse_results(path_, "has other columns, or in another order");
}

double ResultsTable::amount(std::size_t row, std::size_t column) const {
    const double value = number(row, column);
    if (!std::isfinite(value) || value < 0)
        refuse_row(path_, row, header_[column] + " is " + text(row, column) + ", which is not >= 0");
    return value;
}

std::int64_t ResultsTable::whole(std::size_t row, std::size_t column, double min, double max) const {
    const double value = number(row, column);
    if (!(value >= min && value <= max) || value != std::floor(value)) {
        refuse_row(path_,
                   row,
                   fmt::format("{} is {}, which is no whole number in [{}, {}]",
                               header_[column],
                               text(row, column),
                               min,
                               max));
    }
    return static_cast<std::int64_t>(value);
}

}  // namespace l2o::framework
