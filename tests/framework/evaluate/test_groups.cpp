#include <doctest/doctest.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

#include "framework/evaluate/groups.hpp"
#include "framework/evaluate/results.hpp"
#include "tests/framework/report/field.hpp"

using namespace l2o::framework;

namespace {

using Swept = std::vector<std::pair<std::string, std::string>>;

Curve member(const std::string& group, const std::string& name, const Swept& swept, double rate = 0.9) {
    Curve curve = l2o::test::contestant(group + "." + name, rate, 10);
    curve.group = group;
    curve.swept = swept;
    return curve;
}

Curve rate(const std::string& group, const std::string& value, double rate = 0.9) {
    return member(group, "learning_rate=" + value, {{"optimizer.learning_rate", value}}, rate);
}

Judging by_objective(const std::vector<Curve>& curves) {
    return {.metric = "objective", .reference = curves.front().contestant};
}

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
}

/// Three groups of six.
std::vector<Curve> eighteen() {
    std::vector<Curve> curves;
    for (const char* group : {"adam", "momentum", "rnnprop"}) {
        for (const char* value : {"0.001", "0.00316228", "0.01", "0.0316228", "0.1", "0.316228"})
            curves.push_back(rate(group, value));
    }
    return curves;
}

}  // namespace

TEST_CASE("groups: a heading says what is swept, and a row below it only the values") {
    const Curve both =
        member("dm",
               "hidden=20,meta_optimizer.rate=1,optimizer.rate=2",
               {{"optimizer.hidden", "20"}, {"train.meta_optimizer.rate", "1"}, {"optimizer.rate", "2"}});
    CHECK(group_heading(both) == "dm by hidden, meta_optimizer.rate, optimizer.rate");
    CHECK(member_text(both) == "20, 1, 2");
    CHECK(short_name(both) == "dm 20, 1, 2");
    const Curve file = member("a", "weights=2", {{"weights", "/a/long/path/to/weights.safetensors"}});
    CHECK(member_text(file) == "weights=2");
    CHECK(short_name(l2o::test::contestant("ista", 0.9)) == "ista");
    CHECK(member_text(l2o::test::contestant("ista", 0.9)) == "ista");
}

TEST_CASE("groups: a contestant that is of none is a group of its own, and two groups are two") {
    const std::vector<Curve> curves{l2o::test::contestant("a", 0.9),
                                    rate("adam", "1"),
                                    rate("adam", "2"),
                                    rate("sgd", "1"),
                                    l2o::test::contestant("b", 0.9)};
    std::vector<std::size_t> groups, members, sizes;
    std::vector<bool> headings;
    for (std::size_t i = 0; i < curves.size(); ++i) {
        const GroupPlace place = group_places(curves)[i];
        groups.push_back(place.group);
        members.push_back(place.member);
        sizes.push_back(place.members);
        headings.push_back(begins_group(curves, i));
    }
    CHECK(groups == std::vector<std::size_t>{0, 1, 1, 2, 3});
    CHECK(members == std::vector<std::size_t>{0, 0, 1, 0, 0});
    CHECK(sizes == std::vector<std::size_t>{1, 2, 2, 1, 1});
    CHECK(headings == std::vector<bool>{false, true, false, true, false});
    CHECK(has_groups(curves));
    CHECK_FALSE(has_groups({curves[0], curves[4]}));
}

TEST_CASE("groups: in the table members stand indented below their heading, which widens no column") {
    const std::vector<Curve> curves{
        l2o::test::contestant("ista", 0.9, 10), rate("adam", "0.01"), rate("adam", "0.1")};
    const std::vector<std::string> lines = lines_of(result_table(curves, by_objective(curves)));
    REQUIRE(lines.size() == 6);
    CHECK(lines[0].starts_with("contestant  objective (median)  "));
    CHECK(lines[1].starts_with("ista                    "));
    CHECK(lines[2] == "adam by learning_rate");
    CHECK(lines[3].starts_with("  0.01                  "));
    CHECK(lines[4].starts_with("  0.1                   "));
    CHECK(lines[3].size() == lines[1].size());
    const std::vector<std::string> against = lines_of(comparison_table(curves, by_objective(curves)));
    CHECK(against[0] == "against ista");
    CHECK(against[1].starts_with("contestant  difference  "));
    CHECK(against[3] == "adam by learning_rate");
    CHECK(against[4].starts_with("  0.01  "));
}

TEST_CASE("groups: the tables of 18 contestants in three groups fit 90 and 120 columns") {
    const std::vector<Curve> curves = eighteen();
    const std::vector<std::string> lines = lines_of(result_table(curves, by_objective(curves), 90));
    CHECK(lines.size() == 1 + 3 + 18 + 1);
    for (const std::string& line : lines) CHECK(line.size() <= 90);
    const std::vector<std::string> against = lines_of(comparison_table(curves, by_objective(curves), 120));
    CHECK(against.size() == 2 + 3 + 18 + 2);
    for (const std::string& line : against) CHECK(line.size() <= 120);
    CHECK(std::ranges::count_if(against, [](const std::string& line) {
              return line.find("learning_rate") != std::string::npos;
          }) == 4);
}
