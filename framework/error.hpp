#pragma once

#include <stdexcept>
#include <string>

namespace l2o::framework {

/// Exit code of the `l2o` command that an error leads to.
enum class ExitCode : int {
    kOk = 0,
    kUsage = 2,      ///< command line or configuration
    kPlugin = 3,     ///< a plugin cannot be loaded, or refuses the combination
    kNumerical = 4,  ///< every trajectory diverged, or training cannot go on
    kIo = 5,         ///< a file cannot be read or written
    kInterrupted = 130,
};

/// An error with a text for the user: where, what was found, what was expected, what to do.
class Error : public std::runtime_error {
  public:
    Error(ExitCode code, const std::string& text) : std::runtime_error(text), code_(code) {}
    [[nodiscard]] ExitCode code() const { return code_; }

  private:
    ExitCode code_;
};

}  // namespace l2o::framework
