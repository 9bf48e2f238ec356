#pragma once

#include <memory>
#include <vector>

#include "framework/rollout/guard.hpp"
#include "framework/rollout/safeguard.hpp"
#include "framework/rollout/stepper.hpp"

namespace l2o::framework {

/// Test ahead of a SafeguardRule. x_{k+1} of a row is its best point after one more step of one of its
/// tracks, which is charged with the gradient at its end; a step that an optimizer gives up
/// (L2O_STATUS_NUMERICAL) is charged a gradient, and has blown up. Rows are stepped one by one: each begins
/// anew at steps of its own. [one thread]
class SafeTracks final : public Guard {
  public:
    /// @param stepper  of the optimizer and this scene; both outlive *this, as does what the safeguard
    /// borrows.
    SafeTracks(Stepper& stepper, const Scene& scene, const Safeguard& safeguard);
    ~SafeTracks() override;

    void restart() override { has_begun_ = false; }
    void advance(Point& from, Point& to, std::int64_t t) override;
    void end(std::int64_t row) override;
    [[nodiscard]] bool fell_back(std::int64_t row) const override;

  private:
    class Row;

    Stepper& stepper_;
    std::vector<std::unique_ptr<Row>> rows_;
    bool has_begun_ = false;
};

}  // namespace l2o::framework
