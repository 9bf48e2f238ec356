#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <l2o/numerics/philox.hpp>
#include <l2o/sdk/coordinates.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <limits>

#include "resting_particles.hpp"
#include "well_model.hpp"

namespace l2o::plugins {

/// Jumps of resting particles, ln |jump| ~ N(mu, delta^2) of each instance, and what is learned from them.
class JumpProposals {
  public:
    using Room = WellModel::Room;
    struct Law {
        double mu, delta, others, temperature;
        double pull = 0, widening = 0;  // sums over jumps that improved

        /// @param length, settled  ln |jump|, and that without what it misses a period by: a jump onto the
        ///                         slope of a well, or out of it and back, tells nothing of the wells
        void improved(double length, double settled) {
            const double off = settled - mu;
            if (std::abs(settled - length) < kSame) pull += off, widening += off * off - delta * delta;
        }
        static constexpr double kSame = 0.2;
    };

    /// @param tries   draws until the model takes one; 1: no model
    /// @param adapts  whether mu and delta change during a run
    void bind(OptimizerSpec& spec, const Coordinates& at, std::int64_t tries, bool adapts) {
        at_ = at, tries_ = tries, adapts_ = adapts;
        length_ = spec.state({.name = "length", .doc = "mu", .batched = true});
        if (adapts) spread_ = spec.state({.name = "spread", .doc = "delta^2", .batched = true});
        if (tries > 1) wells_.bind(spec, at.size());
    }
    template <class T>
    void start(const StatesOut<T>& state, double mu, double delta) const {
        fill(state[length_], T(mu));
        if (adapts_) fill(state[spread_], T(delta * delta));
        if (tries_ > 1) wells_.start(state);
    }
    /// @param law  of instance b; mu and delta are replaced by their states where these adapt
    template <class T>
    void begin(const StepIn<T>& in, const StepOut<T>& out, std::int64_t b, Law& law) const {
        if (tries_ > 1) wells_.keep(in, out, b);
        if (adapts_)
            law.mu = double(in.state(length_)[b]), law.delta = std::sqrt(double(in.state(spread_)[b]));
        law.pull = law.widening = 0;
    }
    /// From the proposal of particle p, before it is judged.
    /// @return ln |jump| without what g says that it misses a period by; NaN: it was no jump
    template <class T>
    double learn(const StepIn<T>& in,
                 const StepOut<T>& out,
                 std::int64_t b,
                 std::int64_t p,
                 const RestingParticles& rest,
                 const Room& room) const {
        if (in.t() == 0 || !std::isfinite(in.state(rest.jump)(b, p)))
            return std::numeric_limits<double>::quiet_NaN();
        if (tries_ == 1) return rest.settled_length(in, b, p, [](std::int64_t) { return 0.0; });
        const double change_of_f = rest.differences(in, b, p, room.x, room.move, room.change_of_g);
        const double settled = rest.settled_length(
            in, b, p, [&](std::int64_t i) { return wells_.change_of_slope(out, b, i, room); });
        wells_.learn(out, b, change_of_f, room);
        return settled;
    }
    /// Behind the proposals of all particles.
    /// @param c, c_spread  rates, per particle
    template <class T>
    void adapt(const StepOut<T>& out, std::int64_t b, Law& law, double c, double c_spread) const {
        law.mu += c * law.pull;
        law.delta = std::sqrt(std::max(0.0, law.delta * law.delta + c_spread * law.widening));
        out.state(length_)[b] = T(law.mu);
        if (adapts_) out.state(spread_)[b] = T(law.delta * law.delta);
    }

    /// Proposes a jump of particle p, the first of which the model does not say that it would be refused.
    /// @return whether there was one
    template <class T>
    bool propose(const StepOut<T>& out,
                 std::int64_t b,
                 std::int64_t p,
                 const Law& law,
                 const RestingParticles& rest,
                 const Room& room,
                 numerics::Stream& random) const {
        if (tries_ > 1) {
            rest.locate(out, b, p, room.x);
            wells_.find_slope(out, b, room);
        }
        for (std::int64_t k = 0; k < tries_; ++k) {
            const double length = draw(law, room.move, random);
            if (tries_ > 1 &&
                !(wells_.change(out, b, room) < -law.temperature * std::log(1 - random.uniform())))
                continue;
            rest.propose(out, b, p, [&](std::int64_t i, T, T) { return room.move[i]; });
            out.state(rest.jump)(b, p) = T(length);
            return true;
        }
        return false;
    }

  private:
    /// Of one random coordinate, and of each other one with probability others / n.
    /// @return ln |jump|, mean over its coordinates
    double draw(const Law& law, double* move, numerics::Stream& random) const {
        const std::int64_t n = at_.size();
        const auto jump_of = [&](std::int64_t i) {
            const double side = random.uniform() < 0.5 ? -1 : 1,
                         length = law.mu + law.delta * random.normal();
            move[i] = side * std::exp(length) * at_.unit(i);
        };
        // From one coordinate that jumps to the next the distance is geometric.
        const double log_stays = std::log1p(-std::min(law.others / double(n), 1.0));
        const auto next = [&](std::int64_t i) {
            const double skipped = std::log(1 - random.uniform()) / log_stays;
            return skipped < double(n) ? i + 1 + static_cast<std::int64_t>(skipped) : n;
        };
        std::fill_n(move, n, 0.0);
        for (std::int64_t i = next(-1); i < n; i = next(i)) jump_of(i);
        jump_of(std::min(n - 1, static_cast<std::int64_t>(double(n) * random.uniform())));
        double sum = 0, count = 0;
        for (std::int64_t i = 0; i < n; ++i)
            if (move[i] != 0) sum += std::log(std::abs(move[i]) / at_.unit(i)), ++count;
        return sum / count;
    }

    Coordinates at_;
    std::int64_t tries_ = 1;
    bool adapts_ = false;
    WellModel wells_;
    State length_, spread_;
};

}  // namespace l2o::plugins
