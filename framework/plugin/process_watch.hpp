#pragma once

#include <signal.h>
#include <sys/types.h>

#include <array>
#include <set>
#include <string>
#include <vector>

#include "framework/float_control.hpp"

namespace l2o::framework {

/// What of this process a plugin may not change (rule R6 of abi/base.h), at one moment; of how it computes,
/// that of this thread.
class ProcessState {
  public:
    [[nodiscard]] static ProcessState now();
    /// What differs, in words; "" if nothing.
    [[nodiscard]] std::string change_to(const ProcessState& after) const;
    /// Puts everything back but descriptors: what was opened may be in use.
    void restore() const;

  private:
    FloatControl control_;
    std::string locale_, folder_;
    mode_t mask_ = 0;
    std::array<struct sigaction, 32> handlers_{};  // by number; that of 0 is not used
    std::set<std::string> environment_;            // "NAME=value"
    std::set<std::string> descriptors_;            // "3 -> /path"
};

/// While it lives, a plugin is at work that may change nothing of this process: at its end what was changed
/// is put back, and a note names who did. Does nothing before enable(): the process of who embeds us has
/// threads of its own that change it. [one thread]
class ProcessWatch {
  public:
    /// For the program.
    static void enable();
    /// @param who  for the note: "optimizer 'adam'".
    explicit ProcessWatch(std::string who);
    ProcessWatch(const ProcessWatch&) = delete;
    ProcessWatch& operator=(const ProcessWatch&) = delete;
    ~ProcessWatch();

    /// While it lives several threads of ours open and close files: watches do not look at descriptors.
    class Crowd {
      public:
        Crowd();
        Crowd(const Crowd&) = delete;
        Crowd& operator=(const Crowd&) = delete;
        ~Crowd();
    };

  private:
    std::string who_;
    ProcessState before_;
};

/// Puts back how this thread computes, which `who` has changed, with a note. [any thread]
void put_back_float_control(const std::string& who);
/// What plugins have changed since the last call: a sentence each, each once per process. [any thread]
[[nodiscard]] std::vector<std::string> take_process_notes();

}  // namespace l2o::framework
