#pragma once

#include <vector>

#include "framework/rollout/stepper.hpp"

namespace l2o::framework {

/// What happens to H(x_t) . cot(g_t), the path from the step back to x_t through the gradient it was given.
enum class SecondOrder {
    kDrop,   ///< f and g that a step reads are constants (the usual first-order meta-gradient)
    kExact,  ///< the optimizee's Hessian-vector product
    kFd,     ///< central differences of two of its gradients
};

/// Adds |v|^2 of every row.   @param squares  [B]; rows of a population are those of its particles
void add_squares(const TensorSet& set, std::vector<double>& squares);

/// The objective's gradients and products with its Hessian, on the way back: free. What is returned is valid
/// until the next call. [one thread]
class SecondOrderOracle {
  public:
    /// @param by_differences  also where the optimizee has a Hessian-vector product of its own.
    SecondOrderOracle(Stepper& stepper, bool by_differences)
        : stepper_(stepper), by_differences_(by_differences) {}

    void reserve();
    /// g(x) at step t, by block.   @pre reserve()
    const TensorSet& gradient(const TensorSet& x_rows, std::int64_t t);
    /// H(x) v at step t, by block; by differences: (g(x + h v) - g(x - h v)) / 2h, with |h v| about the cube
    /// root of the rounding of x, row by row.   @pre reserve()
    const TensorSet& hessian_product(const TensorSet& x_rows, const TensorSet& v_rows, std::int64_t t);
    [[nodiscard]] std::int64_t bytes() const { return out_.bytes() + displaced_.bytes(); }

  private:
    void choose_differences(const TensorSet& x_rows, const TensorSet& v_rows);
    void displace(const TensorSet& x_rows, const TensorSet& v_rows, double sign);

    Stepper& stepper_;
    const bool by_differences_;
    TensorSet out_, out_rows_;                 // the same memory, as the optimizee sees it
    Point displaced_;                          // x + h v, x - h v and g there
    std::vector<double> h_, x_norm_, v_norm_;  // by row
};

}  // namespace l2o::framework
