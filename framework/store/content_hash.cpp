#include "framework/store/content_hash.hpp"

#include <fcntl.h>

#include <algorithm>
#include <vector>

#include "framework/store/hash.hpp"

namespace l2o::framework {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostEntries = 100'000;  // chosen: ImageNet's folders are no option of anybody here

std::string hash_of_file(const fs::path& path) {
    FileHandle file(path, O_RDONLY | O_NONBLOCK);
    return sha1_hex(file);
}

/// Writes down a folder, sorted by name.
class Listing {
  public:
    std::string text;

    void add(const fs::path& folder, const std::string& prefix) {
        std::error_code code;
        const fs::path real = fs::canonical(folder, code);
        if (code) refuse(folder, code);
        if (std::find(above_.begin(), above_.end(), real) != above_.end()) return;
        std::vector<fs::path> entries;
        fs::directory_iterator entry(folder, code);
        for (const fs::directory_iterator end; !code && entry != end; entry.increment(code)) {
            entries.push_back(entry->path());
            if (++count_ > kMostEntries)
                throw Error(ExitCode::kUsage,
                            folder.string() + ": there are more than " + std::to_string(kMostEntries) +
                                " files here; expected a folder of data alone, because results and weights "
                                "are told apart by the content of all of it");
        }
        if (code) refuse(folder, code);
        std::sort(entries.begin(), entries.end());
        above_.push_back(real);
        for (const fs::path& path : entries) {
            const std::string name = prefix + path.filename().string();
            const fs::file_status status = fs::status(path, code);
            if (status.type() == fs::file_type::none && code != std::errc::too_many_symbolic_link_levels)
                refuse(path, code);
            if (fs::is_directory(status)) {
                add(path, name + "/");
            } else {
                // Sizes first: names may hold anything but a zero byte.
                text += std::to_string(name.size()) + " " + name + " " + content_of(path) + "\n";
            }
        }
        above_.pop_back();
    }

  private:
    [[noreturn]] static void refuse(const fs::path& path, std::error_code code) {
        throw io_error(path,
                       "cannot be read, though it is part of a folder of data",
                       code.value(),
                       "check its permissions, or move it away");
    }

    static std::string content_of(const fs::path& path) try {
        std::error_code code;
        return fs::is_regular_file(path, code) ? hash_of_file(path) : "no file";
    } catch (const Error&) {
        return "unreadable";
    }

    std::vector<fs::path> above_;  // against links that lead upwards
    std::size_t count_ = 0;
};

}  // namespace

std::string content_hash(const fs::path& path) {
    std::error_code code;
    if (fs::is_regular_file(path, code)) return hash_of_file(path);
    if (!fs::is_directory(path, code)) return "";
    Listing listing;
    listing.add(path, "");
    return sha1_hex("folder\n" + listing.text);
}

const std::string& Contents::of(const fs::path& path) {
    const auto [known, is_new] = known_.try_emplace(path);
    if (is_new) known->second = content_hash(path);
    return known->second;
}

const std::string& Contents::of_file(const fs::path& path) {
    if (of(path).empty()) static_cast<void>(FileHandle(path, O_RDONLY));
    return of(path);
}

}  // namespace l2o::framework
