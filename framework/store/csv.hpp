#pragma once

#include <concepts>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace l2o::framework {

/// A cell of a CSV file: text, or a number in the shortest form that reads back to the same bits ("nan",
/// "inf" and "-inf" where it is not finite).
class CsvCell {
  public:
    CsvCell(std::string_view text) : text_(text) {}
    CsvCell(const std::string& text) : text_(text) {}
    CsvCell(const char* text) : text_(text) {}
    CsvCell(double number);
    CsvCell(std::integral auto number) : text_(std::to_string(number)) {}

    [[nodiscard]] const std::string& text() const { return text_; }

  private:
    std::string text_;
};

/// Builds a CSV file in memory: a header, then rows of the same length. Lines end in "\n"; quoting is that of
/// RFC 4180, section 2.
class CsvWriter {
  public:
    explicit CsvWriter(const std::vector<std::string>& header);

    /// @pre as many cells as the header.
    void add_row(const std::vector<CsvCell>& cells);

    [[nodiscard]] const std::string& text() const { return text_; }
    /// Writes text() atomically; throws Error(kIo).
    void write(const std::filesystem::path& path) const;

  private:
    std::size_t columns_;
    std::string text_;
};

}  // namespace l2o::framework
