#pragma once

#include "framework/check/bench.hpp"

namespace l2o::framework {

/// A made-up trajectory: what a loss reads.
struct MadeUpTrajectory {
    /// x, g: per block [len, B, shape], of a population [len, B, P, shape]; empty: not read
    std::vector<Tensor> x, g, data;
    Tensor f;  ///< [len, B] or [len, B, P]; empty: not read
    std::int64_t batch = 0, t0 = 0, len = 0;
    std::int64_t particles = 0;  ///< 0: no population
};

/// A call of a loss's eval.
class LossCase : public Case {
  public:
    LossCase(const Loss& loss, const MadeUpTrajectory& made_up);

    GuardedSet f, x, g, data, per_row;
    /// The argument of eval and of vjp.
    [[nodiscard]] l2o_trajectory trajectory() const;

  protected:
    l2o_status call(l2o_call* context) override;

  private:
    const Loss& loss_;
    std::int64_t t0_, len_;
    std::uint32_t batch_, particles_;
};

/// A loss on trajectories of random numbers: of points, and of populations.
class LossBench : public Bench {
  public:
    LossBench(const Subject& subject, Dtype dtype, std::int64_t batch = 0);

    [[nodiscard]] std::vector<std::unique_ptr<Case>> cases() const override {
        return cases_of_rows(all_rows(batch_), 0);
    }
    [[nodiscard]] std::vector<std::unique_ptr<Case>> cases_of_rows(const std::vector<std::int64_t>& rows,
                                                                   std::uint64_t row0) const override;
    [[nodiscard]] std::uint64_t flags() const override { return info().flags; }
    [[nodiscard]] const void* extension(const char* id) const override {
        return loss_->api().get_extension(loss_->raw(), id);
    }
    [[nodiscard]] std::string unread() const override;
    [[nodiscard]] std::string declaration() const override;
    [[nodiscard]] std::shared_ptr<const void> created_by(HostSize host) const override;

    [[nodiscard]] const Loss& loss() const { return *loss_; }
    [[nodiscard]] l2o_loss_info info() const { return normalised(*loss_->api().info(loss_->raw())); }
    [[nodiscard]] const Optimizee& optimizee() const { return *optimizee_; }
    /// A window of a trajectory, with a buffer of its own. @pre first + len <= kLength
    [[nodiscard]] std::unique_ptr<LossCase> window(std::int64_t first,
                                                   std::int64_t len,
                                                   const std::vector<std::int64_t>& rows,
                                                   bool is_population = false) const;
    /// Every kind of trajectory that the loss is called with: the whole one and, where windows may be scored,
    /// one in the middle; of points, and of populations, unless the loss refuses these.
    [[nodiscard]] std::vector<std::unique_ptr<LossCase>> trajectories(
        const std::vector<std::int64_t>& rows) const;

    static constexpr std::int64_t kLength = 7;  ///< points 0 .. horizon
    static constexpr std::int64_t kParticles = 3;

  private:
    [[nodiscard]] MadeUpTrajectory made_up(std::int64_t particles, Dtype dtype, std::uint64_t index) const;

    std::unique_ptr<Optimizee> optimizee_;
    Task task_;
    std::unique_ptr<Loss> loss_;
    std::vector<Tensor> data_;
    MadeUpTrajectory whole_, population_;
    bool takes_populations_ = false;
};

}  // namespace l2o::framework
