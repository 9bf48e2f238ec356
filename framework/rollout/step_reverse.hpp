#pragma once

#include <vector>

#include "framework/rollout/second_order.hpp"
#include "framework/rollout/stepper.hpp"

namespace l2o::framework {

/// The reverse of one step: from the cotangents of x' and h' to those of x and h, with the rounds of an
/// optimizer that asks. [one thread]
class StepReverse {
  public:
    StepReverse(const Scene& scene, Stepper& stepper, SecondOrderOracle& oracle, SecondOrder second_order);

    void reserve();
    struct Step {
        Point& from;         ///< x_j and h_j, with what the step read there
        const Point* after;  ///< x_{j+1} and h_{j+1}; NULL where the optimizer's x' is not that
        std::int64_t t;
        bool is_last;  ///< of the way back: nothing is passed on to x_j
    };
    /// @param cot       of x_{j+1} and h_{j+1}; those of blocks that stay move to `before`.
    /// @param before    overwritten with those of x_j and h_j, and what the step adds to that of f_j.
    /// @param gradient  is added to, one tensor per parameter.   @pre reserve()
    void back(const Step& step, Point& cot, Point& before, TensorSet& gradient);
    /// From the cotangent of the state at t = 0 to the parameters that it is made of.
    void initial_state_back(const Point& start, const Point& cot, TensorSet& gradient);

    [[nodiscard]] std::int64_t bytes() const { return repeated_.bytes(); }

  private:
    void round_back(const Step& step, std::size_t r, Point& cot, Point& before, TensorSet& gradient);
    void answers_back(const Step& step, const Stepper::Round& round, Stepper::Round& cot);
    [[nodiscard]] bool is_second_order() const { return second_order_ != SecondOrder::kDrop; }

    const Scene& scene_;
    Stepper& stepper_;
    SecondOrderOracle& oracle_;
    const SecondOrder second_order_;
    Point repeated_;                         // where the step leads to, when its rounds are repeated
    std::vector<Stepper::Round> rounds_;     // of the step in hand
    std::vector<Stepper::Round> round_cot_;  // cotangents of what each was given
    std::vector<l2o_tensor*> nothing_;       // an array of NULLs
};

}  // namespace l2o::framework
