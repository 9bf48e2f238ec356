#include "descent.hpp"

// Optimizers that claim of a point, a parameter or an instance what is not so.
namespace {

using l2o::broken::Descent;

struct SaysUnchanged : Descent {
    static constexpr l2o::About about = about_as("says_unchanged");
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        Descent::step(in, out);
        for (std::int64_t row = 0; row < in.batch(); ++row) out.x_is_unchanged(row);
    }
};

struct SaysUnchangedLate : Descent {
    static constexpr l2o::About about = about_as("says_unchanged_late");
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        Descent::step(in, out);
        for (std::int64_t row = 0; row < in.batch() && in.t() >= 20; ++row) out.x_is_unchanged(row);
    }
};

struct NamesNoQuestion : Descent {
    static constexpr l2o::About about = about_as("names_no_question");
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        Descent::step(in, out);
        for (std::int64_t row = 0; row < in.batch(); ++row) out.x_is_question(row, 0);
    }
};

struct LeavesTheBox : Descent {
    static constexpr l2o::About about = about_as("leaves_the_box");
    void declare(l2o::OptimizerSpec& spec) {
        Descent::declare(spec);
        spec.keeps_bounds();
    }
};

/// A parameter with a claim about when it is used, or where it comes from.
struct HasRate : Descent {
    void declare_as(l2o::OptimizerSpec& spec, l2o::TensorSpec tensor) {
        Descent::declare(spec);
        spec.drop(L2O_OPTIMIZER_COORDINATEWISE);
        rate = spec.param(std::move(tensor));
    }
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        const T eta = in.param(rate).scalar();
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            l2o::each([=](T x, T g, T& x1, T& v1) { v1 = g, x1 = x - eta * g; },
                      in.x(k),
                      in.g(k),
                      out.x(k),
                      out.state(v[k]));
        }
    }
    l2o::Param rate;
};

struct UsedEarly : HasRate {
    static constexpr l2o::About about = about_as("used_early");
    void declare(l2o::OptimizerSpec& spec) { declare_as(spec, {.name = "rate", .layer = 3}); }
    template <class T>
    void init_params(const l2o_call& call,
                     const l2o::NeedsIn<T>& data,
                     const l2o::ParamsOut<T>& params) const {
        Descent::init_params(call, data, params);
        if (params[rate]) params[rate].scalar() = T(0.1);
    }
};

struct DerivedFromTheKey : HasRate {
    static constexpr l2o::About about = about_as("derived_from_the_key");
    void declare(l2o::OptimizerSpec& spec) { declare_as(spec, {.name = "rate", .flags = L2O_SPEC_DERIVED}); }
    template <class T>
    void init_params(const l2o_call& call,
                     const l2o::NeedsIn<T>& data,
                     const l2o::ParamsOut<T>& params) const {
        Descent::init_params(call, data, params);
        if (params[rate]) params[rate].scalar() = T(0.001) * T(1 + call.key[0] % 16);
    }
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<SaysUnchanged>,
           l2o::Optimizer<SaysUnchangedLate>,
           l2o::Optimizer<NamesNoQuestion>,
           l2o::Optimizer<LeavesTheBox>,
           l2o::Optimizer<UsedEarly>,
           l2o::Optimizer<DerivedFromTheKey>)
