#include <algorithm>
#include <cmath>
#include <cstdint>
#include <l2o/numerics/philox.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <l2o/sdk/planned_steps.hpp>
#include <span>

#include "jump_proposals.hpp"
#include "learned_numbers.hpp"
#include "resting_particles.hpp"

namespace {

// l2o's own. A particle rests at x; every evaluation is a proposal y of it:
//   x <- y if f(y) < f(x) + T E,  E ~ Exp(1), which is Metropolis' rule (Metropolis et al. 1953);
//   after a proposal that was no jump  A <- beta A + (1 - beta) (g(y) - g(x))^2,  D <- ... (y - x)^2,
//   h = sqrt(A / D): the curvature of every coordinate, as of a secant;
//   with probability J(t / T) y = x + a jump of one random coordinate, of each other one with probability
//   e^r / n, by +- exp(mu + delta z), z ~ N(0, 1);  else y = x - clip(e^a g / h, +- cap).
// tries > 1: a jump of which the model of the wells says that it would be refused is drawn again, and after
// as many draws the particle descends: the model's word costs nothing (Christen & Fox 2005).
// Adapting, l = ln |y - x - (g(y) - g(x) - what the model expects) / h| of a jump that improved, within 0.2
// of ln |y - x|, means over the particles, 0 for the others:  mu <- mu + c mean(l - mu),
//   delta^2 <- delta^2 + c' mean((l - mu)^2 - delta^2).
// Learned: T, J (a logit that is linear in t / T), mu, delta, r, a, cap, beta, c and c'.
struct LearnedJumps {
    static constexpr l2o::About about{
        .id = "learned_jumps",
        .version = "4.0.0",
        .title = "Particles that jump and descend, 9 or 11 learned numbers",
        .doc =
            "Every particle descends by steps of a diagonal secant, or jumps in a few coordinates, and keeps "
            "a point that is better, or worse by no more than a temperature allows. Temperature, share and "
            "length of jumps, and steps are learned from values alone: train with `estimator cma_es` and the "
            "loss best_value. tries > 1: jumps are chosen by a quadratic model [n, n] of what earlier ones "
            "changed. adapt: length and spread follow those that succeeded. Lengths are in units of the "
            "range of a coordinate in its box, without one of 1."};

    std::int64_t particles = 4, tries = 1, steps = 0;
    bool adapt = false;

    static l2o::Options<LearnedJumps> options() {
        using M = LearnedJumps;
        l2o::Options<M> options;
        options.integer("particles", &M::particles, "points per instance", l2o::between(2, 65536))
            .integer(
                "tries",
                &M::tries,
                "jumps that are drawn until a model of the wells takes one; 1: the first, without a model",
                l2o::between(1, 65536))
            .flag("adapt", &M::adapt, "length and spread of jumps follow those that succeed")
            .integer("steps", &M::steps, "of a run; 0: what horizon and budget leave", l2o::at_least(0));
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        spec.minimises().keeps_bounds().reads_f().reads_g().flag(L2O_FLAG_STOCHASTIC);
        rest_.bind(spec, particles);
        steps_ = l2o::planned_steps(spec, steps, "steps", particles);
        learned_.bind(spec, std::span(kNumbers).first(adapt ? 11 : 9));
        jumps_.bind(spec, rest_.at, tries, adapt);
        spec.scratch([this](l2o::Scratch& scratch, std::int64_t, auto) {
            l2o::plugins::JumpProposals::Room(scratch, rest_.at.size());
        });
    }

    template <class T>
    void init_params(const l2o_call&, const l2o::NeedsIn<T>&, const l2o::ParamsOut<T>& params) const {
        learned_.init(params);
    }

    template <class T>
    void init_state(const l2o::StepIn<T>& in, const l2o::StatesOut<T>& state) const {
        rest_.start(in, state);
        jumps_.start(state, learned_.get(in, kLength), std::exp(learned_.get(in, kSpread)));
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        l2o::Scratch scratch(in.call);
        const l2o::plugins::JumpProposals::Room room(scratch, rest_.at.size());
        const auto learned = [&](Number i) { return learned_.get(in, i); };
        const auto rate = [&](Number i) {
            return adapt ? std::min(1.0, std::exp(learned(i))) / double(particles) : 0;
        };
        const double first = learned(kFirst), time = std::min(1.0, double(in.t()) / steps_),
                     share = logistic(first + (learned(kLast) - first) * time),
                     size = std::exp(learned(kStep)), cap = std::exp(learned(kCap));
        const T temperature = T(std::exp(learned(kHeat))), beta = T(logistic(learned(kMemory)));
        l2o::plugins::JumpProposals::Law law{.mu = learned(kLength),
                                             .delta = std::exp(learned(kSpread)),
                                             .others = std::exp(learned(kOthers)),
                                             .temperature = temperature};
        for (std::int64_t b = 0; b < in.batch(); ++b) {
            l2o::numerics::Stream random(in.call.key,
                                         in.call.row0 + static_cast<std::uint64_t>(b),
                                         static_cast<std::uint32_t>(in.t()));
            jumps_.begin(in, out, b, law);
            for (std::int64_t p = 0; p < particles; ++p) {
                const double length = double(in.state(rest_.jump)(b, p)),
                             settled = jumps_.learn(in, out, b, p, rest_, room);
                if (rest_.judge(in, out, b, p, temperature, beta, random)) law.improved(length, settled);
            }
            jumps_.adapt(out, b, law, rate(kAdapt), rate(kWiden));
            for (std::int64_t p = 0; p < particles; ++p)
                if (!(random.uniform() < share) || !jumps_.propose(out, b, p, law, rest_, room, random))
                    rest_.propose(out, b, p, [&](std::int64_t i, T g, T h) {
                        const double most = cap * rest_.at.unit(i);
                        return std::clamp(-size * double(g / h), -most, most);
                    });
        }
    }

  private:
    enum Number { kHeat, kFirst, kLast, kLength, kSpread, kOthers, kStep, kCap, kMemory, kAdapt, kWiden };
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
        {"log_adapt", "ln c", -2},
        {"log_adapt_spread", "ln c'", -1.5}};
    static double logistic(double x) { return 1 / (1 + std::exp(-x)); }

    l2o::plugins::RestingParticles rest_;
    double steps_ = 0;
    l2o::plugins::LearnedNumbers learned_;
    l2o::plugins::JumpProposals jumps_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<LearnedJumps>)
