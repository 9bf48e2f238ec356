#include "framework/plugin/loss.hpp"

#include <cstring>

#include "framework/plugin/needs.hpp"
#include "framework/plugin/process_watch.hpp"

namespace l2o::framework {

Loss::Loss(const Catalog::Entry& entry, ResolvedOptions options, const Optimizee& optimizee)
    : id_(entry.component.id),
      options_(std::move(options)),
      api_(Catalog::load(entry).loss),
      needs_(match_needs(entry.component, optimizee.data(), optimizee.id(), true)) {
    const std::string who = "loss '" + id_ + "'";
    const ProcessWatch watch(who);
    CallContext call;
    const auto values = options_.values();
    call.check(
        api_.create(call.plain(), values.data(), static_cast<std::uint32_t>(values.size()), &instance_), who);
    const l2o_loss_info* info = api_.info(instance_);
    std::memcpy(static_cast<void*>(&info_), info, std::min<std::size_t>(info->struct_size, sizeof info_));
    for (const int index : needs_) {
        if (index >= 0 && optimizee.data()[static_cast<std::size_t>(index)]->role == L2O_DATA_SOLUTION) {
            needs_solution_ = true;
        }
    }
}

Loss::~Loss() { api_.destroy(instance_); }

}  // namespace l2o::framework
