#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "framework/cancel.hpp"
#include "framework/evaluate/timing.hpp"
#include "tests/framework/config/refusal.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::framework;
using l2o::test::Lab;
using l2o::test::refusal;

namespace {

class Timed {
  public:
    std::vector<SolveTime> run(std::int64_t iterations,
                               const std::vector<std::string>& names,
                               const ProgressSink& progress = nullptr) {
        std::vector<Ready> contestants;
        for (const std::string& name : names)
            contestants.push_back({.name = name, .optimizer = &lab_.optimizer(), .params = &params_});
        return time_solves({.instances = 6, .iterations = iterations, .shard_rows = 4},
                           keys_of(0),
                           lab_.problem().optimizee(),
                           lab_.problem().data(),
                           lab_.problem().x(),
                           contestants,
                           progress);
    }

  private:
    Lab lab_{{.optimizer = "gradient_descent",
              .problem = {.optimizee = "quadratic", .options = {{"n", "20"}}, .instances = 6}}};
    TensorSet params_{std::move(lab_.params())};
};

}  // namespace

TEST_CASE("timing: everybody is run several times, and the median lies among its runs") {
    Timed timed;
    const std::vector<SolveTime> times = timed.run(50, {"a", "b"});
    REQUIRE(times.size() == 2);
    for (const SolveTime& time : times) {
        CHECK(time.runs >= 3);
        CHECK(time.runs <= 31);
        CHECK(time.low > 0);
        CHECK(time.low <= time.median);
        CHECK(time.median <= time.high);
    }
}

TEST_CASE("timing: contestants take turns, and progress ends at its total") {
    Timed timed;
    std::vector<std::int64_t> done;
    std::int64_t total = 0;
    const auto times = timed.run(5, {"a", "b", "c"}, [&](const Progress& progress) {
        CHECK(progress.what == "timing");
        done.push_back(progress.done);
        total = progress.total;
    });
    CHECK(total == times[0].runs + times[1].runs + times[2].runs);
    std::vector<std::int64_t> all(static_cast<std::size_t>(total));
    std::iota(all.begin(), all.end(), 1);
    CHECK(done == all);
}

TEST_CASE("timing: is interrupted as all else is") {
    Timed timed;
    cancel_flag() = 1;
    CHECK(refusal([&] { (void)timed.run(5, {"a"}); }) == "130 the timing was interrupted");
    cancel_flag() = 0;
}

TEST_CASE("timing: a step takes its share of the whole") {
    Timed timed;
    const SolveTime time = timed.run(10, {"a"}).front();
    REQUIRE(time.shares.size() == 11);
    CHECK(time.shares.front() == 0);
    CHECK(time.shares.back() == 1);
    CHECK(std::ranges::is_sorted(time.shares));
}

TEST_CASE("timing: points and stairs of a curve that is quoted have what was timed at their iteration") {
    Curve curve{.iteration = {0, 2, 5},
                .seconds = {0, 1, 4},
                .history = {.shard_rows = 1, .seconds = {{0, 0}, {0.5, 1.5}, {3, 5}}}};
    // Paid for in the step after an iteration; the last one with the value of the end.
    curve.staircases = {{{.f = 2, .reached = {.iteration = 1, .evaluations = 2, .seconds = 0.5}},
                         {.f = 1, .reached = {.iteration = 4, .evaluations = 5, .seconds = 4}}},
                        {}};
    quote(curve, {.median = 0.5, .low = 0.3, .high = 0.6, .runs = 7, .shares = {0, 0.25, 0.5, 0.75, 1}});
    CHECK(curve.seconds == std::vector<double>{0, 0.25, 0.5});
    CHECK(curve.history.seconds == std::vector<std::vector<double>>{{0, 0}, {0.25, 0.25}, {0.5, 0.5}});
    CHECK(curve.staircases[0][0].reached.seconds == 0.25);
    CHECK(curve.staircases[0][1].reached.seconds == 0.5);
    CHECK(curve.time.runs == 7);
}
