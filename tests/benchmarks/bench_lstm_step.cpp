// One step of l2o_dm and its reverse, per coordinate.
#include <benchmark/benchmark.h>

#include "framework/unroll/stepper.hpp"
#include "tests/support/lab.hpp"

namespace {

using namespace l2o::framework;
using l2o::test::Dtype;
using l2o::test::Lab;

/// l2o_dm on quadratics of n variables, after one step.
class Step {
  public:
    Step(Dtype dtype, std::int64_t n, std::int64_t batch)
        : lab_({.optimizer = "l2o_dm",
                .problem = {.optimizee = "quadratic",
                            .options = {{"n", std::to_string(n)}},
                            .instances = batch,
                            .dtype = dtype}}),
          params_(borrowed()),
          scene_{lab_.optimizer(), lab_.problem().optimizee(), lab_.problem().data(), params_, {1, 2}, 0},
          stepper_(scene_),
          coordinates_(n * batch) {
        for (Point* point : {&from_, &to_, &cot_, &acc_})
            *point = Point(stepper_.layout(), {.g = true, .f = true});
        std::memcpy(
            from_.x[0].data(), lab_.problem().x()[0].data(), static_cast<std::size_t>(from_.x[0].bytes()));
        stepper_.init_state(from_);
        stepper_.advance(from_, to_, 0);
        std::swap(from_, to_);
        stepper_.evaluate(from_, 1, false, true, false);
        cot_.x.copy_from(from_.g);
        cot_.state.copy_from(from_.state);
        std::vector<Tensor> gradient;
        for (const Tensor& param : lab_.params()) gradient.emplace_back(param.dtype(), param.shape());
        gradient_ = TensorSet(std::move(gradient));
        in_ = stepper_.step_in(from_, 1, nullptr);
        out_.struct_size = sizeof out_;
        out_.batch = in_.batch;
        out_.x = to_.x.out();
        out_.state = to_.state.out();
        out_cot_ = out_;
        out_cot_.x = cot_.x.out();
        out_cot_.state = cot_.state.out();
        in_acc_ = in_;
        in_acc_.params = gradient_.in();
        in_acc_.x = acc_.x.in();
        in_acc_.g = acc_.g.in();
        in_acc_.state = acc_.state.in();
    }
    void forward() {
        stepper_.call().check(
            lab_.optimizer().api().step(lab_.optimizer().raw(), stepper_.step_call(1), &in_, &out_), "step");
    }
    void reverse() {
        stepper_.call().check(lab_.optimizer().vjp()->step_vjp(
                                  lab_.optimizer().raw(), stepper_.step_call(1), &in_, &out_cot_, &in_acc_),
                              "step_vjp");
    }
    [[nodiscard]] double coordinates() const { return static_cast<double>(coordinates_); }

  private:
    TensorSet borrowed() {
        std::vector<Tensor> out;
        for (Tensor& tensor : lab_.params())
            out.push_back(Tensor::borrow(tensor.dtype(), tensor.shape(), tensor.data()));
        return TensorSet(std::move(out));
    }

    Lab lab_;
    TensorSet params_, gradient_;
    Scene scene_;
    Stepper stepper_;
    Point from_, to_, cot_, acc_;
    std::int64_t coordinates_;
    l2o_step_in in_{}, in_acc_{};
    l2o_step_out out_{}, out_cot_{};
};

void per_coordinate(benchmark::State& state, double coordinates) {
    state.counters["per_coordinate"] =
        benchmark::Counter(coordinates * static_cast<double>(state.iterations()),
                           benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

template <class Scalar>
void step(benchmark::State& state) {
    Step one(dtype_of<Scalar>(), state.range(0), state.range(1));
    for (auto _ : state) one.forward();
    per_coordinate(state, one.coordinates());
}
template <class Scalar>
void step_vjp(benchmark::State& state) {
    Step one(dtype_of<Scalar>(), state.range(0), state.range(1));
    for (auto _ : state) one.reverse();
    per_coordinate(state, one.coordinates());
}

}  // namespace

BENCHMARK_TEMPLATE(step, float)->ArgNames({"n", "B"})->Args({10, 1})->Args({10, 128});
BENCHMARK_TEMPLATE(step, double)->ArgNames({"n", "B"})->Args({10, 1})->Args({10, 128});
BENCHMARK_TEMPLATE(step_vjp, float)->ArgNames({"n", "B"})->Args({10, 1})->Args({10, 128});
BENCHMARK_TEMPLATE(step_vjp, double)->ArgNames({"n", "B"})->Args({10, 1})->Args({10, 128});
