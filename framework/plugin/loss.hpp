#pragma once

#include <l2o/abi/draft/alternates.h>
#include <l2o/abi/loss.h>

#include <memory>
#include <string>
#include <vector>

#include "framework/config/options.hpp"
#include "framework/plugin/catalog.hpp"
#include "framework/plugin/optimizer.hpp"

namespace l2o::framework {

/// An instance of a meta-loss plugin, bound to a task; immutable, shared by threads.
class Loss {
  public:
    /// @throw Error kPlugin, in one sentence: the loss needs data or answers that the task lacks, or refuses
    /// it.
    Loss(const Catalog::Entry& entry, ResolvedOptions options, const Task& task);
    Loss(const Loss&) = delete;
    Loss& operator=(const Loss&) = delete;
    ~Loss() = default;

    [[nodiscard]] const std::string& id() const { return id_; }
    [[nodiscard]] const ResolvedOptions& options() const { return options_; }
    [[nodiscard]] const l2o_loss_api& api() const { return api_; }
    [[nodiscard]] const l2o_loss* raw() const { return instance_.get(); }
    [[nodiscard]] bool reads_f() const { return (info_.reads & L2O_LOSS_READS_F) != 0; }
    [[nodiscard]] bool reads_x() const { return (info_.reads & L2O_LOSS_READS_X) != 0; }
    [[nodiscard]] bool reads_g() const { return (info_.reads & L2O_LOSS_READS_G) != 0; }
    /// Only steps of one player at a time, see abi/draft/alternates.h.
    [[nodiscard]] bool scores_turns() const { return (info_.flags & L2O_LOSS_SCORES_TURNS_DRAFT1) != 0; }
    [[nodiscard]] bool is_additive() const { return (info_.flags & L2O_LOSS_ADDITIVE) != 0; }
    /// Whether a window of a trajectory may be scored by itself.
    [[nodiscard]] bool scores_windows() const {
        return (info_.flags & (L2O_LOSS_ADDITIVE | L2O_LOSS_WINDOWS)) != 0;
    }
    [[nodiscard]] bool needs_solution() const { return needs_solution_; }
    [[nodiscard]] const std::vector<int>& needs() const { return needs_; }

  private:
    std::string id_;
    ResolvedOptions options_;
    const l2o_loss_api& api_;
    std::unique_ptr<l2o_loss, decltype(l2o_loss_api::destroy)> instance_;
    l2o_loss_info info_{};
    bool needs_solution_ = false;
    std::vector<int> needs_;
};

}  // namespace l2o::framework
