#pragma once

#include <algorithm>
#include <cmath>

namespace l2o::plugins {

/// A step along a line with f(step) <= f(0) + ftol step f'(0) and |f'(step)| <= gtol |f'(0)|, one trial after
/// the other: start(), then next() with the value and the slope at `step` until it says that the search is
/// over. All of it is numbers, to be kept by whoever searches. Source: More & Thuente 1994, "Line search
/// algorithms with guaranteed sufficient decrease", in the form of dcsrch and dcstep of MINPACK-2 as
/// L-BFGS-B 3.0 has them, with its ftol, gtol and xtol.
struct MoreThuente {
    double step, longest, f0, slope0;
    double x, fx, gx, y, fy, gy;  // the ends of the interval, x the better one
    double lower, upper, width, width_before;
    double is_bracketed, is_second_stage;  // 0 or 1

    static constexpr double kFtol = 1e-3, kGtol = 0.9, kXtol = 0.1;

    /// @pre slope < 0
    static MoreThuente start(double f, double slope, double step) {
        constexpr double kLongest = 1e10;
        return {
            step, kLongest, f, slope, 0, f, slope, 0, f, slope, 0, 5 * step, kLongest, 2 * kLongest, 0, 0};
    }

    /// @return whether `step` is to be taken: it satisfies both conditions, or nothing better is to be had.
    bool next(double f, double g) {
        const double test = kFtol * slope0, bound = f0 + step * test;
        if (is_second_stage == 0 && f <= bound && g >= kFtol * slope0) is_second_stage = 1;
        const bool is_narrow =
            is_bracketed != 0 && (step <= lower || step >= upper || upper - lower <= kXtol * upper);
        if (is_narrow || (step == longest && f <= bound && g <= test)) return true;
        if (f <= bound && std::abs(g) <= -kGtol * slope0) return true;
        if (is_second_stage == 0 && f <= fx && f > bound) {
            // Of f - step test, until a step has a lower value and a positive slope.
            fx -= x * test, fy -= y * test, gx -= test, gy -= test;
            move(f - step * test, g - test);
            fx += x * test, fy += y * test, gx += test, gy += test;
        } else {
            move(f, g);
        }
        if (is_bracketed != 0) {
            if (std::abs(y - x) >= 0.66 * width_before) step = x + (y - x) / 2;
            width_before = width;
            width = std::abs(y - x);
            lower = std::min(x, y);
            upper = std::max(x, y);
        } else {
            lower = step + 1.1 * (step - x);
            upper = step + 4 * (step - x);
        }
        step = std::clamp(step, 0.0, longest);
        if (is_bracketed != 0 && (step <= lower || step >= upper || upper - lower <= kXtol * upper)) step = x;
        return false;
    }

    /// In the place of next() where f or its slope is no number.
    void shorten() {
        longest = step;
        step = x + (step - x) / 10;
    }

  private:
    /// dcstep: a new step from the values at x, y and step, which takes the place of one of them.
    void move(double f, double g) {
        const double sign = g * (gx / std::abs(gx));
        double to;
        if (f > fx) {
            const double cubic = x + cubic_share(fx, gx, f, g, step - x) * (step - x);
            const double quadratic = x + gx / ((fx - f) / (step - x) + gx) / 2 * (step - x);
            to = std::abs(cubic - x) < std::abs(quadratic - x) ? cubic : cubic + (quadratic - cubic) / 2;
            is_bracketed = 1;
        } else if (sign < 0) {
            const double cubic = step + cubic_share(f, g, fx, gx, x - step) * (x - step);
            const double secant = step + g / (g - gx) * (x - step);
            to = std::abs(cubic - step) > std::abs(secant - step) ? cubic : secant;
            is_bracketed = 1;
        } else if (std::abs(g) < std::abs(gx)) {
            const double theta = 3 * (fx - f) / (step - x) + gx + g;
            const double s = std::max({std::abs(theta), std::abs(gx), std::abs(g)});
            double gamma = s * std::sqrt(std::max(0.0, theta / s * (theta / s) - gx / s * (g / s)));
            if (step > x) gamma = -gamma;
            const double r = (gamma - g + theta) / (gamma + (gx - g) + gamma);
            const double cubic = r < 0 && gamma != 0 ? step + r * (x - step) : step > x ? upper : lower;
            const double secant = step + g / (g - gx) * (x - step);
            const bool is_cubic_nearer = std::abs(cubic - step) < std::abs(secant - step);
            if (is_bracketed != 0) {
                to = is_cubic_nearer ? cubic : secant;
                const double most = step + 0.66 * (y - step);
                to = step > x ? std::min(most, to) : std::max(most, to);
            } else {
                to = std::clamp(
                    std::abs(cubic - step) > std::abs(secant - step) ? cubic : secant, lower, upper);
            }
        } else if (is_bracketed != 0) {
            to = step + cubic_share(f, g, fy, gy, y - step) * (y - step);
        } else {
            to = step > x ? upper : lower;
        }
        if (f > fx) {
            y = step, fy = f, gy = g;
        } else {
            if (sign < 0) y = x, fy = fx, gy = gx;
            x = step, fx = f, gx = g;
        }
        step = to;
    }
    /// Where, as a share of the way, the cubic with these values and slopes at both ends has its minimum.
    static double cubic_share(double f_a, double g_a, double f_b, double g_b, double way) {
        const double theta = 3 * (f_a - f_b) / way + g_a + g_b;
        const double s = std::max({std::abs(theta), std::abs(g_a), std::abs(g_b)});
        double gamma = s * std::sqrt(std::max(0.0, theta / s * (theta / s) - g_a / s * (g_b / s)));
        if (way < 0) gamma = -gamma;
        return (gamma - g_a + theta) / (gamma - g_a + gamma + g_b);
    }
};

}  // namespace l2o::plugins
