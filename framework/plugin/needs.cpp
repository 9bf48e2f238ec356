#include "framework/plugin/needs.hpp"

#include "framework/error.hpp"
#include "framework/plugin/specs.hpp"

namespace l2o::framework {

std::vector<int> match_needs(const ComponentDescription& component,
                             const std::vector<const l2o_spec*>& data,
                             const std::string& optimizee,
                             bool solutions) {
    std::vector<int> indices;
    for (const Need& need : component.needs) {
        int index = -1;
        std::string offered;
        for (std::size_t i = 0; i < data.size(); ++i) {
            if (has(*data[i], L2O_SPEC_SOLUTION) && !solutions) continue;
            if (data[i]->name == need.name) index = static_cast<int>(i);
            offered += (offered.empty() ? "" : ", ") + std::string(data[i]->name);
        }
        if (index < 0 && !need.optional) {
            throw Error(ExitCode::kPlugin,
                        std::string(name_of(component.kind)) + " '" + component.id +
                            "' needs the problem data '" + need.name + "', which '" + optimizee +
                            "' does not offer (it offers " + (offered.empty() ? "none" : offered) + ")");
        }
        indices.push_back(index);
    }
    return indices;
}

}  // namespace l2o::framework
