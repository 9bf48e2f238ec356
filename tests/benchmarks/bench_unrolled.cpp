// The unrolled family at the survey's size, (m, n) = (256, 512), 16 layers, float32, against LibTorch, FISTA
// and the machine's sgemm. What is compared alternates within one run, so that both sides see the same
// machine, and the fastest of all runs is reported: what other programs take from the machine only adds.
#include <benchmark/benchmark.h>
#include <dlfcn.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <functional>
#include <l2o/numerics/dense.hpp>
#include <limits>
#include <stdexcept>

#include "framework/plugin/loss.hpp"
#include "framework/train/shards.hpp"
#include "framework/unroll/stepper.hpp"
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
using l2o::test::Lab;

constexpr std::int64_t kM = 256, kN = 512, kLayers = 16, kBatch = 128;

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
                optimizee_),
          keys_(keys_of(1)),
          data_(optimizee_.sample(keys_.train_data, Split::kTrain, 0, kBatch, true)),
          params_(optimizer_.init_params(keys_.init_params, data_)),
          gradient_(gradient_like(optimizer_, params_)),
          shards_(optimizer_,
                  optimizee_,
                  loss_,
                  params_,
                  keys_,
                  {.batch = kBatch, .shard_rows = TrainSettings{}.shard_rows, .unroll = {.horizon = kLayers}},
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

}  // namespace

BENCHMARK_CAPTURE(training, lista, "lista")->ArgName("threads")->Arg(1)->Arg(2)->UseManualTime();
BENCHMARK_CAPTURE(training, alista, "alista")->ArgName("threads")->Arg(1)->Arg(2)->UseManualTime();
