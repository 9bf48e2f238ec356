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
    std::uint32_t oracle_kinds = 0;
    std::int64_t horizon = 0;
};
[[nodiscard]] Task task_of(const Optimizee& optimizee, std::int64_t horizon);

/// An instance of an optimizer plugin, bound to a task; immutable, shared by threads.
class Optimizer {
  public:
    /// Throws Error(kPlugin) in one sentence if the optimizer needs data that the task lacks, or refuses it.
    Optimizer(const Catalog::Entry& entry, ResolvedOptions options, const Task& task);
    Optimizer(const Optimizer&) = delete;
    Optimizer& operator=(const Optimizer&) = delete;
    ~Optimizer();

    [[nodiscard]] const std::string& id() const { return id_; }
    [[nodiscard]] const Catalog::Entry& entry() const { return entry_; }
    [[nodiscard]] const ResolvedOptions& options() const { return options_; }
    [[nodiscard]] const l2o_optimizer_api& api() const { return api_; }
    [[nodiscard]] const l2o_optimizer* raw() const { return instance_; }
    [[nodiscard]] const l2o_optimizer_info& info() const { return info_; }
    /// NULL if the plugin has no derivative.
    [[nodiscard]] const l2o_optimizer_vjp* vjp() const { return has_vjp_ ? &vjp_ : nullptr; }
    [[nodiscard]] const std::vector<const l2o_spec*>& params() const { return params_; }
    [[nodiscard]] const std::vector<const l2o_spec*>& state() const { return state_; }
    [[nodiscard]] bool reads_f() const { return (info_.flags & L2O_NEEDS_F) != 0; }
    [[nodiscard]] bool reads_g() const { return (info_.flags & L2O_NEEDS_G) != 0; }
    /// For each entry of the component's needs, the index among the optimizee's data; -1: optional and
    /// absent.
    [[nodiscard]] const std::vector<int>& needs() const { return needs_; }

    /// Start values of all parameters; BUFFER parameters are derived from the data.
    [[nodiscard]] std::vector<Tensor> init_params(const Key& key, const ProblemData& data) const;

    /// Held during a call if the plugin is L2O_SERIAL, else empty.
    [[nodiscard]] std::unique_lock<std::mutex> guard() const;

  private:
    Catalog::Entry entry_;
    std::string id_;
    ResolvedOptions options_;
    const l2o_optimizer_api& api_;
    l2o_optimizer* instance_ = nullptr;
    l2o_optimizer_info info_{};
    l2o_optimizer_vjp vjp_{};
    bool has_vjp_ = false;
    std::vector<const l2o_spec*> params_, state_;
    std::vector<int> needs_;
    mutable std::mutex serial_;
};

}  // namespace l2o::framework
