#include "host/progress.hpp"

#include <fmt/core.h>

#include <algorithm>
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
    const auto is_over = [&](const Piece& piece) {
        return piece.progress.what != progress.what && piece.progress.done >= piece.progress.total;
    };
    std::erase_if(pieces_, is_over);
    const auto known = std::ranges::find_if(
        pieces_, [&](const Piece& piece) { return piece.progress.what == progress.what; });
    const bool is_new = known == pieces_.end();
    if (is_new) {
        pieces_.push_back({.progress = progress, .first_done = progress.done, .begin = now});
        if (!is_terminal_ && told_.insert(progress.what).second)
            std::cerr << "l2o: " << message(progress.what) << std::endl;
    } else {
        known->progress = progress;
    }
    constexpr std::chrono::milliseconds kBetween{100};
    if (!is_terminal_ || (!is_new && now - last_ < kBetween)) return;
    last_ = now;
    std::string text;
    for (const Piece& piece : pieces_) text += (text.empty() ? "" : " | ") + text_of(piece, now);
    StderrTerminal::rewrite_line(text);
    is_shown_ = true;
}

std::string ProgressLine::text_of(const Piece& piece, Clock::time_point now) {
    const framework::Progress& progress = piece.progress;
    std::string text = framework::one_line(progress.what);
    if (progress.total <= 0) return text;
    const double done = static_cast<double>(progress.done), total = static_cast<double>(progress.total);
    text += fmt::format("  {:3.0f} %  {}/{}", 100 * done / total, progress.done, progress.total);
    if (std::isfinite(progress.loss)) text += fmt::format("  loss {:.4g}", progress.loss);
    if (const double new_done = done - static_cast<double>(piece.first_done); new_done > 0) {
        const double seconds = std::chrono::duration<double>(now - piece.begin).count();
        text += "  ETA " + clock_text(seconds / new_done * (total - done));
    }
    return text;
}

void ProgressLine::clear() {
    const std::lock_guard lock(mutex_);
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
