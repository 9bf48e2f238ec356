#include "tests/framework/evaluate/results_folder.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <utility>

#include "framework/evaluate/results.hpp"
#include "framework/store/atomic_file.hpp"
#include "tests/framework/config/refusal.hpp"

namespace l2o::test {

using namespace l2o::framework;

Distribution around(double median, std::int64_t finite) {
    return {.mean = median + 0.25,
            .median = median,
            .q10 = median - 1,
            .q25 = median - 0.5,
            .q75 = median + 0.5,
            .q90 = median + 1,
            .finite = finite,
            .rows = 4};
}

Curve rows_of(const std::string& name, std::vector<double> objective, std::vector<double> nmse) {
    Curve curve{.contestant = name,
                .iteration = {0, 4, 16},
                .evaluations = {0, 4, 16},
                .values = {0, 0, 0},
                .gradients = {0, 4, 16},
                .seconds = {0, 0.000625, 0.003125},  // of each
                .metrics = {"objective", "nmse_db"},
                .distributions = {{around(8, 4), around(8, 4), distribution_of(objective, true)},
                                  {around(0, 4), around(0, 4), distribution_of(nmse)}},
                .final_rows = {std::move(objective), std::move(nmse)}};
    curve.reached = {{4, 4, 0.000625}, {}, {4, 4, 0.000625}, {}};
    return curve;
}

Results by_objective() {
    Results results{
        .judging = {.metric = "objective", .reference = "a", .target = 2.5, .is_paid_for = true, .starts = 2},
        .curves = {rows_of("a", {3, 2, 3, 4}, {1, 2, 3, 4})}};
    Curve& curve = results.curves[0];
    curve.distributions[0].back() = distribution_of({3, 2, 3, 4});
    curve.best = {NAN, 2, 1.5};
    curve.final_best = {1, 2, NAN, 4};
    // In the step after point 4, and with what the end was charged.
    curve.reached = {{4, 7, 0.001}, {16, 16, 0.003125}, {}, {}};
    return results;
}

Edited::Edited() {
    results_ = {.judging = {.metric = "nmse_db",
                            .higher_is_better = {"objective"},
                            .ratios = {"nmse_db"},
                            .reference = "b, c",
                            .target = 2.5,
                            .tolerance = 0.25,
                            .starts = 2},
                .curves = {rows_of("a", {1, 2, 3, 4}, {1, 4, 2, 3}),
                           rows_of("b, c", {1, NAN, 3, 4}, {1, NAN, 2, 3})}};
    results_.files = {{"optimizee.data", {"/data", std::string(40, 'a')}}};
    results_.curves[1].training_seconds = 12.5;
    results_.curves[1].preparation_seconds = 0.5;
    results_.curves[1].training = {.skipped = 3, .gain = gain_of({1, 2}, {1, 3})};
    results_.curves[1].safeguard = "ista";
    results_.curves[1].fallback_rate = 0.25;
    write(results_);
}

std::string Edited::refused(const char* file,
                            const std::string& from,
                            const std::string& to,
                            const Results* other) {
    write(other != nullptr ? *other : results_);
    std::string text = read_file(path(file));
    const auto at = text.find(from);
    REQUIRE(at != std::string::npos);
    text.replace(at, from.size(), to);
    std::ofstream(path(file), std::ios::binary) << text;
    const std::string said = refusal([&] { (void)read(); });
    const std::string folder = path("").string();
    CHECK(said.starts_with("5 " + folder));
    return said.substr(std::min(said.size(), 2 + folder.size()));
}

void Edited::check_refused(const char* file,
                           const std::vector<std::array<std::string, 3>>& edits,
                           const std::string& end) {
    for (const auto& [from, to, what] : edits) {
        const auto& which = to;
        CAPTURE(which);
        CHECK(refused(file, from, to) == std::string(file) + ": " + what + end);
    }
}

void Edited::write(const Results& results) const {
    std::ofstream(path("config.info")) << "name x\n";
    write_curves(path("curves.csv"), results.curves);
    write_finals(path("finals.csv"), results);
    write_results(path("results.json"), results);
}

}  // namespace l2o::test
