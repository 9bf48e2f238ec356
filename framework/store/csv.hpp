#pragma once

#include <cmath>
#include <concepts>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
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

/// Empty where there is no number.
[[nodiscard]] inline CsvCell number_or_empty(double number) {
    return std::isnan(number) ? CsvCell("") : CsvCell(number);
}

/// Builds a CSV file in memory: a header, then rows of the same length. Lines end in "\n"; quoting is that of
/// RFC 4180, section 2.
class CsvWriter {
  public:
    explicit CsvWriter(const std::vector<std::string>& header);

    /// @pre as many cells as the header.
    void add_row(const std::vector<CsvCell>& cells);

    [[nodiscard]] const std::string& text() const { return text_; }
    /// What was added since the last take(): for a file that is written part by part.
    [[nodiscard]] std::string take() { return std::exchange(text_, {}); }
    /// Writes text() atomically; throws Error(kIo).
    void write(const std::filesystem::path& path) const;

  private:
    std::size_t columns_;
    std::string text_;
};

/// A CSV file in memory, by column name.
class CsvTable {
  public:
    /// Reads what CsvWriter writes. @throw Error kIo: cannot be read, a NUL, an open quote, or a line whose
    /// number of cells differs from that of the header.
    static CsvTable read(const std::filesystem::path& path);
    /// @param name  the file, for messages
    static CsvTable parse(std::string_view text, const std::string& name);

    [[nodiscard]] std::size_t rows() const { return rows_.size(); }
    [[nodiscard]] const std::vector<std::string>& header() const { return header_; }
    /// @throw Error kIo if there is no such column
    [[nodiscard]] std::size_t column(const std::string& name) const;
    [[nodiscard]] const std::string& text(std::size_t row, std::size_t column) const;
    /// "nan", "inf" and "-inf" included. @throw Error kIo if it is no number
    [[nodiscard]] double number(std::size_t row, std::size_t column) const;

  private:
    std::string name_;
    std::vector<std::string> header_;
    std::vector<std::vector<std::string>> rows_;
};

}  // namespace l2o::framework
