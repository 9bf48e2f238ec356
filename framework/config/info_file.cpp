#include "framework/config/info_file.hpp"

#include <algorithm>
#include <boost/property_tree/info_parser.hpp>
#include <boost/property_tree/ptree.hpp>
#include <cstddef>
#include <map>
#include <sstream>
#include <system_error>
#include <unordered_map>
#include <utility>

#include "framework/config/compose.hpp"
#include "framework/config/info_scan.hpp"
#include "framework/error.hpp"
#include "framework/store/atomic_file.hpp"
#include "framework/store/paths.hpp"
#include "framework/text/printable.hpp"

namespace l2o::framework {
namespace {

namespace fs = std::filesystem;
using boost::property_tree::ptree;

constexpr std::size_t kMaxBytes = 16 << 20;

std::string file_text(const fs::path& file, const std::string& what, const std::string& expected) {
    try {
        return read_file_or_pipe(file, kMaxBytes);
    } catch (const Error& error) {
        throw Error(error.code(),
                    what + " '" + file.string() + "'; expected " + expected + " (" + error.what() + ")");
    }
}

// Reads one file after the other; the chain holds the files whose includes are being read.
class Reader {
  public:
    ConfigNode read(const fs::path& file, std::string_view text) {
        chain_.push_back(file);
        bytes_ += text.size();
        if (chain_.size() > kMaxDepth || ++files_ > kMaxFiles || bytes_ > kMaxBytes) {
            throw Error(ExitCode::kUsage,
                        file.string() + ": more than " + std::to_string(kMaxFiles) + " files, " +
                            std::to_string(kMaxDepth) + " within one another or " +
                            std::to_string(kMaxBytes >> 20) + " MiB are included; expected fewer");
        }
        check_text(file, text);
        InfoScan scan = scan_info(text, file.string());
        ptree tree;
        try {
            std::istringstream in(std::move(scan.text));
            boost::property_tree::read_info(in, tree);
        } catch (const boost::property_tree::info_parser_error& error) {
            throw Error(ExitCode::kUsage,
                        file.string() + ":" + std::to_string(error.line()) + ": " + error.message() +
                            "; expected settings 'key value' and sections 'key { ... }'");
        }
        const Place place{file, absolute_path(file).parent_path(), scan.key_lines};
        std::size_t key_count = 0;
        ConfigNode root;
        root.origin = {.file = file.string(), .folder = place.folder};
        add_children(root, tree, place, key_count);
        chain_.pop_back();
        return root;
    }

  private:
    static constexpr std::size_t kMaxFiles = 1000;  // a file that includes one twice, which ... : 2^n

    static void check_text(const fs::path& file, std::string_view text) {
        if (text_fault(text).empty()) return;
        for (int line = 1;; ++line) {
            const std::size_t end = text.find('\n');
            const std::string fault = text_fault(text.substr(0, end));
            if (!fault.empty()) {
                throw Error(ExitCode::kUsage,
                            file.string() + ":" + std::to_string(line) + ": " + fault +
                                "; expected a file in INFO format, in UTF-8");
            }
            text.remove_prefix(end + 1);
        }
    }

    struct Place {
        const fs::path& file;
        fs::path folder;
        const std::vector<int>& key_lines;
    };

    // The tree is walked in file order, so the n-th key met is the n-th key scanned.
    void add_children(ConfigNode& section, const ptree& tree, const Place& place, std::size_t& key_count) {
        if (++depth_ > kMaxDepth + 1) {
            throw Error(ExitCode::kUsage,
                        section.origin.text() + ": with what is included, sections are nested more than " +
                            std::to_string(kMaxDepth) + " deep; expected fewer");
        }
        std::unordered_map<std::string, int> lines;  // of the keys that this file has in this section
        ConfigNode own;  // those since the last include, laid over what came before
        for (const auto& [key, subtree] : tree) {
            ConfigNode node{.key = key, .value = subtree.data()};
            node.origin = {
                .file = place.file.string(), .line = place.key_lines.at(key_count++), .folder = place.folder};
            if (key == kIncludeKey) {
                merge_section(section, std::exchange(own, {}));
                merge_section(section, read_included(node.value, node.origin, subtree.empty()));
                continue;
            }
            if (const std::string fault = key_fault(key); !fault.empty()) {
                throw Error(ExitCode::kUsage,
                            node.origin.text() + ": " + fault +
                                "; expected a plain name, sections like 'key { ... }'");
            }
            const auto [known, is_new] = lines.emplace(key, node.origin.line);
            if (!is_new) {
                throw Error(ExitCode::kUsage,
                            node.origin.text() + ": '" + key + "' was given already, in line " +
                                std::to_string(known->second) + "; remove one of them" +
                                (subtree.empty() ? "" : ", or make them one section"));
            }
            add_children(node, subtree, place, key_count);
            own.children.push_back(std::move(node));
        }
        if (section.children.empty())
            section.children = std::move(own.children);
        else
            merge_section(section, own);
        --depth_;
    }

    ConfigNode read_included(const std::string& name, const Origin& origin, bool is_leaf) {
        if (!is_leaf)
            throw Error(ExitCode::kUsage, origin.text() + ": a '{' follows '#include'; expected a key");
        const fs::path file = (fs::path(origin.file).parent_path() / name).lexically_normal();
        const auto is_same = [&](const fs::path& other) {
            return absolute_path(other) == absolute_path(file);
        };
        if (const auto first = std::find_if(chain_.begin(), chain_.end(), is_same); first != chain_.end()) {
            std::string cycle;
            for (auto link = first; link != chain_.end(); ++link)
                cycle += "'" + link->string() + "' includes ";
            throw Error(ExitCode::kUsage,
                        origin.text() + ": the includes form a cycle: " + cycle + "'" + file.string() +
                            "'; remove one of them");
        }
        return read(file,
                    file_text(file,
                              origin.text() + ": cannot read the included file",
                              "a path relative to the folder of '" + origin.file + "'"));
    }

    std::vector<fs::path> chain_;
    std::size_t files_ = 0, bytes_ = 0, depth_ = 0;
};

// Words that INFO reads back unquoted in every place; the rest is quoted.
bool is_plain_word(const std::string& text) {
    constexpr std::string_view kPlain = "_+-./,:=";
    return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
        const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        return is_letter || (c >= '0' && c <= '9') || kPlain.find(c) != std::string_view::npos;
    });
}

std::string word(const std::string& text) {
    if (is_plain_word(text) && !text.ends_with('=')) return text;
    std::string quoted = "\"";
    for (const char c : text) {
        switch (c) {
            case '\n':
                quoted += "\\n";
                break;
            case '\r':
                quoted += "\\r";
                break;
            case '\t':
                quoted += "\\t";
                break;
            case '"':
                quoted += "\\\"";
                break;
            case '\\':
                quoted += "\\\\";
                break;
            default:
                quoted += c;
        }
    }
    return quoted + '"';
}

void write_children(std::string& out, const ConfigNode& section, std::size_t depth) {
    const std::string indent(4 * depth, ' ');
    for (const ConfigNode& child : section.children) {
        out += indent + word(child.key);
        if (!child.value.empty() || child.children.empty()) out += ' ' + word(child.value);
        if (!child.children.empty()) {
            out += " {\n";
            write_children(out, child, depth + 1);
            out += indent + '}';
        }
        out += '\n';
    }
}

void sort_keys(ConfigNode& section) {
    std::sort(section.children.begin(), section.children.end(), [](const ConfigNode& a, const ConfigNode& b) {
        return a.key < b.key;
    });
    for (ConfigNode& child : section.children) sort_keys(child);
}

}  // namespace

std::string read_info_text(const fs::path& file) {
    return file_text(file, "cannot read the configuration", "a file in INFO format");
}

ConfigNode read_info(const fs::path& file) { return Reader().read(file, read_info_text(file)); }

ConfigNode parse_info(std::string_view text, const fs::path& file) { return Reader().read(file, text); }

std::string to_info(const ConfigNode& root) {
    std::string text;
    write_children(text, root, 0);
    return text;
}

std::string canonical_text(const ConfigNode& root) {
    ConfigNode sorted = root;
    sort_keys(sorted);
    return to_info(sorted);
}

}  // namespace l2o::framework
