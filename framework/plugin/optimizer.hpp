#pragma once

#include <l2o/abi/optimizer.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "framework/config/options.hpp"
#include "framework/plugin/call.hpp"
#include "framework/plugin/catalog.hpp"
#include "framework/plugin/optimizee.hpp"
#include "framework/tensor/tensor.hpp"

namespace l2o::framework {

/// What an optimizer is created for: the blocks it moves and the data it may read.
struct Task {
    std::vector<const l2o_spec*> blocks;
    std::vector<const l2o_spec*> data;  ///< of the optimizee; the optimizer gets those it needs, by name
    std::string name;                   ///< for messages: the optimizee's id
    Dtype dtype = Dtype::kF32;
    std::uint64_t flags = 0;  ///< L2O_FLAG_STOCHASTIC of the optimizee
    std::uint32_t answers = L2O_ORACLE_VALUE | L2O_ORACLE_GRADIENT;
    std::int64_t horizon = 0;          ///< planned number of steps; 0: unknown
    std::int64_t max_evaluations = 0;  ///< of a row; 0: no budget
};
[[nodiscard]] Task task_of(const Optimizee& optimizee,
                           std::int64_t horizon,
                           std::int64_t max_evaluations = 0);

/// A task as an optimizer or a loss is told it. Valid while the task and the data that are needed are.
class Problem {
  public:
    /// @param needs  as match_needs() says.
    Problem(const Task& task, const std::vector<int>& needs);
    Problem(const Problem&) = delete;
    Problem& operator=(const Problem&) = delete;
    [[nodiscard]] const l2o_problem& abi() const { return problem_; }

  private:
    std::vector<const l2o_spec*> data_;
    l2o_problem problem_{};
};

/// An instance of an optimizer plugin, bound to a task; immutable, shared by threads.
class Optimizer {
  public:
    /// @throw Error kPlugin, in one sentence: the optimizer needs data or answers that the task lacks, or
    /// refuses it.
    Optimizer(const Catalog::Entry& entry, ResolvedOptions options, const Task& task);
    Optimizer(const Optimizer&) = delete;
    Optimizer& operator=(const Optimizer&) = delete;
    ~Optimizer() = default;

    [[nodiscard]] const std::string& id() const { return id_; }
    [[nodiscard]] const Catalog::Entry& entry() const { return entry_; }
    [[nodiscard]] const ResolvedOptions& options() const { return options_; }
    [[nodiscard]] const l2o_optimizer_api& api() const { return api_; }
    [[nodiscard]] const l2o_optimizer* raw() const { return instance_.get(); }
    [[nodiscard]] const l2o_optimizer_info& info() const { return info_; }
    /// NULL if the plugin has no derivative.
    [[nodiscard]] const l2o_optimizer_vjp* vjp() const { return has_vjp_ ? &vjp_ : nullptr; }
    [[nodiscard]] const std::vector<const l2o_spec*>& params() const { return params_.all(); }
    [[nodiscard]] const std::vector<const l2o_spec*>& state() const { return state_.all(); }
    [[nodiscard]] bool reads_f() const { return (info_.reads & L2O_ORACLE_VALUE) != 0; }
    [[nodiscard]] bool reads_g() const { return (info_.reads & L2O_ORACLE_GRADIENT) != 0; }
    /// For each entry of the component's needs, the index among the optimizee's data; -1: optional and
    /// absent.
    [[nodiscard]] const std::vector<int>& needs() const { return needs_; }

    /// Start values of all parameters; derived ones come from the data.
    [[nodiscard]] std::vector<Tensor> init_params(const Key& key, const ProblemData& data) const;

    /// Held during a call if the plugin is L2O_FLAG_SERIAL, else empty.
    [[nodiscard]] std::unique_lock<std::mutex> guard() const;

  private:
    void check_fit(const Task& task, const std::string& who) const;

    Catalog::Entry entry_;
    std::string id_;
    ResolvedOptions options_;
    const l2o_optimizer_api& api_;
    std::unique_ptr<l2o_optimizer, decltype(l2o_optimizer_api::destroy)> instance_;
    l2o_optimizer_info info_{};
    l2o_optimizer_vjp vjp_{};
    bool has_vjp_ = false;
    Specs params_, state_;
    std::vector<int> needs_;
    mutable std::mutex serial_;
};

}  // namespace l2o::framework
