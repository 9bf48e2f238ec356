#include "framework/evaluate/entries_json.hpp"

#include <algorithm>
#include <utility>

#include "framework/evaluate/entries.hpp"
#include "framework/evaluate/timing.hpp"
#include "framework/text/json.hpp"

namespace l2o::framework {
namespace {

using nlohmann::json;

json json_of(const Comparison& comparison, const std::string& reference) {
    return {{"against", reference},
            {"difference", comparison.difference},
            {"low", comparison.interval.low},
            {"high", comparison.interval.high},
            {"better", comparison.better},
            {"p", comparison.p},
            {"p_holm", comparison.p_holm},
            {"degrees", comparison.degrees},
            {"instances", comparison.instances},
            {"trainings", comparison.trainings},
            {"reference_trainings", comparison.reference_trainings}};
}

json json_of(const Arrival& arrival) {
    return {{"share", arrival.share},
            {"iterations", arrival.iterations},
            {"evaluations", arrival.evaluations},
            {"evaluations_95", arrival.evaluations_95},
            {"evaluations_p_holm", arrival.evaluations_p},
            {"seconds", arrival.seconds},
            {"break_even_solves", arrival.break_even},
            {"break_even_by_evaluations", arrival.break_even_by_evaluations}};
}

}  // namespace

json to_json(const Distribution& d) {
    return {{"mean", d.mean},
            {"median", d.median},
            {"q10", d.q10},
            {"q25", d.q25},
            {"q75", d.q75},
            {"q90", d.q90},
            {"finite", d.finite},
            {"rows", d.rows}};
}

json to_json(const Tuned& tuned) {
    json tried = json::array();
    for (const auto& [settings, value] : tuned.tried)
        tried.push_back({{"settings", settings}, {"value", value}});
    return {{"chosen", tuned.chosen},
            {"tried", tried},
            {"on_edge", tuned.on_edge},
            {"metric", tuned.metric},
            {"instances", tuned.instances},
            {"evaluations", tuned.evaluations},
            {"seconds", tuned.seconds}};
}

json entries_json(const std::vector<Curve>& curves, const Judging& judging) {
    json all = json::array();
    if (curves.empty()) return all;
    const std::vector<Entry> entries = entries_of(curves);
    const std::vector<Comparison> comparisons = compare(curves, judging, judging.metric);
    const bool has_target = !curves.front().reached.empty();
    const std::vector<Arrival> ways = has_target ? arrivals(curves, judging) : std::vector<Arrival>{};
    const std::vector<Curve> shown = curves_of(entries, curves);
    const std::size_t metric = shown_metric(curves.front().metrics, judging.metric);
    for (std::size_t i = 0; i < entries.size(); ++i) {
        const Entry& entry = entries[i];
        json contestants = json::array(), centres = json::array();
        for (const std::size_t member : entry.members) {
            contestants.push_back(curves[member].contestant);
            centres.push_back(judging.centre_of(curves[member].distributions[metric].back()));
        }
        const auto found = std::ranges::find(comparisons, entry.name, &Comparison::contestant);
        all.push_back(
            {{"name", entry.name},
             {"contestants", std::move(contestants)},
             {"seeds", entry.seeds},
             {"one_training_seed", entry.has_one_seed()},
             {"evaluations", shown[i].evaluations.back()},
             {"values", shown[i].values.back()},
             {"gradients", shown[i].gradients.back()},
             {"seconds", shown[i].seconds.back()},
             {"solve_seconds", shown[i].time.runs > 0 ? to_json(shown[i].time) : json()},
             {"training_seconds", entry.training_seconds},
             {"training_evaluations", entry.training_evaluations},
             {"distribution", to_json(shown[i].distributions[metric].back())},
             {"by_contestant", std::move(centres)},
             {"comparison", found != comparisons.end() ? json_of(*found, judging.reference) : json()},
             {"tuned", shown[i].tuned ? to_json(*shown[i].tuned) : json()},
             {"target", has_target ? json_of(ways[i]) : json()}});
        if (shown[i].swept.empty()) continue;
        all.back()["group"] = shown[i].group;
        all.back()["swept"] = shown[i].swept;
    }
    return all;
}

}  // namespace l2o::framework
