#include "framework/config/info_scan.hpp"

#include <cstddef>
#include <string>
#include <utility>

#include "framework/config/node.hpp"
#include "framework/error.hpp"

namespace l2o::framework {
namespace {

bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// Follows the states of boost/property_tree/detail/info_parser_read.hpp (1.74), so that the keys counted
// here are the keys of its tree.
class Scanner {
  public:
    explicit Scanner(const std::string& file) : file_(file) {}

    void scan_line(const std::string& line, int line_number) {
        line_ = line.substr(0, line.find('\0'));  // the parser stops there as well
        line_number_ = line_number;
        at_ = 0;
        skip_blanks();
        if (expects_ == Expects::kContinuation && !at_end() && peek() != '"')
            refuse("expected '\"' after the '\\' of the previous line");
        if (peek() == '#') turn_include_into_setting();
        while (scan_token()) {
        }
        if (expects_ == Expects::kValue) expects_ = Expects::kKey;
        scan_.text += line_ + '\n';
    }

    InfoScan finish() {
        if (!open_braces_.empty()) {
            line_number_ = open_braces_.back();
            refuse("this '{' is never closed; expected a '}' after its settings");
        }
        if (expects_ == Expects::kContinuation) {
            line_number_ = continued_line_;
            refuse("the text ends after a '\\'; expected a line with the rest of the string, or no '\\'");
        }
        return std::move(scan_);
    }

  private:
    enum class Expects { kKey, kValue, kContinuation };

    [[noreturn]] void refuse(const std::string& text) const {
        throw Error(ExitCode::kUsage, file_ + ":" + std::to_string(line_number_) + ": " + text);
    }

    [[nodiscard]] char peek() const { return at_ < line_.size() ? line_[at_] : '\0'; }
    void skip_blanks() {
        while (is_blank(peek())) ++at_;
    }
    [[nodiscard]] bool at_end() const { return peek() == '\0' || peek() == ';'; }

    std::string read_word() {
        const std::size_t start = at_;
        while (!at_end() && !is_blank(peek())) {
            if (peek() == '\\') check_escape();
            ++at_;
        }
        return line_.substr(start, at_ - start);
    }

    void skip_string() {
        for (++at_; peek() != '\0'; ++at_) {
            if (peek() == '"') return static_cast<void>(++at_);
            if (peek() == '\\') check_escape();
        }
        refuse("a string does not end on its line; expected '\"', and '\\\"' for one that is part of it");
    }

    // Moves on to the letter after the backslash.
    void check_escape() {
        constexpr std::string_view kTaken = "nrt\"'\\";
        const std::string_view letter = std::string_view(line_).substr(at_ + 1, 1);
        if (!letter.empty() && kTaken.find(letter) != std::string_view::npos) return static_cast<void>(++at_);
        refuse(
            "'\\" + std::string(letter) +
            "' is no escape that is taken; expected '\\\\' for a backslash, or one of \\n \\r \\t \\\" \\'");
    }

    void turn_include_into_setting() {
        const std::size_t start = at_;
        const std::string directive = read_word();
        if (directive != kIncludeKey) {
            refuse("'" + directive +
                   "' is no directive; expected '#include \"file.info\"', or ';' before a comment");
        }
        skip_blanks();
        const bool has_file = peek() == '"';
        if (has_file) skip_string();
        skip_blanks();
        if (!has_file || !at_end()) refuse("expected '#include \"file.info\"' and nothing else on the line");
        line_.replace(start, directive.size(), '"' + directive + '"');
        at_ = start;
    }

    // `sweep 1 2 3` is a key with one value, "1 2 3": all up to the end of the line, a brace, or `zip`.
    void turn_list_into_value() {
        skip_blanks();
        const std::size_t start = at_;
        std::size_t end = at_;
        int words = 0;
        for (; !at_end() && peek() != '{' && peek() != '}'; skip_blanks()) {
            const std::size_t word = at_;
            if (peek() == '"') {
                skip_string();
            } else if (const std::string text = read_word();
                       text == kZipKey || text.find_first_of("{}") != std::string::npos) {
                break;
            }
            end = at_;
            words += end > word ? 1 : 0;
        }
        at_ = start;
        if (words < 2) return;
        std::string quoted = "\"";
        for (const char c : line_.substr(start, end - start)) {
            if (c == '"' || c == '\\') quoted += '\\';
            quoted += c;
        }
        line_.replace(start, end - start, quoted + '"');
    }

    // Moves over one token; false at the end of the line.
    bool scan_token() {
        skip_blanks();
        if (at_end()) return false;
        const bool is_brace = peek() == '{' || peek() == '}';
        if (is_brace && expects_ != Expects::kContinuation) {
            if (peek() == '{') {
                open_braces_.push_back(line_number_);
                if (open_braces_.size() > kMaxDepth)
                    refuse("sections are nested more than " + std::to_string(kMaxDepth) +
                           " deep; expected fewer, is a '}' missing?");
            } else if (!open_braces_.empty()) {
                open_braces_.pop_back();
            }
            opens_ = peek() == '{';
            ++at_;
            expects_ = Expects::kKey;
            return true;
        }
        const bool is_first = std::exchange(opens_, false);
        if (expects_ == Expects::kKey) scan_.key_lines.push_back(line_number_);
        const bool is_string = peek() == '"';
        if (is_string) {
            skip_string();
        } else {
            const std::string word = read_word();
            if (word.find_first_of("{}") != std::string::npos) {
                refuse("a brace is part of the word '" + word +
                       "'; expected blanks round braces, or the word in quotes");
            }
            const bool is_key = expects_ == Expects::kKey;
            if ((!is_key && word == "=") || (is_key && word.size() > 1 && word.ends_with('=')))
                refuse("'=' stands behind a key; expected 'key value' without it, or the '=' in quotes");
            if (is_first && word == kSweepKey) turn_list_into_value();
        }
        expects_ = expects_ == Expects::kKey ? Expects::kValue : Expects::kKey;
        skip_blanks();
        if (peek() == '\\' && expects_ == Expects::kKey) {
            if (!is_string)
                refuse(
                    "a '\\' follows a value; expected a value in quotes, which alone goes on in the next "
                    "line");
            expects_ = Expects::kContinuation;
            continued_line_ = line_number_;
            return false;
        }
        return true;
    }

    const std::string& file_;
    InfoScan scan_;
    std::vector<int> open_braces_;
    std::string line_;
    int line_number_ = 0, continued_line_ = 0;
    std::size_t at_ = 0;
    Expects expects_ = Expects::kKey;
    bool opens_ = false;  // the last token was a '{'
};

}  // namespace

InfoScan scan_info(std::string_view text, const std::string& file) {
    constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
    if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());

    Scanner scanner(file);
    for (int line_number = 1; !text.empty(); ++line_number) {
        const std::size_t end = text.find('\n');
        scanner.scan_line(std::string(text.substr(0, end)), line_number);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
    return scanner.finish();
}

}  // namespace l2o::framework
