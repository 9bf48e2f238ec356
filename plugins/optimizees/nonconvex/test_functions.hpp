#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>

/// Standard test functions of global optimization with their usual domains and their minima, and gradients.
/// Scalable ones: Surjanovic & Bingham 2013, "Virtual library of simulation experiments"; those of two
/// variables as in the problem library of Wichrowska et al. 2017 (arXiv:1703.04813).
namespace l2o::plugins::test_functions {

/// z, n variables; g [n], NULL: not wanted.   @return f(z)
using Function = double (*)(const double* z, std::int64_t n, double* g);

struct Facts {
    const char* name;
    Function function;
    std::int64_t least_n, most_n;       ///< most_n 0: scalable
    double half_width;                  ///< of the usual domain, a cube around the centre
    std::array<double, 2> centre = {};  ///< of coordinates 0, 1; of a scalable one all are like coordinate 0
    std::array<double, 2> minimiser = {};
    double minimum = 0, minimum_per_n = 0;  ///< their sum, the second n times
    bool ends = false;  ///< goes on outside its domain as that of the nearest point and a penalty

    [[nodiscard]] double centre_of(std::int64_t i) const { return of(centre, i); }
    [[nodiscard]] double minimiser_of(std::int64_t i) const { return of(minimiser, i); }
    [[nodiscard]] double minimum_of(std::int64_t n) const { return minimum + minimum_per_n * double(n); }
    [[nodiscard]] bool is_scalable() const { return most_n == 0; }

  private:
    [[nodiscard]] double of(const std::array<double, 2>& pair, std::int64_t i) const {
        return pair[i == 0 || is_scalable() ? 0 : 1];
    }
};

constexpr double kPi = std::numbers::pi;

inline double sphere(const double* z, std::int64_t n, double* g) {
    double f = 0;
    for (std::int64_t i = 0; i < n; ++i) {
        f += z[i] * z[i];
        if (g) g[i] = 2 * z[i];
    }
    return f;
}

/// Axes of lengths up to 1000 : 1.
inline double ellipsoid(const double* z, std::int64_t n, double* g) {
    double f = 0;
    for (std::int64_t i = 0; i < n; ++i) {
        const double c = n == 1 ? 1 : std::pow(10., 6. * double(i) / double(n - 1));
        f += c * z[i] * z[i];
        if (g) g[i] = 2 * c * z[i];
    }
    return f;
}

inline double rosenbrock(const double* z, std::int64_t n, double* g) {
    double f = 0;
    if (g) std::fill_n(g, n, 0);
    for (std::int64_t i = 0; i + 1 < n; ++i) {
        const double bend = z[i + 1] - z[i] * z[i], away = 1 - z[i];
        f += 100 * bend * bend + away * away;
        if (!g) continue;
        g[i] += -400 * z[i] * bend - 2 * away;
        g[i + 1] += 200 * bend;
    }
    return f;
}

/// At 0 it has a tip, with 0 for its gradient.
inline double ackley(const double* z, std::int64_t n, double* g) {
    double squares = 0, waves = 0;
    for (std::int64_t i = 0; i < n; ++i) {
        squares += z[i] * z[i];
        waves += std::cos(2 * kPi * z[i]);
    }
    const double norm = std::sqrt(squares / double(n));
    const double cone = std::exp(-0.2 * norm), bumps = std::exp(waves / double(n) - 1) * std::numbers::e;
    for (std::int64_t i = 0; g && i < n; ++i)
        g[i] = (norm > 0 ? 4 * cone * z[i] / norm : 0) / double(n) +
               bumps * 2 * kPi * std::sin(2 * kPi * z[i]) / double(n);
    return 20 * (1 - cone) + (std::numbers::e - bumps);
}

inline double griewank(const double* z, std::int64_t n, double* g) {
    double squares = 0, product = 1;
    for (std::int64_t i = 0; i < n; ++i) {
        squares += z[i] * z[i];
        product *= std::cos(z[i] / std::sqrt(double(i + 1)));
    }
    for (std::int64_t i = 0; g && i < n; ++i) {
        double others = product / std::cos(z[i] / std::sqrt(double(i + 1)));
        if (!(std::abs(others) <= 1)) {  // by a cosine of 0, or nearly
            others = 1;
            for (std::int64_t k = 0; k < n; ++k)
                if (k != i) others *= std::cos(z[k] / std::sqrt(double(k + 1)));
        }
        const double root = std::sqrt(double(i + 1));
        g[i] = z[i] / 2000 + others * std::sin(z[i] / root) / root;
    }
    return squares / 4000 + (1 - product);
}

/// With the constant that makes its minimum 0.
inline double schwefel(const double* z, std::int64_t n, double* g) {
    constexpr double kDeepest = 418.98288727243374;
    double f = 0;
    for (std::int64_t i = 0; i < n; ++i) {
        const double root = std::sqrt(std::abs(z[i]));
        f += kDeepest - z[i] * std::sin(root);
        if (g) g[i] = -std::sin(root) - root * std::cos(root) / 2;
    }
    return f;
}

/// With 40 for every variable, which makes it positive: at n = 2 that of Wichrowska et al.
inline double styblinski_tang(const double* z, std::int64_t n, double* g) {
    double f = 0;
    for (std::int64_t i = 0; i < n; ++i) {
        const double square = z[i] * z[i];
        f += (square * square - 16 * square + 5 * z[i]) / 2 + 40;
        if (g) g[i] = 2 * square * z[i] - 16 * z[i] + 2.5;
    }
    return f;
}

inline double levy(const double* z, std::int64_t n, double* g) {
    const auto w = [&](std::int64_t i) { return 1 + (z[i] - 1) / 4; };
    const double first = std::sin(kPi * w(0)), last = w(n - 1) - 1, end = std::sin(2 * kPi * w(n - 1));
    double f = first * first + last * last * (1 + end * end);
    for (std::int64_t i = 0; i + 1 < n; ++i) {
        const double away = w(i) - 1, wave = std::sin(kPi * w(i) + 1);
        f += away * away * (1 + 10 * wave * wave);
        if (g)
            g[i] = (2 * away * (1 + 10 * wave * wave) +
                    away * away * 20 * wave * std::cos(kPi * w(i) + 1) * kPi) /
                   4;
    }
    if (!g) return f;
    g[n - 1] = (2 * last * (1 + end * end) + last * last * 4 * kPi * end * std::cos(2 * kPi * w(n - 1))) / 4;
    g[0] += 2 * first * std::cos(kPi * w(0)) * kPi / 4;
    return f;
}

inline double rastrigin(const double* z, std::int64_t n, double* g) {
    double f = 0;
    for (std::int64_t i = 0; i < n; ++i) {
        f += z[i] * z[i] + 10 * (1 - std::cos(2 * kPi * z[i]));
        if (g) g[i] = 2 * z[i] + 20 * kPi * std::sin(2 * kPi * z[i]);
    }
    return f;
}

/// log(e^(x + 3 y - 0.1) + e^(x - 3 y - 0.1) + e^(-x - 0.1) + 1): convex.
inline double log_sum_exp(const double* z, std::int64_t, double* g) {
    const std::array<double, 3> powers = {z[0] + 3 * z[1] - 0.1, z[0] - 3 * z[1] - 0.1, -z[0] - 0.1};
    const double largest = std::max({powers[0], powers[1], powers[2], 0.});
    std::array<double, 3> terms{};
    double sum = std::exp(-largest);
    for (std::size_t k = 0; k < 3; ++k) sum += terms[k] = std::exp(powers[k] - largest);
    if (g) {
        g[0] = (terms[0] + terms[1] - terms[2]) / sum;
        g[1] = 3 * (terms[0] - terms[1]) / sum;
    }
    return largest + std::log(sum);
}

inline double beale(const double* z, std::int64_t, double* g) {
    constexpr std::array<double, 3> kAims = {1.5, 2.25, 2.625};
    double f = 0, power = 1;
    if (g) g[0] = g[1] = 0;
    for (std::size_t k = 0; k < 3; ++k) {
        const double before = power;
        power *= z[1];
        const double r = kAims[k] - z[0] + z[0] * power;
        f += r * r;
        if (!g) continue;
        g[0] += 2 * r * (power - 1);
        g[1] += 2 * r * z[0] * double(k + 1) * before;
    }
    return f;
}

inline double booth(const double* z, std::int64_t, double* g) {
    const double r = z[0] + 2 * z[1] - 7, s = 2 * z[0] + z[1] - 5;
    if (g) {
        g[0] = 2 * r + 4 * s;
        g[1] = 4 * r + 2 * s;
    }
    return r * r + s * s;
}

inline double matyas(const double* z, std::int64_t, double* g) {
    if (g) {
        g[0] = 0.52 * z[0] - 0.48 * z[1];
        g[1] = 0.52 * z[1] - 0.48 * z[0];
    }
    return 0.26 * (z[0] * z[0] + z[1] * z[1]) - 0.48 * z[0] * z[1];
}

inline double branin(const double* z, std::int64_t, double* g) {
    constexpr double kBend = 5.1 / (4 * kPi * kPi), kTilt = 5 / kPi, kWave = 10 * (1 - 1 / (8 * kPi));
    const double r = z[1] - kBend * z[0] * z[0] + kTilt * z[0] - 6;
    if (g) {
        g[0] = 2 * r * (kTilt - 2 * kBend * z[0]) - kWave * std::sin(z[0]);
        g[1] = 2 * r;
    }
    return r * r + kWave * std::cos(z[0]) + 10;
}

/// 2 - sum_i sin(z_i) sin^10(i z_i^2 / pi): Michalewicz's with 10 for the 20, and a constant.
inline double michalewicz(const double* z, std::int64_t n, double* g) {
    double f = 2;
    for (std::int64_t i = 0; i < n; ++i) {
        const double inner = double(i + 1) * z[i] * z[i] / kPi, wave = std::sin(inner);
        const double ninth = std::pow(wave, 9);
        f -= std::sin(z[i]) * ninth * wave;
        if (g)
            g[i] = -std::cos(z[i]) * ninth * wave -
                   std::sin(z[i]) * 10 * ninth * std::cos(inner) * 2 * double(i + 1) * z[i] / kPi;
    }
    return f;
}

inline constexpr std::array kAll = {
    Facts{.name = "sphere", .function = sphere, .least_n = 1, .most_n = 0, .half_width = 5.12},
    Facts{.name = "ellipsoid", .function = ellipsoid, .least_n = 1, .most_n = 0, .half_width = 5},
    Facts{.name = "rosenbrock",
          .function = rosenbrock,
          .least_n = 2,
          .most_n = 0,
          .half_width = 7.5,
          .centre = {2.5},
          .minimiser = {1}},
    Facts{.name = "ackley", .function = ackley, .least_n = 1, .most_n = 0, .half_width = 32.768},
    Facts{.name = "griewank", .function = griewank, .least_n = 1, .most_n = 0, .half_width = 600},
    Facts{.name = "schwefel",
          .function = schwefel,
          .least_n = 1,
          .most_n = 0,
          .half_width = 500,
          .minimiser = {420.968746359982},
          .ends = true},
    Facts{.name = "styblinski_tang",
          .function = styblinski_tang,
          .least_n = 1,
          .most_n = 0,
          .half_width = 5,
          .minimiser = {-2.9035340277711774},
          .minimum_per_n = 0.83383429622859},
    Facts{.name = "levy", .function = levy, .least_n = 1, .most_n = 0, .half_width = 10, .minimiser = {1}},
    Facts{.name = "rastrigin", .function = rastrigin, .least_n = 1, .most_n = 0, .half_width = 5.12},
    Facts{.name = "log_sum_exp",
          .function = log_sum_exp,
          .least_n = 2,
          .most_n = 2,
          .half_width = 5,
          .minimiser = {-std::numbers::ln2 / 2, 0},
          .minimum = 1.2695545395615329},
    Facts{.name = "beale",
          .function = beale,
          .least_n = 2,
          .most_n = 2,
          .half_width = 4.5,
          .minimiser = {3, 0.5}},
    Facts{
        .name = "booth", .function = booth, .least_n = 2, .most_n = 2, .half_width = 10, .minimiser = {1, 3}},
    Facts{.name = "matyas", .function = matyas, .least_n = 2, .most_n = 2, .half_width = 10},
    Facts{.name = "branin",
          .function = branin,
          .least_n = 2,
          .most_n = 2,
          .half_width = 7.5,
          .centre = {2.5, 7.5},
          .minimiser = {kPi, 2.275},
          .minimum = 0.3978873577297384},
    Facts{.name = "michalewicz",
          .function = michalewicz,
          .least_n = 2,
          .most_n = 2,
          .half_width = kPi / 2,
          .centre = {kPi / 2, kPi / 2},
          .minimiser = {2.185311961840168, kPi / 2},
          .minimum = 0.19337711465280494,
          .ends = true},
};
/// The first so many are scalable.
inline constexpr std::size_t kScalable = 9;

/// f of a function where it has one, and beyond the end of its domain that of the nearest point of it and
/// 100 ((|z_i - centre| - half_width) / half_width)^2.
/// @param z  changed to the nearest point of the domain if the function ends there.
inline double value(const Facts& facts, double* z, std::int64_t n, double* g, double* outside) {
    if (!facts.ends) return facts.function(z, n, g);
    double penalty = 0;
    for (std::int64_t i = 0; i < n; ++i) {
        const double away = z[i] - facts.centre_of(i);
        outside[i] = away - std::clamp(away, -facts.half_width, facts.half_width);
        z[i] -= outside[i];
        outside[i] /= facts.half_width;
        penalty += 100 * outside[i] * outside[i];
    }
    const double f = facts.function(z, n, g) + penalty;
    for (std::int64_t i = 0; g && i < n; ++i)
        if (outside[i] != 0) g[i] = 200 * outside[i] / facts.half_width;
    return f;
}

}  // namespace l2o::plugins::test_functions
