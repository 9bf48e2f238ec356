#pragma once

#include <l2o/sdk/optimizer.hpp>

namespace l2o::broken {

/// A sound optimizer with all there is to break: v' = mu v + g, x' = x - eta v' with a learned mu.
struct Descent {
    static constexpr About about_as(const char* id) {
        return {.id = id, .version = "1.0.0", .title = "A broken optimizer", .doc = "For tests."};
    }
    static constexpr double kEta = 0.1;

    void declare(OptimizerSpec& spec) {
        spec.reads_g().coordinatewise();
        mu = spec.param({.name = "mu", .doc = "share of v that is kept"});
        v = spec.state_like_x("v");
    }
    template <class T>
    void init_params(const l2o_call&, const NeedsIn<T>&, const ParamsOut<T>& params) const {
        if (params[mu]) params[mu].scalar() = T(0.9);
    }
    template <class T>
    void step(const StepIn<T>& in, const StepOut<T>& out) const {
        const T keep = in.param(mu).scalar();
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            each(
                [=](T x, T g, T v0, T& x1, T& v1) {
                    v1 = keep * v0 + g;
                    x1 = x - T(kEta) * v1;
                },
                in.x(k),
                in.g(k),
                in.state(v[k]),
                out.x(k),
                out.state(v[k]));
        }
    }

    Param mu;
    BlockStates v;
};

}  // namespace l2o::broken
