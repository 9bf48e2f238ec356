#pragma once

#include <span>
#include <string>
#include <string_view>

namespace l2o::framework {

/// The known name nearest to a mistyped one, or "" if none is near enough to be meant.
/// Near: at most a third of the letters differ (at least one may), a swap of neighbours counts once and
/// upper case is no difference; ties go to the name that sorts first.
std::string nearest_name(std::string_view name, std::span<const std::string> known);

/// The tail of an error message about an unknown name: "; did you mean 'adam'? known: adam, ista".
/// The list is sorted and cut after a dozen names; the question is left out where nothing is near, and
/// everything where nothing is known.
std::string did_you_mean(std::string_view name, std::span<const std::string> known);

/// "one of: drop, exact, fd": what a choice expects, in the order given.
std::string one_of(std::span<const std::string> choices);

/// What parse_bytes takes.
inline constexpr const char* kExpectedBytes = "a size such as '512MiB', or a number of bytes";

/// The tail of an error message about a wrong choice whose choices were already listed:
/// "; did you mean 'drop'?", or "" if nothing is near.
std::string near_choice(std::string_view text, std::span<const std::string> choices);

}  // namespace l2o::framework
