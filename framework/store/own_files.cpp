#include "framework/store/own_files.hpp"

#include <algorithm>
#include <string_view>
#include <system_error>
#include <utility>

#include "framework/error.hpp"
#include "framework/store/atomic_file.hpp"
#include "framework/store/hash.hpp"

namespace l2o::framework {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kDigits = 40;
constexpr std::string_view kBetween = "  ";

}  // namespace

bool is_there(const fs::path& path) {
    std::error_code ignored;
    return fs::exists(fs::symlink_status(path, ignored));
}

OwnFiles::OwnFiles(fs::path folder, const std::string& verb, std::string writer, std::string advice)
    : folder_(std::move(folder)),
      list_(folder_ / (".l2o-" + verb)),
      head_("# What 'l2o " + verb + "' has written here, and may replace; sha1sum -c .l2o-" + verb + "\n"),
      writer_(std::move(writer)),
      advice_(std::move(advice)) {
    if (!is_there(list_)) return;
    const std::string no_list = "is no list of an earlier " + verb;
    if (!fs::is_regular_file(fs::symlink_status(list_))) refuse(list_, no_list);
    const std::string text = read_file(list_);
    if (!text.starts_with(head_)) refuse(list_, no_list);
    for (std::size_t begin = head_.size(); begin < text.size();) {
        const std::size_t end = std::min(text.find('\n', begin), text.size());
        const std::string line = text.substr(begin, end - begin);
        begin = end + 1;
        if (line.size() <= kDigits + kBetween.size()) continue;
        known_[line.substr(kDigits + kBetween.size())].insert(line.substr(0, kDigits));
    }
}

void OwnFiles::check_is_own(const std::string& name) const {
    const fs::path file = folder_ / name;
    const auto known = known_.find(name);
    if (known == known_.end()) refuse(file, "was not written by " + writer_);
    std::error_code ignored;
    const bool is_file = fs::is_regular_file(fs::symlink_status(file, ignored));
    if (!is_file || !known->second.contains(sha1_hex(read_file(file))))
        refuse(file, "was changed since " + writer_ + " wrote it");
}

void OwnFiles::refuse(const fs::path& path, const std::string& what) const {
    throw Error(ExitCode::kIo,
                path.string() + ": " + what + ", so it is not replaced; move it away, or " + advice_);
}

void OwnFiles::write(const Names& names) const {
    std::string text(head_);
    for (const auto& [name, hashes] : names) {
        for (const std::string& hash : hashes) text.append(hash).append(kBetween).append(name) += '\n';
    }
    write_file_atomically(list_, text);
}

}  // namespace l2o::framework
