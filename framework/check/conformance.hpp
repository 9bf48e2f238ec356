#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "framework/plugin/catalog.hpp"

namespace l2o::framework {

enum class Verdict { kOk, kFailed, kSkipped };
/// "ok", "FAIL", "skipped".
[[nodiscard]] const char* name_of(Verdict verdict);

/// The result of one check of one component.
struct Finding {
    std::string component;  ///< "optimizer adam"; "library" for a check of the file as a whole
    std::string check, rule;
    Verdict verdict = Verdict::kOk;
    std::string text{};       ///< what was seen; why it was skipped
    std::string optimizee{};  ///< id of the one that it was created for; "" of an optimizee or a library
    std::string repeat{};     ///< of a random case: the command that checks it again
};

/// Random cases in place of the one that every check is made in.
struct Fuzz {
    std::uint64_t cases = 0;  ///< 0: none
    std::uint64_t seed = 0;
    std::optional<std::uint64_t> only{};  ///< this one of them
    [[nodiscard]] bool is_asked() const { return cases > 0 || only; }
};

/// For Conformance::optimizee: every optimizee that suits.
inline constexpr const char* kAllOptimizees = "all";

/// What to check, and how.
struct Conformance {
    std::filesystem::path library;
    std::vector<std::string> components{};  ///< ids of those to check; empty: all
    std::vector<std::string> only{};        ///< names of checks; empty: all
    std::map<std::string, std::string> settings{};
    /// On which an optimizer or a loss is checked; "": of those that suit the first of
    /// those that answer most (Hessian products, proximal points), or all, if thorough.
    std::string optimizee{};
    std::map<std::string, std::string> optimizee_settings{};  ///< with kAllOptimizees of "ID.KEY"
    std::optional<double> time_limit_s{};  ///< of one check; 60, or 600 if thorough or drawn
    bool thorough = false;  ///< also what takes thousands of calls, long runs, or large batches
    Fuzz fuzz{};
    /// What a command that repeats a random case says beside it: " --plugin-path plugins".
    std::string command_tail{};
};

/// Checks a plugin library, each check in a process of its own; a crash or a hang is a failed check.
/// @param folders   where optimizees are looked for.
/// @param on_found  called after every check.
/// @throw Error kUsage for a check, a component or an optimizee that does not exist, kIo if there is no such
/// file.
std::vector<Finding> check_library(const Conformance& conformance,
                                   const std::vector<PluginFolder>& folders,
                                   const std::function<void(const Finding&)>& on_found);

/// All checks there are, by name.
[[nodiscard]] std::vector<std::string> check_names();
[[nodiscard]] nlohmann::json to_json(const Finding& finding);

}  // namespace l2o::framework
