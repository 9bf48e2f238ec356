#pragma once

#include "framework/check/optimizer_cases.hpp"

namespace l2o::framework {

/// An optimizer on a batch of instances of an optimizee that suits it. Every call goes through guarded
/// buffers, so that a plugin that writes outside of them does not harm the host.
class OptimizerBench : public Bench {
  public:
    OptimizerBench(const Subject& subject, Dtype dtype, std::int64_t batch = 0);

    [[nodiscard]] std::vector<std::unique_ptr<Case>> cases() const override;
    [[nodiscard]] std::vector<std::unique_ptr<Case>> cases_of_rows(const std::vector<std::int64_t>& rows,
                                                                   std::uint64_t row0) const override;
    [[nodiscard]] std::uint64_t flags() const override { return optimizer_->info().flags; }
    [[nodiscard]] const void* extension(const char* id) const override {
        return optimizer_->api().get_extension(optimizer_->raw(), id);
    }
    [[nodiscard]] std::string unread() const override;
    [[nodiscard]] std::string unseen() const override;
    [[nodiscard]] std::string declaration() const override;
    [[nodiscard]] std::shared_ptr<const void> created_by(HostSize host) const override;

    [[nodiscard]] const Optimizer& optimizer() const { return *optimizer_; }
    [[nodiscard]] const Optimizee& optimizee() const { return *optimizee_; }
    /// The start, without state: what init_state reads.
    [[nodiscard]] const Moment& start() const { return start_; }
    /// One iteration, round by round; `moment` is round 0 of it and becomes round 0 of the next one,
    /// evaluated where the optimizer reads it. What every round reads is added to `seen`, unless that is
    /// null.
    /// @param optimizer  the one of this bench, or another instance of it.
    void iterate(const Optimizer& optimizer, Moment& moment, std::vector<Moment>* seen = nullptr) const;
    /// The first iteration: start() with its state, f and g.
    [[nodiscard]] Moment first(const Optimizer& optimizer, int slope = 0) const;
    /// Rounds of some iterations from the start; iterated once, by the first who asks.
    [[nodiscard]] const std::vector<Moment>& moments() const;
    /// The steepest objective on which x stays moderate for so many steps: the slope for first(). Some go far
    /// off on a problem that they were not made for, and numbers that are none are equal to whatever is
    /// wrong.
    [[nodiscard]] int calm_slope(std::int64_t steps) const;
    /// Number of steps that can be taken, at most `wanted`.
    [[nodiscard]] std::int64_t steps(std::int64_t wanted) const;
    /// Rows of everything that has rows.
    [[nodiscard]] Moment rows_of(const Moment& moment, const std::vector<std::int64_t>& rows) const;
    /// Replaces the halves of gradients that a method says it does not use, see l2o/abi/draft/alternates.h.
    void spoil_unused(Moment& moment, double garbage) const;

    static constexpr std::int64_t kHorizon = 8;

  private:
    /// Takes steps from the start while x stays moderate, at most `end`, and adds the rounds of those
    /// `wanted` to `seen`. @return their number.
    std::int64_t walk(int slope,
                      std::int64_t end,
                      const std::vector<std::int64_t>& wanted,
                      std::vector<Moment>& seen) const;
    void evaluate(const std::vector<Tensor>& x, const Moment& at, Tensor* f, std::vector<Tensor>* g) const;
    void evaluate(Moment& moment) const;
    void answer(const StepCase& step, Moment& moment) const;
    void take(const StepCase& step, const std::vector<Tensor>& state, Moment& moment) const;

    std::unique_ptr<const Optimizee> optimizee_;
    Task task_;
    std::unique_ptr<Optimizer> optimizer_;
    ProblemData data_;
    Moment start_;
    mutable std::optional<std::vector<Moment>> moments_;
    mutable std::string unseen_;
};

}  // namespace l2o::framework
