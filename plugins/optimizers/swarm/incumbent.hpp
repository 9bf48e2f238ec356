#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <l2o/sdk/optimizer.hpp>

namespace l2o::plugins {

/// Of methods that ask for values at points of their own: x is the best point that was asked about, whose
/// value is a state. The start is not evaluated, and the first answer that is a number is better.
class Incumbent {
  public:
    void bind(OptimizerSpec& spec) {
        f_ = spec.state<double>(
            {.name = "best_f", .doc = "the least value so far", .batched = true, .start = kInfinity});
    }
    template <class T>
    void start(const StatesOut<T>& state) const {
        fill(state[f_], kInfinity);
    }
    /// The least value before this step.
    template <class T>
    [[nodiscard]] double before(const StepIn<T>& in, std::int64_t row) const {
        return in.state(f_)[row];
    }
    /// Moves x of a row to the best of the first `questions` of the previous round, if that is better; what
    /// of x is known is said.   @pre out.keep(in)
    template <class T>
    void take(const StepIn<T>& in,
              const StepOut<T>& out,
              std::int64_t row,
              std::int64_t questions = 1) const {
        double& f = out.state(f_)[row];
        std::int64_t best = -1;
        for (std::int64_t j = 0; j < questions; ++j) {
            if (in.qf(j)[row] < f) best = j, f = in.qf(j)[row];
        }
        if (best < 0) return out.x_is_unchanged(row);
        for (std::size_t k = 0; k < in.blocks(); ++k)
            std::copy_n(in.q(k, best).row(row), in.x(k).cols, out.x(k).row(row));
        out.x_is_question(row, static_cast<std::int32_t>(best));
    }

  private:
    StateOf<double> f_;
};

}  // namespace l2o::plugins
