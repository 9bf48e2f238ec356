// Gradient descent that reports the mean of its iterates (Polyak & Juditsky 1992): the smallest method with a
// recommendation.
#include <cstdint>
#include <l2o/sdk/optimizer.hpp>

namespace {

struct AveragedDescent {
    static constexpr l2o::About about{.id = "averaged_descent",
                                      .version = "1.0.0",
                                      .title = "Gradient descent with averaging",
                                      .doc = "x' = x - learning_rate g; reported is the mean of x_0 .. x_t."};
    double learning_rate = 0.1;

    static l2o::Options<AveragedDescent> options() {
        l2o::Options<AveragedDescent> options;
        options.real("learning_rate", &AveragedDescent::learning_rate, "the step");
        return options;
    }
    void declare(l2o::OptimizerSpec& spec) {
        spec.minimises().reads_g();
        sum_ = spec.state_like_x("sum", "of the iterates before");
    }
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        for (std::size_t k = 0; k < in.blocks(); ++k)
            l2o::each(
                [&](T x, T g, T sum, T& x_next, T& sum_next) {
                    x_next = x - T(learning_rate) * g;
                    sum_next = sum + x;
                },
                in.x(k),
                in.g(k),
                in.state(sum_[k]),
                out.x(k),
                out.state(sum_[k]));
    }
    template <class T>
    void recommend(const l2o::StepIn<T>& in, const l2o::Tensors<T>& x) const {
        for (std::size_t k = 0; k < in.blocks(); ++k)
            l2o::each([&](T now, T sum, T& mean) { mean = (sum + now) / T(in.t() + 1); },
                      in.x(k),
                      in.state(sum_[k]),
                      x[k]);
    }

  private:
    l2o::BlockStates sum_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<AveragedDescent>)
