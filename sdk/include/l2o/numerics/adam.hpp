#pragma once

#include <cmath>
#include <concepts>

namespace l2o::numerics {

/// What the weights of the first t terms of a mean that starts at 0 and decays by beta add up to: 1 - beta^t.
/// Divided by it, the mean has no bias.
inline double weight_of_mean(double beta, double t) { return 1 - std::pow(beta, t); }

/// One coordinate of a step of Adam, whose length is rate m' / (sqrt(v') / root + epsilon): with w1 and w2
/// the weight_of_mean of beta1 and beta2, algorithm 1 has rate = eta / w1 and root = sqrt(w2), and the
/// re-ordered form at the end of section 2 rate = eta sqrt(w2) / w1 and root = 1.
/// Source: Kingma & Ba 2015, "Adam: a method for stochastic optimization" (arXiv:1412.6980v9).
template <std::floating_point T>
class Adam {
  public:
    Adam(double beta1, double beta2, double rate, double root, double epsilon)
        : b1_(T(beta1)),
          b2_(T(beta2)),
          a1_(T(1 - beta1)),
          a2_(T(1 - beta2)),
          rate_(T(rate)),
          root_(T(root)),
          epsilon_(T(epsilon)) {}

    /// Writes m' and v'.   @return what to subtract from x
    T step(T g, T m, T v, T& m_next, T& v_next) const {
        m_next = b1_ * m + a1_ * g;
        v_next = b2_ * v + a2_ * g * g;
        // 0 / 0 where the gradient has been 0 throughout and epsilon is 0: the coordinate stays.
        const T denominator = std::sqrt(v_next) / root_ + epsilon_;
        return denominator == 0 ? T(0) : rate_ * m_next / denominator;
    }

  private:
    T b1_, b2_, a1_, a2_, rate_, root_, epsilon_;
};

}  // namespace l2o::numerics
