// A stochastic problem, f(x) = 1/4 sum_i (x_i - z_i)^4 with z drawn anew for every minibatch; and the same
// without a Hessian-vector product.
#include <cstdint>
#include <l2o/numerics/philox.hpp>
#include <l2o/sdk/optimizee.hpp>

namespace {

struct NoisyQuartic {
    static constexpr l2o::About about{
        .id = "noisy_quartic",
        .version = "1.0.0",
        .title = "Quartic with a random centre per minibatch",
        .doc = "f(x) = 1/4 sum (x_i - z_i)^4, z ~ N(0, 1) named by the batch key."};
    std::int64_t n = 4;

    template <class Problem>
    static l2o::Options<Problem> options_of() {
        l2o::Options<Problem> options;
        options.integer("n", &Problem::n, "number of variables", l2o::at_least(1));
        return options;
    }
    static l2o::Options<NoisyQuartic> options() { return options_of<NoisyQuartic>(); }

    void declare(l2o::OptimizeeSpec& spec) const {
        spec.block({.name = "x", .axes = "n", .shape = {n}});
        spec.flag(L2O_FLAG_STOCHASTIC);
    }
    template <class T>
    void sample(const l2o::Draw&, const l2o::DataOut<T>&) const {}
    template <class T>
    void init_point(const l2o_call& call, const l2o::DataIn<T>&, const l2o::Tensors<T>& x) const {
        for (std::int64_t row = 0; row < x[0].rows; ++row) {
            l2o::numerics::Stream draws(call.key, call.row0 + static_cast<std::uint64_t>(row));
            for (std::int64_t i = 0; i < n; ++i) x[0](row, i) = T(draws.normal());
        }
    }
    template <class T>
    void eval(const l2o::EvalIn<T>& in, const l2o::EvalOut<T>& out) const {
        for_each(in, [&](std::int64_t row, std::int64_t i, T d) {
            if (out.f()) out.f()[row] = (i == 0 ? 0 : out.f()[row]) + d * d * d * d / 4;
            if (out.g(0)) out.g(0)(row, i) = d * d * d;
        });
    }

  protected:
    template <class T, class Body>
    void for_each(const l2o::EvalIn<T>& in, Body&& body) const {
        for (std::int64_t row = 0; row < in.rows(); ++row) {
            l2o::numerics::Stream draws(in.raw().batch_key, in.call.row0 + static_cast<std::uint64_t>(row));
            for (std::int64_t i = 0; i < n; ++i) body(row, i, in.x(0)(row, i) - T(draws.normal()));
        }
    }
};

struct WithHvp : NoisyQuartic {
    static l2o::Options<WithHvp> options() { return options_of<WithHvp>(); }
    template <class T>
    void hvp(const l2o::EvalIn<T>& in,
             const l2o::Tensors<const T>& v_of,
             const l2o::Tensors<T>& hv_of) const {
        for_each(in, [&](std::int64_t row, std::int64_t i, T d) {
            hv_of[0](row, i) = 3 * d * d * v_of[0](row, i);
        });
    }
};

struct WithoutHvp : NoisyQuartic {
    static constexpr l2o::About about{.id = "without_hvp",
                                      .version = "1.0.0",
                                      .title = "noisy_quartic without its Hessian",
                                      .doc = "See noisy_quartic."};
    static l2o::Options<WithoutHvp> options() { return options_of<WithoutHvp>(); }
};

}  // namespace

L2O_PLUGIN(l2o::Optimizee<WithHvp>, l2o::Optimizee<WithoutHvp>)
