#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "factored_squares.hpp"
#include "mlp_method.hpp"

namespace {

using l2o::layers::Value;
using l2o::recurrent::follow, l2o::recurrent::inverse_root;
using std::exp, std::max;

constexpr std::size_t kDecays = 3;
constexpr double kStart[kDecays] = {0.9, 0.99, 0.999}, kSquareStart = 0.999;

// The learned optimizer small_fc_lopt, or AdafacMLPLOpt, of learned_optimization (Metz et al. 2022,
// "Practical tradeoffs between memory, compute, and performance in learned optimizers", arXiv:2203.11860): a
// tiny MLP reads means of a coordinate's gradient and its square, factored squares of its tensor, and the
// time. Symbols: m mean of g, s of g^2, a and b of g^2 as in factored_squares.hpp, each of the form
// y' = d y + (1 - d) input, d = 1 - (1 - d_0) exp(10 p); P, Q what g and m are multiplied by there. Deviation
// from their equation, not from their code: the decays of squares are at least 0.
class AdafacMlp : public l2o::recurrent::MlpMethod<AdafacMlp, 28> {
  public:
    static constexpr l2o::About about{
        .id = "adafac_mlp",
        .version = "1.0.0",
        .title = "AdafacMLP: a tiny MLP on momenta and factored squares, 197 weights",
        .doc =
            "Metz et al. 2022 (arXiv:2203.11860), small_fc_lopt. Like mlp_lopt with other features: three "
            "means of g, one of g^2, three factored ones of g^2 (of a matrix: by row and by column), their "
            "quotients and inverse roots, each divided by its root mean square over the tensor. The seven "
            "decays are "
            "learned. A tensor of less than two dimensions has no factors: its mean of g^2 stands for both"};

    AdafacMlp() { hidden_ = 4; }
    static l2o::Options<AdafacMlp> options() { return MlpMethod::options(); }

    void declare(l2o::OptimizerSpec& spec) {
        const char* doc = "p of the decay d = 1 - (1 - d_0) exp(10 p)";
        decays_ = {spec.param({.name = "decay/mean", .doc = doc, .shape = {kDecays}}),
                   spec.param({.name = "decay/mean_square", .doc = doc, .shape = {1}}),
                   spec.param({.name = "decay/factored", .doc = doc, .shape = {kDecays}})};
        for (std::size_t k = 0; k < spec.blocks(); ++k) {
            const l2o::Shape shape = l2o::shape_of(spec.block(k));
            Block& block = blocks_.emplace_back(Block{.squares = l2o::recurrent::FactoredSquares(shape)});
            const auto add = [&](const std::string& name) {
                return spec.state_of(k, {.name = name, .doc = "of g", .shape = shape, .batched = true});
            };
            for (std::size_t i = 0; i < kDecays; ++i) {
                block.mean[i] = add("mean" + std::to_string(i));
                block.squares.declare(spec, k, i);
            }
            block.mean_square = add("mean_square");
        }
        declare_net(spec,
                    "g, x, m (3), s, m / sqrt(s) (3), 1 / sqrt(s), g P (3), a (3), b (3), 1 / sqrt(a) (3), "
                    "1 / sqrt(b) (3), m Q (3)");
    }

    /// The start of every decay is its d_0.
    template <class T>
    void init_params(const l2o_call& call,
                     const l2o::NeedsIn<T>& data,
                     const l2o::ParamsOut<T>& params) const {
        for (const l2o::Param& decay : decays_)
            if (params[decay]) l2o::fill(params[decay], T(0));
        MlpMethod::init_params(call, data, params);
    }

    template <class T>
    void forward(l2o::layers::Step<T>& step) const {
        const auto least = [](auto d) { return max(decltype(d)(0), d); };
        std::array<Value<T>, kDecays> d_mean, d_factored;
        for (std::size_t i = 0; i < kDecays; ++i) {
            d_mean[i] = decay(step, decays_[0], i, kStart[i]);
            d_factored[i] = map(least, decay(step, decays_[2], i, kStart[i]));
        }
        const auto d_square = map(least, decay(step, decays_[1], 0, kSquareStart));
        auto net = run_net(step);
        for (std::size_t k = 0; k < step.blocks(); ++k) {
            const Block& block = blocks_[k];
            const auto x = step.x(k), g = step.g(k), squares = map([](auto g_j) { return g_j * g_j; }, g);
            const auto s = follow(step, block.mean_square, d_square, squares);
            const auto r = inverse_root(s, 1e-6),
                       positive = map([](auto e) { return e + T(1e-30); }, squares);
            Features<T> all{g, x};
            all[5] = s, all[9] = r;
            for (std::size_t i = 0; i < kDecays; ++i) {
                const auto m = follow(step, block.mean[i], d_mean[i], g);
                const auto of = block.squares.at(step, i, d_factored[i], positive);
                all[2 + i] = m, all[6 + i] = product(m, r), all[10 + i] = product(g, of.p);
                all[13 + i] = of.a, all[16 + i] = of.b;
                all[19 + i] = of.root_a, all[22 + i] = of.root_b;
                all[25 + i] = product(m, of.q);
            }
            move(step, net, k, all, x);
        }
    }

  private:
    friend MlpMethod;
    struct Block {
        l2o::recurrent::FactoredSquares squares;
        l2o::State mean[kDecays]{}, mean_square{};
    };

    /// d = 1 - (1 - d_0) exp(10 p_i)
    template <class T>
    static Value<T> decay(l2o::layers::Step<T>& step, const l2o::Param& p, std::size_t i, double start) {
        const auto rule = [rest = T(1 - start)](auto p_i) { return 1 - rest * exp(10 * p_i); };
        return map(rule, columns(step.param(p), std::int64_t(i), 1));
    }
    template <class T>
    static Value<T> product(Value<T> a, Value<T> b) {
        return map([](auto a_j, auto b_j) { return a_j * b_j; }, a, b);
    }

    std::array<l2o::Param, 3> decays_;
    std::vector<Block> blocks_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<AdafacMlp>)
