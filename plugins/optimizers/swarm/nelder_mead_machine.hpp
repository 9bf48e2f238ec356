#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace l2o::plugins {

/// The simplex method of Nelder and Mead as a machine that evaluates one point after the other: propose(),
/// then judge() with its value. The object holds constants alone; a search is three arrays that whoever runs
/// it keeps. Lagarias, Reeds, Wright & Wright 1998, "Convergence properties of the Nelder-Mead simplex method
/// in low dimensions"; coefficients by n: Gao & Han 2012, "Implementing the Nelder-Mead simplex algorithm
/// with adaptive parameters". Of equal values the older point is the better one, as in SciPy.
class NelderMeadMachine {
  public:
    enum Now { kPhase, kPoint, kNow };
    enum Phase : std::int64_t { kStart, kReflect, kExpand, kOutside, kInside, kShrink };
    struct Search {
        double *points, *f;  ///< [n + 2, n], [n + 2]: the simplex, from the best on, and the reflected point
        std::int64_t* now;   ///< [kNow]
    };

    NelderMeadMachine() = default;
    NelderMeadMachine(std::int64_t n, bool adaptive)
        : n_(n),
          further_(adaptive ? 1 + 2 / double(n) : 2),
          nearer_(adaptive ? 0.75 - 0.5 / double(n) : 0.5),
          share_(adaptive ? 1 - 1 / double(n) : 0.5) {}

    /// The corner `origin`, and from there along every coordinate.
    /// @param edge  0: 5 % of the coordinate, or 0.00025 where it is 0, as in SciPy
    void start(const Search& search, const double* origin, double edge) const {
        for (std::int64_t j = n_ + 1; j >= 0; --j) std::copy_n(origin, n_, point(search, j));
        for (std::int64_t j = 0; j < n_; ++j) {
            double& x = point(search, j + 1)[j];
            x = edge > 0 ? x + edge : x != 0 ? 1.05 * x : 0.00025;
        }
        std::fill_n(search.f, n_ + 2, 0.0);
        search.now[kPhase] = kStart;
        search.now[kPoint] = 0;
    }

    /// The point to evaluate, n numbers.
    void propose(const Search& search, double* trial) const {
        const std::int64_t phase = search.now[kPhase];
        if (phase == kStart || phase == kShrink) {
            std::copy_n(point(search, search.now[kPoint]), n_, trial);
            return;
        }
        const double by = phase == kReflect   ? 1
                          : phase == kExpand  ? further_
                          : phase == kOutside ? nearer_
                                              : -nearer_;
        for (std::int64_t i = 0; i < n_; ++i) {
            double mean = 0;
            for (std::int64_t j = 0; j < n_; ++j) mean += point(search, j)[i];
            trial[i] = (1 + by) * (mean / double(n_)) - by * point(search, n_)[i];
        }
    }

    /// Moves on by its value, which is a number or infinite.
    /// @param trial  the point itself
    void judge(const Search& search, const double* trial, double f) const {
        const double reflected = search.f[n_ + 1];
        switch (Phase(search.now[kPhase])) {
            case kStart:
            case kShrink: {
                std::int64_t& next = search.now[kPoint];
                std::copy_n(trial, n_, point(search, next));
                search.f[next] = f;
                if (++next <= n_) return;
                for (std::int64_t j = 1; j <= n_; ++j) sort_in(search, j);
                search.now[kPhase] = kReflect;
                return;
            }
            case kReflect:
                std::copy_n(trial, n_, point(search, n_ + 1));
                search.f[n_ + 1] = f;
                if (f < search.f[0])
                    search.now[kPhase] = kExpand;
                else if (f < search.f[n_ - 1])
                    replace_worst(search, trial, f);
                else
                    search.now[kPhase] = f < search.f[n_] ? kOutside : kInside;
                return;
            case kExpand:
                f < reflected ? replace_worst(search, trial, f)
                              : replace_worst(search, point(search, n_ + 1), reflected);
                return;
            case kOutside:
                return f <= reflected ? replace_worst(search, trial, f) : shrink(search);
            case kInside:
                return f < search.f[n_] ? replace_worst(search, trial, f) : shrink(search);
        }
    }
    /// Whether all points, and their values, are within `tolerance` of the best, or as near to it as the
    /// rounding of numbers lets them come.   @param epsilon  of the numbers in which f is evaluated
    [[nodiscard]] bool has_converged(const Search& search, double tolerance, double epsilon) const {
        if (search.now[kPhase] != kReflect) return false;
        bool is_near = true, is_nearest = true;
        for (std::int64_t j = 1; j <= n_; ++j)
            for (std::int64_t i = 0; i < n_; ++i) {
                const double apart = std::abs(point(search, j)[i] - search.points[i]);
                const bool is_rounded = apart <= kUlps * epsilon * std::abs(search.points[i]);
                is_near = is_near && (apart <= tolerance || is_rounded);
                is_nearest = is_nearest && is_rounded;
            }
        const double rounding = kUlps * epsilon * std::abs(search.f[0]);
        return is_nearest || (is_near && search.f[n_] - search.f[0] <= std::max(tolerance, rounding));
    }

  private:
    static constexpr double kUlps = 8;  // chosen: sums of some terms are no more exact

    [[nodiscard]] double* point(const Search& search, std::int64_t j) const { return search.points + j * n_; }
    void replace_worst(const Search& search, const double* by, double f) const {
        std::copy_n(by, n_, point(search, n_));
        search.f[n_] = f;
        sort_in(search, n_);
        search.now[kPhase] = kReflect;
    }
    void shrink(const Search& search) const {
        for (std::int64_t j = 1; j <= n_; ++j)
            for (std::int64_t i = 0; i < n_; ++i) {
                double& x = point(search, j)[i];
                x = search.points[i] + share_ * (x - search.points[i]);
            }
        search.now[kPhase] = kShrink;
        search.now[kPoint] = 1;
    }
    /// Point j among those before it, which are sorted.
    void sort_in(const Search& search, std::int64_t j) const {
        for (; j > 0 && search.f[j] < search.f[j - 1]; --j) {
            std::swap(search.f[j], search.f[j - 1]);
            std::swap_ranges(point(search, j), point(search, j + 1), point(search, j - 1));
        }
    }

    std::int64_t n_ = 0;
    double further_ = 2, nearer_ = 0.5, share_ = 0.5;
};

}  // namespace l2o::plugins
