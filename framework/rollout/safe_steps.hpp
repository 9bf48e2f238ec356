#pragma once

#include <vector>

#include "framework/rollout/guard.hpp"
#include "framework/rollout/safeguard.hpp"
#include "framework/rollout/stepper.hpp"

namespace l2o::framework {

/// Tests residual and objective of a SafeguardRule: a row of x_{k+1} is the optimizer's proposal if that
/// passes the test, and the classic step T(x_k) if not. Whatever the optimizer proposes, the trajectory comes
/// to rest where that of T does.
///
/// The optimizer's state is that which its own step left, on rows that were refused as well: a layer is used
/// once, a moment has seen the gradient at x_k. Where a state follows from x (FISTA's y) it then belongs to
/// the proposal; that can cost further refusals, never convergence. An optimizer that gives up
/// (L2O_STATUS_NUMERICAL) is refused on all rows of the batch, and keeps the state it had.
///
/// Both charge the optimizer's ledger. Test residual: T at the start, at every proposal, and once more where
/// a row was refused. Test objective: T at every point; f at the start, at every proposal and at T(x). The
/// gradient that T has taken serves the optimizer, too. [one thread]
class SafeSteps final : public Guard {
  public:
    /// @param stepper  of the optimizer and this scene; both outlive *this, as does what the safeguard
    /// borrows.
    SafeSteps(Stepper& stepper, const Scene& scene, const Safeguard& safeguard);

    void restart() override;
    void advance(Point& from, Point& to, std::int64_t t) override;
    void end(std::int64_t row) override;
    [[nodiscard]] bool fell_back(std::int64_t row) const override {
        return refused_[static_cast<std::size_t>(row)] != 0;
    }

  private:
    void begin(Point& from);
    void propose(Point& from, Point& to, std::int64_t t);
    void judge_by_residual(Point& to);
    void judge_by_objective(Point& to);
    void judge(std::size_t row, bool has_passed);
    bool take_classic_steps(Point& to);
    void map(Point& x, Point& image, const Point& known, bool of_refused);
    void exempt(bool of_refused, bool is_exempt);
    void lower_bound(std::size_t row, double newest);

    Stepper& stepper_;
    const SafeguardRule rule_;
    const Scene classic_scene_;
    Stepper classic_;
    Point at_, image_;                   // x_k and T(x_k)
    Point proposal_, other_image_;       // y and T(y)
    bool has_begun_ = false;             // there are mu and what is known of x_k
    std::vector<char> refused_;          // by row
    std::vector<double> mu_;             // by row
    std::vector<double> newest_;         // [row][recent]: what has lowered mu
    std::vector<std::int64_t> lowered_;  // by row: how often
};

}  // namespace l2o::framework
