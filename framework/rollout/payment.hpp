#pragma once

#include "framework/rollout/stepper.hpp"

namespace l2o::framework {

/// Adds to a sum what all rows of a stepper are charged in its lifetime.
class Payment {
  public:
    Payment(const Stepper& stepper, double& sum) : stepper_(stepper), sum_(sum), before_(total()) {}
    ~Payment() { sum_ += total() - before_; }
    Payment(const Payment&) = delete;
    Payment& operator=(const Payment&) = delete;

  private:
    [[nodiscard]] double total() const {
        double points = 0;
        for (const Evaluations& row : stepper_.evaluations()) points += row.points;
        return points;
    }

    const Stepper& stepper_;
    double& sum_;
    const double before_;
};

}  // namespace l2o::framework
