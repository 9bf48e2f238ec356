#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <string_view>
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
    const char* component = "";
};

std::vector<Finding> check(const std::string& plugin,
                           std::vector<std::string> only,
                           double time_limit_s = 500,
                           const std::string& component = "") {
    return check_library(
        {.library = std::string(L2O_BROKEN_PLUGINS "/l2o_") + plugin + ".so",
         .components = component.empty() ? std::vector<std::string>{} : std::vector{component},
         .only = std::move(only),
         .optimizee = "quadratic",
         .time_limit_s = time_limit_s,
         .thorough = true},
        plugin_search_path(),
        [](const Finding&) {});
}

std::vector<std::string> failed(const std::vector<Finding>& findings) {
    std::vector<std::string> out;
    for (const Finding& finding : findings)
        if (finding.verdict == Verdict::kFailed) out.push_back(finding.check);
    return out;
}

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
    {"optimizer_compares_struct_size", "struct_size", "with larger structs: create"},
    {"optimizer_steps", "struct_size", "with smaller structs: create: returned status 3", "reads_behind"},
    {"optimizer_asks", "questions", "it declared the kinds 0x1", "asks_for_more"},
    {"optimizer_asks", "questions", "still asks after 1000 rounds", "asks_without_end"},
    {"optimizer_asks", "questions", "no row wants an answer", "asks_for_nothing"},
    {"optimizer_asks", "questions", "row 0 wanted nothing at step at t = 0, round 6", "goes_on_when_done"},
    {"optimizer_asks", "questions", "x' is not that question", "moves_from_question"},
    {"optimizer_asks", "questions", "x' is not x", "moves_unchanged"},
    {"optimizer_asks", "questions", "depends on an answer that was not wanted", "reads_unwanted"},
    {"optimizer_asks", "questions", "alone: 'q_wanted' differs", "asks_together"},
    {"optimizer_lies", "vjp", "step_vjp of step at t = 0 by g: wrong along", "wrong_by_little"},
    {"optimizer_lies", "vjp", "step_vjp of step at t = 21 by g: wrong along", "wrong_late"},
    {"optimizer_lies", "vjp", "step_vjp of step at t = 300 by g: wrong along", "wrong_very_late"},
    {"optimizer_lies", "vjp", "step_vjp of step at t = 0 by g: wrong along", "wrong_away_from_start"},
    {"optimizer_lies", "vjp", "in float32 and float64: 'cotangent of g' differs", "wrong_vjp_in_float32"},
    {"optimizer_lies", "vjp", "of 37 rows, and of each alone", "wrong_vjp_of_many"},
    {"optimizer_lies", "vjp", "step_vjp of step at t = 7 by g: wrong along", "wrong_before_it_leaps"},
    {"optimizer_lies", "vjp", "step_vjp of step at t = 2 by state 'v': wrong along", "wrong_behind_a_jump"},
    {"optimizer_lies",
     "second_block",
     "with two blocks: step_vjp of step at t = 0 by g",
     "wrong_in_second_block"},
    {"optimizer_lies", "float32", "in float32 and float64: 'x'' differs", "wrong_in_float32"},
    {"optimizer_lies", "batch", "row 0 of 37 alone: 'x'' differs", "mixes_thirty_two"},
    {"optimizer_lies", "batch", "row 0 of 97 alone: 'x'' differs", "mixes_sixty_five"},
    {"optimizer_lies", "batch", "row 0 of 131 alone: 'x'' differs", "steps_further_with_many"},
    {"optimizer_lies", "deterministic", "step at t = 300: 'x'' differs", "counts_calls_late"},
    {"optimizer_lies", "key", "with another key: step at t = 0: 'x'' differs", "draws_in_secret"},
    {"optimizer_lies", "deterministic", "in call ", "forgets_sometimes"},
    {"optimizer_lies", "leaves", "bytes that are not given back", "leaks"},
    {"optimizer_lies", "leaves", "threads run after 20 calls", "leaves_threads"},
    {"optimizer_lies", "leaves", "step at t = 0: 20 calls leave ", "leaks_mappings"},
    {"optimizer_lies", "leaves", "create and destroy: 8 calls keep ", "leaks_instances"},
    {"optimizer_lies",
     "leaves",
     "create and destroy: 1",  // and a digit: 10 threads or more
     "leaves_threads_of_instances"},
    {"optimizer_lies", "specs", "byte 0 is 0xe4, which is not UTF-8", "name_not_utf8"},
    {"optimizer_lies", "specs", "an end of line or a tab in it", "name_of_two_lines"},
    {"optimizer_lies", "specs", "more than 256 bytes", "name_is_huge"},
    {"optimizer_lies",
     "creates",
     "are both called 'twice'; expected a name of its own for each",
     "states_of_one_name"},
    {"optimizer_lies", "creates", "state 'count' belongs to block 7", "state_of_no_block"},
    {"optimizer_lies", "specs", "state 'count' belongs to block 'x' and is not batched", "state_of_all_rows"},
    {"optimizer_lies", "creates", "points_per_step is -1; expected", "steps_are_refunded"},
    {"optimizee_promises", "creates", "block_spec(0) 'x' has the bounds [1, -1]", "bounds_turned"},
    {"optimizee_promises", "creates", "cost_gradient is nan; expected", "costs_no_number"},
    {"optimizer_lies", "params", "for one problem they are", "fits_the_problem"},
    {"optimizer_lies", "schema", "the default of option 'rate' is '2'", "bad_default"},
    {"optimizer_claims", "questions", "x_is of row 0 is -2; x' is not x", "says_unchanged"},
    {"optimizer_claims", "questions", "step at t = 21: x_is of row 0 is ", "says_unchanged_late"},
    {"optimizer_claims", "questions", "there were 0 questions before", "names_no_question"},
    {"optimizer_claims", "box", "of x' of block 0 is ", "leaves_the_box"},
    {"optimizer_claims", "layers", "uses parameter 'rate', whose first step is to be 3", "used_early"},
    {"optimizer_claims", "params", "with another key 'rate' differs", "derived_from_the_key"},
    {"optimizee_misleads", "gradient", "g of row 1: wrong along", "wrong_by_little"},
    {"optimizee_misleads", "float32", "in float32 and float64: 'g of x' differs", "wrong_in_float32"},
    {"optimizee_misleads", "batch", "row 0 of 37 alone: 'f' differs", "wrong_of_many"},
    {"optimizee_misleads", "key", "with another key: eval: 'f' differs", "draws_in_secret"},
    {"optimizee_misleads", "starts", "row 1 of a batch of 5, and alone: 'x' differs", "starts_from_zero"},
    {"optimizee_misleads", "parts", "element 0 of f is", "forgets_alone"},
    {"optimizee_misleads",
     "particles",
     "eval of f alone with rows_per_instance 2, and of each row alone: 'f' differs at element 1",
     "deals_rows"},
    {"optimizee_misleads", "prox", "||u - w||^2 is", "steps_forward"},
    {"optimizee_misleads", "specs", "and hvp is NULL", "claims_hvp"},
    {"optimizee_misleads", "creates", "has no block; expected", "nothing_to_move"},
    {"optimizee_misleads", "specs", "has solve, and no data tensor marked", "solves_nothing"},
    {"optimizer_steps", "rows", "row_status of row 0 is 3; expected", "ends_with_nonsense"},
    {"optimizer_steps", "reads", "ed ", "reads_unread"},  // crashed, or ended by a sanitizer
    {"optimizer_steps", "outputs", "recommend at t = 0: 'x'' differs at element 10", "recommends_half"},
    {"optimizer_crashes", "resume", "crashed with SIGABRT"},
    {"optimizer_ends_the_process", "bounds", "ended the process with exit code 7"},
    {"optimizee_decibel_of_no_ratio", "specs", "metric 'loss_db' is in decibel and no ratio"},
    {"optimizee_wrong_gradient", "gradient", "g of row 0: wrong along"},
    {"optimizee_wrong_hvp", "hvp", "hvp of row 0: wrong along"},
    {"optimizee_writes_unwanted", "unwanted", "ed "},  // crashed, or ended by a sanitizer
    {"optimizee_shares_splits", "splits", "instance 0 of train is instance 0 of validation"},
    {"optimizee_numbers_from_zero", "sample", "[0,16) and [8,16)"},
    {"optimizee_promises", "unwanted", "ed ", "writes_shared"},   // crashed, or ended by a sanitizer
    {"optimizee_promises", "unwanted", "ed ", "reads_solution"},  // likewise
    {"optimizee_promises",
     "sample",
     "split 0 and split 1, what all instances share: 'w' differs",
     "shared_by_split"},
    {"optimizee_promises", "sample", "split 0: [0,16) and [0,37): 'w' differs", "shared_by_count"},
    {"optimizee_promises",
     "sample",
     "split 0: [0,16) and [0,37): 'c' differs at element 18",
     "instances_by_count"},
    {"optimizee_promises", "particles", "'g of x' differs at element 12", "wrong_gradient_of_populations"},
    {"optimizee_promises", "particles", "'hvp of x' differs at element 0", "wrong_hvp_of_populations"},
    {"optimizee_promises", "particles", "'distance' differs at element 1", "wrong_metrics_of_populations"},
    {"optimizee_promises", "starts", "of 'x' starts at ", "starts_outside"},
    {"optimizee_promises", "finite", "metric 'distance' is nan at the start of every row", "metric_of_none"},
    {"optimizee_promises", "finite", "element 1 of g of x is nan at a start", "slope_of_none"},
    {"optimizer_lies", "finite", "element 0 of x' after the step at t = 0 is nan", "leads_nowhere"},
    {"optimizee_promises", "optimum", "'f_star' says that the least is 1000", "optimum_too_high"},
    {"optimizee_promises", "optimum", "'f_star' says that the least is 0.001", "optimum_a_bit_too_high"},
    {"optimizee_promises",
     "splits",
     "instance 0 of train is instance 0 of validation, as are 16 of 16",
     "two_bits_of_train"},
    {"optimizee_promises",
     "splits",
     "instance 8 of train is instance 0 of test, as are 8 of 16",
     "shifts_splits"},
    {"loss_scores", "float32", "in float32 and float64: 'per_row' differs", "wrong_in_float32"},
    {"loss_scores", "batch", "row 0 of 37 alone: 'per_row' differs", "wrong_of_many"},
    {"loss_scores",
     "vjp",
     "vjp of points 0 .. 6, in float32 and float64: 'cotangent of f' differs",
     "wrong_vjp_in_float32"},
    {"loss_scores", "vjp", "vjp of points 0 .. 6, of row 0 of 37 alone", "wrong_vjp_of_many"},
    {"loss_scores",
     "vjp",
     "vjp of points 0 .. 6 of 3 particles by f: wrong along",
     "wrong_vjp_of_populations"},
    {"loss_scores", "vjp", "vjp of points 2 .. 4 by f: wrong along", "wrong_vjp_of_windows"},
    {"loss_scores", "bounds", "of 3 particles: the memory behind 'per_row'", "scores_particles"},
    {"loss_scores",
     "row_invariant",
     "eval of points 0 .. 6 of 3 particles: row 0 of 5 alone",
     "deals_particles"},
    {"loss_scores", "additive", "points 0 .. 1 and 1 .. 6 together", "falsely_additive"},
    {"loss_scores", "vjp_sums", "ed ", "asks_nobody"},  // crashed, or ended by a sanitizer
};
/// A part of the table: each is a test of its own, beside the others.
void find(const std::function<bool(std::string_view)>& is_of_part) {
    std::size_t found = 0;
    for (const Defect& defect : kDefects) {
        if (!is_of_part(defect.plugin)) continue;
        ++found;
        CAPTURE(std::string(defect.plugin));
        CAPTURE(std::string(defect.check));
        CAPTURE(std::string(defect.component));
        const std::vector<Finding> findings = check(defect.plugin, {defect.check}, 500, defect.component);
        REQUIRE(findings.size() == 1);
        CHECK(findings[0].verdict == Verdict::kFailed);
        CHECK_MESSAGE(findings[0].text.find(defect.text) != std::string::npos, findings[0].text);
        CHECK(!findings[0].rule.empty());
    }
    CHECK(found > 10);
}

bool is_optimizer(std::string_view plugin) { return plugin.starts_with("optimizer_"); }
bool lies(std::string_view plugin) { return plugin == "optimizer_lies"; }

}  // namespace

TEST_CASE("every lie of an optimizer is found by the check of the rule that it breaks") { find(lies); }

TEST_CASE("every other broken optimizer is found by the check of the rule that it breaks") {
    find([](std::string_view plugin) { return is_optimizer(plugin) && !lies(plugin); });
}

TEST_CASE("every broken problem and loss is found by the check of the rule that it breaks") {
    find([](std::string_view plugin) { return !is_optimizer(plugin); });
}

namespace {

std::vector<Finding> fuzz(const std::string& component,
                          std::uint64_t cases,
                          std::optional<std::uint64_t> only = {}) {
    return check_library({.library = std::string(L2O_BROKEN_PLUGINS "/l2o_optimizer_lies.so"),
                          .components = {component},
                          .only = {"vjp", "bounds", "row_invariant"},
                          .optimizee = "quadratic",
                          .optimizee_settings = {{"condition_number", "0"}},  // refuses some
                          .fuzz = {.cases = cases, .seed = 3, .only = only}},
                         plugin_search_path(),
                         [](const Finding&) {});
}

}  // namespace

TEST_CASE("random cases find what is wrong for some values of an option, or far out, and how to repeat it") {
    struct Hidden {
        const char *component, *check, *text;
    };
    for (const Hidden& hidden :
         {Hidden{"wrong_when_damped", "vjp", "by g: wrong along"},
          Hidden{"crashes_when_damped", "bounds", "ed "},  // crashed, or ended by a sanitizer
          Hidden{"wrong_far_out", "row_invariant", "alone: 'x'"}}) {
        CAPTURE(std::string(hidden.component));
        CHECK(failed(check_library({.library = std::string(L2O_BROKEN_PLUGINS "/l2o_optimizer_lies.so"),
                                    .components = {hidden.component},
                                    .only = {hidden.check},
                                    .optimizee = "quadratic"},
                                   plugin_search_path(),
                                   [](const Finding&) {}))
                  .empty());
        const std::vector<Finding> found = fuzz(hidden.component, 30), again = fuzz(hidden.component, 30);
        REQUIRE(found.size() > 1);
        const Finding& first = found.front();
        CHECK(first.check == hidden.check);
        CHECK_MESSAGE(first.text.find(hidden.text) != std::string::npos, first.text);
        CHECK(first.optimizee == "quadratic");
        CHECK(first.repeat.find(" --seed 3 --case ") != std::string::npos);
        CHECK(first.repeat.ends_with(std::string(" --only ") + hidden.check));
        CHECK(found.back().check == "fuzz");
        // The same cases, and of them one alone.
        REQUIRE(again.size() == found.size());
        for (std::size_t i = 0; i < found.size(); ++i) CHECK(again[i].text == found[i].text);
        const std::size_t at = first.repeat.find(" --case ") + 8;
        const std::vector<Finding> alone = fuzz(hidden.component, 0, std::stoull(first.repeat.substr(at)));
        REQUIRE(!alone.empty());
        CHECK(alone.front().text == first.text);
    }
}

TEST_CASE("random cases find nothing in a sound plugin, and take a refusal for one") {
    const std::vector<Finding> sound = fuzz("reverses_soundly", 30), refused = fuzz("refuses_damping", 30);
    REQUIRE(sound.size() == 1);
    CHECK(sound[0].verdict == Verdict::kOk);
    CHECK(sound[0].text == "30 cases of seed 3: 0 refused, 0 failed");
    REQUIRE(refused.size() == 1);
    CHECK(refused[0].verdict == Verdict::kOk);
    CHECK(refused[0].text.find(": 0 refused") == std::string::npos);
    CHECK(refused[0].text.ends_with(" refused, 0 failed"));
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
    CHECK(failed(check("optimizer_mixes_rows", {})) == Names{"row_invariant", "batch"});
    CHECK(failed(check("optimizer_wrong_vjp", {})) == Names{"vjp"});
    CHECK(failed(check("optimizer_flushes_denormals", {})) == Names{"environment"});
    CHECK(failed(check("optimizee_shares_splits", {})) == Names{"splits"});
    CHECK(failed(check("optimizer_asks", {}, 500, "asks_soundly")).empty());
    CHECK(failed(check("optimizer_lies", {}, 500, "reverses_soundly")).empty());
    CHECK(failed(check("optimizer_lies", {"vjp", "vjp_sums"}, 500, "divides_soundly")).empty());
    CHECK(failed(check("loss_scores", {}, 500, "scores_soundly")).empty());
    CHECK(failed(check("loss_scores", {}, 500, "wrong_vjp_of_populations")) == Names{"vjp"});
    CHECK(failed(check("loss_scores", {}, 500, "falsely_additive")) == Names{"vjp", "additive"});
    CHECK(failed(check("optimizee_promises", {}, 500, "claims_soundly")).empty());
    CHECK(failed(check("optimizee_promises", {}, 500, "few_integers")).empty());
    CHECK(failed(check("optimizee_promises", {}, 500, "one_bit")).empty());
    CHECK(failed(check("optimizee_promises", {}, 500, "writes_shared")) == Names{"unwanted"});
    CHECK(failed(check("optimizee_promises", {}, 500, "reads_solution")) == Names{"unwanted"});
    CHECK(failed(check("optimizee_promises", {}, 500, "shared_by_split")) == Names{"sample"});
    CHECK(failed(check("optimizee_promises", {}, 500, "shared_by_count")) == Names{"sample"});
    CHECK(failed(check("optimizee_promises", {}, 500, "wrong_gradient_of_populations")) ==
          Names{"particles"});
    CHECK(failed(check("optimizee_promises", {}, 500, "wrong_hvp_of_populations")) == Names{"particles"});
    CHECK(failed(check("optimizee_promises", {}, 500, "wrong_metrics_of_populations")) == Names{"particles"});
    CHECK(failed(check("optimizee_promises", {}, 500, "starts_outside")) == Names{"starts"});
    CHECK(failed(check("optimizee_promises", {}, 500, "optimum_too_high")) == Names{"optimum"});
    CHECK(failed(check("optimizee_promises", {}, 500, "shifts_splits")) == Names{"splits"});
    CHECK(failed(check("optimizer_lies", {}, 500, "wrong_late")) == Names{"vjp"});
    CHECK(failed(check("optimizer_lies", {}, 500, "wrong_very_late")) == Names{"vjp"});
    CHECK(failed(check("optimizer_lies", {}, 500, "steps_further_with_many")) == Names{"batch"});
    CHECK(failed(check("optimizer_lies", {}, 500, "wrong_in_second_block")) == Names{"second_block"});
    CHECK(failed(check("optimizer_asks", {}, 500, "moves_unchanged")) == Names{"questions"});
    CHECK(failed(check("optimizer_steps", {}, 500, "ends_with_nonsense")) == Names{"rows"});
    CHECK(failed(check("optimizer_lies", {}, 500, "leaks_mappings")) == Names{"leaves"});
    CHECK(failed(check("optimizer_lies", {}, 500, "leaks_instances")) == Names{"leaves"});
    CHECK(failed(check("optimizer_lies", {}, 500, "leaves_threads_of_instances")) == Names{"leaves"});
    CHECK(failed(check("optimizer_claims", {}, 500, "says_unchanged")) == Names{"questions"});
    CHECK(failed(check("optimizer_claims", {}, 500, "names_no_question")) == Names{"questions"});
    CHECK(failed(check("optimizer_claims", {}, 500, "leaves_the_box")) == Names{"box"});
    CHECK(failed(check("optimizer_claims", {}, 500, "used_early")) == Names{"layers"});
    CHECK(failed(check("optimizer_claims", {}, 500, "derived_from_the_key")) == Names{"params"});
}

TEST_CASE("where x goes off on a problem, a flatter one of the kind is looked at") {
    for (const char* function : {"ellipsoid", "rosenbrock", "mix"}) {
        CAPTURE(std::string(function));
        const std::vector<Finding> found =
            check_library({.library = L2O_BROKEN_PLUGINS "/l2o_optimizer_wrong_vjp.so",
                           .optimizee = "black_box",
                           .optimizee_settings = {{"function", function}}},
                          plugin_search_path(),
                          [](const Finding&) {});
        CHECK(failed(found) == std::vector<std::string>{"vjp"});
    }
}

TEST_CASE("a small error of a derivative does not hide in the rounding of a large x") {
    const std::vector<Finding> found = check_library({.library = L2O_BROKEN_PLUGINS "/l2o_optimizer_lies.so",
                                                      .components = {"wrong_by_little"},
                                                      .only = {"vjp"},
                                                      .optimizee = "black_box",
                                                      .optimizee_settings = {{"function", "schwefel"}}},
                                                     plugin_search_path(),
                                                     [](const Finding&) {});
    CHECK(failed(found) == std::vector<std::string>{"vjp"});
}

TEST_CASE("what cannot be looked at is skipped, with the reason, and never ok") {
    const auto skipped = [](const char* component, const char* name) {
        CAPTURE(std::string(component));
        const std::vector<Finding> findings = check("optimizer_lies", {name}, 500, component);
        REQUIRE(findings.size() == 1);
        CHECK(findings[0].verdict == Verdict::kSkipped);
        return findings[0].text;
    };
    const std::string off = ", however flat the objective; nothing later was looked at";
    for (const char* name : {"bounds",
                             "inputs",
                             "outputs",
                             "deterministic",
                             "key",
                             "row_invariant",
                             "batch",
                             "float32",
                             "resume",
                             "questions",
                             "vjp",
                             "vjp_sums",
                             "second_block",
                             "threads",
                             "struct_size",
                             "environment",
                             "leaves"}) {
        CAPTURE(std::string(name));
        CHECK(skipped("wrong_since_it_leaps", name) ==
              "x is no number, or beyond 1e6, after the step at t = 1" + off);
    }
    CHECK(skipped("wrong_and_leaps_at_once", "bounds") ==
          "x is no number, or beyond 1e6, after the step at t = 0" + off);
    const std::vector<Finding> jumps = check("optimizer_lies", {"vjp"}, 500, "jumps_soundly");
    REQUIRE(jumps.size() == 1);
    CHECK(jumps[0].verdict == Verdict::kOk);
    CHECK(jumps[0].text == "nothing is said by state 'side': every difference leads over a jump");
}

TEST_CASE("a prox that is not of f is told of, and not judged: it may be of a term of it") {
    const auto said = [](const char* component) {
        const std::vector<Finding> findings = check("optimizee_promises", {"prox"}, 500, component);
        REQUIRE(findings.size() == 1);
        CHECK(findings[0].verdict == Verdict::kOk);
        return findings[0].text;
    };
    CHECK(said("prox_of_f") == "of f");
    CHECK(said("prox_of_three").starts_with("of a term of f, or f has a kink: at u (x - u) / tau is "));
}

TEST_CASE("an unknown check, an unknown component and a missing file are refused") {
    CHECK_THROWS_WITH_AS(
        check("optimizer_crashes", {"resumes"}), doctest::Contains("did you mean 'resume'?"), Error);
    CHECK_THROWS_WITH_AS(check("optimizer_asks", {}, 500, "asks_for_mor"),
                         doctest::Contains("did you mean 'asks_for_more'?"),
                         Error);
    CHECK_THROWS_WITH_AS(check("optimizer_none", {}), doctest::Contains("no such file"), Error);
}
