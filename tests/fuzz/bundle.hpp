#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>

#include "tests/framework/store/scratch_folder.hpp"

namespace l2o::test {

/// Several files as one input: a line "=== NAME" stands before each. Other names than those are text.
inline std::map<std::string, std::string> files_of(const std::uint8_t* data,
                                                   std::size_t size,
                                                   const std::set<std::string>& names) {
    const std::string text(reinterpret_cast<const char*>(data), size);
    std::map<std::string, std::string> files;
    std::string* file = nullptr;
    for (std::size_t begin = 0, end = 0; begin < size; begin = end) {
        end = std::min(text.find('\n', begin), size - 1) + 1;
        const std::string line = text.substr(begin, end - begin);
        const bool is_name = line.starts_with("=== ") && line.ends_with('\n') &&
                             names.contains(line.substr(4, line.size() - 5));
        if (is_name)
            file = &files[line.substr(4, line.size() - 5)];
        else if (file != nullptr)
            *file += line;
    }
    return files;
}

/// Those of a bundle, and none that was there before.
inline void write_files(const std::filesystem::path& folder,
                        const std::map<std::string, std::string>& files) {
    std::filesystem::remove_all(folder);
    for (const auto& [name, text] : files) {
        std::filesystem::create_directories((folder / name).parent_path());
        std::ofstream(folder / name, std::ios::binary) << text;
    }
}

}  // namespace l2o::test
