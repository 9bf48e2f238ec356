#include "framework/store/system_failure.hpp"

#include <filesystem>
#include <new>
#include <stdexcept>
#include <system_error>

namespace l2o::framework {

std::optional<Error> system_failure(const std::exception& error) {
    if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr ||
        dynamic_cast<const std::length_error*>(&error) != nullptr) {
        return Error(
            ExitCode::kUsage,
            "out of memory: the sizes that were asked for do not fit; use fewer instances, a smaller "
            "batch, horizon, number of iterations or problem, or set train.memory");
    }
    if (const auto* file = dynamic_cast<const std::filesystem::filesystem_error*>(&error)) {
        const std::string where = file->path1().empty() ? "the working folder" : file->path1().string();
        return Error(ExitCode::kIo,
                     where + ": " + file->code().message() + "; check the path and its permissions");
    }
    if (const auto* system = dynamic_cast<const std::system_error*>(&error)) {
        return Error(ExitCode::kIo,
                     "the system refuses a resource: " + system->code().message() +
                         "; check the limits of processes, threads and open files");
    }
    return std::nullopt;
}

}  // namespace l2o::framework
