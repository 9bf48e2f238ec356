#pragma once

#include "framework/experiment/run_state.hpp"

namespace l2o::framework {

/// Chooses among candidates, on validation instances: of those whose contestant is tuned, only the best stay.
void tune(RunState& state);

}  // namespace l2o::framework
