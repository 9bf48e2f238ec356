#include "framework/config/value_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>
#include <system_error>
#include <utility>

namespace l2o::framework {
namespace {

// A whole number above 2^53 would have been rounded on the way through a double.
constexpr double kMaxExact = 9007199254740992.0;

template <typename Number>
std::optional<Number> parse_number(std::string_view text) {
    Number value{};
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc{} || stop != end) return std::nullopt;
    return value;
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
    return text;
}

/// What parse() makes of each of the texts between commas.
template <class T>
std::optional<std::vector<T>> parse_list(std::string_view text, std::optional<T> (*parse)(std::string_view)) {
    std::vector<T> values;
    if (trimmed(text).empty()) return values;
    while (true) {
        const std::size_t comma = text.find(',');
        const auto value = parse(trimmed(text.substr(0, comma)));
        if (!value) return std::nullopt;
        values.push_back(*value);
        if (comma == std::string_view::npos) return values;
        text.remove_prefix(comma + 1);
    }
}

}  // namespace

bool Range::contains(double value) const {
    return (open_min ? value > min : value >= min) && (open_max ? value < max : value <= max);
}

std::string Range::text() const {
    const bool has_min = std::isfinite(min), has_max = std::isfinite(max);
    if (has_min && has_max) {
        return std::string(" in ") + (open_min ? "(" : "[") + format_real(min) + ", " + format_real(max) +
               (open_max ? ")" : "]");
    }
    if (has_min) return (open_min ? " > " : " >= ") + format_real(min);
    if (has_max) return (open_max ? " < " : " <= ") + format_real(max);
    return "";
}

std::optional<bool> parse_bool(std::string_view text) {
    if (text == "true" || text == "yes" || text == "on" || text == "1") return true;
    if (text == "false" || text == "no" || text == "off" || text == "0") return false;
    return std::nullopt;
}

std::optional<std::int64_t> parse_int(std::string_view text) {
    if (const auto value = parse_number<std::int64_t>(text)) return value;
    const auto value = parse_real(text);
    if (!value || *value != std::trunc(*value) || std::abs(*value) > kMaxExact) return std::nullopt;
    return static_cast<std::int64_t>(*value);
}

std::string int_limit(std::string_view text) {
    const bool is_negative = text.starts_with('-');
    const std::string_view digits = text.substr(is_negative ? 1 : 0);
    const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
    if (digits.empty() || !std::all_of(digits.begin(), digits.end(), is_digit) || parse_int(text)) return "";
    using Limits = std::numeric_limits<std::int64_t>;
    return is_negative ? " and at least " + std::to_string(Limits::min())
                       : " and at most " + std::to_string(Limits::max());
}

std::optional<double> parse_real(std::string_view text) {
    const auto value = parse_number<double>(text);
    return value && std::isfinite(*value) ? value : std::nullopt;
}

std::string real_limit(std::string_view text) {
    double value{};
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    return error == std::errc::result_out_of_range && stop == end
               ? " of a size that a double holds, 4.9e-324 to 1.79e308"
               : "";
}

std::optional<std::vector<std::int64_t>> parse_ints(std::string_view text) {
    return parse_list<std::int64_t>(text, &parse_int);
}

std::optional<std::vector<double>> parse_reals(std::string_view text) {
    return parse_list<double>(text, &parse_real);
}

std::optional<std::uint64_t> parse_bytes(std::string_view text) {
    static constexpr std::array<std::pair<std::string_view, double>, 10> kUnits{{{"KiB", 0x1p10},
                                                                                 {"MiB", 0x1p20},
                                                                                 {"GiB", 0x1p30},
                                                                                 {"TiB", 0x1p40},
                                                                                 {"kB", 1e3},
                                                                                 {"KB", 1e3},
                                                                                 {"MB", 1e6},
                                                                                 {"GB", 1e9},
                                                                                 {"TB", 1e12},
                                                                                 {"B", 1}}};
    double unit_bytes = 1;
    for (const auto& [name, bytes] : kUnits) {  // "B" last: it ends all the others
        if (!text.ends_with(name)) continue;
        unit_bytes = bytes;
        text.remove_suffix(name.size());
        break;
    }
    const auto count = parse_real(trimmed(text));
    if (!count || *count < 0) return std::nullopt;
    const double bytes = std::round(*count * unit_bytes);
    if (bytes > kMaxExact) return std::nullopt;
    return static_cast<std::uint64_t>(bytes);
}

std::string format_real(double value) {
    std::array<char, 32> buffer{};  // the longest shortest form has 24 characters
    const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
    return std::string(buffer.data(), error == std::errc{} ? end : buffer.data());
}

std::string format_ints(const std::vector<std::int64_t>& values) {
    std::string text;
    for (const std::int64_t value : values) text += (text.empty() ? "" : ",") + std::to_string(value);
    return text;
}

std::string format_reals(const std::vector<double>& values) {
    std::string text;
    for (const double value : values) text += (text.empty() ? "" : ",") + format_real(value);
    return text;
}

std::string shell_word(std::string_view text) {
    const auto is_plain = [](unsigned char c) {
        return c >= 0x80 || (std::isalnum(c) != 0) ||
               std::string_view("_-./,:=@%+").find(static_cast<char>(c)) != std::string_view::npos;
    };
    if (!text.empty() && std::all_of(text.begin(), text.end(), is_plain)) return std::string(text);
    const auto is_control = [](unsigned char c) { return c < 0x20 || c == 0x7f; };
    const bool has_controls = std::any_of(text.begin(), text.end(), is_control);
    std::string word = has_controls ? "$'" : "'";
    for (const char c : text) {
        if (has_controls && is_control(static_cast<unsigned char>(c)))
            word += fmt::format("\\{:03o}", static_cast<unsigned char>(c));
        else if (has_controls && (c == '\'' || c == '\\'))
            word += {'\\', c};
        else if (c == '\'')
            word += "'\\''";
        else
            word += c;
    }
    return word + "'";
}

}  // namespace l2o::framework
