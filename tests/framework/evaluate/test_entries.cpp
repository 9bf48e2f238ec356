#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include "framework/evaluate/entries.hpp"
#include "framework/evaluate/entries_json.hpp"
#include "framework/evaluate/results.hpp"
#include "framework/text/json.hpp"
#include "tests/framework/report/field.hpp"

using namespace l2o::framework;
using Swept = std::vector<std::pair<std::string, std::string>>;

namespace {

Curve training(const std::string& group, const std::string& name, const Swept& swept, double rate) {
    Curve curve = l2o::test::contestant(group + "." + name, rate, 10);
    curve.group = group;
    curve.swept = swept;
    curve.training_seconds = 1;
    return curve;
}

/// Two widths by three seeds each, and one that is not trained.
std::vector<Curve> widths() {
    std::vector<Curve> curves{l2o::test::contestant("adam", 0.8, 10)};
    for (const char* width : {"5", "10"}) {
        for (int seed = 0; seed < 3; ++seed) {
            const std::string number = std::to_string(seed);
            curves.push_back(training("dm",
                                      "hidden=" + std::string(width) + ",seed=" + number,
                                      {{"optimizer.hidden", width}, {"train.seed", number}},
                                      0.6 + 0.1 * seed));
            curves.back().training_seconds = 1 + seed;
        }
    }
    return curves;
}

Judging judging() { return {.metric = "objective", .reference = "adam"}; }

}  // namespace

TEST_CASE("entries: curves that differ in the seed of their training alone are one") {
    const std::vector<Entry> entries = entries_of(widths());
    REQUIRE(entries.size() == 3);
    CHECK(entries[0].name == "adam");
    CHECK(entries[0].seeds.empty());
    CHECK(entries[1].name == "dm.hidden=5");
    CHECK(entries[2].name == "dm.hidden=10");
    CHECK(entries[2].members == std::vector<std::size_t>{4, 5, 6});
    CHECK(entries[2].seeds == std::vector<std::string>{"0", "1", "2"});
    const std::vector<Curve> shown = curves_of(entries, widths());
    CHECK(shown[2].contestant == "dm.hidden=10");
    CHECK(shown[2].group == "dm");
    CHECK(shown[2].swept == Swept{{"optimizer.hidden", "10"}});
    CHECK(entries[0].is_trained() == false);
    CHECK(entries[1].is_trained());
    CHECK_FALSE(entries[1].has_one_seed());
}

TEST_CASE("entries: the seed may stand anywhere in a name, and a sweep of seeds alone has the group's") {
    const Swept seed{{"train.seed", "1"}}, both{{"train.seed", "1"}, {"optimizer.hidden", "5"}};
    CHECK(entry_name("dm.seed=1", "dm", seed) == "dm");
    CHECK(entry_name("dm.seed=1,hidden=5", "dm", both) == "dm.hidden=5");
    CHECK(entry_name("dm.optimizer.seed=1,train.seed=1",
                     "dm",
                     {{"optimizer.seed", "1"}, {"train.seed", "1"}}) == "dm.optimizer.seed=1");
    CHECK(entry_name("dm.hidden=5", "dm", {{"optimizer.hidden", "5"}}) == "dm.hidden=5");
    CHECK(entry_name("dm", "dm", {}) == "dm");
    // Trainings of other contestants are others, whatever their seed.
    std::vector<Curve> curves{training("a", "seed=1", seed, 0.9), training("b", "seed=1", seed, 0.9)};
    CHECK(entries_of(curves).size() == 2);
    CHECK(curves_of(entries_of(curves), curves)[1].group.empty());
    CHECK(entries_of(curves)[1].has_one_seed());
}

TEST_CASE("entries: numbers are medians over the trainings, costs means, and counts sums") {
    std::vector<Curve> curves = widths();
    curves[2].distributions[0].back().finite = 5;
    curves[3].evaluations.back() = 12;
    const Curve curve = curves_of(entries_of(curves), curves)[1];
    CHECK(curve.distributions[0].back().median == curves[2].distributions[0].back().median);
    CHECK(curve.distributions[0].back().q90 == curves[2].distributions[0].back().q90);
    CHECK(curve.distributions[0].back().finite == 8 + 5 + 8);
    CHECK(curve.distributions[0].back().rows == 24);
    CHECK(curve.evaluations.back() == 10);  // of 9, 9 and 12
    CHECK(curve.training_seconds == 2);
}

TEST_CASE("entries: whoever has spent its budget stays where it is") {
    std::vector<Curve> curves = widths();
    for (auto* costs : {&curves[2].evaluations, &curves[2].values, &curves[2].gradients, &curves[2].seconds})
        costs->resize(4);
    curves[2].iteration.resize(4);
    curves[2].distributions[0].resize(4);
    const Curve curve = curves_of(entries_of(curves), curves)[1];
    REQUIRE(curve.iteration.size() == 10);
    CHECK(curve.evaluations.back() == 7);  // 9, 3, 9
    CHECK(curve.distributions[0].back().median == curves[3].distributions[0].back().median);
}

TEST_CASE("entries: the tables have a line for each, with what its trainings came to") {
    const std::string table = result_table(widths(), judging());
    CHECK(table.find("contestant  objective (median)") == 0);
    CHECK(table.find("  seeds  ") != std::string::npos);
    CHECK(table.find("\ndm by hidden\n  5 ") != std::string::npos);
    CHECK(table.find("  3: 0.01043 .. 0.1389  ") != std::string::npos);
    CHECK(table.find("seed=") == std::string::npos);
    CHECK(table.find("one training seed") == std::string::npos);
    CHECK(table.find("seeds: number of trainings") != std::string::npos);
    const std::string against = comparison_table(widths(), judging());
    CHECK(against.find("paired on 8 instances, over training seeds and instances") != std::string::npos);
}

TEST_CASE("entries: one training seed is called that, once, and for all or for those who have one") {
    std::vector<Curve> curves{l2o::test::contestant("adam", 0.8, 10),
                              l2o::test::contestant("lista", 0.7, 10)};
    CHECK(result_table(curves, judging()).find("one training seed") == std::string::npos);
    curves[1].training_seconds = 3;
    const std::string table = result_table(curves, judging());
    CHECK(table.find("one training seed: intervals and p are over instances, for these trainings alone") !=
          std::string::npos);
    CHECK(table.find("  seeds  ") == std::string::npos);
    std::vector<Curve> mixed = widths();
    mixed.push_back(curves[1]);
    CHECK(one_seed_text(entries_of(mixed)).starts_with("one training seed (lista): "));
    mixed.back().training_seconds = NAN;  // trained by somebody else
    CHECK(one_seed_text(entries_of(mixed)).starts_with("one training seed (lista): "));
}

TEST_CASE("entries: a comparison is over trainings and instances, and Holm's correction over entries") {
    const std::vector<Comparison> all = compare(widths(), judging(), "objective");
    REQUIRE(all.size() == 2);
    CHECK(all[0].contestant == "dm.hidden=5");
    CHECK(all[0].trainings == 3);
    CHECK(all[0].reference_trainings == 1);
    CHECK(all[0].degrees == 2);
    // Better on all instances in two of three trainings, in one equal.
    CHECK(all[0].better == doctest::Approx((1 + 1 + 0.5) / 3));
    CHECK(all[0].p > all[0].signed_rank.p);
    CHECK(all[0].p_holm == doctest::Approx(std::min(1.0, 2 * all[0].p)));
    Judging by_trained = judging();
    by_trained.reference = "dm.hidden=10";
    const std::vector<Comparison> copies = compare(widths(), by_trained, "objective");
    REQUIRE(copies.size() == 2);
    CHECK(copies[1].reference_trainings == 3);
    CHECK(copies[1].difference == doctest::Approx(0));
    CHECK(copies[1].p == 1);
}

TEST_CASE("entries: ways to the target are over all trainings, and what they cost is their mean") {
    std::vector<Curve> curves = widths();
    // Of eight rows each: reached after 20, 30 and never.
    curves[1].reached.assign(8, {2, 20, 0.02});
    curves[2].reached.assign(8, {3, 30, 0.03});
    curves[3].reached.assign(8, {});
    curves[0].reached.assign(8, {4, 40, 0.04});
    const std::vector<Arrival> ways = arrivals(curves, judging());
    REQUIRE(ways.size() == 3);
    CHECK(ways[1].share == doctest::Approx(2.0 / 3));
    CHECK(ways[1].evaluations == 30);
    CHECK(ways[1].break_even == doctest::Approx(2 / (0.04 - 0.03)));
    CHECK(std::isnan(ways[1].break_even_by_evaluations));  // nobody tells what the trainings paid
    for (std::size_t i = 1; i < 4; ++i)
        curves[i].training = TrainingOutcome{.evaluations = 100 * static_cast<double>(i)};
    CHECK(arrivals(curves, judging())[1].break_even_by_evaluations == doctest::Approx(200.0 / (40 - 30)));
    CHECK(entries_of(curves)[1].training_evaluations == doctest::Approx(200));
    CHECK(entries_of(curves)[0].training_evaluations == 0);
    const std::vector<Profile> profiles = performance_profiles(curves, judging());
    REQUIRE(profiles.size() == 3);
    CHECK(profiles[1].front().second == doctest::Approx(1.0 / 3));
    CHECK(profiles[1].back().second == doctest::Approx(2.0 / 3));
}

TEST_CASE("entries: JSON has their trainings, and who has one training seed") {
    std::vector<Curve> curves = widths();
    curves.push_back(l2o::test::contestant("lista", 0.7, 10));
    curves.back().training_seconds = 3;
    const nlohmann::json json = entries_json(curves, judging());
    REQUIRE(json.size() == 4);
    CHECK(json[0].at("comparison").is_null());
    CHECK(json[0].at("one_training_seed") == false);
    CHECK(json[1].at("contestants")[2] == "dm.hidden=5,seed=2");
    CHECK(json[1].at("seeds") == nlohmann::json::array({"0", "1", "2"}));
    CHECK(json[1].at("by_contestant").size() == 3);
    CHECK(json[1].at("comparison").at("against") == "adam");
    CHECK(json[1].at("comparison").at("trainings") == 3);
    CHECK(json[1].at("group") == "dm");
    CHECK(json[3].at("one_training_seed") == true);
    CHECK_FALSE(json[3].contains("group"));
}
