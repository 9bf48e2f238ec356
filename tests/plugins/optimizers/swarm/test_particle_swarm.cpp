#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <l2o/numerics/philox.hpp>
#include <string>

#include "framework/error.hpp"
#include "framework/rollout/stepper.hpp"
#include "tests/support/lab.hpp"

using namespace l2o::test;
using namespace l2o::framework;

namespace {

constexpr std::size_t kParticles = 6, kN = 3;

/// Points 0 .. steps of swarms on a Rastrigin batch; every particle starts at random numbers of its own.
struct Flight {
    std::vector<std::vector<double>> x, f, best_f;  ///< per point: [B, P, n], [B, P], [B, P]
    double values = 0, gradients = 0;               ///< charged, per row
};
Flight fly(int steps, Key key = {1, 2}, std::int64_t first = 0, std::int64_t count = 4) {
    Lab lab({.optimizer = "particle_swarm",
             .options = {{"particles", "6"}},
             .problem = {.optimizee = "rastrigin", .options = {{"n", "3"}}, .instances = 4}});
    const Optimizee& optimizee = lab.problem().optimizee();
    const ProblemData data = slice(lab.problem().data(), optimizee, first, count);
    const TensorSet no_params;
    const Scene scene{lab.optimizer(), optimizee, data, no_params, key, static_cast<std::uint64_t>(first)};
    Stepper stepper(scene);
    Point from(stepper.layout(), {.f = true}), to(stepper.layout(), {.f = true});
    for (std::int64_t row = 0; row < count; ++row) {
        l2o::numerics::Stream random(Key{3, 4}, static_cast<std::uint64_t>(first + row));
        for (std::size_t i = 0; i < kParticles * kN; ++i)
            from.x[0].values<double>()[static_cast<std::size_t>(row) * kParticles * kN + i] = random.normal();
    }
    stepper.init_state(from);
    Flight flight;
    for (std::int64_t t = 0; t <= steps; ++t) {
        flight.x.push_back(values(from.x[0]));
        stepper.advance(from, to, t);
        flight.f.push_back(values(from.f));
        flight.best_f.push_back(values(to.state[2]));
        std::swap(from, to);
    }
    flight.values = stepper.evaluations().front().values;
    flight.gradients = stepper.evaluations().front().gradients;
    return flight;
}

}  // namespace

TEST_CASE("particle_swarm: draws depend on the key alone, and on the step") {
    const Flight flight = fly(5);
    CHECK(fly(5).x == flight.x);
    CHECK(fly(5, {1, 3}).x[5] != flight.x[5]);
}

TEST_CASE("particle_swarm: rows [0, 2) and [2, 4) fly as in rows [0, 4), bit for bit") {
    const Flight all = fly(10), low = fly(10, {1, 2}, 0, 2), high = fly(10, {1, 2}, 2, 2);
    for (std::size_t t = 0; t <= 10; ++t) {
        std::vector<double> joined = low.x[t];
        joined.insert(joined.end(), high.x[t].begin(), high.x[t].end());
        CHECK(joined == all.x[t]);
    }
}

TEST_CASE("particle_swarm: the best value of a particle is the smallest that it has seen") {
    const Flight flight = fly(40);
    std::vector<double> smallest = flight.f[0];
    for (std::size_t t = 0; t <= 40; ++t) {
        for (std::size_t i = 0; i < smallest.size(); ++i) smallest[i] = std::min(smallest[i], flight.f[t][i]);
        CHECK(flight.best_f[t] == smallest);
    }
}

// Velocities and own pulls are zero at the start: x_1 = x_0 + c2 r2 (leader - x_0) with r2 in [0, 1).
TEST_CASE(
    "particle_swarm: in the first step the leader rests and all others move towards it, at most by c2") {
    const Flight flight = fly(1);
    for (std::size_t row = 0; row < 4; ++row) {
        const auto f = flight.f[0].begin() + static_cast<std::ptrdiff_t>(row * kParticles);
        const auto leader = static_cast<std::size_t>(std::min_element(f, f + kParticles) - f);
        const std::size_t leader_at = (row * kParticles + leader) * kN;
        for (std::size_t p = 0; p < kParticles; ++p) {
            for (std::size_t i = 0; i < kN; ++i) {
                const std::size_t at = (row * kParticles + p) * kN + i;
                const double move = flight.x[1][at] - flight.x[0][at];
                const double gap = flight.x[0][leader_at + i] - flight.x[0][at];
                if (p == leader) {
                    CHECK(move == 0);
                } else {
                    CHECK(move / gap >= 0);
                    CHECK(move / gap < 1.49618);
                }
            }
        }
    }
}

TEST_CASE("particle_swarm: the swarm contracts to a point that is better than every start") {
    const Flight flight = fly(500);
    for (std::size_t row = 0; row < 4; ++row) {
        const auto part = [&](const std::vector<double>& all, std::size_t size) {
            const auto begin = all.begin() + static_cast<std::ptrdiff_t>(row * size);
            return std::vector<double>(begin, begin + static_cast<std::ptrdiff_t>(size));
        };
        const std::vector<double> x = part(flight.x[500], kParticles * kN),
                                  f0 = part(flight.f[0], kParticles), f = part(flight.f[500], kParticles);
        for (std::size_t i = 0; i < x.size(); ++i) CHECK(std::abs(x[i] - x[i % kN]) < 1e-6);
        CHECK(*std::max_element(f.begin(), f.end()) < *std::min_element(f0.begin(), f0.end()));
    }
}

TEST_CASE("particle_swarm: is charged a value per particle and step, and no gradient") {
    const Flight flight = fly(9);
    CHECK(flight.values == 60);
    CHECK(flight.gradients == 0);
}

TEST_CASE(
    "particle_swarm: particles that all start in one point are spread around it, and find the minimum") {
    // Lab puts every particle where the row starts.
    const ProblemLab::Setup bowl{.optimizee = "rastrigin",
                                 .options = {{"n", "3"}, {"family", "classic"}, {"alpha", "0"}}};
    Lab lab({.optimizer = "particle_swarm", .options = {{"spread", "2"}}, .problem = bowl});
    const Lab::Run run = lab.run(300);
    double sum = 0, squares = 0;
    for (std::size_t row = 0; row < 4; ++row) {
        for (std::size_t p = 0; p < 20; ++p) {
            for (std::size_t i = 0; i < 3; ++i) {
                const double move = run.x[1][(row * 20 + p) * 3 + i] - run.x[0][(row * 20 + p) * 3 + i];
                CHECK((move == 0) == (p == 0));
                sum += move;
                squares += move * move;
            }
        }
    }
    CHECK(std::abs(sum) / (4 * 19 * 3) < 0.4);
    CHECK(std::sqrt(squares / (4 * 19 * 3)) == doctest::Approx(2).epsilon(0.15));
    CHECK(*std::max_element(run.f.back().begin(), run.f.back().end()) < 1e-9);
}

TEST_CASE("particle_swarm: without a spread such particles are refused") {
    Lab lab({.optimizer = "particle_swarm",
             .options = {{"particles", "6"}, {"spread", "0"}},
             .problem = {.optimizee = "rastrigin"}});
    CHECK_THROWS_WITH_AS(
        lab.run(1),
        doctest::Contains("the 6 particles of an instance start at one point, from where none would ever "
                          "move; expected a spread above 0, or a problem whose starts differ"),
        Error);
    CHECK_NOTHROW(lab.run(0));
}

TEST_CASE("particle_swarm: every point lies in the box, and the minimum is found where it is at a bound") {
    Lab lab({.optimizer = "particle_swarm",
             .problem = {.optimizee = "rastrigin",
                         .options = {{"n", "3"}, {"alpha", "0"}, {"box", "0.25"}},
                         .instances = 6}});
    const Lab::Run run = lab.run(400);
    double touched = 0;
    for (const std::vector<double>& x : run.x)
        for (const double value : x) {
            CHECK(std::abs(value) <= 0.25);
            touched += std::abs(value) == 0.25 ? 1 : 0;
        }
    CHECK(touched > 1000);
}

TEST_CASE("particle_swarm: a swarm of one, which would never move, is refused, and one of none") {
    for (const char* particles : {"0", "1"})
        CHECK_THROWS_WITH_AS(Lab({.optimizer = "particle_swarm",
                                  .options = {{"particles", particles}},
                                  .problem = {.optimizee = "rastrigin"}}),
                             doctest::Contains("particles"),
                             Error);
}
