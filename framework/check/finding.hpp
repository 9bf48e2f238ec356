#pragma once

#include <stdexcept>
#include <string>

namespace l2o::framework {

/// Thrown by a check: the plugin breaks the rule of the check. The text says what was seen.
struct Broken : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// Of these: the plugin says in a sentence that it does not take its arguments.
struct Refused : Broken {
    using Broken::Broken;
};

/// Thrown by a check that has nothing to look at: the plugin promises nothing of the kind.
struct NotApplicable : std::runtime_error {
    using std::runtime_error::runtime_error;
};

}  // namespace l2o::framework
