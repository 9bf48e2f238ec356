#include <algorithm>
#include <cmath>

#include "players.hpp"

namespace {

struct Halpern {
    static constexpr l2o::About about{
        .id = "halpern",
        .version = "1.1.0",
        .title = "Halpern's iteration with an extragradient step",
        .doc =
            "With b = 1 / (k + 2) in step k = 0, 1, ...: w = z + b (z_0 - z), z_half = w - eta F(z), z <- w "
            "- eta F(z_half): form eag (EAG-C). form feg, for problems that are not monotone as well: b = 1 "
            "/ (k + 1) and z_half = w - (1 - b) eta F(z). Two gradients per step, F = (df/du, -df/dv); |F| "
            "falls as 1 / k, the best rate there is. With learning_rate 0 each row finds eta by itself: 0.9 "
            "/ "
            "L, L the largest |F(x) - F(y)| / |x - y| of consecutive points so far, of which a step more, "
            "the first, is to a point near z_0; a step whose extrapolation shows an L of more than 1 / eta "
            "is "
            "not taken. Halpern 1967; Yoon & Ryu 2021 (arXiv:2102.07922), "
            "algorithm EAG-C; Lee & Kim 2021 (arXiv:2106.02326), equation FEG with rho = 0."};

    enum class Form { kEag, kFeg };
    Form form = Form::kEag;
    double learning_rate = 0;

    static l2o::Options<Halpern> options() {
        l2o::Options<Halpern> options;
        options
            .real("learning_rate",
                  &Halpern::learning_rate,
                  "the step eta, at most 1/L; 0: found",
                  l2o::kNonNegative)
            .choice("form", &Halpern::form, {"eag", "feg"}, "of the extrapolation and of b");
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        players_ = l2o::plugins::Players(spec);
        spec.reads_g().asks(1, L2O_ORACLE_GRADIENT);
        start_ = spec.state_like_x("start", "z_0");
        if (!finds_rate()) return;
        half_ = spec.state_like_x("half", "z_half of the step before");
        f_half_ = spec.state_like_x("F_half", "the gradients there");
        lipschitz_ = spec.state({.name = "L", .shape = {1}, .batched = true});
    }

    template <class T>
    void init_state(const l2o::StepIn<T>& in, const l2o::StatesOut<T>& state) const {
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            l2o::copy(in.x(k), state[start_[k]]);
            if (!finds_rate()) continue;
            l2o::copy(in.x(k), state[half_[k]]);
            l2o::fill(state[f_half_[k]], 0);
        }
        if (finds_rate()) l2o::fill(state[lipschitz_], 0);
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        const bool is_first_half = in.round() == 0;
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            l2o::copy(in.state(start_[k]), out.state(start_[k]));
            if (is_first_half) l2o::copy(in.x(k), out.x(k));
            if (!finds_rate()) continue;
            l2o::copy(is_first_half ? in.state(half_[k]) : in.q(k, 0), out.state(half_[k]));
            l2o::copy(is_first_half ? in.state(f_half_[k]) : in.qg(k, 0), out.state(f_half_[k]));
        }
        for (std::int64_t row = 0; row < in.batch(); ++row) {
            const double rate = finds_rate() ? found_rate(in, out, row) : learning_rate;
            for (std::size_t k = 0; k < in.blocks(); ++k) move(in, out, row, k, rate);
        }
        if (is_first_half) out.ask_all(0, L2O_ORACLE_GRADIENT);
    }

  private:
    [[nodiscard]] bool finds_rate() const { return learning_rate == 0; }

    /// From x(k) to the question of the first half, to x' in the second.   @param rate  0: stays
    template <class T>
    void move(const l2o::StepIn<T>& in,
              const l2o::StepOut<T>& out,
              std::int64_t row,
              std::size_t k,
              double rate) const {
        const bool is_first_half = in.round() == 0, is_eag = form == Form::kEag;
        const std::int64_t step = in.t() - (finds_rate() ? 1 : 0);  // -1 looks around
        const double b = rate == 0 || step < 0 ? 0 : 1 / (double(step) + (is_eag ? 2 : 1));
        const T pull = T(b), eta = T((is_first_half && !is_eag ? 1 - b : 1) * rate * players_.sign(k));
        const auto x = in.x(k), g = is_first_half ? in.g(k) : in.qg(k, 0), start = in.state(start_[k]);
        const auto to = is_first_half ? out.q(k, 0) : out.x(k);
        for (std::int64_t i = 0; i < x.cols; ++i)
            to(row, i) = x(row, i) + pull * (start(row, i) - x(row, i)) - eta * g(row, i);
    }

    /// Of the half that comes, where the first step only looks around; keeps L.
    template <class T>
    double found_rate(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out, std::int64_t row) const {
        constexpr double kShare = 0.9, kNear = 1e-3, kRounding = sizeof(T) == sizeof(float) ? 1e-4 : 1e-13;
        const double known = double(in.state(lipschitz_)(row, 0)), rate = known > 0 ? kShare / known : 0;
        const auto nothing = [](std::size_t) { return l2o::View<const T>(); };
        const auto keep = [&](double bound) {
            out.state(lipschitz_)(row, 0) = T(bound);
            return bound > 0 ? kShare / bound : 0;
        };
        const auto secant = [&](const auto& from, const auto& g_from, const auto& to, const auto& g_to) {
            const double length = norm(in, row, from, to), least = kRounding * norm(in, row, nothing, to);
            return length > least ? norm(in, row, g_from, g_to) / length : 0;
        };
        const auto x = [&](std::size_t k) { return in.x(k); };
        const auto g = [&](std::size_t k) { return in.g(k); };
        if (in.round() == 1) {
            const double seen = secant(
                x, g, [&](auto k) { return in.q(k, 0); }, [&](auto k) { return in.qg(k, 0); });
            keep(std::max(known, seen));
            return in.t() == 0 || rate * seen > 1 ? 0 : rate;
        }
        if (in.t() > 0)
            return keep(std::max(known,
                                 secant([&](auto k) { return in.state(half_[k]); },
                                        [&](auto k) { return in.state(f_half_[k]); },
                                        x,
                                        g)));
        keep(0);
        const double size = norm(in, row, nothing, g), length = norm(in, row, nothing, x);
        return size > 0 ? kNear * (length > 0 ? length : 1) / size : 0;
    }

    /// |b - a| of a row over all blocks; a without values is 0.
    template <class T, class A, class B>
    static double norm(const l2o::StepIn<T>& in, std::int64_t row, const A& a, const B& b) {
        double sum = 0;
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            const l2o::View<const T> from = a(k), to = b(k);
            for (std::int64_t i = 0; i < to.cols; ++i)
                sum = std::hypot(sum, double(to(row, i)) - (from ? double(from(row, i)) : 0));
        }
        return sum;
    }

    l2o::plugins::Players players_;
    l2o::BlockStates start_, half_, f_half_;
    l2o::State lipschitz_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<Halpern>)
