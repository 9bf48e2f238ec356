#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "framework/solve/solver.hpp"
#include "framework/store/safetensors.hpp"
#include "tests/host/command.hpp"

using namespace l2o::framework;

// A program of its own: who waits in test_solve.cpp for l2o to load a plugin must not have loaded it before.

namespace {

/// 0.1, -0.2, 0.3, ... modulo 0.7.
Tensor tensor(const Shape& shape) {
    Tensor out(Dtype::kF64, shape);
    for (std::int64_t i = 0; i < out.size(); ++i)
        out.values<double>()[static_cast<std::size_t>(i)] =
            (i % 2 == 0 ? 0.1 : -0.1) * static_cast<double>(i % 7 + 1);
    return out;
}

}  // namespace

TEST_CASE("solver: under one budget it ends, to the bit, where l2o solve does, from one start or several") {
    const ScratchFolder folder;
    const Tensor w = tensor({3, 2, 2}), y = tensor({3, 2}), x0 = tensor({3, 2});
    write_safetensors(
        folder / "p.safetensors", {{"W", &w}, {"y", &y}, {"x0", &x0}}, {{"l2o.optimizee", "quadratic"}});
    for (const std::string optimizer : {"gradient_descent", "particle_swarm"}) {
        CAPTURE(optimizer);
        for (const auto& budget : std::vector<std::pair<std::int64_t, std::int64_t>>{
                 {1, 1}, {2, 1}, {7, 1}, {40, 1}, {1'000'000, 1}, {3, 3}, {40, 3}, {0, 3}}) {
            const std::int64_t limit = budget.first, restarts = budget.second;
            INFO(limit, " evaluations, ", restarts, " starts");
            REQUIRE(l2o::test::run_l2o(folder,
                                       "solve --problem p.safetensors --output x.safetensors --optimizer " +
                                           optimizer + " --max-evaluations " + std::to_string(limit) +
                                           " --restarts " + std::to_string(restarts))
                        .refusal() == "0 ");
            const TensorFile file = read_safetensors(folder / "x.safetensors");
            Solver solver({.problem = folder / "p.safetensors",
                           .optimizer = optimizer,
                           .max_evaluations = limit,
                           .restarts = restarts,
                           .batch = 3});
            const Tensor& x = solver.solve();
            for (std::int64_t i = 0; i < x.size(); ++i) CHECK(x.value(i) == file.at("x").value(i));
            const Tensor& f = solver.objective();
            for (std::int64_t row = 0; row < 3; ++row) CHECK(f.value(row) == file.at("f").value(300 + row));
        }
    }
}
