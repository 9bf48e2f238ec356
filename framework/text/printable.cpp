#include "framework/text/printable.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <l2o/files/json.hpp>
#include <utility>

#include "framework/text/json.hpp"

namespace l2o::framework {
namespace {

struct Character {
    char32_t code = 0;
    std::size_t bytes = 1;
    bool is_valid = true;
};

/// The first character. Unicode 15, table 3-7 "Well-Formed UTF-8 Byte Sequences".
/// @pre text is not empty
Character first_of(std::string_view text) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char lead = byte(0);
    if (lead < 0x80) return {.code = lead};
    constexpr Character kInvalid{.code = 0, .bytes = 1, .is_valid = false};
    const std::size_t more = lead < 0xC2 ? 0 : lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : lead < 0xF5 ? 3 : 0;
    if (more == 0 || text.size() <= more) return kInvalid;
    char32_t code = lead & (0x3FU >> more);
    for (std::size_t i = 1; i <= more; ++i) {
        if ((byte(i) & 0xC0U) != 0x80) return kInvalid;
        code = code << 6 | (byte(i) & 0x3FU);
    }
    constexpr std::array<char32_t, 4> kSmallest{0, 0x80, 0x800, 0x10000};
    const bool is_surrogate = code >= 0xD800 && code <= 0xDFFF;
    if (code < kSmallest[more] || code > 0x10FFFF || is_surrogate) return kInvalid;
    return {.code = code, .bytes = more + 1};
}

bool is_control(char32_t code) { return code < 0x20 || (code >= 0x7F && code < 0xA0); }

struct CodeRange {
    char32_t first, last;
};

bool is_in(char32_t code, const CodeRange* begin, const CodeRange* end) {
    return std::any_of(
        begin, end, [&](const CodeRange& range) { return code >= range.first && code <= range.last; });
}

/// What is not seen, but moves or hides what is: marks and overrides of direction, separators of lines,
/// spaces of no width. Unicode 15, section 23.2 "Layout Controls".
bool is_layout(char32_t code) {
    static constexpr CodeRange kRanges[]{{0x061C, 0x061C},
                                         {0x200B, 0x200B},
                                         {0x200E, 0x200F},
                                         {0x2028, 0x202E},
                                         {0x2060, 0x2069},
                                         {0xFEFF, 0xFEFF},
                                         {0xFFF9, 0xFFFB}};
    return is_in(code, std::begin(kRanges), std::end(kRanges));
}

bool is_combining(char32_t code) {
    static constexpr CodeRange kRanges[]{{0x0300, 0x036F},
                                         {0x1AB0, 0x1AFF},
                                         {0x1DC0, 0x1DFF},
                                         {0x200C, 0x200D},
                                         {0x20D0, 0x20FF},
                                         {0xFE00, 0xFE0F},
                                         {0xFE20, 0xFE2F}};
    return is_in(code, std::begin(kRanges), std::end(kRanges));
}

/// East_Asian_Width W and F of Unicode 15, in blocks.
bool is_wide(char32_t code) {
    static constexpr CodeRange kRanges[]{{0x1100, 0x115F},
                                         {0x2E80, 0x303E},
                                         {0x3041, 0xA4CF},
                                         {0xA960, 0xA97F},
                                         {0xAC00, 0xD7A3},
                                         {0xF900, 0xFAFF},
                                         {0xFE30, 0xFE6F},
                                         {0xFF00, 0xFF60},
                                         {0xFFE0, 0xFFE6},
                                         {0x1F300, 0x1F64F},
                                         {0x1F900, 0x1F9FF},
                                         {0x20000, 0x3FFFD}};
    return is_in(code, std::begin(kRanges), std::end(kRanges));
}

std::size_t width_of(char32_t code) { return is_combining(code) ? 0 : is_wide(code) ? 2 : 1; }

/// Calls each(character, bytes of the text).
template <typename Each>
void for_each(std::string_view text, Each each) {
    while (!text.empty()) {
        const Character character = first_of(text);
        each(character, text.substr(0, character.bytes));
        text.remove_prefix(character.bytes);
    }
}

/// Most texts are: a column and a byte each, nothing to escape.
bool is_plain(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7F; });
}

void append_byte(std::string& out, std::string_view bytes) {
    out += fmt::format("\\x{:02x}", static_cast<unsigned char>(bytes[0]));
}

std::string escaped(std::string_view text, bool keeps_lines) {
    if (is_plain(text)) return std::string(text);
    std::string out;
    out.reserve(text.size());
    for_each(text, [&](const Character& character, std::string_view bytes) {
        const char32_t code = character.is_valid ? character.code : 0;
        if (code == '\n' || code == '\t') {
            out += keeps_lines ? bytes : code == '\n' ? "\\n" : "\\t";
        } else if (code == '\r') {
            out += "\\r";
        } else if (code < 0x20) {
            append_byte(out, bytes);
        } else if (is_control(code) || is_layout(code)) {
            out += fmt::format("\\u{:04x}", static_cast<std::uint32_t>(code));
        } else {
            out += bytes;
        }
    });
    return out;
}

nlohmann::json with_valid_texts(const nlohmann::json& json) {
    if (json.is_string()) return valid_utf8(json.get_ref<const std::string&>());
    if (!json.is_structured()) return json;
    nlohmann::json out = json.is_array() ? nlohmann::json::array() : nlohmann::json::object();
    for (const auto& [key, value] : json.items()) {
        if (json.is_array())
            out.push_back(with_valid_texts(value));
        else
            out[valid_utf8(key)] = with_valid_texts(value);
    }
    return out;
}

}  // namespace

std::string text_fault(std::string_view text) {
    for (std::size_t at = 0; at < text.size();) {
        const Character character = first_of(text.substr(at));
        const auto byte = static_cast<unsigned char>(text[at]);
        if (!character.is_valid) return fmt::format("byte {} is 0x{:02x}, which is not UTF-8", at, byte);
        const bool is_taken = byte == '\t' || byte == '\n' || byte == '\r';
        if (is_control(character.code) && !is_taken) {
            return fmt::format(
                "byte {} is the control character 0x{:02x}", at, static_cast<std::uint32_t>(character.code));
        }
        at += character.bytes;
    }
    return "";
}

std::string valid_utf8(std::string_view text) {
    if (is_plain(text)) return std::string(text);
    std::string out;
    out.reserve(text.size());
    for_each(text, [&](const Character& character, std::string_view bytes) {
        if (character.is_valid)
            out += bytes;
        else
            append_byte(out, bytes);
    });
    return out;
}

std::string printable(std::string_view text) { return escaped(text, true); }

std::string one_line(std::string_view text) { return escaped(text, false); }

std::size_t width_of(std::string_view text) {
    if (is_plain(text)) return text.size();
    std::size_t columns = 0;
    for_each(text,
             [&](const Character& character, std::string_view) { columns += width_of(character.code); });
    return columns;
}

std::string cut_to(std::string_view text, std::size_t columns) {
    if (width_of(text) <= columns) return std::string(text);
    const std::size_t dots = std::min<std::size_t>(columns, 3);
    std::string out;
    std::size_t used = dots;
    while (!text.empty()) {
        const Character character = first_of(text);
        used += width_of(character.code);
        if (used > columns) break;
        out += text.substr(0, character.bytes);
        text.remove_prefix(character.bytes);
    }
    return out + std::string(dots, '.');
}

std::string wrapped(std::string_view text,
                    std::string_view first,
                    std::string_view indent,
                    std::size_t columns) {
    constexpr std::string_view kBlanks = " \t\n\r";
    std::string out(first);
    std::size_t used = width_of(first);
    bool has_word = false;
    while (true) {
        text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
        if (text.empty()) return out + '\n';
        const std::string_view word = text.substr(0, text.find_first_of(kBlanks));
        text.remove_prefix(word.size());
        const std::size_t width = width_of(word);
        if (has_word && used + 1 + width > columns) {
            (out += '\n') += indent;
            used = width_of(indent);
        } else if (has_word) {
            out += ' ';
            ++used;
        }
        out += word;
        used += width;
        has_word = true;
    }
}

std::string folded(std::string_view text, std::size_t columns) {
    std::string out;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        const std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (width_of(line) <= columns) {
            (out += line) += '\n';
            continue;
        }
        // A deep one would leave no room.
        const std::string indent(std::min({line.find_first_not_of(' '), line.size(), columns / 3}), ' ');
        out += wrapped(line, indent, indent + "  ", columns);
    }
    return out;
}

std::optional<nlohmann::json> parsed_json(std::string_view text, std::size_t max_depth) try {
    return files::parse_json(text, max_depth, "less");
} catch (const files::JsonFault&) {
    return std::nullopt;
}

std::string json_text(const nlohmann::json& json, int indent) {
    try {
        return json.dump(indent);
    } catch (const nlohmann::json::type_error&) {  // 316: a text is not UTF-8
        return with_valid_texts(json).dump(indent);
    }
}

}  // namespace l2o::framework
