#include "framework/store/paths.hpp"

#include "framework/store/file_handle.hpp"

namespace l2o::framework {

std::filesystem::path working_folder() {
    std::error_code none;
    return std::filesystem::current_path(none);
}

std::filesystem::path absolute_path(const std::filesystem::path& path) {
    if (path.is_absolute()) return path.lexically_normal();
    std::error_code code;
    const std::filesystem::path folder = std::filesystem::current_path(code);
    if (code)
        throw io_error(path,
                       "is relative to the working folder, which is gone",
                       code.value(),
                       "change to another folder, or give the path from the root on");
    return (folder / path).lexically_normal();
}

}  // namespace l2o::framework
