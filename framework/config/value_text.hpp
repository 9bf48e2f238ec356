#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace l2o::framework {

/// The numbers that a setting may take. An infinite bound is no bound.
struct Range {
    double min = -std::numeric_limits<double>::infinity();
    double max = std::numeric_limits<double>::infinity();
    bool open_min = false;  ///< min itself is not allowed
    bool open_max = false;  ///< max itself is not allowed

    [[nodiscard]] bool contains(double value) const;
    /// " in [0, 1)", " > 0", or "" if unbounded: follows a noun in a message.
    [[nodiscard]] std::string text() const;
};

// Text to value; nullopt if the whole text is not one value of the type.

std::optional<bool> parse_bool(std::string_view text);  ///< true false yes no on off 1 0
/// A whole number; also in the form of a real one ("1e6") where that is exact.
std::optional<std::int64_t> parse_int(std::string_view text);
/// What to add to the range in a message on a text that is a whole number, and too large for parse_int():
/// " and at most 9223372036854775807"; else "".
std::string int_limit(std::string_view text);
std::optional<double> parse_real(std::string_view text);  ///< finite
/// What to add to the range in a message on a text that is a number, and too large or small for
/// parse_real(); else "".
std::string real_limit(std::string_view text);
/// Whole numbers separated by commas, blanks allowed; "" is the empty list.
std::optional<std::vector<std::int64_t>> parse_ints(std::string_view text);
/// Finite numbers in the same form.
std::optional<std::vector<double>> parse_reals(std::string_view text);
/// Bytes: a plain number, or one with B, kB, MB, GB, TB (powers of 1000), KiB, MiB, GiB, TiB (of 1024).
std::optional<std::uint64_t> parse_bytes(std::string_view text);

/// A word as a POSIX shell (with $'...', if there are control characters) reads it back: quoted where needed.
std::string shell_word(std::string_view text);

/// The shortest text that reads back as the same number.
std::string format_real(double value);
std::string format_ints(const std::vector<std::int64_t>& values);
std::string format_reals(const std::vector<double>& values);

}  // namespace l2o::framework
