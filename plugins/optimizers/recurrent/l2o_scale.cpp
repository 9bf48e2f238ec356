// Wichrowska et al. 2017, "Learned optimizers that scale and generalize" (arXiv:1703.04813): recurrent cells
// on three levels. Those of the coordinates hear those of their tensor and the global one (their messages are
// biases), a tensor's hears the mean of its coordinates, the global one the mean of the tensors. Symbols: h0,
// h1, h2 states of the levels; d update direction, with a mean square of 1 over a tensor; eta logarithm of
// the step size. Deviations from their code, where it is at fault: the global level reads all tensors, not
// the last one only (global_input last); everything is reset with the trajectory.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <l2o/layers/layered.hpp>
#include <l2o/layers/planes.hpp>
#include <l2o/layers/rows.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <string>

#include "scale_layout.hpp"

namespace {

using namespace l2o::recurrent;
using l2o::layers::Value;
using std::clamp, std::exp;

class L2oScale : public l2o::layers::Layered<L2oScale> {
  public:
    static constexpr l2o::About about{
        .id = "l2o_scale",
        .version = "1.0.0",
        .title = "L2O-Scale: a hierarchical recurrent optimizer with few numbers per coordinate",
        .doc =
            "Wichrowska et al. 2017 (arXiv:1703.04813). A GRU of 10 units per coordinate, one of 20 per "
            "tensor and a global one; the coordinates read gradients averaged over four time scales, each "
            "divided by its mean size, and choose direction, step size and decays themselves. The "
            "direction is normalised over a tensor, so one of a single element always moves by its step "
            "size. Reset draws the first step sizes from [init_rate_min, init_rate_max]"};

    static l2o::Options<L2oScale> options() {
        l2o::Options<L2oScale> o;
        o.integer("coordinate_hidden", &L2oScale::h0_size_, "units per coordinate", l2o::between(1, 256));
        o.integer("tensor_hidden", &L2oScale::h1_size_, "units per tensor", l2o::between(1, 256));
        o.integer("global_hidden", &L2oScale::h2_size_, "units of the global cell", l2o::between(1, 256));
        o.real("init_rate_min", &L2oScale::rate_min_, "smallest step size drawn at reset", l2o::kPositive);
        o.real("init_rate_max", &L2oScale::rate_max_, "largest step size drawn at reset", l2o::kPositive);
        o.choice("global_input",
                 &L2oScale::global_input_,
                 {"mean", "last"},
                 "what the global cell reads: the mean of all tensors' states, or that of the last tensor "
                 "only, as in the reference code");
        return o;
    }

    void declare(l2o::OptimizerSpec& spec) {
        if (rate_min_ > rate_max_)
            l2o::refuse("option 'init_rate_min' is " + std::to_string(rate_min_) +
                        ", above 'init_rate_max', which is " + std::to_string(rate_max_) +
                        "; expected a range");
        layout_.declare(spec, {h0_size_, h1_size_, h2_size_});
        spec.minimises().reads_g().flag(L2O_FLAG_STOCHASTIC);
        measure(spec, 512);  // chosen: the values of as many coordinates stay in the cache
    }

    template <class T>
    void init_params(const l2o_call& call, const l2o::NeedsIn<T>&, const l2o::ParamsOut<T>& params) const {
        layout_.init_params(call, params);
    }

    template <class T>
    void init_state(const l2o::StepIn<T>& in, const l2o::StatesOut<T>& state) const {
        layout_.init_state(in, state, rate_min_, rate_max_);
    }
    template <class T>
    void init_state_vjp(const l2o::StepIn<T>&,
                        const l2o::StatesCot<T>& cot,
                        const l2o::StepAcc<T>& acc) const {
        layout_.init_state_vjp(cot, acc);
    }

    template <class T>
    void forward(l2o::layers::Step<T>& step) const {
        const auto& of = layout_;
        const auto logistic = [](auto o, auto bias) { return 1 / (1 + exp(-(o + bias))); };
        const auto h2 = step.state(of.global);
        Value<T> rates, x2;
        for (std::size_t k = 0; k < of.blocks(); ++k)
            rates = rates + row_sum([](auto rate) { return rate; }, step.state(of.log_rate[k]));
        const auto mean_rate = T(1 / double(of.total)) * rates;
        const auto momentum =
            map([](auto logit) { return 1 / (1 + exp(-logit)); }, step.param(of.rate_momentum));
        for (std::size_t k = 0; k < of.blocks(); ++k) {
            const Index n = of.sizes[k];
            const auto rate = step.state(of.log_rate[k]), h1 = step.state(of.h1[k]);
            const auto all = scale_features(of.before(step, k, mean_rate)),
                       inputs = columns(all, 0, kScaleInputs * n);
            step.set(of.means[k], columns(all, kScaleInputs * n, kScales * n));
            step.set(of.mean_squares[k], columns(all, (kScaleInputs + kScales) * n, kScales * n));

            const auto heard = of.tensor_to_coordinate(step, h1) + of.global_to_coordinate(step, h2);
            const auto h0 = step.set(of.h0[k], of.cells[0](step, inputs, step.state(of.h0[k]), heard, n));
            const auto read = [&](const l2o::Param& w) { return mixed(h0, step.param(w), n); };
            const auto raw = read(of.direction) + mixed(inputs, step.param(of.direction_from_means), n);
            const auto sum = [](auto o, auto bias, auto before_it) { return o + bias + before_it; };
            const auto free = map(sum, read(of.rate_of.weights), step.param(of.rate_of.bias), rate);
            // The clip counts as the identity (straight through).
            const auto eta = free + stopped(map([](auto e) { return clamp(e, T(-33), T(33)) - e; }, free));
            const auto average = [](auto p, auto old, auto e) { return p * old + (1 - p) * e; };
            step.set(of.log_rate[k], map(average, momentum, rate, eta));
            step.set(of.input_decay[k],
                     map(logistic, read(of.input_decay_of.weights), step.param(of.input_decay_of.bias)));
            step.set(of.scale_decay[k],
                     map(logistic, read(of.scale_decay_of.weights), step.param(of.scale_decay_of.bias)));
            const auto move = [](auto x, auto e, auto offset, auto d) { return x - exp(e + offset) * d; };
            step.set_x(map(move, step.x(k), eta, step.param(of.step_offset), unit_rows(raw, 1e-16)), k);

            const auto x1 = joined(plane_means(h0, n), plane_means(inputs, n));
            const auto h1_next =
                step.set(of.h1[k], of.cells[1](step, x1, h1, of.global_to_tensor(step, h2), 1));
            x2 = x2 + T(share(k)) * h1_next;
        }
        step.set(of.global, of.cells[2](step, x2, h2, {}, 1));
    }

  private:
    enum class GlobalInput { kMean, kLast };
    /// Of tensor k in what the global cell reads.
    [[nodiscard]] double share(std::size_t k) const {
        if (global_input_ == GlobalInput::kLast) return k + 1 == layout_.blocks() ? 1 : 0;
        return 1 / static_cast<double>(layout_.blocks());
    }

    std::int64_t h0_size_ = 10, h1_size_ = 20, h2_size_ = 20;
    double rate_min_ = 1e-6, rate_max_ = 1e-2;
    GlobalInput global_input_ = GlobalInput::kMean;

    ScaleLayout layout_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<L2oScale>)
