#pragma once

#include <cstddef>
#include <limits>
#include <string>
#include <vector>

namespace l2o::framework {

inline constexpr std::size_t kAnyWidth = std::numeric_limits<std::size_t>::max();

/// A table for the terminal; its cells are any text, see one_line.
struct TextTable {
    /// The header first; all as long as it, but for headings of what follows, which have one cell and stand
    /// over all columns.
    std::vector<std::vector<std::string>> lines{};
    bool numbers = false;                ///< all columns but the first stand to the right
    std::vector<std::size_t> elastic{};  ///< columns that are cut where room is scarce, in order

    /// Lines of at most `columns`: the table as it is; else with elastic columns cut, as long as something is
    /// left of them; else every line as a block of its own, a cell a line, under the first cell.
    [[nodiscard]] std::string text(std::size_t columns = kAnyWidth) const;
};

}  // namespace l2o::framework
