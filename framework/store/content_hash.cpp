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
        if (code || std::find(above_.begin(), above_.end(), real) != above_.end()) return;
        std::vector<fs::path> entries;
        for (fs::directory_iterator entry(folder, code), end; !code && entry != end; entry.increment(code)) {
            entries.push_back(entry->path());
            if (++count_ > kMostEntries)
                throw Error(ExitCode::kUsage,
                            folder.string() + ": there are more than " + std::to_string(kMostEntries) +
                                " files here; expected a folder of data alone, because trained weights are "
                                "found again by the content of all of it");
        }
        std::sort(entries.begin(), entries.end());
        above_.push_back(real);
        for (const fs::path& entry : entries) {
            const std::string name = prefix + entry.filename().string();
            if (fs::is_directory(entry, code)) {
                add(entry, name + "/");
            } else {
                // Sizes first: names may hold anything but a zero byte.
                text += std::to_string(name.size()) + " " + name + " " + content_of(entry) + "\n";
            }
        }
        above_.pop_back();
    }

  private:
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

}  // namespace l2o::framework
