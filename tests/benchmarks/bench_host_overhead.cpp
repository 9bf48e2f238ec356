// Host overhead of one optimizer step, B = 1, n = 10, float64: the framework's loop (evaluate what the
// optimizer reads, step) minus the same two plugin functions called straight through the ABI tables.
#include <benchmark/benchmark.h>

#include <chrono>
#include <utility>

#include "framework/rollout/stepper.hpp"
#include "tests/support/lab.hpp"

namespace {

using namespace l2o::framework;
using l2o::test::Lab;

constexpr std::int64_t kSteps = 1000;  // per measurement

/// Both loops over the same instances; the points go back to the start after kSteps steps.
class Loops {
  public:
    Loops(const char* optimizer, const char* optimizee)
        : lab_({.optimizer = optimizer,
                .options = {{"learning_rate", "1e-3"}},
                .problem = {.optimizee = optimizee, .options = {{"n", "10"}}, .instances = 1}}),
          scene_{lab_.optimizer(), lab_.problem().optimizee(), lab_.problem().data(), params_, {1, 2}, 0},
          stepper_(scene_) {
        for (Point& point : points_) point = Point(stepper_.layout(), stepper_.parts());
        data_ = abi_data(lab_.problem().data());
        const auto scratch = lab_.problem().optimizee().info();
        call_.reserve_scratch(scratch.scratch_fixed + scratch.scratch_per_row +
                              lab_.optimizer().info().scratch_fixed +
                              lab_.optimizer().info().scratch_per_row);
    }

    void host() {
        start();
        for (std::int64_t t = 0; t < kSteps; ++t) stepper_.advance(points_[t & 1], points_[(t + 1) & 1], t);
        benchmark::DoNotOptimize(points_[0].x[0].data());
    }

    void direct() {
        start();
        const Optimizer& optimizer = lab_.optimizer();
        const Optimizee& optimizee = lab_.problem().optimizee();
        l2o_points at{};
        at.batch = at.rows_per_instance = 1;
        at.data = data_.data();
        l2o_eval_out answer{};
        l2o_step_in in{};
        in.batch = 1;
        l2o_step_out out{};
        out.x_is = x_is_.abi();
        l2o_status status = L2O_STATUS_OK;
        for (std::int64_t t = 0; t < kSteps; ++t) {
            Point &from = points_[t & 1], &to = points_[(t + 1) & 1];
            at.x = from.x.in();
            answer.g = from.g.out();
            status |= optimizee.api().eval(optimizee.raw(), call_.plain(), &at, &answer);
            in.t = t;
            in.x = from.x.in();
            in.g = from.g.in();
            in.state = from.state.in();
            out.x = to.x.out();
            out.state = to.state.out();
            status |= optimizer.api().step(optimizer.raw(), call_.plain(), &in, &out);
        }
        call_.check(status, "direct");
        benchmark::DoNotOptimize(points_[0].x[0].data());
    }

  private:
    void start() {
        std::memcpy(points_[0].x[0].data(), lab_.problem().x()[0].data(), 80);
        stepper_.init_state(points_[0]);
        for (Point& point : points_) point.forget();
    }

    Lab lab_;
    TensorSet params_;
    Scene scene_;
    Stepper stepper_;
    Point points_[2];
    Tensor x_is_{Dtype::kI32, {1}};
    std::vector<const l2o_tensor*> data_;
    CallContext call_;
};

template <class Body>
double seconds(Body&& body) {
    const auto begin = std::chrono::steady_clock::now();
    body();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// The two loops alternate, so that both see the same machine; the time of the benchmark is that of the
/// host's. The fastest of many runs is reported: what other programs take from the machine only adds.
void host_overhead(benchmark::State& state, const char* optimizer, const char* optimizee) {
    Loops loops(optimizer, optimizee);
    double host_best = 1, direct_best = 1;
    for (auto _ : state) {
        const double host = seconds([&] { loops.host(); });
        direct_best = std::min(direct_best, seconds([&] { loops.direct(); }));
        host_best = std::min(host_best, host);
        state.SetIterationTime(host);
    }
    state.counters["host_ns"] = host_best / kSteps * 1e9;
    state.counters["direct_ns"] = direct_best / kSteps * 1e9;
    state.counters["overhead_ns"] = (host_best - direct_best) / kSteps * 1e9;
}

}  // namespace

BENCHMARK_CAPTURE(host_overhead, gradient_descent / quadratic, "gradient_descent", "quadratic")
    ->UseManualTime();
BENCHMARK_CAPTURE(host_overhead, adam / quadratic, "adam", "quadratic")->UseManualTime();
BENCHMARK_CAPTURE(host_overhead, gradient_descent / rastrigin, "gradient_descent", "rastrigin")
    ->UseManualTime();
BENCHMARK_CAPTURE(host_overhead, adam / rastrigin, "adam", "rastrigin")->UseManualTime();
