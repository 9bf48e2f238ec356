// Magnitude and direction of a number as the first part of a net.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <l2o/layers/layered.hpp>
#include <l2o/nets/tiles.hpp>
#include <l2o/numerics/dual.hpp>
#include <l2o/numerics/packet.hpp>

namespace l2o::nets {

/// Keeps log |g| finite at 0; the float epsilon, for float and double alike.
inline constexpr double kLogAndSignEpsilon = 0x1p-23;

/// max(ln(|g| + eps) / k, -1) (no upper clamp) and clamp(g e^k, -1, 1), eps = 2^-23, of any kind of number.
/// @param k  the magnitude e^-k at which the two parts change roles; L2O-DM: 5 in the code, 10 in the paper.
/// Source: Andrychowicz et al. 2016, appendix A. Deviation, that of their code: eps inside the logarithm and
/// both parts clamped, which differs from the paper's two cases by eps only.
template <class V, class T>
std::array<V, 2> log_and_sign(const V& g, T k) {
    using std::abs, std::log, std::max, std::min;
    return {max(log(abs(g) + T(kLogAndSignEpsilon)) / k, V(T(-1))),
            max(min(g * std::exp(k), V(T(1))), V(T(-1)))};
}

/// One number to its logarithm and sign; or, with k = 0, as it is.
class LogAndSign {
  public:
    double k = 0;

    template <class T>
    void init_params(const l2o_call&, const ParamsOut<T>&) const {}
    [[nodiscard]] Index inputs() const { return 1; }
    [[nodiscard]] Index outputs() const { return k > 0 ? 2 : 1; }

    template <class T>
    class Pass {
        using Packed = numerics::Packets<T, 1>;

      public:
        Pass(Scratch& scratch, const LogAndSign& of, const layers::Step<T>&)
            : k_(T(of.k)), out_{scratch.take<T>(of.outputs() * kTile), kTile} {}
        [[nodiscard]] Block<T> output() const { return out_; }

        void forward(std::size_t, const Tile& tile, const Block<const T>& in, bool) const {
            const Index n = numerics::round_up_to_lanes<T>(tile.count);
            if (!(k_ > 0)) return static_cast<void>(std::copy_n(in.data, n, out_.data));
            for (Index i = 0; i < n; i += numerics::kPacket<T>) {
                const auto f = log_and_sign(Packed::load(in.at(0, i)), k_);
                for (Index r = 0; r < 2; ++r) f[std::size_t(r)].store(out_.at(r, i));
            }
        }
        void reverse(std::size_t,
                     const Tile& tile,
                     const Block<const T>& in,
                     const Block<T>& out_bar,
                     const Block<T>& in_bar) const {
            if (in_bar.data == nullptr) return;
            if (!(k_ > 0)) return static_cast<void>(std::copy_n(out_bar.data, tile.count, in_bar.data));
            for (Index i = 0; i < tile.count; i += numerics::kPacket<T>) {
                const auto g = numerics::Dual<Packed, 1>::variable(Packed::load(in.at(0, i)), 0);
                const auto f = log_and_sign(g, k_);
                (Packed::load(out_bar.at(0, i)) * f[0].slope[0] +
                 Packed::load(out_bar.at(1, i)) * f[1].slope[0])
                    .store(in_bar.at(0, i));
            }
        }
        void finish() const {}

      private:
        T k_;
        Block<T> out_;
    };
};

}  // namespace l2o::nets
