#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <l2o/sdk/coordinates.hpp>
#include <l2o/sdk/optimizer.hpp>

namespace l2o::plugins {

/// A gradient from n + 1 values: question 0 is at a point, question i + 1 beside it in coordinate i.
struct Differences {
    /// Announces the questions of a method that takes such gradients, or the problem's.
    static void announce(OptimizerSpec& spec, const Coordinates& at, bool takes_differences) {
        constexpr std::uint32_t kBoth = L2O_ORACLE_VALUE | L2O_ORACLE_GRADIENT;
        if (takes_differences && spec.problem().dtype != L2O_DTYPE_F64)
            refuse("differences of values in single precision are no gradient; expected dtype float64");
        if (!takes_differences && (spec.problem().answers & L2O_ORACLE_GRADIENT) == 0)
            refuse("this problem has no gradients; set differences, which makes them of n + 1 values");
        const auto questions = static_cast<std::uint32_t>(takes_differences ? at.size() + 1 : 1);
        spec.asks(questions, takes_differences ? L2O_ORACLE_VALUE : kBoth);
    }

    /// @param x  the point, n numbers; unchanged at the end
    template <class T>
    static void ask(const StepOut<T>& out, std::int64_t row, const Coordinates& at, double* x) {
        for (std::int64_t i = 0; i < at.size(); ++i) {
            const double middle = x[i];
            x[i] += std::max(1e-8, 1e-12 * std::abs(middle));  // SciPy's, where numbers can tell it
            at.write(row, x, [&](std::size_t k) { return out.q(k, i + 1); });
            x[i] = middle;
            out.ask(row, std::uint32_t(i + 1), L2O_ORACLE_VALUE);
        }
    }

    template <class T>
    static void read(const StepIn<T>& in, std::int64_t row, double* g) {
        std::int64_t i = 0;  // over all blocks
        for (std::size_t k = 0; k < in.blocks(); ++k)
            for (std::int64_t c = 0; c < in.x(k).cols; ++c, ++i)
                g[i] = double(in.qf(i + 1)[row] - in.qf(0)[row]) /
                       double(in.q(k, i + 1)(row, c) - in.q(k, 0)(row, c));
    }
};

}  // namespace l2o::plugins
