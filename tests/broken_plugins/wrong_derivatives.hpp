#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "descent.hpp"

// Derivatives that are right where it is easy to look, and wrong elsewhere; and some that only look wrong.
namespace l2o::broken {

/// With its derivative, which is right for a factor of 1.
struct Reversible : Descent {
    /// @param factor  factor(k) goes with what is added to the cotangent of g of block k.
    template <class T, class Factor>
    void reverse(const StepIn<T>& in, const StepCot<T>& cot, const StepAcc<T>& acc, Factor&& factor) const {
        const T keep = in.param(mu).scalar();
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            const auto v0 = in.state(v[k]);
            for (std::int64_t row = 0; row < v0.rows; ++row) {
                for (std::int64_t i = 0; i < v0.cols; ++i) {
                    const T x_bar = cot.x(k) ? cot.x(k)(row, i) : T(0);
                    const T v_bar = (cot.state(v[k]) ? cot.state(v[k])(row, i) : T(0)) - T(kEta) * x_bar;
                    if (acc.param(mu)) acc.param(mu).scalar() += v_bar * v0(row, i);
                    if (acc.x(k)) acc.x(k)(row, i) += x_bar;
                    if (acc.g(k)) acc.g(k)(row, i) += v_bar * T(factor(k));
                    if (acc.state(v[k])) acc.state(v[k])(row, i) += keep * v_bar;
                }
            }
        }
    }
};

struct ReversesSoundly : Reversible {
    static constexpr About about = about_as("reverses_soundly");
    template <class T>
    void step_vjp(const StepIn<T>& in, const StepCot<T>& cot, const StepAcc<T>& acc) const {
        reverse(in, cot, acc, [](std::size_t) { return 1; });
    }
};

struct WrongByLittle : Reversible {
    static constexpr About about = about_as("wrong_by_little");
    template <class T>
    void step_vjp(const StepIn<T>& in, const StepCot<T>& cot, const StepAcc<T>& acc) const {
        reverse(in, cot, acc, [](std::size_t) { return 1 + 1e-6; });
    }
};

struct WrongLate : Reversible {
    static constexpr About about = about_as("wrong_late");
    template <class T>
    void step_vjp(const StepIn<T>& in, const StepCot<T>& cot, const StepAcc<T>& acc) const {
        reverse(in, cot, acc, [&](std::size_t) { return in.t() >= 20 ? 1.1 : 1; });
    }
};

struct WrongVeryLate : Reversible {
    static constexpr About about = about_as("wrong_very_late");
    template <class T>
    void step_vjp(const StepIn<T>& in, const StepCot<T>& cot, const StepAcc<T>& acc) const {
        reverse(in, cot, acc, [&](std::size_t) { return in.t() >= 25 ? 1.1 : 1; });
    }
};

struct WrongAwayFromStart : Reversible {
    static constexpr About about = about_as("wrong_away_from_start");
    template <class T>
    void step_vjp(const StepIn<T>& in, const StepCot<T>& cot, const StepAcc<T>& acc) const {
        const T keep = in.param(mu).scalar();
        reverse(in, cot, acc, [=](std::size_t) { return keep == T(0.9) ? 1 : 1.1; });
    }
};

struct WrongVjpInFloat32 : Reversible {
    static constexpr About about = about_as("wrong_vjp_in_float32");
    template <class T>
    void step_vjp(const StepIn<T>& in, const StepCot<T>& cot, const StepAcc<T>& acc) const {
        reverse(in, cot, acc, [](std::size_t) { return std::is_same_v<T, float> ? 1.1 : 1; });
    }
};

struct WrongVjpOfMany : Reversible {
    static constexpr About about = about_as("wrong_vjp_of_many");
    template <class T>
    void step_vjp(const StepIn<T>& in, const StepCot<T>& cot, const StepAcc<T>& acc) const {
        reverse(in, cot, acc, [&](std::size_t) { return in.batch() >= 32 ? 1.1 : 1; });
    }
};

struct WrongInSecondBlock : Reversible {
    static constexpr About about = about_as("wrong_in_second_block");
    template <class T>
    void step_vjp(const StepIn<T>& in, const StepCot<T>& cot, const StepAcc<T>& acc) const {
        reverse(in, cot, acc, [](std::size_t k) { return k == 1 ? 1.1 : 1; });
    }
};

/// 0 / 0 where the state is what it is at the start.
struct LeadsNowhere : Reversible {
    static constexpr About about = about_as("leads_nowhere");
    template <class T>
    void step(const StepIn<T>& in, const StepOut<T>& out) const {
        Descent::step(in, out);
        for (std::int64_t row = 0; row < in.batch(); ++row) out.x(0)(row, 0) *= T(in.t()) / T(in.t());
    }
};

/// At iteration When x leaves for good, whatever the objective.
template <int When>
struct Leaps : Reversible {
    template <class T>
    void step(const StepIn<T>& in, const StepOut<T>& out) const {
        Descent::step(in, out);
        for (std::int64_t row = 0; row < in.batch() && in.t() >= When; ++row) out.x(0)(row, 0) += T(1e9);
    }
};
struct WrongBeforeItLeaps : Leaps<8> {
    static constexpr About about = about_as("wrong_before_it_leaps");
    template <class T>
    void step_vjp(const StepIn<T>& in, const StepCot<T>& cot, const StepAcc<T>& acc) const {
        reverse(in, cot, acc, [&](std::size_t) { return in.t() >= 5 ? 1.1 : 1; });
    }
};
struct WrongSinceItLeaps : Leaps<1> {
    static constexpr About about = about_as("wrong_since_it_leaps");
    template <class T>
    void step_vjp(const StepIn<T>& in, const StepCot<T>& cot, const StepAcc<T>& acc) const {
        reverse(in, cot, acc, [&](std::size_t) { return in.t() >= 1 ? 1.1 : 1; });
    }
};
struct WrongAndLeapsAtOnce : Leaps<0> {
    static constexpr About about = about_as("wrong_and_leaps_at_once");
    template <class T>
    void step_vjp(const StepIn<T>& in, const StepCot<T>& cot, const StepAcc<T>& acc) const {
        reverse(in, cot, acc, [](std::size_t) { return 1.1; });
    }
};

/// x' jumps where a state is 0, which it is, and the derivative of the other state is what is asked for.
struct Jumps : Reversible {
    void declare(OptimizerSpec& spec) {
        Descent::declare(spec);
        side = spec.state_like_x("side");
    }
    template <class T>
    void step(const StepIn<T>& in, const StepOut<T>& out) const {
        Descent::step(in, out);
        copy(in.state(side[0]), out.state(side[0]));
        for (std::int64_t row = 0; row < in.batch(); ++row)
            if (in.state(side[0])(row, 0) != 0)
                out.x(0)(row, 0) += in.state(side[0])(row, 0) > 0 ? T(1) : T(-1);
    }
    template <class T>
    void reverse_all(const StepIn<T>& in, const StepCot<T>& cot, const StepAcc<T>& acc, T factor) const {
        reverse(in, cot, acc, [](std::size_t) { return 1; });
        for (const auto& [state, by] : {std::pair{v[0], factor - 1}, std::pair{side[0], T(1)}})
            for (std::int64_t row = 0; acc.state(state) && cot.state(state) && row < in.batch(); ++row)
                for (std::int64_t i = 0; i < in.x(0).cols; ++i)
                    acc.state(state)(row, i) += by * cot.state(state)(row, i);
    }
    BlockStates side;
};
struct JumpsSoundly : Jumps {
    static constexpr About about = about_as("jumps_soundly");
    template <class T>
    void step_vjp(const StepIn<T>& in, const StepCot<T>& cot, const StepAcc<T>& acc) const {
        reverse_all(in, cot, acc, T(1));
    }
};
struct WrongBehindAJump : Jumps {
    static constexpr About about = about_as("wrong_behind_a_jump");
    template <class T>
    void step_vjp(const StepIn<T>& in, const StepCot<T>& cot, const StepAcc<T>& acc) const {
        reverse_all(in, cot, acc, T(1.1));
    }
};

/// A quotient of two states that are 0: smooth in each of them, and not along both.
struct DividesSoundly : Reversible {
    static constexpr About about = about_as("divides_soundly");
    static constexpr double kEps = 1e-8, kTiny = 1e-300;
    void declare(OptimizerSpec& spec) {
        Descent::declare(spec);
        above = spec.state_like_x("above");
        below = spec.state_like_x("below");
    }
    template <class T>
    static T root(T value) {
        return std::sqrt(std::max(value, T(kTiny)));
    }
    template <class T>
    void step(const StepIn<T>& in, const StepOut<T>& out) const {
        Descent::step(in, out);
        const auto a = in.state(above[0]), b = in.state(below[0]);
        copy(a, out.state(above[0]));
        copy(b, out.state(below[0]));
        for (std::int64_t row = 0; row < in.batch(); ++row)
            for (std::int64_t i = 0; i < a.cols; ++i)
                out.x(0)(row, i) += a(row, i) / (root(b(row, i)) + T(kEps));
    }
    template <class T>
    void step_vjp(const StepIn<T>& in, const StepCot<T>& cot, const StepAcc<T>& acc) const {
        reverse(in, cot, acc, [](std::size_t) { return 1; });
        const auto a = in.state(above[0]), b = in.state(below[0]);
        for (std::int64_t row = 0; row < in.batch(); ++row) {
            for (std::int64_t i = 0; i < a.cols; ++i) {
                const T x_bar = cot.x(0) ? cot.x(0)(row, i) : T(0), below_line = root(b(row, i)) + T(kEps);
                if (acc.state(above[0])) acc.state(above[0])(row, i) += x_bar / below_line;
                if (acc.state(below[0]) && b(row, i) > T(kTiny))
                    acc.state(below[0])(row, i) -=
                        x_bar * a(row, i) / (2 * root(b(row, i)) * below_line * below_line);
                for (const auto state : {above[0], below[0]})
                    if (acc.state(state) && cot.state(state))
                        acc.state(state)(row, i) += cot.state(state)(row, i);
            }
        }
    }
    BlockStates above, below;
};

}  // namespace l2o::broken
