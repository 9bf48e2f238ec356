#include "framework/store/csv.hpp"

#include <fmt/format.h>

#include <cassert>

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

}  // namespace

CsvCell::CsvCell(double number) : text_(fmt::format("{}", number)) {}

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

}  // namespace l2o::framework
