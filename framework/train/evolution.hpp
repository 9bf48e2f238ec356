#pragma once

#include <memory>
#include <vector>

#include "framework/train/estimator.hpp"
#include "framework/train/shards.hpp"

namespace l2o::framework {

/// The gradient of the meta-loss smoothed by N(0, sigma^2 I), from values alone: neither the optimizer nor
/// the loss needs a derivative. The batch is dealt out to antithetic pairs i, which run a window with phi +
/// eps_i and phi - eps_i on the same draws:  g = sum_i (L_i(phi + eps_i) - L_i(phi - eps_i)) xi_i / (2
/// sigma^2).
///
/// Evolution strategies (Salimans et al. 2017; truncated: Vicol, Metz & Sohl-Dickstein 2021, algorithm 1):
/// xi_i = eps_i; both runs start where phi itself has led to, so that what a window does to later ones is
/// missed, as with truncated back-propagation.
/// Persistent evolution strategies (the same, algorithm 2): both runs go on where they ended, and xi_i is the
/// sum of the pair's eps_i since its trajectory began, which is unbiased for the whole trajectory. The pairs
/// are in different phases of their trajectories: the first one of pair i ends early.
class Evolution : public Estimator {
  public:
    /// @pre settings.pairs divides settings.batch.
    explicit Evolution(const Lesson& lesson);
    ~Evolution() override;

    /// Persistent: trajectories are started pair by pair; only the first call does anything.
    std::int64_t start(std::uint64_t index) override;
    /// @param t  of evolution strategies; every persistent pair has its own.
    Unroll::Window window(std::int64_t t, std::int64_t n, double cot, TensorSet& gradient) override;
    [[nodiscard]] TensorRefs carried(std::int64_t t) const override;
    void restore(const TensorFile& file, std::uint64_t index, std::int64_t t) override;
    [[nodiscard]] std::int64_t bytes() const override;
    [[nodiscard]] double paid() const override;

  private:
    struct Pair;

    void begin(Pair& pair, std::uint64_t index, std::int64_t end) const;
    void draw_perturbation(Pair& pair) const;
    void run(Pair& pair, std::int64_t n) const;

    const Lesson lesson_;
    const bool is_persistent_;
    std::vector<std::unique_ptr<Pair>> pairs_;
    bool has_begun_ = false;
};

}  // namespace l2o::framework
