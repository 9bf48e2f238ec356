#include "framework/text/suggest.hpp"

#include <algorithm>
#include <cstddef>
#include <set>
#include <utility>
#include <vector>

namespace l2o::framework {
namespace {

constexpr std::size_t kMaxListed = 12;  // chosen: what fits a line or two of a terminal

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Optimal string alignment: Levenshtein's distance where a swap of two neighbours is one edit.
std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> before_last(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::swap(before_last, last);
        std::swap(last, row);
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const bool same = lower(a[i - 1]) == lower(b[j - 1]);
            row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (same ? 0 : 1)});
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1])) {
                row[j] = std::min(row[j], before_last[j - 2] + 1);
            }
        }
    }
    return row[b.size()];
}

}  // namespace

std::string nearest_name(std::string_view name, std::span<const std::string> known) {
    std::string nearest;
    std::size_t nearest_distance = 0;
    for (const std::string& candidate : known) {
        const std::size_t longest = std::max(name.size(), candidate.size());
        // A distance is at least the difference of the lengths, and takes their product in time.
        constexpr std::size_t kLongest = 200;
        if (longest > kLongest) continue;
        const std::size_t distance = edit_distance(name, candidate);
        // distance == longest: not one letter in common, as 'm' for 'v'.
        if (distance > std::max<std::size_t>(1, longest / 3) || distance == longest) continue;
        const bool nearer = distance < nearest_distance;
        const bool first_of_tie = distance == nearest_distance && candidate < nearest;
        if (nearest.empty() || nearer || first_of_tie) {
            nearest = candidate;
            nearest_distance = distance;
        }
    }
    return nearest;
}

std::string did_you_mean(std::string_view name, std::span<const std::string> known) {
    if (known.empty()) return "";
    const std::string nearest = nearest_name(name, known);
    std::string text = nearest.empty() ? "; known: " : "; did you mean '" + nearest + "'? known: ";

    const std::set<std::string> sorted(known.begin(), known.end());
    std::size_t listed = 0;
    for (const std::string& candidate : sorted) {
        if (listed == kMaxListed && sorted.size() > kMaxListed + 1) {
            return text + " and " + std::to_string(sorted.size() - kMaxListed) + " more";
        }
        text += (listed++ == 0 ? "" : ", ") + candidate;
    }
    return text;
}

std::string one_of(std::span<const std::string> choices) {
    std::string text;
    for (const std::string& choice : choices) text += (text.empty() ? "one of: " : ", ") + choice;
    return text;
}

std::string near_choice(std::string_view text, std::span<const std::string> choices) {
    const std::string nearest = nearest_name(text, choices);
    return nearest.empty() ? "" : "; did you mean '" + nearest + "'?";
}

}  // namespace l2o::framework
