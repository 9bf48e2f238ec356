#include <algorithm>
#include <cmath>
#include <cstdint>
#include <l2o/numerics/philox.hpp>
#include <l2o/sdk/coordinates.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <l2o/sdk/planned_steps.hpp>

#include "learned_numbers.hpp"
#include "own_best.hpp"

namespace {

// l2o's own. With tau = (t / T)^(e^q), m^ and v^ the corrected means of g and g^2 (Kingma & Ba 2015), p the
// best point of a particle, l that of all, xi ~ N(0, 1):
//   x <- x - e^a m^ / (sqrt(v^) + 1e-8) + e^s xi + 0.1 pull (p - x) + 0.1 follow (l - x)
// a, s, pull and follow are linear in tau. Learned: both ends of the four, the decays of m and v, and q.
struct ScheduledSwarm {
    static constexpr l2o::About about{
        .id = "scheduled_swarm",
        .version = "1.0.0",
        .title = "A swarm that anneals on a learned schedule, 11 numbers",
        .doc =
            "Every particle takes normalised gradient steps with noise, drawn to its own best point and to "
            "that of the swarm. Rate, noise and both pulls follow a schedule over the run that is learned "
            "from values alone: train with `estimator cma_es`, `evolution { sigma 1 }`, as what they come to "
            "lies far from where they start, and the loss best_value. Lengths are in units of the range of a "
            "coordinate in its box, without one of 1."};

    std::int64_t particles = 4, steps = 0;

    static l2o::Options<ScheduledSwarm> options() {
        using M = ScheduledSwarm;
        l2o::Options<M> options;
        options.integer("particles", &M::particles, "points per instance", l2o::between(2, 65536))
            .integer("steps", &M::steps, "of a run; 0: what horizon and budget leave", l2o::at_least(0));
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        spec.minimises().keeps_bounds().reads_f().reads_g().flag(L2O_FLAG_STOCHASTIC);
        at_ = l2o::Coordinates(spec);
        steps_ = l2o::planned_steps(spec, steps, "steps", particles);
        learned_.bind(spec, kNumbers);
        spec.info.particles = static_cast<std::uint32_t>(particles);
        m_ = spec.state_like_x("m", "mean of g");
        v_ = spec.state_like_x("v", "mean of g^2");
        best_.bind(spec, particles);
    }

    template <class T>
    void init_params(const l2o_call&, const l2o::NeedsIn<T>&, const l2o::ParamsOut<T>& params) const {
        learned_.init(params);
    }
    template <class T>
    void init_state(const l2o::StepIn<T>& in, const l2o::StatesOut<T>& state) const {
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            l2o::fill(state[m_[k]], 0);
            l2o::fill(state[v_[k]], 0);
        }
        best_.start(in, state);
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        const Now<T> now = at(in);
        for (std::int64_t b = 0; b < in.batch(); ++b) {
            const std::int64_t leader = best_.update(in, out, b, particles);
            l2o::numerics::Stream random(in.call.key,
                                         in.call.row0 + static_cast<std::uint64_t>(b),
                                         static_cast<std::uint32_t>(in.t()));
            for (std::int64_t p = 0; p < particles; ++p)
                move(in, out, b * particles + p, leader, now, random);
        }
    }

  private:
    static constexpr l2o::plugins::LearnedNumbers::Number kNumbers[] = {
        {"log_rate_first", "a at t = 0", -1.5},
        {"log_rate_last", "a at the end", -4},
        {"log_noise_first", "s at t = 0", -2.5},
        {"log_noise_last", "s at the end", -6},
        {"pull_first", "to the particle's best point, at t = 0", 0},
        {"pull_last", "the same at the end", 0},
        {"follow_first", "to the swarm's best point, at t = 0", 0},
        {"follow_last", "the same at the end", 0},
        {"memory_mean", "logit of the decay of m", 1.5},
        {"memory_square", "logit of the decay of v", 3},
        {"log_lateness", "q", 0}};

    /// What the schedule has come to.
    template <class T>
    struct Now {
        T rate, noise, pull, follow, beta1, beta2, correct1, correct2;
    };
    template <class T>
    Now<T> at(const l2o::StepIn<T>& in) const {
        const auto number = [&](std::size_t i) { return learned_.get(in, i); };
        const double time = std::min(1.0, double(in.t()) / steps_),
                     tau = std::pow(time, std::exp(number(10)));
        const auto linear = [&](std::size_t i) { return number(i) + (number(i + 1) - number(i)) * tau; };
        const double beta1 = 1 / (1 + std::exp(-number(8))), beta2 = 1 / (1 + std::exp(-number(9))),
                     count = double(in.t() + 1);
        return {T(std::exp(linear(0))),
                T(std::exp(linear(2))),
                T(0.1 * linear(4)),
                T(0.1 * linear(6)),
                T(beta1),
                T(beta2),
                T(1 - std::pow(beta1, count)),
                T(1 - std::pow(beta2, count))};
    }

    /// @param leader  row of the particle with the best point of all
    template <class T>
    void move(const l2o::StepIn<T>& in,
              const l2o::StepOut<T>& out,
              std::int64_t row,
              std::int64_t leader,
              const Now<T>& now,
              l2o::numerics::Stream& random) const {
        for (std::int64_t block = 0, i = 0; i < at_.size(); ++block) {
            const auto k = std::size_t(block);
            const auto best = best_.x(out, k);
            for (std::int64_t j = 0; j < best.cols; ++j, ++i) {
                const T x = in.x(k)(row, j), g = in.g(k)(row, j), unit = T(at_.unit(i));
                const T m = now.beta1 * in.state(m_[k])(row, j) + (1 - now.beta1) * g;
                const T v = now.beta2 * in.state(v_[k])(row, j) + (1 - now.beta2) * g * g;
                out.state(m_[k])(row, j) = m, out.state(v_[k])(row, j) = v;
                const T step = now.rate * m / now.correct1 / (std::sqrt(v / now.correct2) + T(1e-8));
                out.x(k)(row, j) =
                    at_.clamped(i,
                                x + unit * (now.noise * T(random.normal()) - step) +
                                    now.pull * (best(row, j) - x) + now.follow * (best(leader, j) - x));
            }
        }
    }

    l2o::Coordinates at_;
    double steps_ = 0;
    l2o::plugins::LearnedNumbers learned_;
    l2o::plugins::OwnBest best_;
    l2o::BlockStates m_, v_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<ScheduledSwarm>)
