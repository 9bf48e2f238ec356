#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "framework/evaluate/compare.hpp"
#include "framework/evaluate/entries.hpp"
#include "framework/rollout/ledger.hpp"
#include "framework/text/table.hpp"

namespace l2o::framework {

/// The columns of curves.csv.
inline const std::vector<std::string> kCurvesHead{"contestant",
                                                  "iteration",
                                                  "evaluations",
                                                  "values",
                                                  "gradients",
                                                  "seconds",
                                                  "best_objective",
                                                  "metric",
                                                  "mean",
                                                  "median",
                                                  "q10",
                                                  "q25",
                                                  "q75",
                                                  "q90",
                                                  "finite"};

/// One line per contestant, recorded point and metric, with kCurvesHead. best_objective is the median of the
/// least f that rows have paid for; empty where none has. @throw Error kIo
void write_curves(const std::filesystem::path& path, const std::vector<Curve>& curves);

/// One line per entry and metric, at the last point: contestant, metric, median, q10, q90, mean,
/// evaluations, value_evaluations, gradient_evaluations, seconds, training_seconds, finite, rows; then the
/// comparison with the reference, for the metric that counts the way to the target, the share of
/// safeguarded steps that were classic ones, the number of trainings, their mean evaluations and the
/// break-even by these. A cell is empty where there is nothing to say. @throw Error kIo
void write_summary(const std::filesystem::path& path,
                   const std::vector<Curve>& curves,
                   const Judging& judging);

/// The table for the terminal: per entry the metric that counts at its last point (median, of a ratio
/// that of the sums; 10-90 % of the rows), evaluations of values and gradients per row, time and training
/// time, and what its trainings come to where there are several; then a line for instances that are left out,
/// for everyone with rows that diverged, or with a safeguard, and what the time is of.
/// @param columns  of the terminal, see TextTable::text
[[nodiscard]] std::string result_table(const std::vector<Curve>& curves,
                                       const Judging& judging,
                                       std::size_t columns = kAnyWidth);

/// Who has solves that diverged, by the metric that counts at the last point: "Solves that are not finite at
/// the end count as the worst: wild 37 of 120, b 2 of 120."; "" if nobody has.
[[nodiscard]] std::string diverged_caption(const std::vector<Curve>& curves, const Judging& judging);

/// "no certified solution: 3 of 64 instances left out of suboptimality", where the metric that counts needs
/// one; "" if none is left out.
[[nodiscard]] std::string unsolved_text(const std::vector<Curve>& curves, const Judging& judging);

/// "12.3 s", "-" where nothing was trained, "unknown" of weights that do not say.
[[nodiscard]] std::string training_text(const Curve& curve);

/// "12.3 us ±4 %": the median of its runs, and how far from it the 10 and 90 % quantiles lie at most.
[[nodiscard]] std::string time_of_solve_text(const Curve& curve);

/// What the times are of, and what they leave out.
[[nodiscard]] std::string time_text(const std::vector<Curve>& curves);

/// "adam: learning_rate=0.03 is the best of 9 on 64 validation instances (objective (median) 0.12), which
/// took 115200 evaluations; it is the least or the greatest that was tried: widen the sweep"; "" of one that
/// was not tuned.
[[nodiscard]] std::string tuned_text(const Curve& curve);

/// "lista: 3 % of its safeguarded steps were those of 'ista'"; "" without a safeguard.
[[nodiscard]] std::string safeguard_text(const Curve& curve);

/// The second table: against whom, on how many instances; then per contestant the median difference with its
/// interval, the share of instances where it is better, p, and the way to the target. "" if there is nobody
/// to be compared.
[[nodiscard]] std::string comparison_table(const std::vector<Curve>& curves,
                                           const Judging& judging,
                                           std::size_t columns = kAnyWidth);

/// "128 instances", "4 starts of one instance"; with ", over training seeds and instances" if it is about
/// them.
/// @pre comparisons is not empty
[[nodiscard]] std::string pairs_text(const std::vector<Comparison>& comparisons, const Judging& judging);

/// How many trainings, and from the least to the greatest of what stands for each: "5: 0.0021 .. 0.0034"; "-"
/// of one.
[[nodiscard]] std::string seeds_text(const Entry& entry,
                                     const std::vector<Curve>& curves,
                                     const Judging& judging,
                                     const std::string& between = " .. ");
/// What that is, and how several trainings are one number; "" where nobody has several.
[[nodiscard]] std::string seeds_legend(const std::vector<Entry>& entries);

/// "within 0.1 % of the way from the start to the best known nmse_db", "nmse_db <= -30", "objective <= 1,
/// paid for".
[[nodiscard]] std::string target_text(const Judging& judging);

/// "; no value was paid for by ista, fista", of those that a target on the objective is out of reach for; ""
/// if there are none, or it is read at recorded points.
[[nodiscard]] std::string unpaid_text(const std::vector<Curve>& curves, const Judging& judging);

// Numbers as the tables show them.
[[nodiscard]] std::string number_text(double value);  ///< four digits
/// "-" where there is none.
[[nodiscard]] std::string interval_text(const Interval& interval, const std::string& between);
/// number_text(), "diverged" for what a row that diverged counts as, "-" for NAN: no row counts.
[[nodiscard]] std::string value_text(double value, bool is_higher_better);
/// From the 10 % to the 90 % quantile; "-" if no row counts.
[[nodiscard]] std::string band_text(const Distribution& d, bool is_higher_better, const std::string& between);
[[nodiscard]] std::string duration_text(double seconds);  ///< "12.3 ms", "2 min 03 s"
[[nodiscard]] std::string count_text(double count);       ///< whole, or with one digit
/// Points, and how many values and gradients were asked for there: "40 (20 f, 30 g)".
[[nodiscard]] std::string evaluations_text(const Evaluations& of);
[[nodiscard]] std::string percent_text(double share);  ///< "97 %": 0 and 100 only where it is all or nothing
[[nodiscard]] std::string break_even_text(double solves);  ///< "never", "-" where it makes no sense
[[nodiscard]] std::string p_text(double p);                ///< "0.032", "< 0.0001"

/// Whether not a single row of any contestant has a finite objective at the end.
[[nodiscard]] bool all_diverged(const std::vector<Curve>& curves);

}  // namespace l2o::framework
