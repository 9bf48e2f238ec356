#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <l2o/sdk/optimizer.hpp>

namespace l2o::plugins {

/// A quadratic model of an instance, m(x) = x^T M x / 2 - q^T x, of moves of any length: between points as
/// far from the bottoms of their wells it is the bowl below the ripples. Shared by the particles.
class WellModel {
  public:
    /// Rooms for vectors [n]; what they hold is the caller's.
    struct Room {
        Room(Scratch& scratch, std::int64_t n)
            : x(scratch.take<double>(n)),
              move(scratch.take<double>(n)),
              change_of_g(scratch.take<double>(n)),
              slope(scratch.take<double>(n)),
              error(scratch.take<double>(n)) {}
        double *x, *move, *change_of_g, *slope, *error;
    };

    void bind(OptimizerSpec& spec, std::int64_t n) {
        n_ = n;
        m_ = spec.state({.name = "M", .doc = "of the model of wells", .shape = {n, n}, .batched = true});
        q_ = spec.state({.name = "q", .doc = "of the model of wells", .shape = {n}, .batched = true});
    }
    template <class T>
    void start(const StatesOut<T>& state) const {
        fill(state[m_], 0);
        fill(state[q_], 0);
    }
    /// Of instance b: what is known before the first learn() of a step.
    template <class T>
    void keep(const StepIn<T>& in, const StepOut<T>& out, std::int64_t b) const {
        std::copy_n(in.state(m_).row(b), n_ * n_, out.state(m_).row(b));
        std::copy_n(in.state(q_).row(b), n_, out.state(q_).row(b));
    }

    /// From room.move at room.x, which changed f by `change_of_f` and g by room.change_of_g:
    ///   M <- M + e (r s^T + s r^T - (r^T s / s^T s) s s^T) / s^T s,  r = change of g - M s,
    /// (Powell 1970, symmetric Broyden; e relaxes it, as the moves are no exact periods), the slope at x
    /// stays;
    ///   q <- q - e (change of f - its prediction) s / s^T s  (Kaczmarz 1937).
    template <class T>
    void learn(const StepOut<T>& out, std::int64_t b, double change_of_f, const Room& room) const {
        constexpr double kRelaxation = 0.3;
        const double *x = room.x, *s = room.move;
        T *m = out.state(m_).row(b), *q = out.state(q_).row(b);
        double ss = 0, rs = 0, sx = 0, rx = 0;
        for (std::int64_t i = 0; i < n_; ++i) {
            const double r = room.error[i] = kRelaxation * (room.change_of_g[i] - product(m, i, s));
            ss += s[i] * s[i], rs += r * s[i], sx += s[i] * x[i], rx += r * x[i];
        }
        if (!(ss > 0) || !std::isfinite(change_of_f) || !std::isfinite(rs)) return;
        for (std::int64_t i = 0; i < n_; ++i) {
            const double r = room.error[i], by_s = (r - rs / ss * s[i]) / ss, by_r = s[i] / ss;
            for (std::int64_t j = 0; j < n_; ++j) m[i * n_ + j] += T(by_s * s[j] + by_r * room.error[j]);
            q[i] += T(by_s * sx + by_r * rx);
        }
        find_slope(out, b, room);
        const double miss = kRelaxation * (change_of_f - change(out, b, room));
        for (std::int64_t i = 0; i < n_; ++i) q[i] -= T(miss * s[i] / ss);
    }

    /// room.slope <- M x - q at room.x.
    template <class T>
    void find_slope(const StepOut<T>& out, std::int64_t b, const Room& room) const {
        for (std::int64_t i = 0; i < n_; ++i)
            room.slope[i] = product(out.state(m_).row(b), i, room.x) - double(out.state(q_).row(b)[i]);
    }
    /// Of m, by room.move from where room.slope was found.
    template <class T>
    [[nodiscard]] double change(const StepOut<T>& out, std::int64_t b, const Room& room) const {
        double sum = 0;
        for (std::int64_t i = 0; i < n_; ++i)
            if (room.move[i] != 0)
                sum += room.move[i] * (room.slope[i] + product(out.state(m_).row(b), i, room.move) / 2);
        return sum;
    }

  private:
    /// Entry i of M v.
    template <class T>
    [[nodiscard]] double product(const T* m, std::int64_t i, const double* v) const {
        double sum = 0;
        for (std::int64_t j = 0; j < n_; ++j) sum += double(m[i * n_ + j]) * v[j];
        return sum;
    }

    std::int64_t n_ = 0;
    State m_, q_;
};

}  // namespace l2o::plugins
