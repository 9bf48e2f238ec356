// SIMD registers side by side, and the logistic function and tanh on them.
//
// Every lane goes through the same operations whatever the others hold, and a multiply-add is one where the
// instruction set has it: the bits of a lane depend on its own input only. From one instruction set to
// another they may differ.
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace l2o::numerics {

using Eigen::Index;

/// The widest register of the instruction set, a vector type of the compiler.
template <class Scalar>
using Packet = typename Eigen::internal::packet_traits<Scalar>::type;
template <class Scalar>
inline constexpr Index kPacket = Index(sizeof(Packet<Scalar>) / sizeof(Scalar));

/// What a packet takes if it is not the last, as a constant.
template <class Scalar>
using WholePacket = std::integral_constant<Index, kPacket<Scalar>>;

template <class Scalar>
[[gnu::always_inline]] inline Packet<Scalar> broadcast(Scalar value) {
    return Eigen::internal::pset1<Packet<Scalar>>(value);
}
/// The first `count` elements at `from`, then zeros. 1 <= count <= kPacket.
template <class Scalar>
[[gnu::always_inline]] inline Packet<Scalar> load_packet(const Scalar* from, Index count) {
    if (count == kPacket<Scalar>) return Eigen::internal::ploadu<Packet<Scalar>>(from);
#ifdef __AVX512F__
    if constexpr (sizeof(Scalar) == 4)
        return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1U << count) - 1), from);
    else
        return _mm512_maskz_loadu_pd(static_cast<__mmask8>((1U << count) - 1), from);
#else
    Scalar padded[kPacket<Scalar>] = {};
    for (Index i = 0; i < count; ++i) padded[i] = from[i];
    return Eigen::internal::ploadu<Packet<Scalar>>(padded);
#endif
}
/// Writes the first `count` elements of the packet to `to`.
template <class Scalar>
[[gnu::always_inline]] inline void store_packet(const Packet<Scalar>& packet, Scalar* to, Index count) {
    if (count == kPacket<Scalar>) return Eigen::internal::pstoreu(to, packet);
#ifdef __AVX512F__
    if constexpr (sizeof(Scalar) == 4)
        _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1U << count) - 1), packet);
    else
        _mm512_mask_storeu_pd(to, static_cast<__mmask8>((1U << count) - 1), packet);
#else
    Scalar all[kPacket<Scalar>];
    Eigen::internal::pstoreu(all, packet);
    for (Index i = 0; i < count; ++i) to[i] = all[i];
#endif
}

/// Adds the packet to kPacket elements at `to`, which may be wider than its own.
template <class Scalar, class Accumulator>
void add_packet(const Packet<Scalar>& packet, Accumulator* to) {
    if constexpr (std::is_same_v<Scalar, Accumulator>) {
        store_packet<Scalar>(load_packet<Scalar>(to, kPacket<Scalar>) + packet, to, kPacket<Scalar>);
    } else {
        typedef Scalar Half __attribute__((vector_size(sizeof(Packet<Scalar>) / 2)));
        typedef Accumulator Wide
            __attribute__((vector_size(sizeof(Packet<Scalar>) / 2 / sizeof(Scalar) * sizeof(Accumulator))));
        Half halves[2];
        std::memcpy(halves, &packet, sizeof halves);
        for (const Half& half : halves) {
            Wide sum;
            std::memcpy(&sum, to, sizeof sum);
            sum += __builtin_convertvector(half, Wide);
            std::memcpy(to, &sum, sizeof sum);
            to += kPacket<Scalar> / 2;
        }
    }
}

/// Some packets that take each step together. One alone would mostly wait for its own results, and the
/// processor does not look far enough ahead to find the next one's.
/// Plain loops, inlined by force: GCC 12 keeps what lambdas or structs of several Packets return in memory.
template <class Scalar, int kCount>
struct Packets {
    Packet<Scalar> packet[kCount];

    Packets() = default;
    /// A constant is a number, too, so that rules mix both.
    template <class Number>
    requires std::is_arithmetic_v<Number>
    [[gnu::always_inline]] Packets(Number value) {  // NOLINT(google-explicit-constructor)
#pragma GCC unroll 8
        for (int p = 0; p < kCount; ++p) packet[p] = broadcast(Scalar(value));
    }
    /// @tparam kRows  from as many places `stride` apart, kCount / kRows packets each
    /// @param last    how many elements the last packet of a row takes; the others are whole.
    template <int kRows = 1, class Count = WholePacket<Scalar>>
    [[gnu::always_inline]] static Packets load(const Scalar* from, Count last = {}, Index stride = 0) {
        constexpr int kColumns = kCount / kRows;
        static_assert(kRows * kColumns == kCount);
        Packets out;
#pragma GCC unroll 8
        for (int p = 0; p < kCount; ++p) {
            const int column = p % kColumns;
            out.packet[p] = load_packet(from + p / kColumns * stride + column * kPacket<Scalar>,
                                        column < kColumns - 1 ? kPacket<Scalar> : Index(last));
        }
        return out;
    }
    template <int kRows = 1, class Count = WholePacket<Scalar>>
    [[gnu::always_inline]] void store(Scalar* to, Count last = {}, Index stride = 0) const {
        constexpr int kColumns = kCount / kRows;
        static_assert(kRows * kColumns == kCount);
#pragma GCC unroll 8
        for (int p = 0; p < kCount; ++p) {
            const int column = p % kColumns;
            store_packet(packet[p],
                         to + p / kColumns * stride + column * kPacket<Scalar>,
                         column < kColumns - 1 ? kPacket<Scalar> : Index(last));
        }
    }
    template <int kFirst, int kSize>
    [[gnu::always_inline]] Packets<Scalar, kSize> part() const {
        Packets<Scalar, kSize> out;
#pragma GCC unroll 8
        for (int p = 0; p < kSize; ++p) out.packet[p] = packet[kFirst + p];
        return out;
    }
    [[gnu::always_inline]] friend Packets operator+(Packets a, const Packets& b) {
#pragma GCC unroll 8
        for (int p = 0; p < kCount; ++p) a.packet[p] += b.packet[p];
        return a;
    }
    [[gnu::always_inline]] friend Packets operator-(Packets a, const Packets& b) {
#pragma GCC unroll 8
        for (int p = 0; p < kCount; ++p) a.packet[p] -= b.packet[p];
        return a;
    }
    [[gnu::always_inline]] friend Packets operator*(Packets a, const Packets& b) {
#pragma GCC unroll 8
        for (int p = 0; p < kCount; ++p) a.packet[p] *= b.packet[p];
        return a;
    }
    [[gnu::always_inline]] friend Packets operator/(Packets a, const Packets& b) {
#pragma GCC unroll 8
        for (int p = 0; p < kCount; ++p) a.packet[p] /= b.packet[p];
        return a;
    }
    /// From -0, so that 0 becomes -0.
    [[gnu::always_inline]] Packets operator-() const { return Packets(Scalar(-0.0)) - *this; }
    /// a where x < y, else b.
    [[gnu::always_inline]] friend Packets where_less(const Packets& x,
                                                     const Packets& y,
                                                     const Packets& a,
                                                     const Packets& b) {
        Packets out;
#pragma GCC unroll 8
        for (int p = 0; p < kCount; ++p)
            out.packet[p] = x.packet[p] < y.packet[p] ? a.packet[p] : b.packet[p];
        return out;
    }
    // Eigen's, of an array as long as this one, so that no element is the last one of a loop.
    friend Packets exp(const Packets& x) {
        return x.with([](const auto& all) { return all.exp(); });
    }
    friend Packets log(const Packets& x) {
        return x.with([](const auto& all) { return all.log(); });
    }
    friend Packets log1p(const Packets& x) {
        return x.with([](const auto& all) { return all.log1p(); });
    }
    friend Packets sqrt(const Packets& x) {
        return x.with([](const auto& all) { return all.sqrt(); });
    }
    friend Packets tanh(const Packets& x) {
        return x.with([](const auto& all) { return all.tanh(); });
    }
    [[gnu::always_inline]] friend Packets abs(Packets x) {
#pragma GCC unroll 8
        for (int p = 0; p < kCount; ++p) x.packet[p] = Eigen::internal::pabs(x.packet[p]);
        return x;
    }

  private:
    template <class F>
    [[gnu::always_inline]] Packets with(F f) const {
        using All = Eigen::Map<Eigen::Array<Scalar, int(kCount * kPacket<Scalar>), 1>>;
        alignas(Packet<Scalar>) Scalar in[kCount * kPacket<Scalar>], out[kCount * kPacket<Scalar>];
        store(in);
        All to(out);
        to = f(All(in));
        return load(out);
    }
};

/// a b + c.
template <class Scalar, int kCount>
[[gnu::always_inline]] inline Packets<Scalar, kCount> multiply_add(
    const Packets<Scalar, kCount>& a,
    const Packets<Scalar, kCount>& b,
    const std::type_identity_t<Packets<Scalar, kCount>>& c) {
    Packets<Scalar, kCount> out;
#pragma GCC unroll 8
    for (int p = 0; p < kCount; ++p)
        out.packet[p] = Eigen::internal::pmadd(a.packet[p], b.packet[p], c.packet[p]);
    return out;
}
/// x within [-bound, bound]; a NaN stays one.
template <class Scalar, int kCount>
[[gnu::always_inline]] inline Packets<Scalar, kCount> clamp(Packets<Scalar, kCount> x, Scalar bound) {
#pragma GCC unroll 8
    for (int p = 0; p < kCount; ++p)
        x.packet[p] =
            Eigen::internal::pmax(Eigen::internal::pmin(x.packet[p], broadcast(bound)), broadcast(-bound));
    return x;
}
/// The lesser of x and bound; a NaN stays one.
template <class Scalar, int kCount>
[[gnu::always_inline]] inline Packets<Scalar, kCount> at_most(Packets<Scalar, kCount> x, Scalar bound) {
#pragma GCC unroll 8
    for (int p = 0; p < kCount; ++p) x.packet[p] = Eigen::internal::pmin(x.packet[p], broadcast(bound));
    return x;
}
/// |size| with the sign of x.
template <class Scalar, int kCount>
[[gnu::always_inline]] inline Packets<Scalar, kCount> with_sign_of(const Packets<Scalar, kCount>& x,
                                                                   Packets<Scalar, kCount> size) {
    using Bits = std::conditional_t<sizeof(Scalar) == 4, std::int32_t, std::int64_t>;
    typedef Bits All __attribute__((vector_size(sizeof(Packet<Scalar>))));
    const All sign = std::bit_cast<All>(broadcast(Scalar(-0.0)));
#pragma GCC unroll 8
    for (int p = 0; p < kCount; ++p)
        size.packet[p] = std::bit_cast<Packet<Scalar>>((std::bit_cast<All>(size.packet[p]) & ~sign) |
                                                       (std::bit_cast<All>(x.packet[p]) & sign));
    return size;
}
/// coefficients[0] + coefficients[1] x + ...
template <class Scalar, int kCount, std::size_t kSize>
[[gnu::always_inline]] inline Packets<Scalar, kCount> polynomial(const Packets<Scalar, kCount>& x,
                                                                 const Scalar (&coefficients)[kSize]) {
    auto sum = Packets<Scalar, kCount>(coefficients[kSize - 1]);
#pragma GCC unroll 16
    for (int k = int(kSize) - 2; k >= 0; --k) sum = multiply_add(sum, x, coefficients[k]);
    return sum;
}

namespace detail {

template <class Scalar>
struct ExpConstants;
template <>
struct ExpConstants<float> {
    using Bits = std::int32_t;
    static constexpr int kMantissaBits = 23;
    // (2^r - 1) / r on [-1/2, 1/2]; of 2^r the relative error is 9.2e-8.
    static constexpr float kPowerOfTwo[] = {
        0.6931469776F, 0.2402224208F, 0.05550733754F, 0.009671512869F, 0.001326472395F};
};
template <>
struct ExpConstants<double> {
    using Bits = std::int64_t;
    static constexpr int kMantissaBits = 52;
    // As above; 3.4e-18.
    static constexpr double kPowerOfTwo[] = {0.693147180559945325,
                                             0.240226506959101313,
                                             0.0555041086648201355,
                                             0.0096181291075941143,
                                             0.00133335581467615663,
                                             0.000154035304570932319,
                                             0.0000152527335055616318,
                                             1.32154353012117414e-6,
                                             1.01781945317945915e-7,
                                             7.07377881837240919e-9,
                                             4.4355045718782021e-10};
};

/// e^(scale x) = power 2^r, power a power of two, |r| <= 1/2.   |scale x| <= 80.
/// Through references: as a struct returned the three would go through memory (GCC 12).
template <class Scalar, int kCount>
[[gnu::always_inline]] inline void exp_parts(const Packets<Scalar, kCount>& x,
                                             Scalar scale,
                                             Packets<Scalar, kCount>& power,
                                             Packets<Scalar, kCount>& r) {
    using All = Packets<Scalar, kCount>;
    typedef typename ExpConstants<Scalar>::Bits Bits __attribute__((vector_size(sizeof(Packet<Scalar>))));
    constexpr int kShift = ExpConstants<Scalar>::kMantissaBits;
    // Added to a number, it leaves the nearest integer in the last bits.
    constexpr Scalar kRounder = Scalar(3) * Scalar(typename ExpConstants<Scalar>::Bits(1) << (kShift - 1));
    const All to_two = All(scale * Scalar(1.44269504088896340736));
    const All rounded = multiply_add(x, to_two, kRounder);
    r = multiply_add(x, to_two, All(kRounder) - rounded);
#pragma GCC unroll 8
    for (int p = 0; p < kCount; ++p)
        power.packet[p] = std::bit_cast<Packet<Scalar>>((std::bit_cast<Bits>(rounded.packet[p]) << kShift) +
                                                        std::bit_cast<Bits>(broadcast(Scalar(1))));
}

}  // namespace detail

/// e^-x; |x| > 40 counts as 40, so that products of three such are finite. Relative error for x >= -40 at
/// most 2.5e-6 for float (1e-6 with fused multiply-adds) and 3e-15 for double.
template <class Scalar, int kCount>
[[gnu::always_inline]] inline Packets<Scalar, kCount> exp_minus(const Packets<Scalar, kCount>& x) {
    Packets<Scalar, kCount> power, r;
    detail::exp_parts(clamp(x, Scalar(40)), Scalar(-1), power, r);
    return multiply_add(r, polynomial(r, detail::ExpConstants<Scalar>::kPowerOfTwo), Scalar(1)) * power;
}
/// 1 + e^-x, the reciprocal of the logistic function, which has the error of exp_minus, and everywhere an
/// absolute one of at most 2^-23 and 2^-52.
template <class Scalar, int kCount>
[[gnu::always_inline]] inline Packets<Scalar, kCount> one_plus_exp_minus(const Packets<Scalar, kCount>& x) {
    return exp_minus(x) + Packets<Scalar, kCount>(Scalar(1));  // the product before was exact
}
/// tanh x = top / bottom, relative error at most 1e-6 for float and 1e-15 for double; so |tanh x| may exceed
/// 1 by that. Of numbers below the normal ones the absolute error is at most three of the smallest.
template <class Scalar, int kCount>
struct TanhFraction {
    using All = Packets<Scalar, kCount>;

    All top, bottom;
    /// e^-2|x|, |x| > 20 counting as 20. The slope is 4 e / bottom^2: as 1 - tanh^2 x it would be mostly
    /// rounding errors where tanh x is nearly 1. Its relative error is at most 2.5e-6 and 3e-15.
    All e;
};
template <class Scalar, int kCount>
[[gnu::always_inline]] inline TanhFraction<Scalar, kCount> tanh_fraction(const Packets<Scalar, kCount>& x) {
    // e - 1 = (power - 1) + power r slope, over 1 + e.
    using All = Packets<Scalar, kCount>;
    const All one = Scalar(1);
    All power, r;
    detail::exp_parts(at_most(abs(x), Scalar(20)), Scalar(-2), power, r);
    const All slope = polynomial(r, detail::ExpConstants<Scalar>::kPowerOfTwo), part = power * r;
    const All e = multiply_add(part, slope, power);
    return {with_sign_of(x, multiply_add(part, slope, power - one)), one + e, e};
}

/// Packets per tile: with four or five rows, as many sums as there are registers for.
inline constexpr int kTilePackets = EIGEN_MAX_STATIC_ALIGN_BYTES >= 64 ? 4 : 2;

/// f(packets, at, last) for tiles of kTilePackets packets, then for what remains as one tile of fewer
/// packets, the last of which may take fewer elements than there are lanes.
template <class Scalar, class F>
void for_each_tile(Index n, F&& f) {
    constexpr Index kTile = kTilePackets * kPacket<Scalar>;
    Index at = 0;
    for (; at + kTile <= n; at += kTile)
        f(std::integral_constant<int, kTilePackets>(), at, WholePacket<Scalar>());
    const auto rest = [&]<int kPackets>(std::integral_constant<int, kPackets> packets, const auto& fewer) {
        const Index last = n - at - (kPackets - 1) * kPacket<Scalar>;
        if (last > 0)
            f(packets, at, last);
        else if constexpr (kPackets > 1)
            fewer(std::integral_constant<int, kPackets - 1>(), fewer);
    };
    if (at < n) rest(std::integral_constant<int, kTilePackets>(), rest);
}

/// f(rows, first) for groups of five rows, then of two and one.
template <class F>
void for_each_row_group(Index rows, F&& f) {
    Index first = 0;
    for (; first + 5 <= rows; first += 5) f(std::integral_constant<int, 5>(), first);
    for (; first + 2 <= rows; first += 2) f(std::integral_constant<int, 2>(), first);
    if (first < rows) f(std::integral_constant<int, 1>(), first);
}

/// Sums of a product in registers: kRows rows, kPackets packets of columns.
template <class Scalar, int kRows, int kPackets>
struct ProductTile {
    Packet<Scalar> sum[kRows][kPackets];

    [[gnu::always_inline]] explicit ProductTile(Scalar start = 0) {
        each([&](int, int, auto& to) { to = broadcast(start); });
    }
    /// f(row, packet, its sum).
    template <class F>
    [[gnu::always_inline]] void each(F f) {
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
            for (int p = 0; p < kPackets; ++p) f(r, p, sum[r][p]);
    }
    /// sum[r] += sum over k < depth of w[r / kGroup w_row + r % kGroup + k w_step] b[k b_stride ...].
    /// @tparam kGroup  neighbours at every row of w
    /// @param last     columns in the last packet.
    template <int kGroup = 1, class Step, class Count>
    [[gnu::always_inline]] void add(
        const Scalar* w, Index w_row, Step w_step, const Scalar* b, Index b_stride, Index depth, Count last) {
        for (Index k = 0; k < depth; ++k, w += w_step, b += b_stride) {
            Packet<Scalar> value[kPackets];
#pragma GCC unroll 8
            for (int p = 0; p < kPackets; ++p)
                value[p] =
                    load_packet(b + p * kPacket<Scalar>, p < kPackets - 1 ? kPacket<Scalar> : Index(last));
#pragma GCC unroll 8
            for (int r = 0; r < kRows; ++r) {
                const Packet<Scalar> weight = broadcast(w[r / kGroup * w_row + r % kGroup]);
#pragma GCC unroll 8
                for (int p = 0; p < kPackets; ++p)
                    sum[r][p] = Eigen::internal::pmadd(weight, value[p], sum[r][p]);
            }
        }
    }
};

}  // namespace l2o::numerics
