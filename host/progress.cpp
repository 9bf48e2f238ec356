#include "host/progress.hpp"

#include <fmt/core.h>

#include <cmath>
#include <iostream>

#include "framework/text/printable.hpp"
#include "host/console.hpp"

namespace l2o::host {

ProgressLine::ProgressLine(bool is_quiet) : is_quiet_(is_quiet), is_terminal_(StderrTerminal::is_there()) {}

framework::ProgressSink ProgressLine::sink() {
    if (is_quiet_) return [](const framework::Progress&) {};
    return [this](const framework::Progress& progress) {
        const std::lock_guard lock(mutex_);
        show(progress);
    };
}

void ProgressLine::show(const framework::Progress& progress) {
    const Clock::time_point now = Clock::now();
    const bool is_new = progress.what != what_;
    if (is_new) {
        what_ = progress.what;
        first_done_ = progress.done;
        begin_ = now;
        if (!is_terminal_) std::cerr << "l2o: " << message(what_) << std::endl;
    }
    constexpr std::chrono::milliseconds kBetween{100};
    if (!is_terminal_ || (!is_new && now - last_ < kBetween)) return;
    last_ = now;
    std::string text = framework::one_line(progress.what);
    if (progress.total > 0) {
        const double done = static_cast<double>(progress.done), total = static_cast<double>(progress.total);
        text += fmt::format("  {:3.0f} %  {}/{}", 100 * done / total, progress.done, progress.total);
        if (std::isfinite(progress.loss)) text += fmt::format("  loss {:.4g}", progress.loss);
        if (const double new_done = done - static_cast<double>(first_done_); new_done > 0) {
            const double seconds = std::chrono::duration<double>(now - begin_).count();
            text += "  ETA " + clock_text(seconds / new_done * (total - done));
        }
    }
    StderrTerminal::rewrite_line(text);
    is_shown_ = true;
}

void ProgressLine::clear() {
    if (is_shown_) StderrTerminal::rewrite_line("");
    is_shown_ = false;
}

std::string clock_text(double seconds) {
    const auto whole = static_cast<std::int64_t>(std::ceil(seconds));
    const std::int64_t hours = whole / 3600, minutes = whole / 60 % 60;
    return hours > 0 ? fmt::format("{}:{:02}:{:02}", hours, minutes, whole % 60)
                     : fmt::format("{}:{:02}", minutes, whole % 60);
}

}  // namespace l2o::host
