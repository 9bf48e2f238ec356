#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "framework/check/bench.hpp"

namespace l2o::framework {

/// Which evaluation of an optimizee.
enum class Oracle { kEval, kHvp, kProx };

/// One call of eval, hvp or prox; with the points in `x`, the rest can be set before run().
class EvalCase : public Case {
  public:
    struct Want {
        bool f = true, g = true;
    };
    EvalCase(const Optimizee& optimizee,
             const std::vector<Tensor>& x,
             const std::vector<Tensor>& data,
             std::int64_t rows_per_instance,
             Oracle oracle,
             Want want);

    GuardedSet data, x, v, tau, f, g;

  protected:
    l2o_status call(l2o_call* context) override;

  private:
    const Optimizee& optimizee_;
    Oracle oracle_;
    std::uint32_t batch_, rows_per_instance_;
};

/// A call of metrics. Without solutions their tensors are NULL, and so are the metrics that need them.
class MetricsCase : public Case {
  public:
    MetricsCase(const Optimizee& optimizee,
                const std::vector<Tensor>& x,
                const std::vector<Tensor>& data,
                std::int64_t rows_per_instance,
                bool with_solutions);
    GuardedSet data, x, metrics;

  protected:
    l2o_status call(l2o_call* context) override;

  private:
    const Optimizee& optimizee_;
    std::uint32_t batch_, rows_per_instance_;
};

/// A call of sample.
class SampleCase : public Case {
  public:
    SampleCase(const Optimizee& optimizee, Split split, std::uint64_t first, std::int64_t count);
    GuardedSet data;

  protected:
    l2o_status call(l2o_call* context) override;

  private:
    const Optimizee& optimizee_;
    Split split_;
    std::uint64_t first_;
    std::int64_t count_;
};

/// A call of init_point.
class StartCase : public Case {
  public:
    StartCase(const Optimizee& optimizee, const std::vector<Tensor>& data, std::int64_t batch);
    GuardedSet data, x;

  protected:
    l2o_status call(l2o_call* context) override;

  private:
    const Optimizee& optimizee_;
    std::uint32_t batch_;
};

/// An optimizee with a batch of its instances, and points near their starts.
class OptimizeeBench : public Bench {
  public:
    OptimizeeBench(const Subject& subject, Dtype dtype, std::int64_t batch = 0);

    [[nodiscard]] std::vector<std::unique_ptr<Case>> cases() const override;
    [[nodiscard]] std::vector<std::unique_ptr<Case>> cases_of_rows(const std::vector<std::int64_t>& rows,
                                                                   std::uint64_t row0) const override;
    [[nodiscard]] std::uint64_t flags() const override { return optimizee_->info().flags; }
    [[nodiscard]] const void* extension(const char* id) const override {
        return optimizee_->api().get_extension(optimizee_->raw(), id);
    }
    [[nodiscard]] std::string declaration() const override;
    [[nodiscard]] std::shared_ptr<const void> created_by(HostSize host) const override;

    [[nodiscard]] const Optimizee& optimizee() const { return *optimizee_; }
    [[nodiscard]] bool has(Oracle oracle) const;
    [[nodiscard]] bool has_gradient() const {
        return (optimizee_->info().answers & L2O_ORACLE_GRADIENT) != 0;
    }
    /// Without g, where the optimizee has no gradient.
    [[nodiscard]] std::unique_ptr<EvalCase> eval_case(Oracle oracle, EvalCase::Want want = {}) const;
    [[nodiscard]] std::vector<Tensor> data_of(const std::vector<std::int64_t>& rows) const;
    /// With what solve() fills.
    [[nodiscard]] std::vector<Tensor> solved_data_of(const std::vector<std::int64_t>& rows) const;
    [[nodiscard]] const std::vector<Tensor>& x() const { return x_; }

  private:
    std::unique_ptr<Optimizee> optimizee_;
    std::vector<Tensor> data_, x_;
};

/// In the widest element type.
[[nodiscard]] std::unique_ptr<OptimizeeBench> optimizee_bench(const Subject& subject, std::int64_t batch = 0);
/// Row `row` of a set of tensors, a set of its own.
[[nodiscard]] std::vector<Tensor> row_of(const std::vector<Tensor>& tensors, std::int64_t row);
/// Whether instances have data of their own.
[[nodiscard]] bool is_any_batched(const Optimizee& optimizee);
/// Of a block, in its element type; infinite without any.
[[nodiscard]] std::pair<double, double> bounds_of(const Optimizee& optimizee, std::size_t block);

}  // namespace l2o::framework
