#include "framework/evaluate/entries.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "framework/config/sweep_values.hpp"
#include "framework/evaluate/over_seeds.hpp"

namespace l2o::framework {
namespace {

using Swept = std::vector<std::pair<std::string, std::string>>;
using Members = std::vector<const Curve*>;

/// Of numbers of which none is better than another.
double median_or_nan(std::vector<double> values) {
    std::erase_if(values, [](double value) { return std::isnan(value); });
    return values.empty() ? NAN : median_of(std::move(values));
}

template <class Number>
double mean_of(const Members& members, Number&& number) {
    double sum = 0;
    for (const Curve* member : members) sum += number(*member);
    return sum / static_cast<double>(members.size());
}

template <class Number>
double median_of_members(const Members& members, Number&& number) {
    std::vector<double> values;
    for (const Curve* member : members) values.push_back(number(*member));
    return median_or_nan(std::move(values));
}

/// The last point of a curve by an iteration: whoever has spent its budget stays where it is.
std::size_t point_by(const Curve& curve, std::int64_t iteration) {
    const auto after = std::ranges::upper_bound(curve.iteration, iteration);
    return static_cast<std::size_t>(after - curve.iteration.begin()) - 1;
}

Distribution middle(const Members& members, std::size_t metric, std::int64_t iteration) {
    const auto at = [&](const Curve& curve) -> const Distribution& {
        return curve.distributions[metric][point_by(curve, iteration)];
    };
    const auto median = [&](double Distribution::*number) {
        return median_of_members(members, [&](const Curve& curve) { return at(curve).*number; });
    };
    Distribution d{.mean = median(&Distribution::mean),
                   .median = median(&Distribution::median),
                   .q10 = median(&Distribution::q10),
                   .q25 = median(&Distribution::q25),
                   .q75 = median(&Distribution::q75),
                   .q90 = median(&Distribution::q90)};
    for (const Curve* member : members) {
        d.finite += at(*member).finite;
        d.rows += at(*member).rows;
    }
    return d;
}

std::vector<std::int64_t> iterations_of(const Members& members) {
    std::vector<std::int64_t> all;
    for (const Curve* member : members)
        all.insert(all.end(), member->iteration.begin(), member->iteration.end());
    std::ranges::sort(all);
    all.erase(std::unique(all.begin(), all.end()), all.end());
    return all;
}

Curve merged(const Entry& entry, const std::vector<Curve>& curves) {
    Members members;
    for (const std::size_t member : entry.members) members.push_back(&curves[member]);
    const Curve& first = *members.front();
    const auto mean = [&](double Curve::*number) {
        return mean_of(members, [&](const Curve& curve) { return curve.*number; });
    };
    Curve curve{.contestant = entry.name,
                .group = first.group,
                .swept = without_seed(first.swept),
                .iteration = iterations_of(members),
                .metrics = first.metrics,
                .training_seconds = entry.training_seconds,
                .preparation_seconds = mean(&Curve::preparation_seconds),
                .tuned = first.tuned,
                .safeguard = first.safeguard,
                .fallback_rate = mean(&Curve::fallback_rate)};
    curve.distributions.resize(first.distributions.size());
    for (const std::int64_t iteration : curve.iteration) {
        for (std::vector<double> Curve::*costs :
             {&Curve::evaluations, &Curve::values, &Curve::gradients, &Curve::seconds})
            (curve.*costs).push_back(mean_of(members, [&](const Curve& member) {
                return (member.*costs)[point_by(member, iteration)];
            }));
        for (std::size_t metric = 0; metric < curve.distributions.size(); ++metric)
            curve.distributions[metric].push_back(middle(members, metric, iteration));
        if (!first.best.empty())
            curve.best.push_back(median_of_members(
                members, [&](const Curve& member) { return member.best[point_by(member, iteration)]; }));
    }
    const auto of_solve = [&](double SolveTime::*seconds) {
        return mean_of(members, [&](const Curve& member) { return member.time.*seconds; });
    };
    curve.time = {.median = of_solve(&SolveTime::median),
                  .low = of_solve(&SolveTime::low),
                  .high = of_solve(&SolveTime::high),
                  .runs = first.time.runs};
    if (curve.swept.empty()) curve.group.clear();
    return curve;
}

}  // namespace

std::vector<Entry> entries_of(const std::vector<Curve>& curves) {
    std::vector<Entry> entries;
    for (std::size_t i = 0; i < curves.size(); ++i) {
        const Curve& curve = curves[i];
        const auto seed = std::ranges::find(curve.swept, kSeedKey, &Swept::value_type::first);
        const auto is_of = [&](const Entry& entry) {
            const Curve& other = curves[entry.members.front()];
            return !entry.seeds.empty() && other.group == curve.group &&
                   without_seed(other.swept) == without_seed(curve.swept);
        };
        const auto known = seed == curve.swept.end() ? entries.end() : std::ranges::find_if(entries, is_of);
        Entry& entry = known != entries.end() ? *known : entries.emplace_back();
        entry.members.push_back(i);
        if (seed != curve.swept.end()) entry.seeds.push_back(seed->second);
    }
    for (Entry& entry : entries) {
        const Curve& first = curves[entry.members.front()];
        entry.name = entry_name(first.contestant, first.group, first.swept);
        const auto count = static_cast<double>(entry.members.size());
        for (const std::size_t member : entry.members) {
            const Curve& curve = curves[member];
            entry.training_seconds += curve.training_seconds / count;
            if (curve.training_seconds != 0)
                entry.training_evaluations += (curve.training ? curve.training->evaluations : NAN) / count;
        }
    }
    return entries;
}

std::vector<Curve> curves_of(const std::vector<Entry>& entries, const std::vector<Curve>& curves) {
    std::vector<Curve> shown;
    for (const Entry& entry : entries) shown.push_back(merged(entry, curves));
    return shown;
}

Swept only_seed(Swept swept) {
    std::erase_if(swept, [](const auto& pair) { return pair.first != kSeedKey; });
    return swept;
}

std::string tuned_name(const std::string& group, const Swept& swept) {
    const Swept seed = only_seed(swept);
    return seed.empty() ? group : group + ".seed=" + seed.front().second;
}

Swept without_seed(Swept swept) {
    std::erase_if(swept, [](const auto& pair) { return pair.first == kSeedKey; });
    return swept;
}

std::string entry_name(const std::string& contestant, const std::string& group, const Swept& swept) {
    std::vector<std::string> keys;
    for (const auto& [key, value] : swept) keys.push_back(key);
    const auto found = std::ranges::find(keys, kSeedKey);
    if (found == keys.end() || !contestant.starts_with(group + ".")) return contestant;
    if (keys.size() == 1) return group;
    // In a name no value has a '=', so that this is there once.
    const auto index = static_cast<std::size_t>(found - keys.begin());
    const std::string part = short_keys(keys)[index] + "=" + swept[index].second;
    std::string rest = "," + contestant.substr(group.size() + 1) + ",";
    const std::size_t at = rest.find("," + part + ",");
    if (at == std::string::npos) return contestant;
    rest.erase(at, part.size() + 1);
    return group + "." + rest.substr(1, rest.size() - 2);
}

std::string one_seed_text(const std::vector<Entry>& entries) {
    std::vector<std::string> names;
    bool are_all = true;
    for (const Entry& entry : entries) {
        if (entry.has_one_seed()) names.push_back(entry.name);
        are_all = are_all && (entry.has_one_seed() || !entry.is_trained());
    }
    if (names.empty()) return "";
    return fmt::format("one training seed{}: intervals and p are over instances, for these trainings alone",
                       are_all ? "" : fmt::format(" ({})", fmt::join(names, ", ")));
}

}  // namespace l2o::framework
