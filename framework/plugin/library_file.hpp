#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "framework/plugin/description.hpp"
#include "framework/store/file_handle.hpp"

namespace l2o::framework {

/// A plugin library as a file: what its ELF headers say, without loading it.
class LibraryFile {
  public:
    /// Opens it and looks at its headers: a page or two are read, whatever its size. What dlopen() would map
    /// beyond the end of the file, and die of, is refused here.
    /// @throw Error kPlugin: it is missing, no regular file, no library for this machine, or cut short.
    explicit LibraryFile(const std::filesystem::path& path);

    /// Build id and size; `content` is left out.
    [[nodiscard]] const Build& build() const { return build_; }
    /// The same with `content`: reads the whole file. @throw Error kIo
    [[nodiscard]] Build build_with_content();
    /// The symbols that other libraries see and that are not the linker's own; none without section headers.
    /// @throw Error kPlugin: headers that make no sense
    [[nodiscard]] std::vector<std::string> exports() const;
    /// Whether the path still leads to this file, and nobody has written to it since it was opened.
    [[nodiscard]] bool is_unchanged() const;
    /// Whether everybody may write to it.
    [[nodiscard]] bool is_open_to_all() const { return (status_.st_mode & S_IWOTH) != 0; }

  private:
    void read_headers();

    FileHandle file_;
    struct stat status_ {};
    Build build_;
};

/// A folder with libraries for AVX-512 beside those for other processors.
inline constexpr const char* kWideFolder = "x86-64-v4";

/// The library that stands for this one on a processor of level x86-64-v4 (AVX-512 F, BW, CD, DQ, VL): the
/// file of the same name in kWideFolder beside it, if there is one; else itself.
[[nodiscard]] std::filesystem::path built_for(const std::filesystem::path& library, bool is_x86_64_v4);
/// Whether this machine is one.
[[nodiscard]] bool is_x86_64_v4();

/// An Error(kPlugin) about a library: "plugin '<path>': <text>".
[[nodiscard]] Error library_error(const std::filesystem::path& path, const std::string& text);

}  // namespace l2o::framework
