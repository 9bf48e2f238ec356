#include "framework/evaluate/results_checks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <utility>

#include "framework/evaluate/results.hpp"

namespace l2o::framework {
namespace {

/// Equal but for the rounding of another build.
bool is_close(double a, double b) {
    return a == b || (std::isfinite(a) && std::isfinite(b) &&
                      std::abs(a - b) <= 1e-9 * std::max(std::abs(a), std::abs(b)));
}

}  // namespace

void check_distribution(const ResultsTable& csv,
                        std::size_t row,
                        const Distribution& d,
                        const Judging& judging,
                        const std::string& metric) {
    if (d.rows == 0) {
        for (const double value : {d.mean, d.median, d.q10, d.q25, d.q75, d.q90}) {
            if (!std::isnan(value))
                refuse_row(
                    csv.path(),
                    row,
                    fmt::format(
                        "{} has the number {}, and no instance has a certified solution", metric, value));
        }
        return;
    }
    const bool is_higher_better = judging.higher_is_better.contains(metric);
    const double worst = worst_value(is_higher_better);
    const std::array<std::pair<const char*, double>, 5> quantiles{
        {{"q10", d.q10}, {"q25", d.q25}, {"median", d.median}, {"q75", d.q75}, {"q90", d.q90}}};
    constexpr std::array kProbabilities{0.1, 0.25, 0.5, 0.75, 0.9};
    // Those that diverged are at the end, or where higher is better at the beginning.
    const auto finite = static_cast<double>(d.finite), all = static_cast<double>(d.rows);
    for (std::size_t i = 0; i < quantiles.size(); ++i) {
        const auto& [name, value] = quantiles[i];
        const double place = kProbabilities[i] * (all - 1);
        const bool is_worst =
            is_higher_better ? std::floor(place) < all - finite : std::ceil(place) > finite - 1;
        if (std::isnan(value) || (is_worst && value != worst)) {
            refuse_row(
                csv.path(),
                row,
                fmt::format("{} is {}, though {} of {} rows diverged; was it written by an earlier l2o? "
                            "evaluate again",
                            name,
                            value,
                            d.rows - d.finite,
                            d.rows));
        }
        if (i > 0 && value < quantiles[i - 1].second)
            refuse_row(csv.path(), row, fmt::format("{} is below {}", name, quantiles[i - 1].first));
    }
    if (std::isnan(d.mean) || (d.finite < d.rows && !judging.ratios.contains(metric) && d.mean != worst)) {
        refuse_row(csv.path(),
                   row,
                   fmt::format("the mean is {}, though {} of {} rows diverged; was it written by an earlier "
                               "l2o? evaluate again",
                               d.mean,
                               d.rows - d.finite,
                               d.rows));
    }
}

void check_end(const std::filesystem::path& path, const Curve& curve, const Judging& judging) {
    for (std::size_t metric = 0; metric < curve.metrics.size(); ++metric) {
        const std::string& name = curve.metrics[metric];
        std::vector<double> rows;
        for (const std::size_t row : judging.counted(name, curve.final_rows[metric].size()))
            rows.push_back(curve.final_rows[metric][row]);
        const Distribution &told = curve.distributions[metric].back(),
                           d = distribution_of(rows, judging.higher_is_better.contains(name));
        if (d.rows == 0) continue;
        const auto refuse = [&](const std::string& what, auto there, auto here) {
            refuse_results(path,
                           fmt::format("the last {} of '{}' is not that of finals.csv: {} is {}, and {} by "
                                       "the rows there",
                                       name,
                                       curve.contestant,
                                       what,
                                       there,
                                       here));
        };
        if (told.finite != d.finite) refuse("the number of finite rows", told.finite, d.finite);
        for (const auto& [what, number] : {std::pair{"q10", &Distribution::q10},
                                           {"q25", &Distribution::q25},
                                           {"median", &Distribution::median},
                                           {"q75", &Distribution::q75},
                                           {"q90", &Distribution::q90}})
            if (!is_close(told.*number, d.*number)) refuse(what, told.*number, d.*number);
        if (!judging.ratios.contains(name) && !is_close(told.mean, d.mean)) refuse("mean", told.mean, d.mean);
    }
}

void check_ways(const std::filesystem::path& path,
                const Curve& curve,
                const Judging& judging,
                std::int64_t shard_rows) {
    const auto refuse_way = [&](std::size_t row, const std::string& text) {
        refuse_results(path,
                       fmt::format("instance {}, start {} of '{}' {}",
                                   row / static_cast<std::size_t>(judging.starts),
                                   row % static_cast<std::size_t>(judging.starts),
                                   curve.contestant,
                                   text));
    };
    const auto rows = curve.reached.size(), step = static_cast<std::size_t>(shard_rows);
    const auto points = curve.iteration.size(), shards = (rows + step - 1) / step;
    // At which iterations a row can have arrived by a point: a value that a step paid for is charged and
    // timed where that step ends.
    std::vector<std::int64_t> latest = curve.iteration;
    for (std::size_t point = 0; judging.is_paid_for && point + 1 < points; ++point) --latest[point];
    // What rows had paid that arrived by a point and not before, all together; and [shard] how long each of
    // its rows had taken by the iterations at which one arrived.
    std::vector<double> paid(points, 0);
    std::vector<std::map<std::int64_t, double>> seconds(shards);
    for (std::size_t row = 0; row < rows; ++row) {
        const Reached& reached = curve.reached[row];
        if (reached.iteration < 0) continue;
        const auto point = std::ranges::lower_bound(latest, reached.iteration);
        if (point == latest.end() || (!judging.is_paid_for && *point != reached.iteration))
            refuse_way(
                row,
                fmt::format("reached its target at iteration {}, which is no point of curves.csv, whose "
                            "last is {}",
                            reached.iteration,
                            curve.iteration.back()));
        paid[static_cast<std::size_t>(point - latest.begin())] += reached.evaluations;
        const double known = seconds[row / step].emplace(reached.iteration, reached.seconds).first->second;
        if (known != reached.seconds)
            refuse_way(row,
                       fmt::format("reached its target at iteration {} after {} seconds, and a row beside it "
                                   "after {}",
                                   reached.iteration,
                                   reached.seconds,
                                   known));
    }
    const auto refuse_sum = [&](std::size_t point, double sum, const char* what, double all) {
        refuse_results(
            path,
            fmt::format("the rows of '{}' that reached their target by iteration {} had paid {} {} by then, "
                        "and all rows {} in curves.csv",
                        curve.contestant,
                        curve.iteration[point],
                        sum,
                        what,
                        all));
    };
    for (std::size_t shard = 0; shard < shards; ++shard) {
        double last = 0;
        for (const auto& [iteration, known] : seconds[shard]) {
            if (known < last)
                refuse_way(shard * step,
                           fmt::format("and rows beside it had taken {} seconds at iteration {}, and more "
                                       "before",
                                       known,
                                       iteration));
            last = known;
        }
    }
    // To tell its objective at a point a row may have had to pay for more than the curve charges it.
    const bool is_charged = judging.is_paid_for || shown_metric(curve.metrics, judging.metric) != 0;
    double spent = 0;
    for (std::size_t point = 0; point < points; ++point) {
        spent += paid[point];
        const double evaluations = curve.evaluations[point] * static_cast<double>(rows);
        if (is_charged && spent > evaluations && !is_close(spent, evaluations))
            refuse_sum(point, spent, "evaluations", evaluations);
        double sum = 0;
        bool are_all_known = !judging.is_paid_for;
        for (std::size_t shard = 0; shard < shards; ++shard) {
            const auto after = seconds[shard].upper_bound(latest[point]);
            are_all_known = are_all_known && seconds[shard].contains(latest[point]);
            if (after == seconds[shard].begin()) continue;
            sum += std::prev(after)->second * static_cast<double>(std::min(step, rows - shard * step));
        }
        const double all = curve.seconds[point] * static_cast<double>(rows);
        if (sum > all ? !is_close(sum, all) : are_all_known && !is_close(sum, all))
            refuse_sum(point, sum, "seconds", all);
    }
}

void check_target(const std::filesystem::path& path, const Curve& curve, const Judging& judging) {
    if (!judging.target) return;
    const std::vector<double>& finals = curve.final_rows[shown_metric(curve.metrics, judging.metric)];
    for (const std::size_t row : judging.counted(judging.metric, finals.size())) {
        const double value = judging.is_paid_for ? curve.final_best[row] : finals[row];
        const bool is_there =
            judging.is_higher_better() ? value >= *judging.target : value <= *judging.target;
        const std::int64_t iteration = curve.reached[row].iteration;
        const bool may_have_left = !judging.is_paid_for && iteration < curve.iteration.back();
        if (is_there ? iteration >= 0 : iteration < 0 || may_have_left) continue;
        refuse_results(
            path,
            fmt::format("instance {}, start {} of '{}' {} {} {}, and the target is {}, which it reached {}",
                        row / static_cast<std::size_t>(judging.starts),
                        row % static_cast<std::size_t>(judging.starts),
                        curve.contestant,
                        judging.is_paid_for ? "paid at best for" : "ends with",
                        judging.metric,
                        value,
                        *judging.target,
                        iteration < 0 ? "never" : fmt::format("at iteration {}", iteration)));
    }
}

}  // namespace l2o::framework
