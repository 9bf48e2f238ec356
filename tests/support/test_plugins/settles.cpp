// Gradient descent that says by itself which rows are done: the smallest method with L2O_OPTIMIZER_ENDS_ROWS.
#include <cstdint>
#include <l2o/sdk/optimizer.hpp>

namespace {

struct Settles {
    static constexpr l2o::About about{
        .id = "settles",
        .version = "1.0.0",
        .title = "Gradient descent that ends rows",
        .doc = "x' = x - learning_rate g; a row has converged once f <= good, and failed once f >= bad."};
    double learning_rate = 0.1, good = 0, bad = 1e30;

    static l2o::Options<Settles> options() {
        l2o::Options<Settles> options;
        options.real("learning_rate", &Settles::learning_rate, "the step")
            .real("good", &Settles::good, "an objective that is good enough")
            .real("bad", &Settles::bad, "an objective that is given up");
        return options;
    }
    void declare(l2o::OptimizerSpec& spec) const { spec.minimises().reads_f().reads_g().ends_rows(); }
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        for (std::size_t k = 0; k < in.blocks(); ++k)
            l2o::each(
                [&](T x, T g, T& x_next) { x_next = x - T(learning_rate) * g; }, in.x(k), in.g(k), out.x(k));
        for (std::int64_t row = 0; row < in.batch(); ++row) {
            if (in.f()[row] <= T(good)) out.end(row, L2O_ROW_CONVERGED);
            if (in.f()[row] >= T(bad)) out.end(row, L2O_ROW_FAILED);
        }
    }
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<Settles>)
