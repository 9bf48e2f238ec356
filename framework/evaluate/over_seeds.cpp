#include "framework/evaluate/over_seeds.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace l2o::framework {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

using Table = std::vector<std::vector<double>>;

double mean_of(const std::vector<double>& values) {
    double sum = 0;
    for (const double value : values) sum += value;
    const double mean = sum / static_cast<double>(values.size());
    return std::isnan(mean) ? 0 : mean;  // of -inf and inf: a draw
}

double variance_of(const std::vector<double>& values) {
    const double mean = mean_of(values);
    double squares = 0;
    for (const double value : values) squares += (value - mean) * (value - mean);
    return squares / (static_cast<double>(values.size()) - 1);
}

/// [training][instance] of one side: the mean over the trainings of the other.
Table side_of(const SeedDifferences& differences, bool is_first) {
    const std::size_t others = is_first ? differences.front().size() : differences.size();
    Table side(is_first ? differences.size() : differences.front().size(),
               std::vector<double>(differences.front().front().size(), 0));
    for (std::size_t a = 0; a < differences.size(); ++a) {
        for (std::size_t b = 0; b < differences[a].size(); ++b) {
            std::vector<double>& row = side[is_first ? a : b];
            for (std::size_t i = 0; i < row.size(); ++i)
                row[i] += differences[a][b][i] / static_cast<double>(others);
        }
    }
    return side;
}

/// How much of the variance of an instance's mean over the trainings comes from how each of them happens to
/// do on it: the mean square that seed and instance leave, in a two-way analysis of variance.
double residual_variance(const Table& side) {
    if (side.size() < 2 || side.front().size() < 2) return 0;
    const auto seeds = static_cast<double>(side.size()), instances = static_cast<double>(side.front().size());
    double squares = 0;
    std::vector<double> row_means;
    for (const std::vector<double>& row : side) row_means.push_back(mean_of(row));
    for (std::size_t i = 0; i < side.front().size(); ++i) {
        std::vector<double> column;
        for (std::size_t seed = 0; seed < side.size(); ++seed)
            column.push_back(side[seed][i] - row_means[seed]);
        squares += variance_of(column) * (seeds - 1);
    }
    return squares / (seeds - 1) / (instances - 1) / seeds;
}

/// Of the variance over instances, which of the means holds the share that is not chance of the trainings:
/// that would be the same with others, and different on other instances.
double lasting_share(const SeedDifferences& differences, const std::vector<double>& means) {
    if (means.size() < 2) return 0;
    const double all = variance_of(means), chance = residual_variance(side_of(differences, true)) +
                                                    residual_variance(side_of(differences, false));
    if (!std::isfinite(all) || !std::isfinite(chance)) return 1;
    return all > 0 ? std::max(0.0, 1 - chance / all) : 0;
}

struct TTest {
    Interval interval{};
    double p = 1, degrees = 0;
};

/// @param medians      [a][b]
/// @param by_instance  variance of the difference that other instances would add
TTest t_test(const Table& medians, double difference, double by_instance) {
    Table sides(2);
    bool are_finite = true, are_equal = true;
    for (const std::vector<double>& row : medians) {
        sides[0].push_back(mean_of(row));
        for (const double median : row) {
            are_finite = are_finite && std::isfinite(median);
            are_equal = are_equal && median == medians.front().front();
        }
    }
    for (std::size_t b = 0; b < medians.front().size(); ++b) {
        std::vector<double> column;
        for (const std::vector<double>& row : medians) column.push_back(row[b]);
        sides[1].push_back(mean_of(column));
    }
    const auto most = static_cast<double>(sides[0].size() + sides[1].size() - 2);
    if (!are_finite && !are_equal) return {{-kInfinity, kInfinity}, 1, most};
    // Welch 1947; the degrees of freedom, of the seeds alone, by Satterthwaite 1946.
    double variance = 0, term = 0;
    for (const std::vector<double>& side : sides) {
        const auto n = static_cast<double>(side.size());
        if (n < 2 || !are_finite) continue;
        const double part = variance_of(side) / n;
        variance += part;
        term += part * part / (n - 1);
    }
    const double degrees = term > 0 ? variance * variance / term : most,
                 error = std::sqrt(variance + (are_finite ? by_instance : 0));
    if (!(error > 0)) return {{difference, difference}, difference == 0 ? 1.0 : 0.0, most};  // nothing varies
    const double reach = error * student_limit(degrees);
    return {{difference - reach, difference + reach}, student_p(difference / error, degrees), degrees};
}

}  // namespace

double median_of(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    const double median = quantile(values, 0.5);
    return std::isnan(median) ? 0 : median;
}

OverSeeds compare_over_seeds(const SeedDifferences& differences) {
    Table medians;
    std::vector<double> all, means(differences.front().front().size(), 0);
    for (const auto& row : differences) {
        medians.emplace_back();
        for (const std::vector<double>& pair : row) {
            medians.back().push_back(median_of(pair));
            all.push_back(medians.back().back());
            for (std::size_t i = 0; i < means.size(); ++i) means[i] += pair[i];
        }
    }
    for (double& mean : means) mean = std::isnan(mean) ? 0 : mean / static_cast<double>(all.size());
    OverSeeds result{.difference = mean_of(all),
                     .interval = bootstrap_median(means),
                     .degrees = NAN,
                     .signed_rank = wilcoxon_signed_rank(means)};
    result.p = result.signed_rank.p;
    if (all.size() * means.size() == 1) result.interval = {NAN, NAN};  // one value varies with nothing
    if (all.size() == 1) return result;
    constexpr double kErrors = 2 * 1.959963984540054;  // standard ones in a 95 % interval of normal values
    const double error = (result.interval.high - result.interval.low) / kErrors;
    const TTest test = t_test(medians, result.difference, error * error * lasting_share(differences, means));
    result.p = std::max(result.p, test.p);
    result.degrees = test.degrees;
    result.interval = {std::min(result.interval.low, test.interval.low),
                       std::max(result.interval.high, test.interval.high)};
    return result;
}

}  // namespace l2o::framework
