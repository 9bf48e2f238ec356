#pragma once

#include <functional>
#include <vector>

#include "framework/check/judge.hpp"

namespace l2o::framework {

/// Random cases of a component.
void check_random(const Conformance& conformance,
                  const std::vector<Catalog::Entry>& optimizees,
                  Subject subject,
                  const Found& on_found);

}  // namespace l2o::framework
