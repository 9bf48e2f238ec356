#include "framework/store/environment.hpp"

#include <sys/utsname.h>
#include <unistd.h>

#include <cstdint>
#include <ctime>
#include <fstream>
#include <thread>

#include "framework/text/json.hpp"

namespace l2o::framework {
namespace {

using nlohmann::json;

json or_null(const std::string& text) { return text.empty() ? json(nullptr) : json(text); }

constexpr const char* compiler() {
#if defined(__clang__)
    return "Clang " __clang_version__;
#elif defined(__GNUC__)
    return "GCC " __VERSION__;
#else
    return "unknown";
#endif
}

std::string cpu_model() {
    std::ifstream info("/proc/cpuinfo");
    for (std::string line; std::getline(info, line);) {
        const auto colon = line.find(": ");
        if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
    }
    return {};
}

json memory_bytes() {
    const long pages = ::sysconf(_SC_PHYS_PAGES);
    const long page_bytes = ::sysconf(_SC_PAGESIZE);
    if (pages <= 0 || page_bytes <= 0) return nullptr;
    return std::int64_t{pages} * page_bytes;
}

std::string kernel() {
    utsname names{};
    if (::uname(&names) != 0) return {};
    return std::string(names.sysname) + ' ' + names.release + ' ' + names.machine;
}

std::string date_utc() {
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    char text[sizeof "2000-01-01T00:00:00Z"] = "";
    if (::gmtime_r(&now, &parts) == nullptr) return {};
    return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

}  // namespace

json environment(const BuildInfo& build) {
    return {
        {"l2o_version", or_null(build.version)},
        {"build", {{"compiler", compiler()}, {"type", or_null(build.type)}, {"flags", or_null(build.flags)}}},
        {"cpu", {{"model", or_null(cpu_model())}, {"threads", std::thread::hardware_concurrency()}}},
        {"memory_bytes", memory_bytes()},
        {"kernel", or_null(kernel())},
        {"date_utc", or_null(date_utc())}};
}

}  // namespace l2o::framework
