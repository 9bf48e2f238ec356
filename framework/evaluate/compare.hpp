#pragma once

#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "framework/evaluate/evaluate.hpp"
#include "framework/evaluate/paired.hpp"

namespace l2o::framework {

/// What contestants are judged by: the same at the end of a run and in a report of its folder.
struct Judging {
    std::string metric{};                      ///< the one that counts
    std::set<std::string> higher_is_better{};  ///< metrics; of the others lower is
    std::set<std::string> ratios{};            ///< metrics that are an L2O_SPEC_RATIO
    std::string reference{};                   ///< entry that the others are compared to, see Entry
    std::optional<double> target{};            ///< of the metric; nothing: the relative one of find_reached()
    bool is_paid_for = false;  ///< a target is reached by values that rows pay for: reaches_by_payment()
    double tolerance = 1e-3;
    std::int64_t starts = 1;                 ///< rows per instance
    std::set<std::string> needs_solution{};  ///< metrics
    std::set<std::int64_t> unsolved{};       ///< instances without a certified solution

    /// The rows, of so many, that a metric is judged by, for all contestants alike: those of unsolved
    /// instances have no part in one that needs the solution.
    [[nodiscard]] std::vector<std::size_t> counted(const std::string& of_metric, std::size_t rows) const;
    [[nodiscard]] bool is_ratio() const { return ratios.contains(metric); }
    /// Of the metric that counts.
    [[nodiscard]] bool is_higher_better() const { return higher_is_better.contains(metric); }
    /// What stands for all rows of the metric that counts: their median, or the ratio of their sums.
    [[nodiscard]] double centre_of(const Distribution& d) const { return is_ratio() ? d.mean : d.median; }
    /// "nmse_db (median)", "nmse_pooled_db (pooled)".
    [[nodiscard]] std::string centre_name() const {
        return metric + (is_ratio() ? " (pooled)" : " (median)");
    }
};
/// @param metrics      those of the curves: what needs a solution may be left out
/// @param is_unsolved  see unsolved_instances()
[[nodiscard]] Judging judging_of(const EvaluateSettings& evaluate,
                                 const Optimizee& optimizee,
                                 const std::vector<std::string>& metrics,
                                 const std::vector<bool>& is_unsolved);

/// Tells for every row of every curve when it reached the target, and drops the histories; the staircases
/// stay. Where judging.is_paid_for, a row reaches it with the first value that it has paid for and that is as
/// low (a stair), and one that evaluates nothing never does; else at the first recorded point, with what it
/// would have paid by then to know. Without a target a row has arrived once the metric has made all but
/// `tolerance` of its way from its start, which is recorded, to the best that any contestant paid for on that
/// row, or had at a recorded point (Moré & Wild 2009, equation 2.2). A row that nobody improves is never
/// reached.
/// @pre all curves have the same rows, and staircases where judging.is_paid_for.
void find_reached(std::vector<Curve>& curves, const Judging& judging);

/// An entry against the reference, on the same instances and starts; by the ratios of single rows where the
/// metric is a ratio. Of the rows that count.
struct Comparison {
    std::string contestant{};  ///< the entry
    /// The entry's value less that of the reference, median over instances, of several trainings their mean;
    /// with its interval. A row of NAN is worse than any number. See compare_over_seeds().
    double difference = 0;
    Interval interval{};
    double better = 0;  ///< share of instances and pairs of trainings where it is better; equal counts half
    SignedRank signed_rank{};  ///< of the instances' differences
    double p = 1;              ///< over training seeds and instances
    double p_holm = 1;         ///< corrected for the number of entries
    double degrees = 0;        ///< of freedom, of the training seeds; NAN where both have one
    std::int64_t instances = 0, trainings = 1, reference_trainings = 1;

    [[nodiscard]] bool is_over_seeds() const { return trainings > 1 || reference_trainings > 1; }
};
/// The differences of an instance are averaged over its starts, which are not independent; of a single
/// instance the starts are compared. Empty if there is no reference, or no row counts.   @param metric  by
/// name
[[nodiscard]] std::vector<Comparison> compare(const std::vector<Curve>& curves,
                                              const Judging& judging,
                                              const std::string& metric);

/// The way of an entry to the target, over the rows of all its trainings.
struct Arrival {
    double share = 0;  ///< of the rows that arrived; NAN, as the others, where no row counts
    /// Median over all rows, one that never arrived being infinite.
    double iterations = 0, evaluations = 0, seconds = 0;
    /// Solves after which the training, the mean of several, is paid for by the time saved over the
    /// reference; infinite if none is saved, NAN where nothing was trained or one of the two medians is
    /// infinite.
    double break_even = 0;
    double break_even_by_evaluations = NAN;  ///< the same for the evaluations of both
    double evaluations_95 = NAN;             ///< those that 95 % of the rows arrive within
    /// Of "as many evaluations as the reference", paired as in compare(), Holm's correction; NAN of the
    /// reference.
    double evaluations_p = NAN;
};
/// One per entry.   @pre find_reached()
[[nodiscard]] std::vector<Arrival> arrivals(const std::vector<Curve>& curves, const Judging& judging);

/// One curve of a performance profile: (ratio, share of the rows that arrived with at most `ratio` times the
/// evaluations of the best contestant, whatever its training), a step at every pair, ratios rising from 1.
/// One per entry, over the rows of all its trainings. Source: Dolan & Moré 2002, section 2.
using Profile = std::vector<std::pair<double, double>>;
[[nodiscard]] std::vector<Profile> performance_profiles(const std::vector<Curve>& curves,
                                                        const Judging& judging);

}  // namespace l2o::framework
