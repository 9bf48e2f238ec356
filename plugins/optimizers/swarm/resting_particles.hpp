#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <l2o/numerics/philox.hpp>
#include <l2o/sdk/coordinates.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <limits>

namespace l2o::plugins {

/// Particles that rest at a point x and propose others, y, which are the population's points; per coordinate
/// they know the curvature of a secant. What is proposed is `jump`, ln |jump|, or a step.
class RestingParticles {
  public:
    Coordinates at;
    State jump;

    void bind(OptimizerSpec& spec, std::int64_t particles) {
        spec.info.particles = static_cast<std::uint32_t>(particles);
        particles_ = particles;
        at = Coordinates(spec);
        x_ = spec.state_like_x("at", "where the particle rests");
        g_ = spec.state_like_x("g_at", "gradient there");
        a_ = spec.state_like_x("A", "mean square of differences of gradients");
        d_ = spec.state_like_x("D", "mean square of the steps between them");
        const auto of_particles = [&](const char* name, const char* doc) {
            return spec.state({.name = name, .doc = doc, .shape = {particles}, .batched = true});
        };
        f_ = of_particles("f_at", "value where the particle rests");
        jump =
            of_particles("jump", "ln |jump| of the proposal, mean over its coordinates; -inf: it is a step");
    }
    template <class T>
    void start(const StepIn<T>& in, const StatesOut<T>& state) const {
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            copy(in.x(k), state[x_[k]]);
            fill(state[g_[k]], 0);
            fill(state[a_[k]], 1);
            fill(state[d_[k]], T(1e-4));
        }
        fill(state[f_], std::numeric_limits<T>::infinity());
        fill(state[jump], kIsStep<T>);
    }

    /// Moves particle p to its proposal if that is better, or worse by less than T E, E ~ Exp(1); after a
    /// step
    ///   A <- beta A + (1 - beta) (g(y) - g(x))^2,  D <- beta D + (1 - beta) (y - x)^2.
    /// @return whether the proposal was a jump, and better
    template <class T>
    bool judge(const StepIn<T>& in,
               const StepOut<T>& out,
               std::int64_t b,
               std::int64_t p,
               T temperature,
               T memory,
               numerics::Stream& random) const {
        const T f_y = in.f()(b, p), f_x = in.state(f_)(b, p);
        const bool is_first = in.t() == 0, was_jump = in.state(jump)(b, p) > kIsStep<T>;
        const bool is_taken =
            f_y < f_x - temperature * T(std::log(1 - random.uniform())) || is_first || std::isnan(f_x);
        const bool learns = !is_first && !was_jump;
        const std::int64_t row = b * particles_ + p;
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            for (std::int64_t i = 0; i < in.x(k).cols; ++i) {
                const T y = in.x(k)(row, i), g_y = in.g(k)(row, i), x = in.state(x_[k])(row, i),
                        g = in.state(g_[k])(row, i), a = in.state(a_[k])(row, i), d = in.state(d_[k])(row, i);
                out.state(a_[k])(row, i) = learns ? memory * a + (1 - memory) * (g_y - g) * (g_y - g) : a;
                out.state(d_[k])(row, i) = learns ? memory * d + (1 - memory) * (y - x) * (y - x) : d;
                out.state(x_[k])(row, i) = is_taken ? y : x;
                out.state(g_[k])(row, i) = is_taken ? g_y : g;
            }
        }
        out.state(f_)(b, p) = is_taken ? f_y : f_x;
        return was_jump && f_y < f_x;
    }

    /// Before judge(): ln of how far the proposal would be from x if a step by h took back what g has
    /// changed, mean over the coordinates that it moves; NaN if it moves none.
    /// @param expected  of coordinate i: the change of g that is not to be taken back
    template <class T, class Expected>
    [[nodiscard]] double settled_length(const StepIn<T>& in,
                                        std::int64_t b,
                                        std::int64_t p,
                                        Expected&& expected) const {
        const std::int64_t row = b * particles_ + p;
        double sum = 0, count = 0;
        for (std::size_t k = 0, i = 0; k < in.blocks(); ++k) {
            for (std::int64_t j = 0; j < in.x(k).cols; ++j, ++i) {
                const T x = in.state(x_[k])(row, j), y = in.x(k)(row, j);
                if (x == y) continue;
                const double h = double(curvature(in.state(a_[k])(row, j), in.state(d_[k])(row, j))),
                             change = double(in.g(k)(row, j) - in.state(g_[k])(row, j));
                sum += std::log(std::abs(double(y - x) - (change - expected(std::int64_t(i))) / h) /
                                at.unit(std::int64_t(i)));
                ++count;
            }
        }
        return sum / count;
    }
    /// Before judge(): x, y - x and g(y) - g(x) of particle p, [n] each.
    /// @return f(y) - f(x)
    template <class T>
    double differences(const StepIn<T>& in,
                       std::int64_t b,
                       std::int64_t p,
                       double* x,
                       double* move,
                       double* change_of_g) const {
        const std::int64_t row = b * particles_ + p;
        for (std::size_t k = 0, i = 0; k < in.blocks(); ++k) {
            for (std::int64_t j = 0; j < in.x(k).cols; ++j, ++i) {
                x[i] = double(in.state(x_[k])(row, j));
                move[i] = double(in.x(k)(row, j)) - x[i];
                change_of_g[i] = double(in.g(k)(row, j)) - double(in.state(g_[k])(row, j));
            }
        }
        return double(in.f()(b, p)) - double(in.state(f_)(b, p));
    }
    /// After judge(): where particle p rests, [n].
    template <class T>
    void locate(const StepOut<T>& out, std::int64_t b, std::int64_t p, double* to) const {
        for (std::int64_t k = 0, i = 0; i < at.size(); ++k) {
            const auto x = out.state(x_[std::size_t(k)]);
            std::copy_n(x.row(b * particles_ + p), x.cols, to + i);
            i += x.cols;
        }
    }

    /// Proposes y = x + move(i, g, h) of every coordinate i, h = sqrt(A / D), in the box.
    template <class T, class Move>
    void propose(const StepOut<T>& out, std::int64_t b, std::int64_t p, Move&& move) const {
        const std::int64_t row = b * particles_ + p;
        out.state(jump)(b, p) = kIsStep<T>;
        for (std::int64_t k = 0, i = 0; i < at.size(); ++k) {
            const auto block = std::size_t(k);
            const auto x = out.state(x_[block]), g = out.state(g_[block]), a = out.state(a_[block]),
                       d = out.state(d_[block]), y = out.x(block);
            for (std::int64_t j = 0; j < y.cols; ++j, ++i) {
                const T h = curvature(a(row, j), d(row, j));
                y(row, j) = at.clamped(i, x(row, j) + T(move(i, g(row, j), h)));
            }
        }
    }

  private:
    template <class T>
    static constexpr T kIsStep = -std::numeric_limits<T>::infinity();

    template <class T>
    static T curvature(T a, T d) {
        return std::sqrt((a + T(1e-8)) / (d + T(1e-12)));
    }

    std::int64_t particles_ = 0;
    BlockStates x_, g_, a_, d_;
    State f_;
};

}  // namespace l2o::plugins
