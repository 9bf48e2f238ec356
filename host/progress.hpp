#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "framework/train/train.hpp"

namespace l2o::host {

/// How far the work is, on stderr: on a terminal one line that is rewritten, with the time still to go and
/// no longer than the terminal is wide, for all pieces of work that are under way; else one line per piece.
/// Nothing with --quiet. Clears its line when it goes.
class ProgressLine {
  public:
    explicit ProgressLine(bool is_quiet);
    ProgressLine(const ProgressLine&) = delete;
    ProgressLine& operator=(const ProgressLine&) = delete;
    ~ProgressLine() { clear(); }

    /// What the framework reports to; *this must outlive it.  [any thread]
    [[nodiscard]] framework::ProgressSink sink();
    /// Before something else is printed. [any thread]
    void clear();

  private:
    using Clock = std::chrono::steady_clock;
    struct Piece {
        framework::Progress progress;
        std::int64_t first_done = 0;  // of this session: a resumed training does not start at 0
        Clock::time_point begin;
    };
    void show(const framework::Progress& progress);
    static std::string text_of(const Piece& piece, Clock::time_point now);

    bool is_quiet_, is_terminal_, is_shown_ = false;
    std::mutex mutex_;
    std::vector<Piece> pieces_;  // under way, and the one that was heard of last
    std::set<std::string> told_;
    Clock::time_point last_;
};

/// "2:05", "1:02:05".
std::string clock_text(double seconds);

}  // namespace l2o::host
