#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace l2o::framework {

/// How far a long piece of work is; for a progress line.
struct Progress {
    std::string what;  ///< "training lista"
    std::int64_t done = 0, total = 0;
    double loss = 0;  ///< of the last meta-step, NAN if there is none
};
using ProgressSink = std::function<void(const Progress&)>;

}  // namespace l2o::framework
