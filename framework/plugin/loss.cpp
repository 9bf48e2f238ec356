#include "framework/plugin/loss.hpp"

#include "framework/error.hpp"
#include "framework/plugin/create.hpp"
#include "framework/plugin/needs.hpp"
#include "framework/plugin/process_watch.hpp"

namespace l2o::framework {

Loss::Loss(const Catalog::Entry& entry, ResolvedOptions options, const Task& task)
    : id_(entry.component.id),
      options_(std::move(options)),
      api_(Catalog::load(entry).loss),
      instance_(nullptr, api_.destroy),
      needs_(match_needs(entry.component, task.data, task.name, true)) {
    const std::string who = "loss '" + id_ + "' on '" + task.name + "'";
    const ProcessWatch watch(who);
    create(instance_, api_, options_, Problem(task, needs_).abi(), who);
    info_ = normalised(*api_.info(raw()));
    for (const int index : needs_)
        needs_solution_ = needs_solution_ ||
                          (index >= 0 && has(*task.data[static_cast<std::size_t>(index)], L2O_SPEC_SOLUTION));
    if (reads_g() && (task.answers & L2O_ORACLE_GRADIENT) == 0)
        throw Error(ExitCode::kPlugin,
                    who + ": it reads gradients, and '" + task.name + "' has none; expected another loss");
}

}  // namespace l2o::framework
