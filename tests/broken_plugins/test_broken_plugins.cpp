#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "framework/check/conformance.hpp"
#include "framework/error.hpp"
#include "framework/plugin/catalog.hpp"

using namespace l2o::framework;

namespace {

struct Defect {
    const char* plugin;
    const char* check;  ///< that has to fail
    const char* text;   ///< and what it has to say
};

std::vector<Finding> check(const std::string& plugin,
                           std::vector<std::string> only,
                           double time_limit_s = 500) {
    return check_library({.library = std::string(L2O_BROKEN_PLUGINS "/l2o_") + plugin + ".so",
                          .only = std::move(only),
                          .optimizee = "quadratic",
                          .time_limit_s = time_limit_s},
                         plugin_search_path(),
                         [](const Finding&) {});
}

std::vector<std::string> failed(const std::vector<Finding>& findings) {
    std::vector<std::string> out;
    for (const Finding& finding : findings)
        if (finding.verdict == Verdict::kFailed) out.push_back(finding.check);
    return out;
}

}  // namespace

TEST_CASE("every broken plugin is found by the check of the rule that it breaks") {
    constexpr Defect kDefects[] = {
        {"optimizer_writes_past_end", "bounds", "the memory behind 'x'' [5, 10] was written to"},
        {"optimizer_changes_gradient", "inputs", "'g' was written to"},
        {"optimizer_adds_to_state", "outputs", "'v' differs at element 0"},
        {"optimizer_counts_steps_itself", "deterministic", "'x'' differs"},
        {"optimizer_counts_steps_itself", "resume", "8 steps, and 4 steps from a copy after 4"},
        {"optimizer_mixes_rows", "row_invariant", "row 0 of 5 alone: 'x'' differs"},
        {"optimizer_couples_coordinates", "coordinatewise", "as coordinate"},
        {"optimizer_wrong_vjp", "vjp", "step_vjp of step at t = 2 by params"},
        {"optimizer_overwriting_vjp", "vjp_sums", "does not add to what is there"},
        {"optimizer_keeps_a_buffer", "threads", "beside another thread"},
        {"optimizer_flushes_denormals", "environment", "MXCSR was 0x1f80 and is 0x9f80"},
        {"optimizer_exports_more", "loads", "link it with the SDK's version script"},
        {"optimizer_meddles", "environment", "the locale was 'C' and is "},
        {"optimizer_answers_any_extension", "extensions", "get_extension(\"\") is not NULL"},
        {"optimizer_compares_struct_size", "struct_size", "with larger structs: step at t = 0"},
        {"optimizer_crashes", "resume", "crashed with SIGABRT"},
        {"optimizer_ends_the_process", "bounds", "ended the process with exit code 7"},
        {"optimizee_decibel_of_no_ratio", "specs", "metric 'loss_db' is in decibel and no ratio"},
        {"optimizee_wrong_gradient", "gradient", "g of row 0: wrong along"},
        {"optimizee_wrong_hvp", "hvp", "hvp of row 0: wrong along"},
        {"optimizee_writes_unwanted", "unwanted", "ed "},  // crashed, or ended by a sanitizer
        {"optimizee_shares_splits", "splits", "instance 0 of train is instance 0 of validation"},
        {"optimizee_numbers_from_zero", "sample", "[0,16) and [8,16)"},
    };
    for (const Defect& defect : kDefects) {
        CAPTURE(defect.plugin);
        CAPTURE(defect.check);
        const std::vector<Finding> findings = check(defect.plugin, {defect.check});
        REQUIRE(findings.size() == 1);
        CHECK(findings[0].verdict == Verdict::kFailed);
        CHECK_MESSAGE(findings[0].text.find(defect.text) != std::string::npos, findings[0].text);
        CHECK(!findings[0].rule.empty());
    }
}

TEST_CASE("a hang is a failed check, after the time limit, and the others do not wait as long") {
    const std::vector<Finding> hung = check("optimizer_hangs", {"bounds"}, 1);
    REQUIRE(hung.size() == 1);
    CHECK(hung[0].verdict == Verdict::kFailed);
    CHECK(hung[0].text == "did not come back within 1 s");
    CHECK(failed(check("optimizer_hangs", {"schema"})).empty());
    const std::vector<Finding> all = check("optimizer_hangs", {}, 1);
    const auto first = std::find_if(
        all.begin(), all.end(), [](const Finding& finding) { return finding.verdict == Verdict::kFailed; });
    REQUIRE(first != all.end());
    CHECK(std::all_of(first + 1, all.end(), [&](const Finding& finding) {
        return finding.verdict == Verdict::kSkipped &&
               finding.text ==
                   "'" + first->check + "' did not come back within 1 s; others can be asked for with --only";
    }));
}

TEST_CASE("a defect fails the checks of its own rule and no others") {
    using Names = std::vector<std::string>;
    CHECK(failed(check("optimizer_writes_past_end", {})) == Names{"bounds"});
    CHECK(failed(check("optimizer_mixes_rows", {})) == Names{"row_invariant"});
    CHECK(failed(check("optimizer_wrong_vjp", {})) == Names{"vjp"});
    CHECK(failed(check("optimizer_flushes_denormals", {})) == Names{"environment"});
    CHECK(failed(check("optimizee_shares_splits", {})) == Names{"splits"});
}

TEST_CASE("an unknown check, an unknown optimizee and a missing file are refused") {
    CHECK_THROWS_WITH_AS(
        check("optimizer_crashes", {"resumes"}), doctest::Contains("did you mean 'resume'?"), Error);
    CHECK_THROWS_WITH_AS(check("optimizer_none", {}), doctest::Contains("no such file"), Error);
}
