// Central differences, and random vectors to take them at.
#ifndef L2O_TESTS_NUMERICS_CENTRAL_DIFFERENCE_HPP
#define L2O_TESTS_NUMERICS_CENTRAL_DIFFERENCE_HPP

#include <cmath>
#include <cstddef>
#include <functional>
#include <vector>

#include "l2o/numerics/philox.hpp"

/// d f / d at[i] for every i; `at` is restored. Error O(step^2), here about 1e-10 relative for functions of
/// size 1.
inline std::vector<double> central_difference(const std::function<double()>& f,
                                              std::vector<double>& at,
                                              double step = 1e-5) {
    std::vector<double> slope(at.size());
    for (std::size_t i = 0; i < at.size(); ++i) {
        const double kept = at[i];
        at[i] = kept + step;
        const double above = f();
        at[i] = kept - step;
        slope[i] = (above - f()) / (2 * step);
        at[i] = kept;
    }
    return slope;
}

/// |got - want| / |want| in the Euclidean norm.
inline double relative_error(const std::vector<double>& got, const std::vector<double>& want) {
    if (got.size() != want.size()) return INFINITY;
    double difference = 0, size = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
        difference += (got[i] - want[i]) * (got[i] - want[i]);
        size += want[i] * want[i];
    }
    return std::sqrt(difference / size);
}

template <class Scalar = double>
std::vector<Scalar> random_normal(std::size_t n, std::uint64_t seed, double scale = 1) {
    l2o::numerics::Stream stream(l2o::numerics::Key{seed, 0}, 0);
    std::vector<Scalar> values(n);
    for (Scalar& v : values) v = Scalar(scale * stream.normal());
    return values;
}

inline double dot(const std::vector<double>& a, const std::vector<double>& b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
    return sum;
}

#endif
