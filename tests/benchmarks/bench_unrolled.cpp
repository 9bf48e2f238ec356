// The unrolled family at the survey's size, (m, n) = (256, 512), 16 layers, float32, against LibTorch, FISTA
// and the machine's sgemm. What is compared alternates within one run, so that both sides see the same
// machine, and the fastest of all runs is reported: what other programs take from the machine only adds.
#include <benchmark/benchmark.h>
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <functional>
#include <l2o/numerics/dense.hpp>
#include <limits>
#include <span>
#include <stdexcept>

#include "framework/plugin/loss.hpp"
#include "framework/rollout/stepper.hpp"
#include "framework/solve/solver.hpp"
#include "framework/store/safetensors.hpp"
#include "framework/train/shards.hpp"
#include "framework/weights/weights.hpp"
#include "tests/framework/store/scratch_folder.hpp"
#include "tests/support/lab.hpp"
#ifdef L2O_BENCH_WITH_TORCH
#include "tests/benchmarks/unrolled_torch.hpp"
#endif
#ifdef L2O_BENCH_WITH_BLAS
extern "C" void sgemm_(const char*,
                       const char*,
                       const int*,
                       const int*,
                       const int*,
                       const float*,
                       const float*,
                       const int*,
                       const float*,
                       const int*,
                       const float*,
                       float*,
                       const int*);
#endif

namespace {

using namespace l2o::framework;
using l2o::test::catalog;

constexpr std::int64_t kN = 512, kLayers = 16, kBatch = 128;
constexpr std::size_t kM = 256;

double seconds(const std::function<void()>& body) {
    const auto begin = std::chrono::steady_clock::now();
    body();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// Threads of a BLAS that has its own.
void set_blas_threads(int threads) {
    using Setter = void (*)(int);
    if (const auto set = reinterpret_cast<Setter>(dlsym(RTLD_DEFAULT, "openblas_set_num_threads")))
        set(threads);
}

ResolvedOptions options_of(const Catalog::Entry& entry, const l2o::test::OptionText& options) {
    return resolve_options(entry.component.options,
                           settings_from(options, {.file = "benchmark"}),
                           {.origin = "benchmark",
                            .path = "options",
                            .kind = name_of(entry.component.kind),
                            .id = entry.component.id});
}

/// An optimizer on sparse recovery as `l2o train` runs it: a batch in shards, one step of the schedule.
class Training {
  public:
    Training(const std::string& optimizer, int threads)
        : optimizee_(find(Kind::kOptimizee, "sparse_recovery"),
                     options_of(find(Kind::kOptimizee, "sparse_recovery"), {}),
                     Dtype::kF32),
          optimizer_(find(Kind::kOptimizer, optimizer),
                     options_of(find(Kind::kOptimizer, optimizer), {}),
                     task_of(optimizee_, kLayers)),
          loss_(find(Kind::kLoss, "mse_to_solution"),
                options_of(find(Kind::kLoss, "mse_to_solution"), {}),
                task_of(optimizee_, kLayers)),
          keys_(keys_of(1)),
          data_(optimizee_.sample(keys_.train_data, Split::kTrain, 0, kBatch, true)),
          params_(optimizer_.init_params(keys_.init_params, data_)),
          gradient_(gradient_like(optimizer_, params_)),
          shards_(optimizer_,
                  optimizee_,
                  loss_,
                  params_,
                  keys_,
                  {.batch = kBatch, .shard_rows = kBatch / threads, .unroll = {.horizon = kLayers}},
                  threads) {
        shards_.start(0, data_);
        for (const auto& shard : shards_.carried()) {
            start_.emplace_back();
            for (const Tensor* tensor : shard) start_.back().push_back(tensor->clone());
        }
    }

    /// @return the loss.
    double step() {
        std::vector<std::vector<const Tensor*>> start;
        for (const auto& shard : start_) {
            start.emplace_back();
            for (const Tensor& tensor : shard) start.back().push_back(&tensor);
        }
        shards_.restore(0, start);
        return shards_.window(kLayers, 1.0 / kBatch, gradient_, 0).loss / kBatch;
    }

    [[nodiscard]] const Optimizer& optimizer() const { return optimizer_; }
    [[nodiscard]] const TensorSet& gradient() const { return gradient_; }

#ifdef L2O_BENCH_WITH_TORCH
    [[nodiscard]] std::map<std::string, l2o::bench::Array> arrays() const {
        std::map<std::string, l2o::bench::Array> arrays;
        const auto add = [&](const l2o_spec& spec, const Tensor& tensor) {
            if (tensor) arrays[spec.name] = {tensor.shape(), static_cast<const float*>(tensor.data())};
        };
        for (std::size_t i = 0; i < params_.size(); ++i) add(*optimizer_.params()[i], params_[i]);
        for (std::size_t i = 0; i < data_.tensors.size(); ++i) add(*optimizee_.data()[i], data_.tensors[i]);
        return arrays;
    }
#endif

  private:
    static const Catalog::Entry& find(Kind kind, const std::string& id) { return catalog().find(kind, id); }

    Optimizee optimizee_;
    Optimizer optimizer_;
    Loss loss_;
    Keys keys_;
    ProblemData data_;
    TensorSet params_, gradient_;
    Shards shards_;
    std::vector<std::vector<Tensor>> start_;
};

#ifdef L2O_BENCH_WITH_TORCH
using l2o::bench::TorchNet;

void check(bool is_right, const std::string& what) {
    if (!is_right) throw std::runtime_error(what + ": l2o and LibTorch disagree");
}

/// That both compute the same thing.
void check_gradients(Training& l2o, TorchNet& torch) {
    const double loss = l2o.step(), want = torch.train();
    check(std::abs(loss - want) < 1e-4 * want, "the loss");
    for (std::size_t i = 0; i < l2o.gradient().size(); ++i) {
        if (!l2o.gradient()[i]) continue;
        const std::string name = l2o.optimizer().params()[i]->name;
        const std::vector<float> theirs = torch.gradient(name);
        double difference = 0, size = 0;
        for (std::size_t j = 0; j < theirs.size(); ++j) {
            difference += std::pow(l2o.gradient()[i].value(static_cast<std::int64_t>(j)) - theirs[j], 2);
            size += std::pow(theirs[j], 2);
        }
        check(difference <= 1e-6 * size, "the gradient of " + name);
    }
}
#endif

/// Rates of the products of a LISTA's layer, and of the BLAS on large matrices, in Gflop/s.
class Products {
  public:
    double layer() {
        const double flops = 3 * 2.0 * kBatch * kN * kN;
        return flops * 1e-9 / seconds([this] {
                   using namespace l2o::numerics;
                   add_product_nt<float>(z_, 1, x_, s_);
                   add_product<float>(x_bar_, 1, x_, s_);
                   add_product_tn<float>(s_bar_, 1, x_, z_);
               });
    }
#ifdef L2O_BENCH_WITH_BLAS
    double blas() {
        const int size = 1024;
        const float one = 1;
        return 2e-9 * std::pow(size, 3) / seconds([&] {
                   sgemm_("N",
                          "N",
                          &size,
                          &size,
                          &size,
                          &one,
                          a_.data(),
                          &size,
                          b_.data(),
                          &size,
                          &one,
                          c_.data(),
                          &size);
               });
    }
#endif

  private:
    using Matrix = l2o::numerics::RowMatrix<float>;
    Matrix x_ = Matrix::Random(kBatch, kN), s_ = Matrix::Random(kN, kN), z_ = Matrix::Zero(kBatch, kN),
           x_bar_ = Matrix::Zero(kBatch, kN), s_bar_ = Matrix::Zero(kN, kN), a_ = Matrix::Random(1024, 1024),
           b_ = Matrix::Random(1024, 1024), c_ = Matrix::Zero(1024, 1024);
};

void training(benchmark::State& state, const std::string& optimizer) {
    const int threads = static_cast<int>(state.range(0));
    Training l2o(optimizer, threads);
    double best = std::numeric_limits<double>::infinity();
    double torch_best = best, products_rate = 0, blas_rate = 0;
    Products products;
    set_blas_threads(threads);
#ifdef L2O_BENCH_WITH_TORCH
    TorchNet torch(
        optimizer == "lista" ? TorchNet::Kind::kLista : TorchNet::Kind::kAlista, kLayers, l2o.arrays());
    TorchNet::set_threads(threads);
    check_gradients(l2o, torch);
#endif
    for (auto _ : state) {
        const double time = seconds([&] { l2o.step(); });
        best = std::min(best, time);
        state.SetIterationTime(time);
#ifdef L2O_BENCH_WITH_TORCH
        torch_best = std::min(torch_best, seconds([&] { torch.train(); }));
#endif
        if (threads > 1) continue;
        products_rate = std::max(products_rate, products.layer());
#ifdef L2O_BENCH_WITH_BLAS
        blas_rate = std::max(blas_rate, products.blas());
#endif
    }
    state.counters["l2o_ms"] = best * 1e3;
    if (std::isfinite(torch_best)) {
        state.counters["torch_ms"] = torch_best * 1e3;
        state.counters["torch/l2o"] = torch_best / best;
    }
    if (blas_rate > 0) {
        state.counters["sgemm_gflops"] = blas_rate;
        state.counters["products/sgemm"] = products_rate / blas_rate;
    }
    set_blas_threads(1);
#ifdef L2O_BENCH_WITH_TORCH
    TorchNet::set_threads(1);
#endif
}

/// Instances of sparse recovery with small lambda, their signals, and files to solve them from.
class Instances {
  public:
    static constexpr std::int64_t kCount = 32;

    Instances() {
        const Optimizer alista(catalog().find(Kind::kOptimizer, "alista"),
                               options_of(catalog().find(Kind::kOptimizer, "alista"), {}),
                               task_of(optimizee_, kLayers));
        params_ = TensorSet(alista.init_params(keys_.init_params, data_));
        write_weights(weights(), alista, params_);
        write_safetensors(problem(),
                          {{"A", &tensor("A")}, {"b", &tensor("b")}},
                          {{"l2o.optimizee", "sparse_recovery"}, {"l2o.options", R"({"lambda": 0.01})"}});
        for (std::size_t i = 0; i < params_.size(); ++i) names_.emplace_back(alista.params()[i]->name);
    }

    [[nodiscard]] std::filesystem::path problem() const { return folder_ / "problem.safetensors"; }
    [[nodiscard]] std::filesystem::path weights() const { return folder_ / "weights.safetensors"; }
    [[nodiscard]] std::span<const float> b(std::int64_t instance) const {
        return tensor("b").values<float>().subspan(static_cast<std::size_t>(instance) * kM, kM);
    }
    /// Of an instance, in dB.
    [[nodiscard]] double nmse(std::int64_t instance, std::span<const float> x) const {
        double error = 1e-10 * kN, size = 1e-10 * kN;
        for (std::int64_t j = 0; j < kN; ++j) {
            const double want = tensor("x_star").value(instance * kN + j);
            error += std::pow(static_cast<double>(x[static_cast<std::size_t>(j)]) - want, 2);
            size += want * want;
        }
        return 10 * std::log10(error / size);
    }
    /// Solves all of them. @return the mean NMSE in dB.
    double solve_all(Solver& solver) const {
        double sum = 0;
        for (std::int64_t i = 0; i < kCount; ++i) {
            std::ranges::copy(b(i), solver.input("b").values<float>().begin());
            sum += nmse(i, solver.solve().values<float>());
        }
        return sum / kCount;
    }
    /// Iterations after which FISTA is as good as `wanted` in the mean, or within half a decibel of the best
    /// that it comes to.
    [[nodiscard]] std::int64_t fista_iterations(double wanted) const {
        const Optimizer fista(catalog().find(Kind::kOptimizer, "fista"),
                              options_of(catalog().find(Kind::kOptimizer, "fista"), {}),
                              task_of(optimizee_, 0));
        const TensorSet params(fista.init_params(keys_.init_params, data_));
        const Scene scene{fista, optimizee_, data_, params, keys_.test_steps, 0};
        Stepper stepper(scene);
        Point from(stepper.layout(), stepper.parts()), to(stepper.layout(), stepper.parts());
        stepper.init_state(from);
        std::vector<double> means;
        for (std::int64_t t = 0; t < 500; ++t) {
            stepper.advance(from, to, t);
            std::swap(from, to);
            double sum = 0;
            for (std::int64_t i = 0; i < kCount; ++i)
                sum += nmse(i, from.x[0].values<float>().subspan(static_cast<std::size_t>(i * kN), kN));
            means.push_back(sum / kCount);
        }
        const double enough = std::max(wanted, *std::ranges::min_element(means) + 0.5);
        const auto first = std::ranges::find_if(means, [&](double mean) { return mean <= enough; });
        return first - means.begin() + 1;
    }
#ifdef L2O_BENCH_WITH_TORCH
    [[nodiscard]] std::map<std::string, l2o::bench::Array> arrays() const {
        std::map<std::string, l2o::bench::Array> arrays;
        for (std::size_t i = 0; i < params_.size(); ++i)
            arrays[names_[i]] = {params_[i].shape(), static_cast<const float*>(params_[i].data())};
        for (const char* name : {"A", "b", "x_star"})
            arrays[name] = {tensor(name).shape(), static_cast<const float*>(tensor(name).data())};
        return arrays;
    }
#endif

  private:
    [[nodiscard]] const Tensor& tensor(const char* name) const {
        return data_.tensors[*optimizee_.data_index(name)];
    }

    const ScratchFolder folder_;
    const Optimizee optimizee_{
        catalog().find(Kind::kOptimizee, "sparse_recovery"),
        options_of(catalog().find(Kind::kOptimizee, "sparse_recovery"), {{"lambda", "0.01"}}),
        Dtype::kF32};
    const Keys keys_ = keys_of(1);
    const ProblemData data_ = optimizee_.sample(keys_.test_data, Split::kTest, 0, kCount, true);
    TensorSet params_;
    std::vector<std::string> names_;
};

void latency(benchmark::State& state) {
    const Instances instances;
    Solver alista({.problem = instances.problem(), .weights = instances.weights()});
    Solver safe({.problem = instances.problem(), .weights = instances.weights(), .safeguard = "ista"});
    const double nmse = instances.solve_all(alista);
    Solver fista({.problem = instances.problem(),
                  .optimizer = "fista",
                  .iterations = instances.fista_iterations(nmse)});
    const double fista_nmse = instances.solve_all(fista);
    std::vector<float> x(kN);
    double best = std::numeric_limits<double>::infinity();
    double safe_best = best, fista_best = best, torch_best = best;
#ifdef L2O_BENCH_WITH_TORCH
    TorchNet torch(TorchNet::Kind::kAlista, kLayers, instances.arrays());
    TorchNet::set_threads(1);
    set_blas_threads(1);
    torch.solve(instances.b(0).data(), x.data());
    check(std::abs(instances.nmse(0, x) -
                   [&] {
                       std::ranges::copy(instances.b(0), alista.input("b").values<float>().begin());
                       return instances.nmse(0, alista.solve().values<float>());
                   }()) < 0.1,
          "ALISTA");
#endif
    std::int64_t instance = 0;
    for (auto _ : state) {
        instance = (instance + 1) % Instances::kCount;
        const auto time = [&](Solver& solver) {
            std::ranges::copy(instances.b(instance), solver.input("b").values<float>().begin());
            solver.solve();  // so that what others have left in the caches does not count
            return seconds([&] { solver.solve(); });
        };
        const double mine = time(alista);
        best = std::min(best, mine);
        state.SetIterationTime(mine);
        safe_best = std::min(safe_best, time(safe));
        fista_best = std::min(fista_best, time(fista));
#ifdef L2O_BENCH_WITH_TORCH
        torch.solve(instances.b(instance).data(), x.data());
        torch_best =
            std::min(torch_best, seconds([&] { torch.solve(instances.b(instance).data(), x.data()); }));
#endif
    }
    state.counters["l2o_us"] = best * 1e6;
    state.counters["nmse_db"] = nmse;
    state.counters["safeguarded_us"] = safe_best * 1e6;
    state.counters["fista_us"] = fista_best * 1e6;
    state.counters["fista_nmse_db"] = fista_nmse;
    state.counters["fista_iterations"] = static_cast<double>(fista.iterations());
    state.counters["fista/l2o"] = fista_best / best;
    if (!std::isfinite(torch_best)) return;
    state.counters["torch_us"] = torch_best * 1e6;
    state.counters["torch/l2o"] = torch_best / best;
}

}  // namespace

BENCHMARK(latency)->Iterations(300)->UseManualTime();
BENCHMARK_CAPTURE(training, lista, "lista")->ArgName("threads")->Arg(1)->Arg(2)->UseManualTime();
BENCHMARK_CAPTURE(training, alista, "alista")->ArgName("threads")->Arg(1)->Arg(2)->UseManualTime();
