#pragma once

namespace l2o::host {

/// From now on SIGINT and SIGTERM ask running work to stop: CallContext::cancel_flag() is set, work in hand
/// is saved, Error(kInterrupted) follows. A second signal of the same kind has its default effect.
void stop_on_signals();

}  // namespace l2o::host
