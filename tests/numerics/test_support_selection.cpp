#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "central_difference.hpp"
#include "l2o/numerics/support_selection.hpp"

using namespace l2o::numerics;

namespace {

std::size_t count_selected(const std::vector<double>& z, double theta, double percent) {
    std::vector<double> out(z.size()), workspace(z.size());
    std::vector<std::uint8_t> selected(z.size());
    support_selection(z, theta, SupportRule::kPercentile, percent, out, selected, workspace);
    return std::accumulate(selected.begin(), selected.end(), std::size_t{0});
}

void check_counts(std::size_t n, const std::vector<std::size_t>& expected) {
    const std::vector<double> z = random_normal(n, n);  // no ties
    for (std::size_t layer = 0; layer < expected.size(); ++layer) {
        CAPTURE(n);
        CAPTURE(layer);
        const double percent = support_percent(std::ptrdiff_t(layer), 1.2, 13.0);
        CHECK(support_index(n, percent) == expected[layer]);
        CHECK(count_selected(z, 0, percent) == expected[layer]);
    }
}

}  // namespace

// From evaluating the reference's rule (tfp.stats.percentile, 'nearest') with NumPy for q_k = min(1.2 (k +
// 1), 13).
TEST_CASE("support selection: the number of selected entries per layer is that of the reference") {
    check_counts(512, {6, 12, 18, 25, 31, 37, 43, 49, 55, 61, 66, 66, 66, 66, 66, 66});
    check_counts(1024, {12, 25, 37, 49, 61, 74, 86, 98, 110, 123, 133, 133, 133, 133, 133, 133});
    check_counts(50, {1, 1, 2, 2, 3, 4, 4, 5, 5, 6, 6});
    check_counts(10, {0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1});
}

TEST_CASE("support selection: a half is rounded to even counted from the large end") {
    CHECK(support_index(126, 1.2) == 2);  // 1.5; counted from the small end, 123.5 -> 124 would give 1
    CHECK(support_index(6, 50) == 2);     // 2.5
    CHECK(support_index(8, 50) == 4);     // 3.5
}

TEST_CASE("support selection: the index stays within the row from 0 to 100 percent") {
    CHECK(support_index(1, 100) == 0);
    CHECK(support_index(7, 0) == 0);
    CHECK(support_index(7, 100) == 6);
}

TEST_CASE("support selection: a floor hides the entries up to it and leaves the magnitude above it alone") {
    const std::vector<double> z = random_normal(200, 11);
    std::vector<double> workspace(200);
    for (const double percent : {0.0, 5.0, 13.0, 60.0, 100.0}) {
        const double magnitude = support_magnitude<double>(z, SupportRule::kPercentile, percent, workspace);
        for (const double floor : {-0.5, 0.0, 0.3, 1.0, 2.0, 5.0})
            CHECK(support_magnitude<double>(z, SupportRule::kPercentile, percent, workspace, floor) ==
                  std::max(magnitude, floor));
    }
}

TEST_CASE("support selection: selected entries pass whole, the others are shrunk") {
    const std::vector<double> z{3, -2, 1, 0.2, 0};
    std::vector<double> out(5), workspace(5);
    std::vector<std::uint8_t> selected(5);
    support_selection(z, 0.5, SupportRule::kPercentile, 50, out, selected, workspace);  // index 2: T = 1
    CHECK(selected == std::vector<std::uint8_t>{1, 1, 0, 0, 0});
    CHECK(out == std::vector<double>{3, -2, 0.5, 0, 0});
}

TEST_CASE("support selection: both comparisons are strict") {
    const std::vector<double> tied{2, -2, 2, 1};
    CHECK(count_selected(tied, 0, 34) == 0);            // T = 2: nothing lies above it
    CHECK(count_selected({3, 2, 1, 0}, 3, 100) == 0);   // |z| = theta
    CHECK(count_selected({3, 2, 1, 0}, -1, 100) == 3);  // T = 0 is the last one
}

TEST_CASE("support selection: with q = 0 it is the soft threshold") {
    const std::vector<double> z = random_normal(100, 7);
    std::vector<double> out(100), soft(100), workspace(100);
    support_selection(z, 0.3, SupportRule::kPercentile, 0, out, {}, workspace);
    soft_threshold(z, 0.3, soft);
    CHECK(out == soft);
}

TEST_CASE("support selection: NaN entries are passed on and rank below all others") {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const std::vector<float> z{nan, 3, nan, 2, 1};
    std::vector<float> out(5), workspace(5);
    std::vector<std::uint8_t> selected(5);
    support_selection(z, 0.5F, SupportRule::kPercentile, 25, out, selected, workspace);  // index 1: T = 2
    CHECK(selected == std::vector<std::uint8_t>{0, 1, 0, 0, 0});
    CHECK(out[3] == 1.5);
    CHECK(std::isnan(out[0]));
}

TEST_CASE("support selection: the rule kQuantile keeps what reaches the interpolated quantile and theta") {
    const std::vector<double> z{4, -3, 2, 1, 0};
    std::vector<double> out(5), workspace(5);
    std::vector<std::uint8_t> selected(5);
    const auto select = [&](double theta, double fraction) {
        support_selection(z, theta, SupportRule::kQuantile, fraction, out, selected, workspace);
        return selected;
    };
    using Flags = std::vector<std::uint8_t>;
    CHECK(select(0.5, 0) == Flags{1, 0, 0, 0, 0});  // the largest one always
    CHECK(out == std::vector<double>{4, -2.5, 1.5, 0.5, 0});
    CHECK(select(0.5, 0.25) == Flags{1, 1, 0, 0, 0});  // rank 1: T = 3, and 3 >= 3
    CHECK(select(0.5, 0.4) == Flags{1, 1, 0, 0, 0});   // rank 1.6: T = 2.4
    CHECK(select(2, 1) == Flags{1, 1, 1, 0, 0});       // 2 >= theta
    const std::vector<double> row{0.3, 0.9, 0.1, 0.5};
    // torch.quantile(tensor([.3, .9, .1, .5]), 0.7) = 0.54
    CHECK(support_magnitude<double>(row, SupportRule::kQuantile, 0.3, workspace) ==
          doctest::Approx(0.54).epsilon(1e-12));
}

TEST_CASE("support selection: the rule kCount keeps what exceeds the entry of that rank, whatever theta") {
    const std::vector<double> z{4, -3, 2, 1, 0};
    std::vector<double> out(5), workspace(5), z_bar(5);
    std::vector<std::uint8_t> selected(5);
    const auto select = [&](double theta, double count) {
        support_selection(z, theta, SupportRule::kCount, count, out, selected, workspace);
        return selected;
    };
    using Flags = std::vector<std::uint8_t>;
    CHECK(select(0.5, 0) == Flags{0, 0, 0, 0, 0});
    CHECK(select(0.5, 1) == Flags{0, 0, 0, 0, 0});
    CHECK(select(3.5, 3) == Flags{1, 1, 0, 0, 0});
    CHECK(out == std::vector<double>{4, -3, 0, 0, 0});
    const std::vector<double> out_bar(5, 1.0);
    CHECK(support_selection_vjp(z, 3.5, selected, out_bar, z_bar) == 0);
    CHECK(z_bar == std::vector<double>{1, 1, 0, 0, 0});  // -3 passed whole, though |-3| < theta
    CHECK(select(0.5, 99) == Flags{1, 1, 1, 1, 0});
}

TEST_CASE("support selection: the vjp is the central difference where the selection does not change") {
    for (double theta : {0.3, -0.3}) {
        std::vector<double> z = random_normal(60, 3), out(60), workspace(60), z_bar(60);
        const std::vector<double> out_bar = random_normal(60, 4);
        std::vector<double> at_theta{theta};
        std::vector<std::uint8_t> selected(60);
        const auto f = [&] {
            support_selection(z, at_theta[0], SupportRule::kPercentile, 13, out, selected, workspace);
            return dot(out, out_bar);
        };
        f();
        const double theta_bar = support_selection_vjp(z, theta, selected, out_bar, z_bar);
        CHECK(relative_error(z_bar, central_difference(f, z)) < 1e-8);
        CHECK(relative_error({theta_bar}, central_difference(f, at_theta)) < 1e-8);
    }
}

TEST_CASE("support selection: a threshold per entry; equal ones are one threshold, and the vjp is its own") {
    std::vector<double> z = random_normal(60, 3), out(60), whole(60), workspace(60), z_bar(60);
    std::vector<double> theta(60, 0.3);
    std::vector<std::uint8_t> selected(60), want(60);
    const auto run = [&] {
        support_selection(z, std::span<const double>(theta), 13, out, selected, workspace);
    };
    run();
    support_selection(z, 0.3, SupportRule::kPercentile, 13, whole, want, workspace);
    CHECK(out == whole);
    CHECK(selected == want);

    for (std::size_t i = 0; i < 60; ++i) theta[i] = 0.01 * double(i) - 0.1;
    const std::vector<double> out_bar = random_normal(60, 4);
    const auto f = [&] { return run(), dot(out, out_bar); };
    f();
    CHECK(out[50] == soft_threshold(z[50], 0.4));
    std::vector<double> theta_bar(60, 1);
    support_selection_vjp(z, std::span<const double>(theta), selected, out_bar, z_bar, theta_bar);
    for (double& bar : theta_bar) bar -= 1;
    CHECK(relative_error(z_bar, central_difference(f, z)) < 1e-8);
    CHECK(relative_error(theta_bar, central_difference(f, theta)) < 1e-8);
}
