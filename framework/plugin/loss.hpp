#pragma once

#include <l2o/abi/loss.h>

#include <string>
#include <vector>

#include "framework/config/options.hpp"
#include "framework/plugin/catalog.hpp"
#include "framework/plugin/optimizee.hpp"

namespace l2o::framework {

/// An instance of a meta-loss plugin, bound to an optimizee's data; immutable, shared by threads.
class Loss {
  public:
    /// Throws Error(kPlugin) in one sentence if the loss needs data that the optimizee lacks.
    Loss(const Catalog::Entry& entry, ResolvedOptions options, const Optimizee& optimizee);
    Loss(const Loss&) = delete;
    Loss& operator=(const Loss&) = delete;
    ~Loss();

    [[nodiscard]] const std::string& id() const { return id_; }
    [[nodiscard]] const ResolvedOptions& options() const { return options_; }
    [[nodiscard]] const l2o_loss_api& api() const { return api_; }
    [[nodiscard]] const l2o_loss* raw() const { return instance_; }
    [[nodiscard]] bool needs_f() const { return (info_.needs & L2O_LOSS_NEEDS_F) != 0; }
    [[nodiscard]] bool needs_x() const { return (info_.needs & L2O_LOSS_NEEDS_X) != 0; }
    [[nodiscard]] bool needs_g() const { return (info_.needs & L2O_LOSS_NEEDS_G) != 0; }
    [[nodiscard]] bool additive() const { return (info_.flags & L2O_ADDITIVE) != 0; }
    [[nodiscard]] bool needs_solution() const { return needs_solution_; }
    [[nodiscard]] const std::vector<int>& needs() const { return needs_; }

  private:
    std::string id_;
    ResolvedOptions options_;
    const l2o_loss_api& api_;
    l2o_loss* instance_ = nullptr;
    l2o_loss_info info_{};
    bool needs_solution_ = false;
    std::vector<int> needs_;
};

}  // namespace l2o::framework
