// Magnitude and direction of a number as the first part of a net.
#pragma once

#include <algorithm>
#include <l2o/layers/layered.hpp>
#include <l2o/nets/tiles.hpp>
#include <l2o/numerics/log_and_sign.hpp>

namespace l2o::nets {

/// One number to its logarithm and sign, see numerics/log_and_sign.hpp; or, with k = 0, as it is.
class LogAndSign {
  public:
    double k = 0;

    template <class T>
    void init_params(const l2o_call&, const ParamsOut<T>&) const {}
    [[nodiscard]] Index inputs() const { return 1; }
    [[nodiscard]] Index outputs() const { return k > 0 ? 2 : 1; }

    template <class T>
    class Pass {
      public:
        Pass(Scratch& scratch, const LogAndSign& of, const layers::Step<T>&)
            : k_(T(of.k)), out_{scratch.take<T>(of.outputs() * kTile), kTile} {}
        [[nodiscard]] Block<T> output() const { return out_; }

        void forward(std::size_t, const Tile& tile, const Block<const T>& in, bool) const {
            const auto n = static_cast<std::size_t>(numerics::round_up_to_lanes<T>(tile.count));
            if (k_ > 0)
                numerics::log_and_sign<T>({in.data, n}, k_, {out_.at(0, 0), n}, {out_.at(1, 0), n});
            else
                std::copy_n(in.data, n, out_.data);
        }
        void reverse(std::size_t,
                     const Tile& tile,
                     const Block<const T>& in,
                     const Block<T>& out_bar,
                     const Block<T>& in_bar) const {
            const auto n = static_cast<std::size_t>(tile.count);
            if (in_bar.data == nullptr) return;
            if (!(k_ > 0)) return static_cast<void>(std::copy_n(out_bar.data, n, in_bar.data));
            std::fill_n(in_bar.data, n, T(0));
            numerics::log_and_sign_vjp<T>(
                {in.data, n}, k_, {out_bar.at(0, 0), n}, {out_bar.at(1, 0), n}, {in_bar.data, n});
        }
        void finish() const {}

      private:
        T k_;
        Block<T> out_;
    };
};

}  // namespace l2o::nets
