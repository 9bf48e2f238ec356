#include <algorithm>
#include <cmath>
#include <cstdint>
#include <l2o/numerics/philox.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <l2o/sdk/planned_steps.hpp>
#include <span>

#include "learned_numbers.hpp"
#include "resting_particles.hpp"

namespace {

// l2o's own. A particle rests at x; every evaluation is a proposal y of it:
//   x <- y if f(y) < f(x) + T E,  E ~ Exp(1), which is Metropolis' rule (Metropolis et al. 1953);
//   after a proposal that was no jump  A <- beta A + (1 - beta) (g(y) - g(x))^2,  D <- ... (y - x)^2,
//   h = sqrt(A / D): the curvature of every coordinate, as of a secant;
//   with probability J(t / T) y = x + a jump of one random coordinate, of each other one with probability
//   e^r / n, by +- exp(mu + delta z), z ~ N(0, 1);  else y = x - clip(e^a g / h, +- cap).
// Adapting: mu <- mu + c * mean over the particles of (ln |jump| - mu), where the jump improved.
// Learned: T, J (a logit that is linear in t / T), mu, delta, r, a, cap, beta and c.
struct LearnedJumps {
    static constexpr l2o::About about{
        .id = "learned_jumps",
        .version = "2.0.0",
        .title = "Particles that jump and descend, 9 or 10 learned numbers",
        .doc =
            "Every particle descends by steps of a diagonal secant, or jumps in a few coordinates, and keeps "
            "a point that is better, or worse by no more than a temperature allows. Temperature, share and "
            "length of jumps, and steps are learned from values alone: train with `estimator cma_es` and the "
            "loss best_value. adapt: the length follows the jumps that succeeded. Lengths are in units of "
            "the range of a coordinate in its box, without one of 1."};

    std::int64_t particles = 4, steps = 0;
    bool adapt = false;

    static l2o::Options<LearnedJumps> options() {
        using M = LearnedJumps;
        l2o::Options<M> options;
        options.integer("particles", &M::particles, "points per instance", l2o::between(2, 65536))
            .flag("adapt", &M::adapt, "the length of jumps follows those that succeed")
            .integer("steps", &M::steps, "of a run; 0: what horizon and budget leave", l2o::at_least(0));
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        spec.minimises().keeps_bounds().reads_f().reads_g().flag(L2O_FLAG_STOCHASTIC);
        rest_.bind(spec, particles);
        steps_ = l2o::planned_steps(spec, steps, "steps", particles);
        learned_.bind(spec, std::span(kNumbers).first(adapt ? 10 : 9));
        length_ = spec.state({.name = "length", .doc = "mu", .batched = true});
    }

    template <class T>
    void init_params(const l2o_call&, const l2o::NeedsIn<T>&, const l2o::ParamsOut<T>& params) const {
        learned_.init(params);
    }

    template <class T>
    void init_state(const l2o::StepIn<T>& in, const l2o::StatesOut<T>& state) const {
        rest_.start(in, state);
        l2o::fill(state[length_], T(learned_.get(in, kLength)));
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        const auto learned = [&](Number i) { return learned_.get(in, i); };
        const double first = learned(kFirst), time = std::min(1.0, double(in.t()) / steps_),
                     jumps = logistic(first + (learned(kLast) - first) * time),
                     c = adapt ? std::exp(learned(kAdapt)) : 0;
        const double delta = std::exp(learned(kSpread)), others = std::exp(learned(kOthers)),
                     size = std::exp(learned(kStep)), cap = std::exp(learned(kCap));
        const T temperature = T(std::exp(learned(kHeat))), beta = T(logistic(learned(kMemory)));
        for (std::int64_t b = 0; b < in.batch(); ++b) {
            l2o::numerics::Stream random(in.call.key,
                                         in.call.row0 + static_cast<std::uint64_t>(b),
                                         static_cast<std::uint32_t>(in.t()));
            double mu = adapt ? double(in.state(length_)[b]) : learned(kLength), pull = 0;
            for (std::int64_t p = 0; p < particles; ++p)
                if (rest_.judge(in, out, b, p, temperature, beta, random))
                    pull += double(in.state(rest_.jump)(b, p)) - mu;
            mu += c * pull / double(particles);
            out.state(length_)[b] = T(mu);
            for (std::int64_t p = 0; p < particles; ++p) {
                if (random.uniform() < jumps)
                    jump(out, b, p, mu, delta, others, random);
                else
                    descend(out, b, p, size, cap);
            }
        }
    }

  private:
    enum Number { kHeat, kFirst, kLast, kLength, kSpread, kOthers, kStep, kCap, kMemory, kAdapt };
    static constexpr l2o::plugins::LearnedNumbers::Number kNumbers[] = {
        {"log_temperature", "ln T", 0},
        {"jumps_first", "logit of J at t = 0", 0.5},
        {"jumps_last", "logit of J at the end", 0.5},
        {"log_length", "mu; adapting: at t = 0", 0.7},
        {"log_spread", "ln delta", -1},
        {"log_others", "r: e^r other coordinates jump along, in the mean", 0},
        {"log_step", "a", -0.3},
        {"log_cap", "ln cap", -1.5},
        {"memory", "logit of beta", 2},
        {"log_adapt", "ln c", -3}};
    static double logistic(double x) { return 1 / (1 + std::exp(-x)); }

    template <class T>
    void jump(const l2o::StepOut<T>& out,
              std::int64_t b,
              std::int64_t p,
              double mu,
              double delta,
              double others,
              l2o::numerics::Stream& random) const {
        const auto n = rest_.at.size();
        const auto chosen = std::min(n - 1, static_cast<std::int64_t>(double(n) * random.uniform()));
        double of_chosen = 0;
        rest_.propose(out, b, p, [&](std::int64_t i, T, T) {
            if (i != chosen && double(n) * random.uniform() >= others) return 0.0;
            const double side = random.uniform() < 0.5 ? -1 : 1, length = mu + delta * random.normal();
            if (i == chosen) of_chosen = length;
            return side * std::exp(length) * rest_.at.unit(i);
        });
        out.state(rest_.jump)(b, p) = T(of_chosen);
    }
    template <class T>
    void descend(const l2o::StepOut<T>& out, std::int64_t b, std::int64_t p, double size, double cap) const {
        rest_.propose(out, b, p, [&](std::int64_t i, T g, T h) {
            const double most = cap * rest_.at.unit(i);
            return std::clamp(-size * double(g / h), -most, most);
        });
    }

    l2o::plugins::RestingParticles rest_;
    double steps_ = 0;
    l2o::plugins::LearnedNumbers learned_;
    l2o::State length_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<LearnedJumps>)
