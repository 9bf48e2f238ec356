#include <algorithm>
#include <cstdint>
#include <l2o/numerics/philox.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <limits>
#include <string>

#include "scatter.hpp"

namespace {

// Storn & Price 1997, "Differential evolution - a simple and efficient heuristic for global optimization over
// continuous spaces". Dither of the weight: Das, Konar & Chakraborty 2005, as in SciPy.
struct DifferentialEvolution {
    static constexpr l2o::About about{.id = "differential_evolution",
                                      .version = "1.0.0",
                                      .title = "Differential evolution",
                                      .doc =
                                          "A particle is a trial, which replaces the parent p of its place "
                                          "if its value is not above that one's. "
                                          "The next trial takes every coordinate with probability "
                                          "`crossover`, and one in any case, from the "
                                          "mutant r1 + F (r2 - r3) (strategy rand), best + F (r1 - r2) "
                                          "(best) or p + F (best - p) + F (r1 - r2) "
                                          "(current_to_best), the others from p; r1, r2, r3 are other "
                                          "parents, drawn, and F is drawn between "
                                          "weight_from and weight_to for every trial. What leaves the box is "
                                          "drawn anew between its parent and "
                                          "the bound. Parents that all start in one point are spread, as in "
                                          "particle_swarm. Storn & Price 1997."};

    enum class Strategy { kRand, kBest, kCurrentToBest };
    Strategy strategy = Strategy::kRand;
    std::int64_t particles = 30;
    double weight_from = 0.5, weight_to = 1, crossover = 0.9, spread = 0.3;

    static l2o::Options<DifferentialEvolution> options() {
        using M = DifferentialEvolution;
        l2o::Options<M> options;
        options.choice("strategy", &M::strategy, {"rand", "best", "current_to_best"}, "the mutant")
            .integer("particles", &M::particles, "parents, and points per step", l2o::between(4, 65536))
            .real("weight_from", &M::weight_from, "the least F", l2o::kPositive)
            .real("weight_to", &M::weight_to, "the largest F", l2o::kPositive)
            .real("crossover", &M::crossover, "probability of the mutant's coordinate", l2o::between(0, 1))
            .real("spread", &M::spread, l2o::plugins::Scatter::kDoc, l2o::kPositive);
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        spec.minimises().keeps_bounds().reads_f().flag(L2O_FLAG_STOCHASTIC);
        spec.info.particles = static_cast<std::uint32_t>(particles);
        if (weight_from > weight_to)
            l2o::invalid("weight_from is " + std::to_string(weight_from) + ", and weight_to " +
                         std::to_string(weight_to) + "; expected at most as much");
        scatter_.at = l2o::Coordinates(spec);
        parent_ = spec.state_like_x("parent");
        f_ = spec.state({.name = "f", .doc = "of the parents", .shape = {particles}, .batched = true});
    }

    template <class T>
    void init_state(const l2o::StepIn<T>& in, const l2o::StatesOut<T>& state) const {
        for (std::size_t k = 0; k < in.blocks(); ++k) l2o::copy(in.x(k), state[parent_[k]]);
        l2o::fill(state[f_], std::numeric_limits<T>::infinity());
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        for (std::int64_t b = 0; b < in.batch(); ++b) {
            const bool scatters = in.t() == 0 && scatter_.starts_in_one_point(in, b, particles);
            const std::int64_t best = select(in, out, b, scatters);
            l2o::numerics::Stream random(in.call.key, in.call.row0 + static_cast<std::uint64_t>(b));
            if (scatters)
                scatter_.spread(in, out, b, particles, spread, random);
            else
                for (std::int64_t p = 0; p < particles; ++p) propose(in, out, b * particles, p, best, random);
        }
    }

  private:
    /// Parents of row b after the trials.   @return the best of them
    template <class T>
    std::int64_t select(const l2o::StepIn<T>& in,
                        const l2o::StepOut<T>& out,
                        std::int64_t b,
                        bool scatters) const {
        const auto f = out.state(f_);
        std::int64_t best = 0;
        for (std::int64_t p = 0; p < particles; ++p) {
            // Of one point only the first particle's value counts: the others find their own.
            const bool wins = in.f()(b, p) <= in.state(f_)(b, p) && !(scatters && p > 0);
            f(b, p) = wins ? in.f()(b, p) : in.state(f_)(b, p);
            const std::int64_t row = b * particles + p;
            for (std::size_t k = 0; k < in.blocks(); ++k)
                std::copy_n((wins ? in.x(k) : in.state(parent_[k])).row(row),
                            in.x(k).cols,
                            out.state(parent_[k]).row(row));
            if (f(b, p) < f(b, best)) best = p;
        }
        return best;
    }

    /// The next trial of particle p.
    template <class T>
    void propose(const l2o::StepIn<T>& in,
                 const l2o::StepOut<T>& out,
                 std::int64_t first,
                 std::int64_t p,
                 std::int64_t best,
                 l2o::numerics::Stream& random) const {
        std::int64_t r[3];
        for (int i = 0; i < 3; ++i) {
            do r[i] = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(particles)));
            while (r[i] == p || std::count(r, r + i, r[i]) > 0);
        }
        const T weight = T(weight_from + (weight_to - weight_from) * random.uniform());
        const auto certain =
            static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(scatter_.at.size())));
        std::int64_t i = 0;  // over all blocks
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            const l2o::View<T> parent = out.state(parent_[k]);
            const auto of = [&](std::int64_t q) { return parent.row(first + q); };
            for (std::int64_t c = 0; c < parent.cols; ++c, ++i) {
                const T own = of(p)[c];
                T& x = out.x(k)(first + p, c) = own;
                if (!(random.uniform() < crossover) && i != certain) continue;
                if (strategy == Strategy::kRand)
                    x = of(r[2])[c] + weight * (of(r[0])[c] - of(r[1])[c]);
                else if (strategy == Strategy::kBest)
                    x = of(best)[c] + weight * (of(r[0])[c] - of(r[1])[c]);
                else
                    x = own + weight * (of(best)[c] - own) + weight * (of(r[0])[c] - of(r[1])[c]);
                const T bound = scatter_.at.clamped(i, x);
                if (bound != x)
                    x = scatter_.at.clamped(i, own + random.template uniform<T>() * (bound - own));
            }
        }
    }

    l2o::plugins::Scatter scatter_;
    l2o::BlockStates parent_;
    l2o::State f_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<DifferentialEvolution>)
