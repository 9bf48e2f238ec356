#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <cstdint>
#include <limits>

namespace l2o::plugins {

/// An approximation of the inverse Hessian from the last m pairs s (of x) and y (of g) of differences, on
/// memory that the caller keeps: the two loops of Nocedal 1980, "Updating quasi-Newton matrices with limited
/// storage".
struct InverseHessian {
    using Vector = Eigen::Map<Eigen::RowVectorXd>;

    std::int64_t n, m;
    double *s, *y;               ///< [m, n] each
    std::int64_t &count, &next;  ///< of the pairs; both 0 at the start

    /// v = H v, H = s'y / y'y I before the first pair is put in, with those of the newest.
    /// @param alpha  m numbers, for the time of the call
    void multiply(Vector v, double* alpha) const {
        for (std::int64_t i = 1; i <= count; ++i) {
            alpha[i - 1] = pair(s, i).dot(v) / pair(s, i).dot(pair(y, i));
            v -= alpha[i - 1] * pair(y, i);
        }
        if (count > 0) v *= pair(s, 1).dot(pair(y, 1)) / pair(y, 1).squaredNorm();
        for (std::int64_t i = count; i >= 1; --i)
            v += (alpha[i - 1] - pair(y, i).dot(v) / pair(s, i).dot(pair(y, i))) * pair(s, i);
    }
    /// Takes the place of the oldest; one along which the gradient does not grow is left out.
    /// @param slope  g's before the step
    template <class Step, class Change>
    void add(const Step& step, const Change& change, double slope) const {
        if (!(step.dot(change) > -std::numeric_limits<double>::epsilon() * slope)) return;
        pair(s, 0) = step;
        pair(y, 0) = change;
        next = (next + 1) % m;
        count = std::min(count + 1, m);
    }

  private:
    /// The i-th newest of them, from 1; 0: where the next one goes.
    [[nodiscard]] Vector pair(double* of, std::int64_t i) const { return {of + (next - i + m) % m * n, n}; }
};

}  // namespace l2o::plugins
