#pragma once

#include <cstdint>
#include <l2o/numerics/random_rows.hpp>
#include <l2o/sdk/optimizee.hpp>

namespace l2o::broken {

/// A sound optimizee: f(x) = 1/4 sum (x_i - c_i)^4.
struct Bowl {
    static constexpr About about_as(const char* id) {
        return {.id = id, .version = "1.0.0", .title = "A broken optimizee", .doc = "For tests."};
    }
    static constexpr std::int64_t n = 6;

    void declare(OptimizeeSpec& spec) {
        spec.block({.name = "x", .axes = "n", .shape = {n}});
        c = spec.data({.name = "c", .doc = "the minimum", .axes = "n", .shape = {n}, .batched = true});
    }
    template <class T>
    void sample(const Draw& draw, const DataOut<T>& data) const {
        numerics::fill_rows(draw, data, c, [](numerics::Stream& random) { return random.normal(); });
    }
    template <class T>
    void init_point(const l2o_call& call, const DataIn<T>&, const Tensors<T>& x) const {
        numerics::fill_rows(
            x[0], call.key, call.row0, 0, [](numerics::Stream& random) { return random.normal(); });
    }
    template <class T>
    void eval(const EvalIn<T>& in, const EvalOut<T>& out) const {
        for (std::int64_t row = 0; row < in.rows(); ++row) {
            T f = 0;
            for (std::int64_t i = 0; i < n; ++i) {
                const T d = in.x(0)(row, i) - in.data(c)(in.instance(row), i);
                f += d * d * d * d / 4;
                if (out.g(0)) out.g(0)(row, i) = d * d * d;
            }
            if (out.f()) out.f()[row] = f;
        }
    }

    Data c;
};

}  // namespace l2o::broken
