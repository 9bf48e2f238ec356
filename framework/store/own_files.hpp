#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>

namespace l2o::framework {

/// The list, in a folder, of what a verb has written there: `.l2o-VERB`, with the SHA-1 of every file, as
/// sha1sum reads it. Only what is in the list, and is as it was written, is ever replaced.
class OwnFiles {
  public:
    using Names = std::map<std::string, std::set<std::string>>;  ///< relative names, each with its SHA-1s

    /// Reads the list, if there is one.
    /// @param verb    "report"
    /// @param writer  "a report of l2o", for messages
    /// @param advice  what to do about files of others, for messages: "write ... elsewhere ..."
    /// @throw Error kIo: something else has its name
    OwnFiles(std::filesystem::path folder, const std::string& verb, std::string writer, std::string advice);

    [[nodiscard]] const Names& known() const { return known_; }
    /// @throw Error kIo unless a file of the folder is one of the list, and has not changed
    void check_is_own(const std::string& name) const;
    /// @throw Error kIo that `what` is true of a path, which is why it is not replaced
    [[noreturn]] void refuse(const std::filesystem::path& path, const std::string& what) const;
    /// Replaces the list. @throw Error kIo
    void write(const Names& names) const;

  private:
    std::filesystem::path folder_, list_;
    std::string head_, writer_, advice_;
    Names known_;
};

/// Whether anything has that name; links are not followed.
[[nodiscard]] bool is_there(const std::filesystem::path& path);

}  // namespace l2o::framework
