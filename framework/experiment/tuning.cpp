#include "framework/experiment/tuning.hpp"

#include <algorithm>
#include <cmath>

#include "framework/config/value_text.hpp"
#include "framework/evaluate/entries.hpp"

namespace l2o::framework {
namespace {

/// Keys whose chosen value is the least or the greatest of the numbers that were tried: a better one may lie
/// beyond.
std::vector<std::string> on_edge(const Candidates& candidates, const Candidate& chosen) {
    std::vector<std::string> keys;
    for (std::size_t k = 0; k < chosen.settings.size(); ++k) {
        std::vector<double> values;
        for (const Candidate& candidate : candidates.all)
            if (const auto value = parse_real(candidate.settings[k].second)) values.push_back(*value);
        const auto own = parse_real(chosen.settings[k].second);
        if (values.size() < candidates.all.size() || !own) continue;
        const auto [least, greatest] = std::ranges::minmax(values);
        if (least < greatest && (*own == least || *own == greatest)) keys.push_back(chosen.settings[k].first);
    }
    return keys;
}

}  // namespace

std::vector<Candidates> candidates_of(const std::vector<Contestant>& contestants) {
    std::vector<Candidates> groups;
    for (std::size_t i = 0; i < contestants.size(); ++i) {
        const Contestant& contestant = contestants[i];
        if (!contestant.tune) continue;
        if (groups.empty() || groups.back().group != contestant.group)
            groups.push_back({.group = contestant.group, .tune = *contestant.tune});
        auto settings = without_seed(contestant.swept);
        std::vector<Candidate>& all = groups.back().all;
        auto known = std::ranges::find(all, settings, &Candidate::settings);
        if (known == all.end()) known = all.insert(all.end(), {.settings = std::move(settings)});
        known->members.push_back(i);
    }
    return groups;
}

Tuned choose(const Candidates& candidates,
             const std::map<std::size_t, Curve>& curves,
             const Judging& judging) {
    Tuned tuned{.metric = judging.centre_name()};
    for (const Candidate& candidate : candidates.all) {
        double value = 0;
        for (const std::size_t member : candidate.members) {
            const Curve& curve = curves.at(member);
            const auto rows = static_cast<double>(curve.final_rows[0].size());
            const Distribution& end = curve.distributions[shown_metric(curve.metrics, judging.metric)].back();
            value += judging.centre_of(end) / static_cast<double>(candidate.members.size());
            tuned.evaluations += curve.evaluations.back() * rows;
            tuned.seconds += curve.seconds.back() * rows;
        }
        tuned.tried.emplace_back(candidate.settings, value);
    }
    const auto is_better = [&](const auto& a, const auto& b) {
        if (std::isnan(a.second) || std::isnan(b.second))
            return !std::isnan(a.second) && std::isnan(b.second);
        return judging.is_higher_better() ? a.second > b.second : a.second < b.second;
    };
    const auto best = std::ranges::min_element(tuned.tried, is_better);
    tuned.chosen = best->first;
    if (std::isfinite(best->second))
        tuned.on_edge =
            on_edge(candidates, candidates.all[static_cast<std::size_t>(best - tuned.tried.begin())]);
    return tuned;
}

}  // namespace l2o::framework
