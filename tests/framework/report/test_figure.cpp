#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "field.hpp"
#include "framework/report/figure.hpp"
#include "framework/report/gnuplot.hpp"

using namespace l2o::framework;
using l2o::test::contestant;

namespace {

Results field(std::vector<Curve> curves) {
    Judging judging{.metric = "objective", .reference = curves.front().contestant};
    return {.judging = std::move(judging), .curves = std::move(curves)};
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("figure: a positive metric over many decades has a log axis, one with a negative value has none") {
    Results results = field({contestant("a", 0.9)});
    for (const Figure& figure : metric_figures(results)) CHECK(figure.y.is_log);
    CHECK(metric_figures(results)[0].y.low < results.curves[0].distributions[0].back().q10);
    results.curves[0].distributions[0][7].q10 = -1e-9;
    for (const Figure& figure : metric_figures(results)) CHECK_FALSE(figure.y.is_log);
}

TEST_CASE("figure: an axis has finite ends, from the least number that there is to the greatest") {
    Results results = field({contestant("a", 0.9)});
    results.curves[0].distributions[0][7].q10 = std::numeric_limits<double>::denorm_min();
    results.curves[0].distributions[0][1].q90 = std::numeric_limits<double>::max();
    for (const Figure& figure : metric_figures(results)) {
        CHECK(figure.y.is_log);
        CHECK(figure.y.low > 0);
        CHECK(std::isfinite(figure.y.high));
        CHECK(std::isfinite(figure.y.high / figure.y.low));
    }
}

TEST_CASE("figure: a log axis starts after the start, and the caption says so; a linear one has it") {
    const Figure by_iteration = metric_figures(field({contestant("a", 0.9)}))[0];
    CHECK(by_iteration.x.is_log);
    CHECK(by_iteration.series[0].x.front() == 1);
    CHECK(has(by_iteration.caption, "The start, at 0, is left of the axis."));
    const Figure few = metric_figures(field({contestant("a", 0.9, 10)}))[0];
    CHECK_FALSE(few.x.is_log);
    CHECK(few.series[0].x.front() == 0);
}

TEST_CASE("figure: the three axes are iterations, evaluations, and time per solve") {
    Results results = field({contestant("a", 0.9, 10)});
    for (double& evaluations : results.curves[0].evaluations) evaluations += 5;
    const std::vector<Figure> figures = metric_figures(results);
    REQUIRE(figures.size() == 3);
    CHECK(figures[0].series[0].x.back() == 9);
    CHECK(figures[1].series[0].x.back() == 14);
    CHECK(figures[2].series[0].x.back() == doctest::Approx(9e-3));
    CHECK(figures[0].csv().starts_with("series,x,y,low,high\na,0,1.03"));
}

TEST_CASE("figure: of a ratio the line is that of the sums, and the caption says so") {
    Results results = field({contestant("a", 0.9, 10)});
    CHECK(has(metric_figures(results)[0].caption, "Median over 8 solves, band from 10 to 90 %; lower"));
    results.judging.ratios = {"objective"};
    results.curves[0].distributions[0][9].mean = 123;
    const Figure figure = metric_figures(results)[0];
    CHECK(figure.series[0].y.back() == 123);
    results.curves[0].distributions[0][9].mean = -std::numeric_limits<double>::infinity();  // 0 in decibel
    CHECK(metric_figures(results)[0].series[0].y.back() == results.curves[0].distributions[0][8].mean);
    CHECK(
        has(figure.caption, "Ratio of the sums over 8 solves, band from 10 to 90 % of single solves; lower"));
}

TEST_CASE("figure: who diverged is in every caption; what is finite is drawn") {
    Results results = field({contestant("a", 0.9, 10), contestant("wild", 0.8, 10)});
    Curve& wild = results.curves[1];
    for (std::size_t row = 0; row < 5; ++row) wild.final_rows[0][row] = NAN;
    wild.distributions[0][9] = distribution_of(wild.final_rows[0]);
    std::vector<Figure> figures = metric_figures(results);
    figures.push_back(*profile_figure(results));
    for (const Figure& figure : figures) {
        CAPTURE(figure.name);
        CHECK(has(figure.caption, " Solves that are not finite at the end count as the worst: wild 5 of 8."));
    }
    REQUIRE(figures[0].series[1].x.size() == 9);
    CHECK(figures[0].series[1].x.back() == 8);
    for (std::size_t row = 0; row < 4; ++row) wild.final_rows[0][row] = 1;
    wild.distributions[0][9] = distribution_of(wild.final_rows[0]);
    const Figure with_band = metric_figures(results)[0];
    CHECK(with_band.series[1].x.size() == 10);
    CHECK(with_band.series[1].high.back() == std::numeric_limits<double>::infinity());
    CHECK(std::isfinite(with_band.y.high));
    CHECK(has(difference_figure(results)->caption, "wild 1 of 8."));
}

TEST_CASE("figure: losses of a training that are not finite count as the worst, and are told of") {
    std::vector<TrainingPoint> points;
    for (int i = 0; i < 960; ++i) points.push_back({"a", i % 4 == 0 ? NAN : 1.0, {}});
    const Figure figure = training_figures(points).at(0);
    CHECK(has(figure.caption, "Losses that are not finite count as the worst: 240 of 960."));
    CHECK(figure.series[0].y == std::vector<double>(240, 1.0));
    CHECK(figure.series[0].high == std::vector<double>(240, std::numeric_limits<double>::infinity()));
}

TEST_CASE("figure: the distribution of running times has a line per contestant, on a log axis of budgets") {
    Results results = field({contestant("a", 0.9), contestant("b", 0.8)});
    CHECK_FALSE(ecdf_figure(results));
    results.runtimes =
        Runtimes{.targets = {1, 0.1},
                 .budgets = {0.5, 1, 2},
                 .rows = 3,
                 .runs = {{"a", {3, 1}, {2, 9}, {0, 0.5, 1}}, {"b", {3, 1}, {2, 9}, {0, 0, 0.25}}}};
    const auto figure = ecdf_figure(results);
    REQUIRE(figure);
    CHECK(figure->x.is_log);
    CHECK(figure->x.low == 0.5);
    REQUIRE(figure->series.size() == 2);
    CHECK(figure->series[1].name == "b");
    CHECK(figure->series[1].x == std::vector<double>{0.5, 1, 2});
    CHECK(figure->series[1].y == std::vector<double>{0, 0, 0.25});
    CHECK(has(figure->caption, "51 targets (what is left of the way from the start"));
    CHECK(has(figure->caption, "on 3 solves"));
}

TEST_CASE("figure: trainings of any two contestants have files of their own") {
    const std::string longest(300, 'x');
    const std::vector<Figure> figures =
        training_figures({{"a b", 1, {}}, {"a/b", 1, {}}, {"a_b", 1, {}}, {longest, 1, {}}});
    std::vector<std::string> names;
    for (const Figure& figure : figures) names.push_back(figure.name);
    CHECK(names ==
          std::vector<std::string>{
              "training_a_b", "training_a_b_2", "training_a_b_3", "training_" + std::string(60, 'x')});
}

TEST_CASE("figure: of many points those are kept that pixels can show, with the first and the last") {
    const Figure figure = metric_figures(field({contestant("a", 0.999, 5000)}))[0];
    CHECK(figure.series[0].x.size() <= 242);
    CHECK(figure.series[0].x.size() > 100);
    CHECK(figure.series[0].x.back() == 4999);
}

TEST_CASE("figure: somebody who diverges does not press the others flat") {
    const Figure log = metric_figures(field({contestant("a", 0.9), contestant("wild", 1.5)}))[0];
    CHECK(log.y.high < 20);
    CHECK(has(log.caption, "The axis is cut where somebody diverges."));
    Results linear = field({contestant("a", 0.9), contestant("wild", 1.5)});
    for (Curve& curve : linear.curves) {
        for (Distribution& d : curve.distributions[0])
            d = {.median = d.median - 1, .q10 = d.q10 - 1, .q90 = d.q90 - 1};
    }
    CHECK(metric_figures(linear)[0].y.high < 0.5);
    CHECK_FALSE(has(metric_figures(field({contestant("a", 0.9)}))[0].caption, "cut"));
}

TEST_CASE("figure: differences are a point with its interval each; who is lost or infinite is told of") {
    Results results =
        field({contestant("a", 0.99), contestant("b", 0.98), contestant("c", 0.97), contestant("d", 2)});
    const auto figure = difference_figure(results);
    REQUIRE(figure);
    REQUIRE(figure->series.size() == 2);
    CHECK(figure->series[0].name == "b");
    CHECK(figure->series[0].x[0] < 0);
    CHECK(figure->series[0].low[0] <= figure->series[0].x[0]);
    CHECK(figure->x.high > 0);
    CHECK(has(figure->caption, "d is off the axis, at "));
    CHECK_FALSE(difference_figure(field({contestant("a", 0.9)})));
}

TEST_CASE("figure: the profile of who is always best is 1 from the left, the other's rises at the ratio") {
    // 1e-2 is reached after 7 and 44 iterations.
    const auto figure = profile_figure(field({contestant("fast", 0.5), contestant("slow", 0.9)}));
    REQUIRE(figure);
    CHECK(figure->series[0].y.front() == 1);
    const std::vector<double>& x = figure->series[1].x;
    CHECK(x == std::vector<double>{1, 44.0 / 7, 44.0 / 7, figure->x.high});
    CHECK(figure->series[1].y == std::vector<double>{0, 0, 1, 1});
    Results nobody = field({contestant("a", 0.9)});
    nobody.curves[0].reached.assign(8, {});
    CHECK_FALSE(profile_figure(nobody));
}

TEST_CASE(
    "figure: a training has its losses in order, medians of neighbours where they are many, and validation") {
    std::vector<TrainingPoint> points{{"a", 3, {}}, {"b", 9, {}}, {"a", 2, 2.5}, {"a", NAN, {}}};
    const std::vector<Figure> figures = training_figures(points);
    REQUIRE(figures.size() == 2);
    CHECK(figures[0].series[0].x == std::vector<double>{1, 2});
    CHECK(figures[0].series[0].y == std::vector<double>{3, 2});
    CHECK(figures[0].series[1].x == std::vector<double>{2});
    CHECK(figures[0].series[1].y == std::vector<double>{2.5});
    CHECK_FALSE(has(figures[0].caption, "diverged"));
    points[3].diverged = true;
    CHECK(has(training_figures(points)[0].caption, "1 of 3 trajectories diverged"));
    points.clear();
    for (int i = 0; i < 1000; ++i) points.push_back({"x/ y", static_cast<double>(i), {}});
    const Figure many = training_figures(points).at(0);
    CHECK(many.name == "training_x__y");
    CHECK(many.series[0].x.size() == 240);
    CHECK(many.series[0].y.front() == 1.5);  // 0, 1, 2, 3 and a bit
    CHECK(has(many.caption, "4 neighbours"));
}

TEST_CASE(
    "gnuplot: a contestant's name is text and nothing else; every line has a marker or colour of its own") {
    std::vector<Curve> curves;
    for (int i = 0; i < 12; ++i) curves.push_back(contestant("it's `rm` $" + std::to_string(i), 0.9));
    const std::string script = gnuplot_script(metric_figures(field(curves)));
    CHECK(has(script, "title \"it\\047s \\140rm\\140 \\0443\" noenhanced"));
    CHECK_FALSE(has(script, "`"));
    std::vector<std::string> styles;
    for (std::size_t at = script.find("title \"it"); at < script.find("set terminal pdf");
         at = script.find("title \"it", at + 1)) {
        const std::size_t begin = script.find("lc rgb", at);
        styles.push_back(script.substr(begin, script.find("lw", begin) - begin));
    }
    CHECK(styles.size() == 12);
    std::sort(styles.begin(), styles.end());
    CHECK(std::unique(styles.begin(), styles.end()) == styles.end());
}

TEST_CASE("gnuplot: a name is one line of UTF-8, and no format where it is a label of an axis") {
    const auto script_of = [](const std::string& name) {
        Results results = field({contestant("ref", 0.9), contestant(name, 0.8)});
        return gnuplot_script({*difference_figure(results), *profile_figure(results)});
    };
    CHECK(has(script_of("a\nb\x1b"), "title \"a\\134nb\\134x1b\" noenhanced"));
    CHECK(has(script_of("\xff"), "title \"\\134xff\" noenhanced"));
    CHECK(has(script_of("10 %"), "title \"10 \\045\" noenhanced"));
    CHECK(has(script_of("10 %"), "set ytics (\"10 \\045\\045\" 0)"));
}

namespace {

Curve member(const std::string& group, const std::string& value) {
    Curve curve = contestant(group + ".rate=" + value, 0.9);
    curve.group = group;
    curve.swept = {{"optimizer.rate", value}};
    return curve;
}

/// "lc rgb '#0072B2' dt 1 pt 7" of every line of a figure.
std::vector<std::string> styles_of(const Figure& figure) {
    const std::string script = gnuplot_script({figure});
    std::vector<std::string> styles;
    for (std::size_t at = script.find("with linespoints"); at < script.find("set terminal pdf");
         at = script.find("with linespoints", at + 1)) {
        const std::size_t begin = script.find("lc rgb", at);
        styles.push_back(script.substr(begin, script.find(" lw", begin) - begin));
    }
    return styles;
}

struct Rgb {
    double red, green, blue;
};
Rgb color_of(const std::string& style) {
    const std::string hex = style.substr(style.find('#') + 1, 6);
    const auto part = [&](std::size_t at) { return std::stoi(hex.substr(at, 2), nullptr, 16) / 255.0; };
    return {part(0), part(2), part(4)};
}

/// In degrees, of the colour circle.
double hue_of(const Rgb& c) {
    return std::atan2(std::sqrt(3) * (c.green - c.blue), 2 * c.red - c.green - c.blue) * 180 /
           std::acos(-1.0);
}

}  // namespace

TEST_CASE("figure: members of a group have one hue from light to dark, and no two lines the same style") {
    std::vector<Curve> curves{contestant("single", 0.9)};
    for (const char* group : {"adam", "dm", "rnnprop"}) {
        for (const char* value : {"1", "2", "3", "4", "5", "6"}) curves.push_back(member(group, value));
    }
    std::vector<std::string> styles = styles_of(metric_figures(field(curves))[0]);
    REQUIRE(styles.size() == 19);
    CHECK(styles[0] == "lc rgb '#0072B2' dt 1 pt 7");
    for (std::size_t group = 0; group < 3; ++group) {
        for (std::size_t i = 1; i < 6; ++i) {
            const Rgb before = color_of(styles[1 + 6 * group + i - 1]),
                      now = color_of(styles[1 + 6 * group + i]);
            CHECK(now.red + now.green + now.blue < before.red + before.green + before.blue);
            CHECK(std::abs(std::remainder(hue_of(now) - hue_of(before), 360)) < 8);
        }
    }
    for (const std::size_t i : {1, 7, 13}) {
        const double hue = hue_of(color_of(styles[i])), next = hue_of(color_of(styles[i == 13 ? 1 : i + 6]));
        CHECK(std::abs(std::remainder(hue - next, 360)) > 30);
    }
    std::ranges::sort(styles);
    CHECK(std::ranges::adjacent_find(styles) == styles.end());
}

TEST_CASE("figure: in legends a member has the name of its group and its values; the caption says of what") {
    const Results results = field({contestant("single", 0.9), member("adam", "1"), member("adam", "2")});
    for (const Figure& figure : metric_figures(results)) {
        CHECK(has(figure.caption, " Swept: adam by rate."));
        CHECK(has(gnuplot_script({figure}), "title \"adam 2\" noenhanced"));
        CHECK(has(figure.csv(), "\nadam.rate=2,"));
    }
    const Figure differences = difference_figure(results).value();
    const std::string script = gnuplot_script({differences});
    CHECK(has(script, "set ytics (\"adam 1\" 0, \"adam 2\" 1)"));
    CHECK(has(script,
              "xerrorbars lc rgb '" + styles_of(metric_figures(results)[0])[1].substr(8, 7) + "' pt 7"));
    CHECK(has(gnuplot_script({profile_figure(results).value()}), "title \"adam 2\" noenhanced"));
    CHECK_FALSE(has(metric_figures(field({contestant("single", 0.9)}))[0].caption, "Swept"));
}
