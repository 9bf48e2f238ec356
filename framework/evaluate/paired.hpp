#pragma once

#include <cstdint>
#include <vector>

namespace l2o::framework {

// Statistics of paired differences: one number per instance, what one contestant has less another.

/// @pre sorted, not empty. Hyndman & Fan 1996, definition 7; infinite values may be among them.
/// @return NAN between -inf and inf
[[nodiscard]] double quantile(const std::vector<double>& sorted, double probability);

/// Wilcoxon's signed-rank test of "the differences are symmetric about 0", two-sided.
struct SignedRank {
    double positive_ranks = 0;  ///< sum of the ranks of |d| over d > 0
    std::int64_t pairs = 0;     ///< differences other than 0: zeros are left out, as Wilcoxon 1945 does
    double p = 1;
    bool is_exact = true;  ///< from the distribution of all 2^pairs signs; else by the normal approximation
};
/// Exact for at most 50 pairs without ties of |d|; else normal, corrected for ties and continuity
/// (Hollander, Wolfe & Chicken 2014, section 3.1). @pre no NAN; infinite differences rank highest.
[[nodiscard]] SignedRank wilcoxon_signed_rank(std::vector<double> differences);

/// Student's t of so many degrees of freedom, any number > 0: the two-sided p of a value, and the value whose
/// p is 0.05.
[[nodiscard]] double student_p(double t, double degrees);
[[nodiscard]] double student_limit(double degrees);

/// Adjusted p values of several tests, in the order given: a family of them is wrong with at most the
/// probability that each is compared to. Source: Holm 1979.
[[nodiscard]] std::vector<double> holm(const std::vector<double>& p);

struct Interval {
    double low = 0, high = 0;
};
/// The 95 % percentile interval of the median, from 2000 bootstrap samples (Efron & Tibshirani 1993,
/// section 13.3). Draws are those of a fixed key: equal values in equal order have equal intervals.
/// @pre not empty, no NAN
[[nodiscard]] Interval bootstrap_median(const std::vector<double>& values);

}  // namespace l2o::framework
