// A problem of three layers, the second of which has two blocks: f(x) = 1/4 sum x_i^4 + (sum x_i)^2 / 2N over
// all N coordinates.
#include <cstdint>
#include <l2o/numerics/philox.hpp>
#include <l2o/sdk/optimizee.hpp>

namespace {

struct ThreeLayers {
    static constexpr l2o::About about{.id = "three_layers",
                                      .version = "1.0.0",
                                      .title = "Quartic in four blocks",
                                      .doc = "Blocks in, W, b and out; W and b are one layer."};
    std::int64_t n = 3;

    static l2o::Options<ThreeLayers> options() {
        l2o::Options<ThreeLayers> options;
        options.integer("n", &ThreeLayers::n, "coordinates of W", l2o::at_least(1));
        return options;
    }
    void declare(l2o::OptimizeeSpec& spec) const {
        spec.block({.name = "in", .shape = {2}, .layer = 0});
        spec.block({.name = "W", .axes = "n", .shape = {n}, .layer = 1});
        spec.block({.name = "b", .shape = {1}, .layer = 1});
        spec.block({.name = "out", .shape = {2}, .layer = 2});
    }
    template <class T>
    void sample(const l2o::Draw&, const l2o::DataOut<T>&) const {}
    template <class T>
    void init_point(const l2o_call& call, const l2o::DataIn<T>&, const l2o::Tensors<T>& x) const {
        for (std::int64_t row = 0; row < x[0].rows; ++row) {
            l2o::numerics::Stream draws(call.key, call.row0 + static_cast<std::uint64_t>(row));
            for (std::size_t k = 0; k < kBlocks; ++k)
                for (std::int64_t i = 0; i < x[k].cols; ++i) x[k](row, i) = T(draws.normal());
        }
    }
    template <class T>
    void eval(const l2o::EvalIn<T>& in, const l2o::EvalOut<T>& out) const {
        const T coordinates = T(n + 5);
        for (std::int64_t row = 0; row < in.rows(); ++row) {
            T sum = 0, quartic = 0;
            for (std::size_t k = 0; k < kBlocks; ++k)
                for (std::int64_t i = 0; i < in.x(k).cols; ++i) {
                    const T x = in.x(k)(row, i);
                    sum += x, quartic += x * x * x * x / 4;
                }
            if (out.f()) out.f()[row] = quartic + sum * sum / (2 * coordinates);
            for (std::size_t k = 0; k < kBlocks; ++k)
                for (std::int64_t i = 0; out.g(k) && i < in.x(k).cols; ++i) {
                    const T x = in.x(k)(row, i);
                    out.g(k)(row, i) = x * x * x + sum / coordinates;
                }
        }
    }
    template <class T>
    void hvp(const l2o::EvalIn<T>& in,
             const l2o::Tensors<const T>& v_of,
             const l2o::Tensors<T>& hv_of) const {
        for (std::int64_t row = 0; row < in.rows(); ++row) {
            T sum = 0;
            for (std::size_t k = 0; k < kBlocks; ++k)
                for (std::int64_t i = 0; i < in.x(k).cols; ++i) sum += v_of[k](row, i);
            for (std::size_t k = 0; k < kBlocks; ++k)
                for (std::int64_t i = 0; i < in.x(k).cols; ++i) {
                    const T x = in.x(k)(row, i);
                    hv_of[k](row, i) = 3 * x * x * v_of[k](row, i) + sum / T(n + 5);
                }
        }
    }

  private:
    static constexpr std::size_t kBlocks = 4;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizee<ThreeLayers>)
