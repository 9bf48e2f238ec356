#include "framework/text/table.hpp"

#include <algorithm>

#include "framework/text/printable.hpp"

namespace l2o::framework {
namespace {

constexpr std::size_t kGap = 2;            // blanks between columns
constexpr std::size_t kLeastElastic = 16;  // chosen: a title that still says something

using Lines = std::vector<std::vector<std::string>>;

bool is_heading(const Lines& lines, const std::vector<std::string>& line) {
    return line.size() < lines.front().size();
}

std::vector<std::size_t> widths_of(const Lines& lines) {
    std::vector<std::size_t> widths;
    for (const std::vector<std::string>& line : lines) {
        if (is_heading(lines, line)) continue;
        widths.resize(std::max(widths.size(), line.size()));
        for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], width_of(line[i]));
    }
    return widths;
}

std::string in_columns(const Lines& lines,
                       const std::vector<std::size_t>& widths,
                       bool numbers,
                       std::size_t columns) {
    std::string text;
    for (const std::vector<std::string>& line : lines) {
        if (is_heading(lines, line)) {
            text += cut_to(line.front(), columns) + '\n';
            continue;
        }
        std::string row;
        for (std::size_t i = 0; i < line.size(); ++i) {
            const std::string blanks(widths[i] - width_of(line[i]), ' ');
            if (i > 0) row += std::string(kGap, ' ');
            row += numbers && i > 0 ? blanks + line[i] : line[i] + blanks;
        }
        row.erase(row.find_last_not_of(' ') + 1);
        text += row + '\n';
    }
    return text;
}

std::string in_blocks(const Lines& lines, std::size_t columns) {
    const std::string indent(kGap, ' ');
    std::size_t name = 0;
    for (std::size_t i = 1; i < lines[0].size(); ++i) name = std::max(name, width_of(lines[0][i]));
    std::string text;
    for (std::size_t row = 1; row < lines.size(); ++row) {
        text += cut_to(lines[row][0], columns) + '\n';
        for (std::size_t i = 1; i < lines[row].size(); ++i) {
            if (lines[row][i].empty()) continue;
            const std::string first =
                indent + lines[0][i] + std::string(name - width_of(lines[0][i]) + kGap, ' ');
            text += wrapped(lines[row][i], first, indent + indent, columns);
        }
    }
    return text;
}

}  // namespace

std::string TextTable::text(std::size_t columns) const {
    if (lines.empty()) return "";
    Lines shown = lines;
    for (std::vector<std::string>& line : shown) {
        for (std::string& cell : line) cell = one_line(cell);
    }
    std::vector<std::size_t> widths = widths_of(shown);
    std::size_t all = kGap * (widths.size() - 1);
    for (const std::size_t width : widths) all += width;
    if (all <= columns) return in_columns(shown, widths, numbers, columns);
    for (const std::size_t column : elastic) {
        const std::size_t most = widths[column] - std::min(widths[column], kLeastElastic);
        const std::size_t cut = std::min(all - columns, most);
        widths[column] -= cut;
        all -= cut;
        for (std::vector<std::string>& line : shown) {
            if (!is_heading(shown, line)) line[column] = cut_to(line[column], widths[column]);
        }
        if (all <= columns) return in_columns(shown, widths, numbers, columns);
    }
    for (std::size_t row = 0; row < lines.size(); ++row) {  // uncut: a block has room for all
        if (is_heading(lines, lines[row])) continue;
        for (const std::size_t column : elastic) shown[row][column] = one_line(lines[row][column]);
    }
    return in_blocks(shown, columns);
}

}  // namespace l2o::framework
