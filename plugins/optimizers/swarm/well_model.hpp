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
    ///   M <- M + e (r s^T + s r^T) / s^T s,  r = change of g - M s where s = 0, else 0,
    /// (Powell 1970, symmetric Broyden), the slope at x stays. Where s is not quite a period g changes by the
    /// ripples', of which f knows little at the bottoms of wells. Its change is linear in q and M:
    ///   q <- q - d s,  M <- M + w d (z s^T + s z^T) / 2,  z = x + s / 2,
    ///   d = e' (change of f - its prediction) / (s^T s + w |z s^T + s z^T|^2 / 4)  (Kaczmarz 1937),
    /// with w in units of 1 / s^T s.
    template <class T>
    void learn(const StepOut<T>& out, std::int64_t b, double change_of_f, const Room& room) const {
        constexpr double kOfSlopes = 0.6, kOfValues = 0.3, kWeight = 0.16;
        const double *x = room.x, *s = room.move;
        T *m = out.state(m_).row(b), *q = out.state(q_).row(b);
        double ss = 0, sx = 0, zz = 0, zs = 0, rx = 0;
        for (std::int64_t i = 0; i < n_; ++i) {
            const double z = x[i] + s[i] / 2,
                         r = s[i] == 0 ? kOfSlopes * (room.change_of_g[i] - change_of_slope(out, b, i, room))
                                       : 0;
            room.error[i] = r;
            ss += s[i] * s[i], sx += s[i] * x[i], zz += z * z, zs += z * s[i], rx += r * x[i];
        }
        if (!(ss > 0) || !std::isfinite(change_of_f) || !std::isfinite(rx)) return;
        for (std::int64_t i = 0; i < n_; ++i) {
            const double by_s = room.error[i] / ss, by_r = s[i] / ss;
            for (std::int64_t j = 0; j < n_; ++j) m[i * n_ + j] += T(by_s * s[j] + by_r * room.error[j]);
            q[i] += T(by_s * sx + by_r * rx);
        }
        find_slope(out, b, room);
        const double w = kWeight / ss, norm = ss + w * (zz * ss + zs * zs) / 2,
                     d = kOfValues * (change_of_f - change(out, b, room)) / norm;
        for (std::int64_t i = 0; i < n_; ++i) {
            const double z = x[i] + s[i] / 2;
            for (std::int64_t j = 0; j < n_; ++j)
                m[i * n_ + j] += T(w * d * (z * s[j] + s[i] * (x[j] + s[j] / 2)) / 2);
            q[i] -= T(d * s[i]);
        }
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

    /// Entry i of M s, s = room.move.
    template <class T>
    [[nodiscard]] double change_of_slope(const StepOut<T>& out,
                                         std::int64_t b,
                                         std::int64_t i,
                                         const Room& room) const {
        return product(out.state(m_).row(b), i, room.move);
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
