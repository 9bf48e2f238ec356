#include <algorithm>
#include <cstdint>
#include <l2o/numerics/philox.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <string>

#include "own_best.hpp"
#include "scatter.hpp"

namespace {

// Clerc & Kennedy 2002, "The particle swarm - explosion, stability, and convergence in a multidimensional
// complex space": the constriction form with phi1 = phi2 = 2.05, written with w = chi, c1 = c2 = 2.05 chi.
struct ParticleSwarm {
    static constexpr l2o::About about{
        .id = "particle_swarm",
        .version = "1.0.0",
        .title = "Particle swarm with constriction",
        .doc =
            "v <- w v + c1 r1 (p - x) + c2 r2 (g - x), x <- x + v; p is the best point of the particle, "
            "g the best of its swarm, r1 and r2 are uniform on [0, 1) per coordinate. Reads values "
            "only. Clerc & Kennedy 2002; w = 0.7298, c1 = c2 = 1.49618 are its chi and 2.05 chi. Particles "
            "that all start in one point are evaluated there once, and then spread around it. At a bound a "
            "particle stops, in that coordinate."};

    std::int64_t particles = 20;
    double w = 0.7298, c1 = 1.49618, c2 = 1.49618, spread = 0.3;

    static l2o::Options<ParticleSwarm> options() {
        l2o::Options<ParticleSwarm> options;
        options.integer("particles", &ParticleSwarm::particles, "points per swarm", l2o::between(2, 65536))
            .real("w", &ParticleSwarm::w, "share of the velocity that is kept", l2o::kNonNegative)
            .real("c1", &ParticleSwarm::c1, "pull of the particle's own best point", l2o::kNonNegative)
            .real("c2", &ParticleSwarm::c2, "pull of the swarm's best point", l2o::kNonNegative)
            .real("spread", &ParticleSwarm::spread, l2o::plugins::Scatter::kDoc, l2o::kNonNegative);
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        spec.minimises().keeps_bounds().reads_f().flag(L2O_FLAG_STOCHASTIC);
        scatter_.at = l2o::Coordinates(spec);
        spec.info.particles = static_cast<std::uint32_t>(particles);
        v_ = spec.state_like_x("v", "velocity");
        best_.bind(spec, particles);
    }

    template <class T>
    void init_state(const l2o::StepIn<T>& in, const l2o::StatesOut<T>& state) const {
        for (std::size_t k = 0; k < in.blocks(); ++k) l2o::fill(state[v_[k]], 0);
        best_.start(in, state);
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        for (std::int64_t b = 0; b < in.batch(); ++b) {
            // Of one point only the first particle's value counts: the others find their own.
            const bool scatters = in.t() == 0 && scatter_.starts_in_one_point(in, b, particles);
            if (scatters && spread == 0)
                l2o::refuse("the " + std::to_string(particles) +
                            " particles of an instance start at one point, from where none would ever move; "
                            "expected a spread above 0, or a problem whose starts differ");
            // Rows of x and v that belong to this swarm: first + p.
            const std::int64_t first = b * particles;
            const std::int64_t leader = best_.update(in, out, b, scatters ? 1 : particles);
            l2o::numerics::Stream random(in.call.key,
                                         in.call.row0 + static_cast<std::uint64_t>(b),
                                         static_cast<std::uint32_t>(in.t()));
            if (scatters) {
                scatter_.spread(in, out, b, particles, spread, random);
                for (std::size_t k = 0; k < in.blocks(); ++k)
                    for (std::int64_t p = 0; p < particles; ++p)
                        std::fill_n(out.state(v_[k]).row(first + p), in.x(k).cols, T(0));
                continue;
            }
            std::int64_t i = 0;  // over all blocks
            for (std::size_t k = 0; k < in.blocks(); i += in.x(k).cols, ++k)
                for (std::int64_t p = 0; p < particles; ++p) fly(in, out, k, i, first + p, leader, random);
        }
    }

  private:
    /// Moves block k, whose coordinates are those from i0 on, of the particle in row `row`; `leader` is the
    /// row of the swarm's best point.
    template <class T>
    void fly(const l2o::StepIn<T>& in,
             const l2o::StepOut<T>& out,
             std::size_t k,
             std::int64_t i0,
             std::int64_t row,
             std::int64_t leader,
             l2o::numerics::Stream& random) const {
        const auto x = in.x(k), v = in.state(v_[k]);
        const auto best = best_.x(out, k), x_next = out.x(k), v_next = out.state(v_[k]);
        for (std::int64_t i = 0; i < x.cols; ++i) {
            const T r1 = random.uniform<T>(), r2 = random.uniform<T>();
            v_next(row, i) = T(w) * v(row, i) + T(c1) * r1 * (best(row, i) - x(row, i)) +
                             T(c2) * r2 * (best(leader, i) - x(row, i));
            const T moved = x(row, i) + v_next(row, i);
            x_next(row, i) = scatter_.at.clamped(i0 + i, moved);
            if (x_next(row, i) != moved) v_next(row, i) = 0;
        }
    }

    l2o::plugins::Scatter scatter_;
    l2o::plugins::OwnBest best_;
    l2o::BlockStates v_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<ParticleSwarm>)
