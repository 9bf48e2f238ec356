#include "framework/store/csv.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <charconv>
#include <cmath>
#include <limits>

#include "framework/store/atomic_file.hpp"

namespace l2o::framework {
namespace {

void append_quoted(std::string& line, std::string_view cell) {
    if (cell.find_first_of(",\"\r\n") == std::string_view::npos) {
        line += cell;
        return;
    }
    line += '"';
    for (const char c : cell) {
        if (c == '"') line += '"';
        line += c;
    }
    line += '"';
}

/// The cells of the line at `place`, which moves to the next.
std::vector<std::string> next_line(std::string_view text, std::size_t& place, const std::string& name) {
    std::vector<std::string> cells(1);
    bool is_quoted = false;
    for (; place < text.size(); ++place) {
        const char c = text[place];
        if (is_quoted && c == '"' && text.substr(place + 1).starts_with('"')) {
            cells.back() += '"';
            ++place;
        } else if (c == '"') {
            is_quoted = !is_quoted;
        } else if (c == ',' && !is_quoted) {
            cells.emplace_back();
        } else if (c == '\n' && !is_quoted) {
            ++place;
            return cells;
        } else {
            cells.back() += c;
        }
    }
    if (is_quoted) throw Error(ExitCode::kIo, name + ": ends within quotes; was the file cut off?");
    return cells;
}

}  // namespace

CsvCell::CsvCell(double number) : text_(std::isnan(number) ? "nan" : fmt::format("{}", number)) {}

CsvWriter::CsvWriter(const std::vector<std::string>& header) : columns_(header.size()) {
    add_row({header.begin(), header.end()});
}

void CsvWriter::add_row(const std::vector<CsvCell>& cells) {
    assert(cells.size() == columns_);
    for (std::size_t column = 0; column < cells.size(); ++column) {
        if (column > 0) text_ += ',';
        append_quoted(text_, cells[column].text());
    }
    text_ += '\n';
}

void CsvWriter::write(const std::filesystem::path& path) const { write_file_atomically(path, text_); }

CsvTable CsvTable::read(const std::filesystem::path& path) { return parse(read_file(path), path.string()); }

CsvTable CsvTable::parse(std::string_view text, const std::string& name) {
    CsvTable table;
    table.name_ = name;
    if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos)
        throw Error(ExitCode::kIo,
                    fmt::format("{}: byte {} is NUL, so this is no text; expected a CSV file", name, nul));
    std::size_t place = 0;
    while (place < text.size()) {
        std::vector<std::string> cells = next_line(text, place, name);
        if (table.header_.empty()) {
            table.header_ = std::move(cells);
            continue;
        }
        if (cells.size() != table.header_.size())
            throw Error(ExitCode::kIo,
                        fmt::format("{}: row {} has {} cells; expected {}, as the header has",
                                    name,
                                    table.rows_.size() + 1,
                                    cells.size(),
                                    table.header_.size()));
        table.rows_.push_back(std::move(cells));
    }
    return table;
}

std::size_t CsvTable::column(const std::string& name) const {
    const auto found = std::find(header_.begin(), header_.end(), name);
    if (found == header_.end())
        throw Error(
            ExitCode::kIo,
            fmt::format("{}: there is no column '{}'; was it written by another version?", name_, name));
    return static_cast<std::size_t>(found - header_.begin());
}

const std::string& CsvTable::text(std::size_t row, std::size_t column) const {
    return rows_.at(row).at(column);
}

double CsvTable::number(std::size_t row, std::size_t column) const {
    const std::string& cell = text(row, column);
    if (cell == "nan" || cell == "-nan") return NAN;
    if (cell == "inf") return std::numeric_limits<double>::infinity();
    if (cell == "-inf") return -std::numeric_limits<double>::infinity();
    double number = 0;
    const auto [end, code] = std::from_chars(cell.data(), cell.data() + cell.size(), number);
    if (code != std::errc() || end != cell.data() + cell.size())
        throw Error(ExitCode::kIo,
                    fmt::format("{}: row {} has '{}' in column '{}'; expected a number",
                                name_,
                                row + 1,
                                cell,
                                header_[column]));
    return number;
}

}  // namespace l2o::framework
