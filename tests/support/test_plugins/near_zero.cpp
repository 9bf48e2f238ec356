// f(x) = 1/2 |x|^2 from x = 1, with a metric where higher is better, and which takes NAN for the best there
// is.
#include <cstdint>
#include <l2o/sdk/optimizee.hpp>

namespace {

struct NearZero {
    static constexpr l2o::About about{.id = "near_zero",
                                      .version = "1.0.0",
                                      .title = "A bowl with a count of small coordinates",
                                      .doc = "f(x) = 1/2 |x|^2; 'near' counts the x that are not above 1/2."};
    static constexpr std::int64_t n = 3;
    bool gradients = true;

    static l2o::Options<NearZero> options() {
        l2o::Options<NearZero> options;
        options.flag(
            "gradients", &NearZero::gradients, "whether it answers with gradients, not values alone");
        return options;
    }
    void declare(l2o::OptimizeeSpec& spec) {
        if (!gradients) spec.info.answers = L2O_ORACLE_VALUE;
        spec.block({.name = "x", .axes = "n", .shape = {n}});
        near_ = spec.metric("near", "coordinates that are not above 1/2", L2O_SPEC_HIGHER_IS_BETTER);
    }
    template <class T>
    void sample(const l2o::Draw&, const l2o::DataOut<T>&) const {}
    template <class T>
    void init_point(const l2o_call&, const l2o::DataIn<T>&, const l2o::Tensors<T>& x) const {
        for (std::int64_t row = 0; row < x[0].rows; ++row)
            for (std::int64_t i = 0; i < n; ++i) x[0](row, i) = 1;
    }
    template <class T>
    void eval(const l2o::EvalIn<T>& in, const l2o::EvalOut<T>& out) const {
        if (!gradients && out.g(0)) l2o::invalid("a gradient was asked for");
        for (std::int64_t row = 0; row < in.rows(); ++row) {
            T f = 0;
            for (std::int64_t i = 0; i < n; ++i) {
                const T x = in.x(0)(row, i);
                f += x * x / 2;
                if (out.g(0)) out.g(0)(row, i) = x;
            }
            if (out.f()) out.f()[row] = f;
        }
    }
    template <class T>
    void metrics(const l2o::EvalIn<T>& in, const l2o::MetricsOut<T>& out) const {
        for (std::int64_t row = 0; row < in.rows(); ++row) {
            std::int64_t near = 0;
            for (std::int64_t i = 0; i < n; ++i) near += in.x(0)(row, i) > T(0.5) ? 0 : 1;
            if (out[near_]) out[near_][row] = static_cast<T>(near);
        }
    }

  private:
    l2o::Metric near_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizee<NearZero>)
