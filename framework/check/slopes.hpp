#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "framework/tensor/tensor.hpp"

namespace l2o::framework {

/// A tensor that a function reads, and what is said to be the derivative of the function with respect to it.
struct Slope {
    Tensor* value = nullptr;  ///< float64
    const Tensor* derivative = nullptr;
};

/// A value, and the size of what was added up to it: rounding is relative to the latter.
struct Sum {
    double value = 0, size = 0;
    void add(double term) {
        value += term;
        size += term < 0 ? -term : term;
    }
};

/// Compares derivatives with differences of phi along random directions through all values at once. A few
/// directions may fail: the function may have a kink near the point.
/// @return  whether anything can be said: there is no derivative where every direction leads over a jump.
/// @throw Broken "<what>: ..." with the two numbers of one direction.
[[nodiscard]] bool check_slopes(const std::string& what,
                                const std::vector<Slope>& slopes,
                                const std::function<Sum()>& phi);

/// What differences could be compared with, and what not.
class Said {
  public:
    /// @param name  of an input; of some it is enough if they are told of once.
    void add(const std::string& name, bool is_said) { (is_said ? said_ : unsaid_).insert(name); }
    /// "" if of every input something could be said. Throws NotApplicable if of none.
    [[nodiscard]] std::string text() const;

  private:
    std::set<std::string> said_, unsaid_;
};

}  // namespace l2o::framework
