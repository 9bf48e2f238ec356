#pragma once

#include <vector>

#include "framework/rollout/stepper.hpp"

namespace l2o::framework {

/// A trajectory of an optimizer that another one is to imitate. No allocation per step. [one thread]
class Teacher {
  public:
    /// @param scene  of the teacher, on the instances of the one that learns; outlives this.
    explicit Teacher(const Scene& scene);
    Teacher(const Teacher&) = delete;
    Teacher& operator=(const Teacher&) = delete;

    void start(const std::vector<Tensor>& x0);
    /// Goes on with these tensors: x, then state.
    void restore(const std::vector<const Tensor*>& carried);
    [[nodiscard]] std::vector<const Tensor*> carried() const;

    /// Copies x_t, and f_t and g_t where `point` has room for them; then steps to x_{t+1}.
    void show(Point& point, std::int64_t t);
    [[nodiscard]] const TensorSet& x() const { return now_.x; }
    [[nodiscard]] std::int64_t bytes() const { return now_.bytes() + next_.bytes(); }

  private:
    Stepper stepper_;
    Point now_, next_;
};

}  // namespace l2o::framework
