#include <algorithm>
#include <cmath>
#include <cstdint>
#include <l2o/numerics/adam.hpp>
#include <l2o/numerics/philox.hpp>
#include <l2o/sdk/coordinates.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <limits>
#include <numbers>

namespace {

// Wales & Doye 1997, "Global optimization by basin-hopping and the lowest energy structures of Lennard-Jones
// clusters"; monotonic: Leary 2000, "Global optimization on funneling landscapes". Rounds of Adam (Kingma &
// Ba 2015) in the place of a descent to the end.
struct BasinHopping {
    static constexpr l2o::About about{
        .id = "basin_hopping",
        .version = "1.0.0",
        .title = "Basin hopping with rounds of Adam",
        .doc =
            "Rounds of `round` steps of Adam, whose learning rate falls to 0 by half a cosine; every round "
            "after the first starts at the best point so far, every coordinate of which is moved by N(0, "
            "kick^2) with probability `share`. What is reported is the best point so far. The box ends "
            "steps and kicks. learning_rate and kick are in units of the range of a coordinate in its box, "
            "without one of 1. The defaults of kick and share beat 1 and 0.2 on rastrigin (2, 10 and 20 "
            "variables), and are no worse on black_box. Wales & Doye 1997; Leary 2000."};

    std::int64_t round = 20;
    double learning_rate = 0.1, beta1 = 0.9, beta2 = 0.99, kick = 0.7, share = 0.3;

    static l2o::Options<BasinHopping> options() {
        using M = BasinHopping;
        l2o::Options<M> options;
        options.integer("round", &M::round, "steps of a descent", l2o::at_least(1))
            .real("learning_rate", &M::learning_rate, "of the first step of a round", l2o::kPositive)
            .real("beta1", &M::beta1, "decay of the mean of g", l2o::kFraction)
            .real("beta2", &M::beta2, "decay of the mean of g^2", l2o::kFraction)
            .real("kick", &M::kick, "standard deviation of a coordinate that is kicked", l2o::kPositive)
            .real("share", &M::share, "of the coordinates that are kicked", l2o::Range{0, 1, true, false});
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        spec.minimises().keeps_bounds().reads_f().reads_g().flag(L2O_FLAG_STOCHASTIC);
        at_ = l2o::Coordinates(spec);
        m_ = spec.state_like_x("m", "mean of g");
        v_ = spec.state_like_x("v", "mean of g^2");
        best_ = spec.state_like_x("best", "the best point so far");
        best_f_ = spec.state({.name = "best_f", .doc = "f there", .batched = true});
    }

    template <class T>
    void init_state(const l2o::StepIn<T>& in, const l2o::StatesOut<T>& state) const {
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            l2o::fill(state[m_[k]], 0);
            l2o::fill(state[v_[k]], 0);
            l2o::copy(in.x(k), state[best_[k]]);
        }
        l2o::fill(state[best_f_], std::numeric_limits<T>::infinity());
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        const std::int64_t at = in.t() % round;
        for (std::int64_t row = 0; row < in.batch(); ++row) {
            const bool is_better = in.f()[row] < in.state(best_f_)[row];
            out.state(best_f_)[row] = is_better ? in.f()[row] : in.state(best_f_)[row];
            l2o::numerics::Stream random(in.call.key, in.call.row0 + static_cast<std::uint64_t>(row));
            std::int64_t i = 0;  // over all blocks
            for (std::size_t k = 0; k < in.blocks(); i += in.x(k).cols, ++k) {
                const auto better = is_better ? in.x(k) : in.state(best_[k]);
                std::copy_n(better.row(row), better.cols, out.state(best_[k]).row(row));
                if (at + 1 < round)
                    descend(in, out, row, k, i, static_cast<double>(at));
                else
                    hop(out, row, k, i, random);
            }
        }
    }

    template <class T>
    void recommend(const l2o::StepIn<T>& in, const l2o::Tensors<T>& x) const {
        for (std::size_t k = 0; k < in.blocks(); ++k) l2o::copy(in.state(best_[k]), x[k]);
    }

  private:
    /// @param i0  the first coordinate of block k
    template <class T>
    void descend(const l2o::StepIn<T>& in,
                 const l2o::StepOut<T>& out,
                 std::int64_t row,
                 std::size_t k,
                 std::int64_t i0,
                 double at) const {
        const double cosine = (1 + std::cos(std::numbers::pi * at / double(round))) / 2;
        const double rate = learning_rate * cosine / l2o::numerics::weight_of_mean(beta1, at + 1);
        const double root = std::sqrt(l2o::numerics::weight_of_mean(beta2, at + 1));
        const T *x = in.x(k).row(row), *g = in.g(k).row(row);
        const T *m = in.state(m_[k]).row(row), *v = in.state(v_[k]).row(row);
        T *m_next = out.state(m_[k]).row(row), *v_next = out.state(v_[k]).row(row);
        for (std::int64_t c = 0; c < in.x(k).cols; ++c) {
            const l2o::numerics::Adam<T> adam(beta1, beta2, rate * at_.unit(i0 + c), root, 1e-8);
            out.x(k)(row, c) = at_.clamped(i0 + c, x[c] - adam.step(g[c], m[c], v[c], m_next[c], v_next[c]));
        }
    }

    /// From the best point, at rest.
    template <class T>
    void hop(const l2o::StepOut<T>& out,
             std::int64_t row,
             std::size_t k,
             std::int64_t i0,
             l2o::numerics::Stream& random) const {
        const l2o::View<T> x = out.x(k), best = out.state(best_[k]);
        std::fill_n(out.state(m_[k]).row(row), x.cols, T(0));
        std::fill_n(out.state(v_[k]).row(row), x.cols, T(0));
        for (std::int64_t c = 0; c < x.cols; ++c) {
            const double move = random.uniform() < share ? kick * at_.unit(i0 + c) * random.normal() : 0;
            x(row, c) = at_.clamped(i0 + c, best(row, c) + T(move));
        }
    }

    l2o::Coordinates at_;
    l2o::BlockStates m_, v_, best_;
    l2o::State best_f_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<BasinHopping>)
