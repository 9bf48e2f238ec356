#pragma once

#include <vector>

#include "framework/evaluate/paired.hpp"

namespace l2o::framework {

/// differences[a][b][instance]: training a of the one contestant less training b of the other. One that is
/// not trained has one "training", which stands for all.
using SeedDifferences = std::vector<std::vector<std::vector<double>>>;

/// One contestant against another, over training seeds and instances.
struct OverSeeds {
    double difference = 0;  ///< of every pair of trainings the median over instances; their mean
    Interval interval{};    ///< 95 %, of the difference; NAN of one pair
    double p = 1;           ///< two-sided, of "no difference"
    /// Degrees of freedom of the t-test; NAN where both have one training, and all is about these alone.
    double degrees = 0;
    SignedRank signed_rank{};  ///< over instances, of the mean over all pairs of trainings
};

/// There is a difference only if it would be one with other trainings (a t-test, Welch 1947, of what the
/// trainings come to, of which those of a side with one do not vary; with the variance that other instances
/// would add) and with these trainings on other instances (Wilcoxon's test of the means): p is the larger of
/// the two, and the interval holds both, that of t and the bootstrapped one. With one training a side only
/// the latter are left. tests/framework/evaluate/aa_simulation.cpp says how often two copies of a contestant
/// are told apart.
///
/// A training whose median difference is infinite, where that of others is not, makes the difference
/// infinite, and nothing is known of it: p is 1.
/// @pre not empty, no NAN; equally many instances and trainings everywhere
[[nodiscard]] OverSeeds compare_over_seeds(const SeedDifferences& differences);

/// NAN, half-way between -inf and inf, is 0. @pre not empty, no NAN
[[nodiscard]] double median_of(std::vector<double> values);

}  // namespace l2o::framework
