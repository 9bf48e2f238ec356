#include "framework/config/sweep_values.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <stdexcept>

#include "framework/config/value_text.hpp"

namespace l2o::framework {
namespace {

constexpr std::string_view kBlanks = " \t\r\n";

std::vector<std::string> words_of(std::string_view list) {
    std::vector<std::string> words;
    for (std::size_t at = list.find_first_not_of(kBlanks); at < list.size();
         at = list.find_first_not_of(kBlanks, at)) {
        std::string& word = words.emplace_back();
        const bool is_quoted = list[at] == '"';
        if (is_quoted) ++at;
        const auto is_end = [&] {
            return is_quoted ? list[at] == '"' : kBlanks.find(list[at]) != std::string_view::npos;
        };
        for (; at < list.size() && !is_end(); ++at) {
            if (list[at] == '\\' && at + 1 < list.size()) {
                const char letter = list[++at];
                word += letter == 'n' ? '\n' : letter == 'r' ? '\r' : letter == 't' ? '\t' : letter;
            } else {
                word += list[at];
            }
        }
        if (is_quoted && at++ >= list.size()) throw std::invalid_argument("a '\"' at the end of every text");
    }
    return words;
}

std::vector<std::string> range(const std::vector<std::string>& words, bool is_log) {
    const auto from = parse_real(words.size() > 1 ? words[1] : ""),
               to = parse_real(words.size() > 2 ? words[2] : "");
    const auto count = parse_int(words.size() > 3 ? words[3] : "");
    if (words.size() != 4 || !from || !to || !count || *count < 2 || *count > std::int64_t{kMostSwept} ||
        *from == *to || (is_log && !(*from > 0 && *to > 0)))
        throw std::invalid_argument(
            fmt::format("'{} FROM TO COUNT' with two different numbers{} and a whole one in [2, {}]",
                        words[0],
                        is_log ? " > 0" : "",
                        kMostSwept));
    std::vector<std::string> values{words[1]};
    for (std::int64_t i = 1; i + 1 < *count; ++i) {
        const double share = static_cast<double>(i) / static_cast<double>(*count - 1);
        values.push_back(fmt::format(
            "{:.6g}", is_log ? *from * std::pow(*to / *from, share) : *from + share * (*to - *from)));
    }
    values.push_back(words[2]);
    return values;
}

}  // namespace

std::vector<std::string> sweep_values(std::string_view list) {
    std::vector<std::string> words = words_of(list);
    if (words.empty()) throw std::invalid_argument("at least one value");
    // The values of a choice may be called so too; no number is among them.
    const bool has_number =
        std::ranges::any_of(words, [](const auto& word) { return parse_real(word).has_value(); });
    if (has_number && (words[0] == "log" || words[0] == "linear")) return range(words, words[0] == "log");
    if (words.size() > kMostSwept) throw std::invalid_argument(fmt::format("at most {} values", kMostSwept));
    return words;
}

std::vector<std::string> short_keys(const std::vector<std::string>& keys) {
    const auto last = [](const std::string& key, std::size_t parts) {
        std::size_t dot = key.size();
        for (; parts > 0 && dot != std::string::npos && dot > 0; --parts) dot = key.rfind('.', dot - 1);
        return dot == std::string::npos ? key : key.substr(std::min(dot + 1, key.size()));
    };
    std::vector<std::string> texts;
    for (const std::string& key : keys) {
        std::size_t parts = 1;
        const auto is_same = [&](const std::string& other) { return last(other, parts) == last(key, parts); };
        while (last(key, parts) != key && std::ranges::count_if(keys, is_same) > 1) ++parts;
        texts.push_back(last(key, parts));
    }
    return texts;
}

std::string sweep_list(const std::vector<std::string>& values) {
    std::string list;
    for (const std::string& value : values) {
        list += list.empty() ? "\"" : " \"";
        for (const char c : value) {
            if (c == '"' || c == '\\') list += '\\';
            list += c;
        }
        list += '"';
    }
    return list;
}

}  // namespace l2o::framework
