#include "framework/plugin/process_watch.hpp"

#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <clocale>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <utility>

namespace l2o::framework {
namespace {

namespace fs = std::filesystem;

std::atomic<bool> is_enabled{false};

std::mutex notes_mutex;
std::vector<std::string> notes;   // not taken yet
std::set<std::string> all_notes;  // ever

void note(const std::string& text) {
    const std::lock_guard lock(notes_mutex);
    if (all_notes.insert(text).second) notes.push_back(text);
}

std::string link_of(const fs::path& path) {
    std::error_code code;
    const fs::path target = fs::read_symlink(path, code);
    return code ? "" : target.string();
}

/// Not umask(), which changes it for a moment, for all threads.
mode_t umask_now() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
        if (line.starts_with("Umask:"))
            return static_cast<mode_t>(std::strtoul(line.c_str() + sizeof "Umask:", nullptr, 8));
    }
    return 0;
}

std::atomic<int> crowds{0};

std::set<std::string> environment_now() {
    std::set<std::string> variables;
    for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable)
        variables.insert(*variable);
    return variables;
}

std::set<std::string> descriptors_now() {
    std::set<std::string> open;
    std::error_code code;
    for (fs::directory_iterator entry("/proc/self/fd", code), end; !code && entry != end;
         entry.increment(code)) {
        const std::string target = link_of(entry->path());
        // The folder that is being read is open itself.
        if (!target.empty() && !target.ends_with("/fd"))
            open.insert(entry->path().filename().string() + " -> " + target);
    }
    return open;
}

/// The first that only b has; "" if there is none.
std::string added(const std::set<std::string>& a, const std::set<std::string>& b) {
    for (const std::string& text : b) {
        if (!a.contains(text)) return text;
    }
    return "";
}

bool is_same(const struct sigaction& a, const struct sigaction& b) {
    // sa_handler and sa_sigaction share their place.
    return a.sa_handler == b.sa_handler && a.sa_flags == b.sa_flags;
}

}  // namespace

ProcessState ProcessState::now() {
    ProcessState state;
    state.control_ = FloatControl::now();
    state.locale_ = std::setlocale(LC_ALL, nullptr);
    state.folder_ = link_of("/proc/self/cwd");
    state.mask_ = umask_now();
    for (std::size_t i = 1; i < state.handlers_.size(); ++i)
        (void)::sigaction(static_cast<int>(i), nullptr, &state.handlers_[i]);
    state.environment_ = environment_now();
    state.descriptors_ = descriptors_now();
    return state;
}

std::string ProcessState::change_to(const ProcessState& after) const {
    if (control_.sse != after.control_.sse)
        return fmt::format(
            "the floating-point control word MXCSR was {:#x} and is {:#x}", control_.sse, after.control_.sse);
    if (control_.x87 != after.control_.x87)
        return fmt::format(
            "the control word of the x87 was {:#x} and is {:#x}", control_.x87, after.control_.x87);
    if (locale_ != after.locale_) return "the locale was '" + locale_ + "' and is '" + after.locale_ + "'";
    if (folder_ != after.folder_)
        return "the working folder was '" + folder_ + "' and is '" + after.folder_ + "'";
    if (mask_ != after.mask_) return fmt::format("the umask was {:o} and is {:o}", mask_, after.mask_);
    for (std::size_t i = 1; i < handlers_.size(); ++i) {
        if (!is_same(handlers_[i], after.handlers_[i]))
            return fmt::format("the handler of signal {} changed", i);
    }
    if (const std::string set = added(environment_, after.environment_); !set.empty())
        return "the environment has '" + set + "' now";
    if (const std::string gone = added(after.environment_, environment_); !gone.empty())
        return "the environment had '" + gone + "'";
    if (crowds > 0) return "";
    if (const std::string open = added(descriptors_, after.descriptors_); !open.empty())
        return "descriptor " + open + " was left open";
    if (const std::string shut = added(after.descriptors_, descriptors_); !shut.empty())
        return "descriptor " + shut + " was closed";
    return "";
}

void ProcessState::restore() const {
    const ProcessState present = now();
    if (control_ != present.control_) control_.set();
    if (locale_ != present.locale_) std::setlocale(LC_ALL, locale_.c_str());
    if (folder_ != present.folder_) {
        std::error_code ignored;
        fs::current_path(folder_, ignored);
    }
    if (mask_ != present.mask_) ::umask(mask_);
    for (std::size_t i = 1; i < handlers_.size(); ++i) {
        if (!is_same(handlers_[i], present.handlers_[i]))
            (void)::sigaction(static_cast<int>(i), &handlers_[i], nullptr);
    }
    const auto name_of_variable = [](const std::string& text) { return text.substr(0, text.find('=')); };
    for (const std::string& variable : present.environment_) {
        if (!environment_.contains(variable)) ::unsetenv(name_of_variable(variable).c_str());
    }
    for (const std::string& variable : environment_) {
        const std::string name = name_of_variable(variable);
        if (!present.environment_.contains(variable) && name != variable)
            ::setenv(name.c_str(), variable.c_str() + name.size() + 1, 1);
    }
}

void ProcessWatch::enable() { is_enabled = true; }

ProcessWatch::Crowd::Crowd() { ++crowds; }

ProcessWatch::Crowd::~Crowd() { --crowds; }

ProcessWatch::ProcessWatch(std::string who) : who_(std::move(who)) {
    if (is_enabled) before_ = ProcessState::now();
}

ProcessWatch::~ProcessWatch() {
    if (!is_enabled) return;
    const std::string change = before_.change_to(ProcessState::now());
    if (change.empty()) return;
    before_.restore();
    note(who_ + " changed the process that it runs in: " + change + "; what can be put back was");
}

void put_back_float_control(const std::string& who) {
    const FloatControl found = FloatControl::now();
    kStandardFloat.set();
    note(fmt::format(
        "{} changed how this process computes (rounding, denormal numbers or traps: MXCSR {:#x} to "
        "{:#x}, x87 {:#x} to {:#x}); it was put back",
        who,
        kStandardFloat.sse,
        found.sse,
        kStandardFloat.x87,
        found.x87));
}

std::vector<std::string> take_process_notes() {
    const std::lock_guard lock(notes_mutex);
    return std::exchange(notes, {});
}

}  // namespace l2o::framework
