// One step of l2o_dm and its reverse, per coordinate, the same of l2o_swarm; and the LSTM kernels over T
// steps against LibTorch, the two alternating within one run: see README.md.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <functional>
#include <l2o/numerics/lstm.hpp>
#include <l2o/numerics/philox.hpp>
#include <limits>
#include <stdexcept>
#include <vector>

#include "framework/rollout/stepper.hpp"
#include "tests/support/lab.hpp"
#ifdef L2O_BENCH_WITH_TORCH
#include "tests/benchmarks/lstm_torch.hpp"
#endif

namespace {

using namespace l2o::framework;
using l2o::test::Dtype;
using l2o::test::Lab;

/// An optimizer on problems of n variables, after one step.
class Step {
  public:
    Step(Dtype dtype,
         std::int64_t n,
         std::int64_t batch,
         const char* optimizer = "l2o_dm",
         const char* optimizee = "quadratic")
        : lab_({.optimizer = optimizer,
                .problem = {.optimizee = optimizee,
                            .options = {{"n", std::to_string(n)}},
                            .instances = batch,
                            .dtype = dtype}}),
          params_(borrowed()),
          scene_{lab_.optimizer(), lab_.problem().optimizee(), lab_.problem().data(), params_, {1, 2}, 0},
          stepper_(scene_),
          coordinates_(n * batch * std::max<std::int64_t>(1, stepper_.layout().particles)) {
        for (Point* point : {&from_, &to_, &cot_, &acc_})
            *point = Point(stepper_.layout(), {.g = true, .f = true});
        set_start();
        stepper_.init_state(from_);
        stepper_.advance(from_, to_, 0);
        std::swap(from_, to_);
        stepper_.evaluate(from_, 1, true, true, kFree);
        cot_.x.copy_from(from_.g);
        cot_.state.copy_from(from_.state);
        std::vector<Tensor> gradient;
        for (const Tensor& param : lab_.params()) gradient.emplace_back(param.dtype(), param.shape());
        gradient_ = TensorSet(std::move(gradient));
        in_ = stepper_.step_in(from_, 1, nullptr);
        out_.x = to_.x.out();
        out_.state = to_.state.out();
        x_is_ = Tensor(Dtype::kI32, stepper_.layout().f);
        out_.x_is = x_is_.abi();
        cot_of_.x = cot_.x.in();
        cot_of_.state = cot_.state.in();
        acc_of_.params = gradient_.out();
        acc_of_.x = acc_.x.out();
        acc_of_.g = acc_.g.out();
        acc_of_.state = acc_.state.out();
    }
    void forward() {
        stepper_.call().check(
            lab_.optimizer().api().step(lab_.optimizer().raw(), stepper_.step_call(1), &in_, &out_), "step");
    }
    void reverse() {
        stepper_.call().check(
            lab_.optimizer().vjp()->step_vjp(
                lab_.optimizer().raw(), stepper_.step_call(1), &in_, nullptr, &cot_of_, &acc_of_),
            "step_vjp");
    }
    [[nodiscard]] double coordinates() const { return static_cast<double>(coordinates_); }

  private:
    /// The particles of a population each somewhere else.
    void set_start() {
        const std::vector<double> start = l2o::test::values(lab_.problem().x()[0]);
        std::vector<double> all(static_cast<std::size_t>(from_.x[0].size()));
        for (std::size_t i = 0; i < all.size(); ++i)
            all[i] = i < start.size() ? start[i] : std::sin(static_cast<double>(i));
        l2o::test::set_values(from_.x[0], all);
    }
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
    Tensor x_is_;
    l2o_step_in in_{};
    l2o_step_out out_{};
    l2o_step_cot cot_of_{};
    l2o_step_acc acc_of_{};
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

/// l2o_swarm, whose steps follow the training of a window: forward, and forward and back.
void swarm_step(benchmark::State& state, bool trains) {
    Step one(Dtype::kF32, state.range(0), state.range(1), "l2o_swarm", "rastrigin");
    for (auto _ : state) {
        one.forward();
        if (trains) one.reverse();
    }
    per_coordinate(state, one.coordinates());
}

/// Of the processor: what other programs take of the machine is not counted.
double seconds(const std::function<void()>& body) {
    const auto now = [] {
        timespec time{};
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
        return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
    };
    const double begin = now();
    body();
    return now() - begin;
}

constexpr int kChains = 10;
using Packet = l2o::numerics::Packet<float>;

/// Multiplications and additions in as many chains as it takes to keep the units busy.
Packet multiply_add(int rounds) {
    Packet sums[kChains] = {};
    for (int i = 0; i < kChains; ++i) sums[i] += static_cast<float>(i);
    for (int round = 0; round < rounds; ++round) {
#pragma GCC unroll 10
        for (Packet& sum : sums) sum = sum * 0.999F + 1e-3F;
    }
    Packet total{};
    for (const Packet& sum : sums) total += sum;
    return total;
}
double peak_flops() {
    constexpr int kRounds = 20000;
    constexpr std::size_t kLanes = sizeof(Packet) / sizeof(float);
    volatile float result = 0;
    const double time = seconds([&] { result = multiply_add(kRounds)[0]; });
    return 2.0 * kChains * kRounds * static_cast<double>(kLanes) / time;
}

/// Aligned as the host's tensors and scratch memory are, and LibTorch's.
using Floats = std::vector<float, Eigen::aligned_allocator<float>>;

/// The network of L2O-DM on n coordinates for T steps, block by block: a block goes through all steps while
/// it is in the cache, forwards and back, which is what slices of a coordinate-wise optimizer are for.
class Kernel {
  public:
    static constexpr std::int64_t kInputs = 2, kHidden = 20, kBlock = 64, kGates = 4 * kHidden;

    Kernel(std::int64_t n, std::int64_t steps) : n_(n), steps_(steps) {
        auto normals = [index = 0](std::int64_t count, double scale) mutable {
            l2o::numerics::Stream random(l2o::numerics::Key{7, 7}, static_cast<std::uint64_t>(index++));
            Floats out(static_cast<std::size_t>(count));
            for (float& value : out) value = static_cast<float>(scale * random.normal());
            return out;
        };
        w1_ = normals((kInputs + kHidden) * kGates, 0.2), b1_ = normals(kGates, 0.2);
        w2_ = normals(2 * kHidden * kGates, 0.15), b2_ = normals(kGates, 0.15);
        w_ = normals(kHidden, 0.2), b_ = normals(1, 0.2);
        x_ = normals(steps * kInputs * n, 1), bar_ = normals(steps * n, 1);
        state_ = normals(4 * n * kHidden, 0.3);
        read_outs_.resize(bar_.size());
        last_.resize(state_.size());
        points_.resize(static_cast<std::size_t>((steps + 1) * kPoint));
        cot_.resize(kPoint);
        tape_.resize(2 * l2o::numerics::kLstmTapeRows * kHidden * kBlock);
        workspace_.resize(
            static_cast<std::size_t>(l2o::numerics::lstm_vjp_workspace<float>(kHidden, kBlock)));
    }

    void forward() {
        for (std::int64_t first = 0; first < n_; first += kBlock) {
            const std::int64_t count = load(first);
            for (std::int64_t t = 0; t < steps_; ++t) step(first, count, t, t % 2, (t + 1) % 2, nullptr);
            for (int i = 0; i < 4; ++i)
                l2o::numerics::transpose(at(steps_ % 2, i).data,
                                         kHidden,
                                         count,
                                         kBlock,
                                         last_.data() + (i * n_ + first) * kHidden,
                                         kHidden);
        }
    }

    /// Forward keeping the states, then back with every step done again for its tape.
    void train() {
        w1_bar_.assign(w1_.size(), 0), b1_bar_.assign(b1_.size(), 0);
        w2_bar_.assign(w2_.size(), 0), b2_bar_.assign(b2_.size(), 0);
        w_bar_.assign(w_.size(), 0), b_bar_ = 0;
        for (std::int64_t first = 0; first < n_; first += kBlock) {
            const std::int64_t count = load(first);
            for (std::int64_t t = 0; t < steps_; ++t) step(first, count, t, t, t + 1, nullptr);
            std::fill(cot_.begin(), cot_.end(), 0.0F);
            for (std::int64_t t = steps_; t-- > 0;) {
                step(first, count, t, t, t + 1, tape_.data());
                step_back(first, count, t);
            }
        }
    }

    [[nodiscard]] double coordinate_steps() const { return static_cast<double>(n_ * steps_); }
    [[nodiscard]] const Floats& read_outs() const { return read_outs_; }
    /// Cotangents of the weights of both layers.
    [[nodiscard]] std::vector<double> weights_bar() const {
        std::vector<double> out = w1_bar_;
        out.insert(out.end(), w2_bar_.begin(), w2_bar_.end());
        return out;
    }
#ifdef L2O_BENCH_WITH_TORCH
    [[nodiscard]] l2o::bench::LstmTask task() const {
        return {kInputs,
                kHidden,
                n_,
                steps_,
                w1_.data(),
                b1_.data(),
                w2_.data(),
                b2_.data(),
                w_.data(),
                b_.data(),
                x_.data(),
                state_.data(),
                bar_.data()};
    }
#endif

  private:
    using Block = l2o::numerics::Block<float>;
    static constexpr std::int64_t kPoint = 4 * kHidden * kBlock;

    /// h1, c1, h2, c2 before step t.
    [[nodiscard]] Block at(std::int64_t t, int i) {
        return {points_.data() + t * kPoint + i * kHidden * kBlock, kBlock};
    }
    [[nodiscard]] Block cot(int i) { return {cot_.data() + i * kHidden * kBlock, kBlock}; }
    [[nodiscard]] l2o::numerics::Block<const float> input(std::int64_t first, std::int64_t t) const {
        return {x_.data() + t * kInputs * n_ + first, n_};
    }
    std::int64_t load(std::int64_t first) {
        const std::int64_t count = std::min(kBlock, n_ - first);
        for (int i = 0; i < 4; ++i)
            l2o::numerics::transpose(
                state_.data() + (i * n_ + first) * kHidden, count, kHidden, kHidden, at(0, i).data, kBlock);
        return count;
    }
    void step(std::int64_t first,
              std::int64_t count,
              std::int64_t t,
              std::int64_t from,
              std::int64_t to,
              float* tape) {
        const std::int64_t layer = l2o::numerics::kLstmTapeRows * kHidden * kBlock;
        l2o::numerics::lstm_forward(layer1(),
                                    count,
                                    {input(first, t), at(from, 0), at(from, 1)},
                                    {at(to, 0), at(to, 1)},
                                    {tape, kBlock});
        l2o::numerics::lstm_forward(layer2(),
                                    count,
                                    {at(to, 0), at(from, 2), at(from, 3)},
                                    {at(to, 2), at(to, 3)},
                                    {tape == nullptr ? nullptr : tape + layer, kBlock});
        if (tape != nullptr) return;
        Eigen::Map<Eigen::ArrayXf> out(read_outs_.data() + t * n_ + first, count);
        out = b_[0];
        for (std::int64_t unit = 0; unit < kHidden; ++unit)
            out += w_[static_cast<std::size_t>(unit)] *
                   Eigen::Map<const Eigen::ArrayXf>(at(to, 2).at(unit, 0), count);
    }
    void step_back(std::int64_t first, std::int64_t count, std::int64_t t) {
        using Row = Eigen::Map<Eigen::ArrayXf>;
        const Eigen::Map<const Eigen::ArrayXf> bar(bar_.data() + t * n_ + first, count);
        for (std::int64_t unit = 0; unit < kHidden; ++unit) {
            const auto i = static_cast<std::size_t>(unit);
            w_bar_[i] += static_cast<double>((Row(at(t + 1, 2).at(unit, 0), count) * bar).sum());
            Row(cot(2).at(unit, 0), count) += w_[i] * bar;
        }
        b_bar_ += static_cast<double>(bar.sum());
        const std::int64_t layer = l2o::numerics::kLstmTapeRows * kHidden * kBlock;
        l2o::numerics::lstm_vjp(layer2(),
                                count,
                                {at(t + 1, 0), at(t, 2), at(t, 3)},
                                {tape_.data() + layer, kBlock},
                                {cot(2), cot(3)},
                                l2o::numerics::LstmGradient<float, double>{
                                    w2_bar_.data(), b2_bar_.data(), cot(0), cot(2), cot(3)},
                                workspace_.data());
        l2o::numerics::lstm_vjp(layer1(),
                                count,
                                {input(first, t), at(t, 0), at(t, 1)},
                                {tape_.data(), kBlock},
                                {cot(0), cot(1)},
                                l2o::numerics::LstmGradient<float, double>{
                                    w1_bar_.data(), b1_bar_.data(), Block{}, cot(0), cot(1)},
                                workspace_.data());
    }
    [[nodiscard]] l2o::numerics::LstmCell<float> layer1() const {
        return {kInputs, kHidden, w1_.data(), b1_.data()};
    }
    [[nodiscard]] l2o::numerics::LstmCell<float> layer2() const {
        return {kHidden, kHidden, w2_.data(), b2_.data()};
    }

    std::int64_t n_, steps_;
    Floats w1_, b1_, w2_, b2_, w_, b_, x_, bar_, state_, read_outs_, last_;
    Floats points_, cot_, tape_, workspace_;
    std::vector<double> w1_bar_, b1_bar_, w2_bar_, b2_bar_, w_bar_;
    double b_bar_ = 0;
};

#ifdef L2O_BENCH_WITH_TORCH
using l2o::bench::TorchLstm;

/// That both compute the same thing.
void check_agreement(Kernel& kernel, TorchLstm& torch) {
    const auto distance = [](const auto& ours, const std::vector<float>& theirs) {
        double difference = 0, size = 0;
        for (std::size_t i = 0; i < theirs.size(); ++i) {
            difference += std::pow(static_cast<double>(ours[i]) - static_cast<double>(theirs[i]), 2);
            size += std::pow(static_cast<double>(theirs[i]), 2);
        }
        return std::sqrt(difference / size);
    };
    kernel.forward(), torch.forward();
    if (!(distance(kernel.read_outs(), torch.read_outs()) < 1e-5))
        throw std::runtime_error("the read-outs: l2o and LibTorch disagree");
    kernel.train(), torch.train();
    if (!(distance(kernel.weights_bar(), torch.weights_bar()) < 1e-4))
        throw std::runtime_error("the gradient: l2o and LibTorch disagree");
}
#endif

/// Flops of a coordinate-step, an exponential or tanh counted as 19 multiplications and additions of which
/// there are 200: forward 9960 of the products; the reverse with the forward done twice 41 000.
constexpr double kForwardFlops = 9960 + 200 * 2 * 19, kTrainFlops = 41000 + 2 * 200 * 2 * 19;

void kernel(benchmark::State& state, bool trains) {
    Kernel l2o(state.range(0), state.range(1));
    constexpr double kNever = std::numeric_limits<double>::infinity();
    double best = kNever, peak = 0;
    const auto run = [trains](auto& side) {
        return seconds([&] { trains ? side.train() : side.forward(); });
    };
#ifdef L2O_BENCH_WITH_TORCH
    TorchLstm::set_threads(1);
    TorchLstm cell(TorchLstm::Form::kCell, l2o.task()), rows(TorchLstm::Form::kFeatureMajor, l2o.task());
    check_agreement(l2o, cell);
    check_agreement(l2o, rows);
    double cell_best = kNever, rows_best = kNever;
#endif
    for (auto _ : state) {
        const double time = run(l2o);
        best = std::min(best, time);
        state.SetIterationTime(time);
        peak = std::max(peak, peak_flops());
#ifdef L2O_BENCH_WITH_TORCH
        cell_best = std::min(cell_best, run(cell));
        rows_best = std::min(rows_best, run(rows));
#endif
    }
    state.counters["ns"] = 1e9 * best / l2o.coordinate_steps();
    state.counters["peak_gflops"] = 1e-9 * peak;
    state.counters["share_of_floor"] =
        (trains ? kTrainFlops : kForwardFlops) / peak * l2o.coordinate_steps() / best;
#ifdef L2O_BENCH_WITH_TORCH
    state.counters["lstm_cell/l2o"] = cell_best / best;
    state.counters["feature_major/l2o"] = rows_best / best;
#endif
}

void sizes(benchmark::internal::Benchmark* one) {
    one->ArgNames({"n", "T"})->Args({128, 20})->Args({1280, 20})->Args({15910, 20})->Args({1000000, 1});
    one->UseManualTime()->Unit(benchmark::kMillisecond);
}

}  // namespace

BENCHMARK_CAPTURE(kernel, forward, false)->Apply(sizes);
BENCHMARK_CAPTURE(kernel, train, true)->Apply(sizes);
BENCHMARK_CAPTURE(swarm_step, forward, false)->ArgNames({"n", "B"})->Args({10, 128});
BENCHMARK_CAPTURE(swarm_step, train, true)->ArgNames({"n", "B"})->Args({10, 128});
BENCHMARK_TEMPLATE(step, float)->ArgNames({"n", "B"})->Args({10, 1})->Args({10, 128});
BENCHMARK_TEMPLATE(step, double)->ArgNames({"n", "B"})->Args({10, 1})->Args({10, 128});
BENCHMARK_TEMPLATE(step_vjp, float)->ArgNames({"n", "B"})->Args({10, 1})->Args({10, 128});
BENCHMARK_TEMPLATE(step_vjp, double)->ArgNames({"n", "B"})->Args({10, 1})->Args({10, 128});
