#include "framework/store/memory.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>

namespace l2o::framework {
namespace {

std::optional<double> left_to_system() {
    constexpr double kKilobyte = 1024;
    std::ifstream info("/proc/meminfo");
    std::string key;
    for (double kilobytes = 0; info >> key >> kilobytes; info.ignore(1 << 10, '\n'))
        if (key == "MemAvailable:") return kilobytes * kKilobyte;
    return std::nullopt;
}

std::optional<double> left_to_process() {
    rlimit limit{};
    double pages = 0;
    const bool is_limited = ::getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
    if (!is_limited || !(std::ifstream("/proc/self/statm") >> pages)) return std::nullopt;
    const double used = pages * static_cast<double>(::sysconf(_SC_PAGESIZE));
    return std::max(static_cast<double>(limit.rlim_cur) - used, 0.0);
}

}  // namespace

std::optional<double> available_memory() {
    const std::optional<double> system = left_to_system(), process = left_to_process();
    if (system && process) return std::min(*system, *process);
    return system ? system : process;
}

}  // namespace l2o::framework
