// Andrychowicz et al. 2016, "Learning to learn by gradient descent by gradient descent" (arXiv:1606.04474v2),
// section 2.1: a coordinate-wise LSTM maps the gradient to the update. Symbols: h1, c1, h2, c2 state of the
// two layers; per coordinate  x' = x + output_scale (h2' w + b). Deviation from the paper, that of its
// authors' code: log_sign_k = 5 instead of p = 10, see log_and_sign.hpp.
#include <l2o/numerics/log_and_sign.hpp>

#include "coordinate_wise.hpp"

namespace {

using l2o::numerics::Block;
using l2o::recurrent::kTile;
using l2o::recurrent::Tile;

enum class Preprocess { kLogSign, kIdentity };

class L2oDm : public l2o::recurrent::CoordinateWise<L2oDm> {
  public:
    static constexpr l2o::About about{
        .id = "l2o_dm",
        .version = "1.0.0",
        .title = "L2O-DM: a two-layer LSTM applied to every coordinate",
        .doc =
            "Andrychowicz et al. 2016 (arXiv:1606.04474v2), section 2.1. Every coordinate is one run of a "
            "small shared LSTM that reads the gradient and writes the update. The survey's benchmark uses "
            "log_sign with output_scale 0.01 for neural networks, identity with output_scale 1 elsewhere"};
    static constexpr const char* tags[] = {"coordinate-wise"};

    static l2o::Options<L2oDm> options() {
        l2o::Options<L2oDm> o;
        o.choice("preprocess",
                 &L2oDm::preprocess_,
                 {"log_sign", "identity"},
                 "what the network reads: logarithm and sign of the gradient, or the gradient itself");
        o.real("log_sign_k",
               &L2oDm::log_sign_k_,
               "log_sign: gradients below exp(-k) are told apart by their value, others by their logarithm",
               {0, 80, true, false});
        o.real("output_scale", &L2oDm::output_scale_, "factor of the network's output", l2o::kPositive);
        o.integer("hidden", &L2oDm::hidden_, "size of each of the two layers", l2o::between(1, 1024));
        return o;
    }

    void declare(l2o::OptimizerSpec& spec) {
        net_.declare(spec, preprocess_ == Preprocess::kLogSign ? 2 : 1, hidden_);
        spec.coordinatewise().reads_g().minimises();
        reserve_scratch(spec);
    }

    template <class T>
    void init_params(const l2o_call& call, const l2o::NeedsIn<T>&, const l2o::ParamsOut<T>& params) const {
        net_.init_params(call, params);
    }

    static constexpr bool kBounded = false;

    template <class T>
    struct Front {
        const L2oDm& method;
        T *g, *g_bar;

        Front(l2o::Scratch& scratch, const L2oDm& of)
            : method(of), g(scratch.take<T>(kTile)), g_bar(scratch.take<T>(kTile)) {}

        void forward(const l2o::StepIn<T>& in,
                     std::size_t k,
                     const Tile& tile,
                     const Block<T>& features) const {
            const auto n = static_cast<std::size_t>(tile.count);
            l2o::recurrent::gather(in.g(k), tile, g);
            if (method.preprocess_ == Preprocess::kIdentity)
                std::copy_n(g, n, features.data);
            else
                l2o::numerics::log_and_sign<T>(
                    {g, n}, T(method.log_sign_k_), {features.at(0, 0), n}, {features.at(1, 0), n});
        }
        void store(const l2o::StepOut<T>&, std::size_t, const Tile&) const {}

        [[nodiscard]] bool wants_cotangent(const l2o::StepAcc<T>& acc, std::size_t k) const {
            return bool(acc.g(k));
        }
        void reverse(const l2o::StepIn<T>&,
                     const l2o::StepCot<T>&,
                     const l2o::StepAcc<T>& acc,
                     std::size_t k,
                     const Tile& tile,
                     const Block<T>&,
                     const Block<T>& bar) const {
            const auto n = static_cast<std::size_t>(tile.count);
            if (method.preprocess_ == Preprocess::kIdentity)
                return l2o::recurrent::scatter_add(bar.data, tile, acc.g(k));
            std::fill_n(g_bar, n, T(0));
            l2o::numerics::log_and_sign_vjp<T>(
                {g, n}, T(method.log_sign_k_), {bar.at(0, 0), n}, {bar.at(1, 0), n}, {g_bar, n});
            l2o::recurrent::scatter_add(g_bar, tile, acc.g(k));
        }
        void finish(const l2o::StepAcc<T>&) const {}
    };

  private:
    friend CoordinateWise;

    Preprocess preprocess_ = Preprocess::kLogSign;
    double log_sign_k_ = 5;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<L2oDm>)
