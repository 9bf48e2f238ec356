#pragma once

#include <array>
#include <cmath>
#include <l2o/layers/layered.hpp>
#include <l2o/layers/rows.hpp>
#include <l2o/nets/dense.hpp>
#include <l2o/nets/net.hpp>
#include <string>

namespace l2o::recurrent {

/// What the net reads of a tensor: a value of every entry, or one that is the same along an axis.
template <class T>
struct Feature {
    Feature(layers::Value<T> of = {}, const layers::Axis* same_along = nullptr)
        : value(of), axis(same_along) {}
    /// Divided by its root mean square over the tensor, which the axis leaves as it is.
    [[nodiscard]] layers::Value<T> scaled() const {
        const auto unit = layers::unit_rows(value, 1e-5);
        return axis != nullptr ? layers::along(unit, *axis) : unit;
    }

    layers::Value<T> value;
    const layers::Axis* axis;
};

/// What the learned optimizers of Metz et al. share: features v of every coordinate, each divided by its root
/// mean square over the tensor, and features of time go through a small network with two outputs o0, o1:
///   v~ = v / sqrt(1e-5 + mean v^2),   x' = x - step_mult o0 exp(exp_mult o1).
/// A method's declare() ends with declare_net(spec, names), its forward() gives every block's features to
/// move(). Source: MLPLOpt and AdafacMLPLOpt of learned_optimization (Metz et al. 2022, arXiv:2203.11860),
/// after Metz et al. 2019 (arXiv:1810.10180) and 2020 (arXiv:2009.11243).
/// @tparam kFeatures  of a coordinate
template <class Method, std::size_t kFeatures>
class MlpMethod : public layers::Layered<Method> {
  public:
    template <class T>
    using Features = std::array<Feature<T>, kFeatures>;

    static Options<Method> options() {
        Options<Method> o;
        o.integer("hidden", &Method::hidden_, "size of each of the two hidden layers", between(1, 1024));
        o.real("step_mult", &Method::step_mult_, "factor of the step", kPositive);
        o.real("exp_mult", &Method::exp_mult_, "factor of the logarithm of its size", kPositive);
        o.real("time_scale",
               &Method::time_scale_,
               "factor of the time constants 1, 3, 10 ... 100,000 of the features of time",
               kPositive);
        return o;
    }

    template <class T>
    void init_params(const l2o_call& call, const NeedsIn<T>&, const ParamsOut<T>& params) const {
        net_.init_params(call, params);
    }

  protected:
    using Net = nets::Net<nets::Dense<nets::Relu>, nets::Dense<nets::Relu>, nets::Dense<nets::Linear>>;

    /// @param names  of the features, for the doc of the first weight
    void declare_net(OptimizerSpec& spec, const std::string& names) {
        const auto times = static_cast<nets::Index>(kTimeScales.size());
        auto& [first, second, last] = net_.parts;
        first.declare(spec,
                      {.w = "mlp/w0",
                       .b = "mlp/b0",
                       .doc = "rows: " + names + ", then tanh(t / tau - 1), tau = 1, 3, 10 ... 1e5"},
                      static_cast<nets::Index>(kFeatures) + times,
                      hidden_,
                      times);
        second.declare(spec, {.w = "mlp/w1", .b = "mlp/b1", .doc = ""}, hidden_, hidden_);
        last.declare(spec, {.w = "mlp/w2", .b = "mlp/b2", .doc = ""}, hidden_, 2);
        spec.minimises().reads_g();
        this->measure(spec, kEntriesAtOnce);
    }
    template <class T>
    nets::Running<T, Net> run_net(layers::Step<T>& step) const {
        nets::Running net(net_, step);
        std::array<double, kTimeScales.size()> times;
        for (std::size_t i = 0; i < times.size(); ++i)
            times[i] = std::tanh(double(step.t()) / (time_scale_ * kTimeScales[i]) - 1);
        net.template part<0>().set_constants(times);
        return net;
    }
    /// x' of block k by its features.
    template <class T>
    void move(layers::Step<T>& step,
              nets::Running<T, Net>& net,
              std::size_t k,
              const Features<T>& of,
              layers::Value<T> x) const {
        std::array<layers::Value<T>, kFeatures> features;
        for (std::size_t i = 0; i < kFeatures; ++i) {
            std::size_t same = 0;  // of two that are the same one serves both
            while (of[same].value.node() != of[i].value.node()) ++same;
            features[i] = same < i ? features[same] : of[i].scaled();
        }
        const auto update = [a = T(step_mult_), b = T(exp_mult_)](auto o0, auto o1, auto x_i) {
            using std::exp;
            return x_i - a * o0 * exp(b * o1);
        };
        step.set_x(net.template at<2>(k, features, update, std::array{x}), k);
    }

    std::int64_t hidden_ = 0;
    double step_mult_ = 1e-3, exp_mult_ = 1e-3, time_scale_ = 1;

  private:
    static constexpr std::array<double, 11> kTimeScales{1, 3, 10, 30, 100, 300, 1e3, 3e3, 1e4, 3e4, 1e5};
    /// Chosen: at 1,000 naming the operations costs a tenth, at 10,000 the features leave the cache.
    static constexpr std::int64_t kEntriesAtOnce = 1536;

    Net net_;
};

}  // namespace l2o::recurrent
