#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "inverse_hessian.hpp"
#include "more_thuente.hpp"

namespace l2o::plugins {

/// L-BFGS as a machine: what a row makes of f and g at one point after the other, on memory that the caller
/// keeps.
struct LbfgsSearch {
    enum Now { kPairs, kNext, kTrials, kPhase, kNow };
    // kFirst: f and g at x_0; kJump: at x + d, wherever that leads
    enum Phase : std::int64_t { kFirst, kJump, kGoingOn, kAccepted, kGivenUp, kEnded };
    using Vector = InverseHessian::Vector;
    static constexpr std::int64_t kMostTrials = 20;  // of L-BFGS-B

    InverseHessian pairs;
    std::int64_t* now;  ///< [kNow]
    double& f;          ///< at x, as g
    Vector g, d;        ///< d: the direction
    MoreThuente line;
    double tolerance;

    /// The direction from x, and the first trial along it.
    /// @param alpha  `memory` numbers, for the time of the call
    void begin(double* alpha) {
        if (now[kPhase] == kEnded) return;
        now[kTrials] = 0;
        now[kPhase] =
            g.cwiseAbs().maxCoeff() <= tolerance || !g.allFinite() || !std::isfinite(f) ? kEnded : kGoingOn;
        d = -1 * g;  // not -g, in which Eigen's packets make 0 of 0 and its remainders -0: rows would differ
        pairs.multiply(d, alpha);
        if (!(g.dot(d) < 0)) {
            now[kPairs] = 0;
            d = -1 * g;
        }
        line = MoreThuente::start(f, g.dot(d), now[kPairs] == 0 ? std::min(1.0, 1 / d.norm()) : 1);
    }

    /// To another start.   @pre d is x
    /// @param draw  (i) -> its coordinate i
    template <class Draw>
    void jump(Draw&& draw) {
        for (std::int64_t i = 0; i < d.size(); ++i) d[i] = draw(i) - d[i];
        line.step = 1;
        now[kPhase] = kJump;
        now[kPairs] = 0;
    }

    /// What is known of a trial, or of x_0.
    void tell(double f_trial, const Vector& g_trial, double* alpha) {
        if (now[kPhase] == kFirst) {
            f = f_trial, g = g_trial;
            return begin(alpha);
        }
        if (now[kPhase] == kJump) {
            f = f_trial, g = g_trial;
            now[kPhase] = kAccepted;
            return;
        }
        const double slope = g_trial.dot(d);
        const bool is_number = std::isfinite(f_trial) && std::isfinite(slope);
        if (is_number && line.next(f_trial, slope)) {
            now[kPhase] = f_trial < f ? kAccepted : kEnded;
            pairs.add(line.step * d, g_trial - g, line.step * line.slope0);
            f = f_trial, g = g_trial;
            return;
        }
        if (!is_number) line.shorten();
        if (++now[kTrials] < kMostTrials) return;
        now[kPhase] = now[kPairs] > 0 ? kGivenUp : kEnded;
        now[kPairs] = 0;
    }
};

}  // namespace l2o::plugins
