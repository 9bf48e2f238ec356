#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <l2o/sdk/optimizer.hpp>
#include <limits>

namespace l2o::plugins {

/// The best point of every particle so far.
class OwnBest {
  public:
    void bind(OptimizerSpec& spec, std::int64_t particles) {
        particles_ = particles;
        x_ = spec.state_like_x("best", "best point of the particle");
        f_ = spec.state({.name = "best_f", .doc = "value at best", .shape = {particles}, .batched = true});
    }
    template <class T>
    void start(const StepIn<T>& in, const StatesOut<T>& state) const {
        for (std::size_t k = 0; k < in.blocks(); ++k) copy(in.x(k), state[x_[k]]);
        fill(state[f_], std::numeric_limits<T>::infinity());
    }
    /// Of instance b, with the values of the step.
    /// @param counting  particles whose value counts, the first ones
    /// @return the row of the particle with the best point of all
    template <class T>
    std::int64_t update(const StepIn<T>& in,
                        const StepOut<T>& out,
                        std::int64_t b,
                        std::int64_t counting) const {
        const auto f = out.state(f_);
        std::int64_t leader = 0;
        for (std::int64_t p = 0; p < particles_; ++p) {
            const std::int64_t row = b * particles_ + p;
            const bool is_better = p < counting && in.f()(b, p) < in.state(f_)(b, p);
            f(b, p) = is_better ? in.f()(b, p) : in.state(f_)(b, p);
            for (std::size_t k = 0; k < in.blocks(); ++k) {
                const auto from = is_better ? in.x(k) : in.state(x_[k]);
                std::copy_n(from.row(row), from.cols, out.state(x_[k]).row(row));
            }
            if (f(b, p) < f(b, leader)) leader = p;
        }
        return b * particles_ + leader;
    }
    /// After update().
    template <class T>
    [[nodiscard]] View<T> x(const StepOut<T>& out, std::size_t k) const {
        return out.state(x_[k]);
    }

  private:
    std::int64_t particles_ = 0;
    BlockStates x_;
    State f_;
};

}  // namespace l2o::plugins
