// compare_runs ROOT [ROOT]: what lies in a root folder of `l2o run` (runs of one experiment, and weights) can
// be read; and is, byte by byte, what lies in the other one. Left out are temporary files and, by name, what
// differs between two runs that nothing happened to: times, and what a clock gave.
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "framework/error.hpp"
#include "framework/store/atomic_file.hpp"
#include "framework/store/safetensors.hpp"

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// Of a member of a JSON object, of metadata of weights, of a column of a CSV file. "root" is where a run is,
/// "finished" and "written" name files with times in them by their content.
bool is_of_the_clock(const std::string& name) {
    return name.find("seconds") != std::string::npos || name == "date_utc" || name == "break_even_solves" ||
           name == "root" || name == "finished" || name == "written";
}

void leave_out(json& value) {
    if (value.is_object()) {
        for (auto member = value.begin(); member != value.end();)
            member = is_of_the_clock(member.key()) ? value.erase(member) : std::next(member);
    }
    if (value.is_structured()) {
        for (json& part : value) leave_out(part);
    }
}

std::string without_times(json value) {
    leave_out(value);
    return value.dump();
}

/// Every line has the columns of the first.
std::string csv(const std::string& text) {
    std::istringstream lines(text);
    std::string line, out;
    std::vector<bool> kept;
    while (std::getline(lines, line)) {
        std::vector<std::string> fields(1);
        bool quoted = false;
        for (const char c : line) {
            quoted = quoted != (c == '"');
            if (c == ',' && !quoted)
                fields.emplace_back();
            else
                fields.back() += c;
        }
        if (kept.empty()) {
            for (const std::string& field : fields) kept.push_back(!is_of_the_clock(field));
        }
        if (fields.size() != kept.size() || quoted) throw std::runtime_error("a row is cut off: " + line);
        for (std::size_t i = 0; i < fields.size(); ++i) {
            if (kept[i]) out += fields[i] + ",";
        }
        out += '\n';
    }
    if (!text.ends_with('\n')) throw std::runtime_error("the last line is cut off");
    return out;
}

/// By contestant: lines of trainings side by side come in any order.
std::string json_lines(const std::string& text) {
    std::istringstream lines(text);
    std::string line, out;
    std::map<std::string, std::string> of;
    while (std::getline(lines, line)) {
        const json record = json::parse(line);
        of[record.value("contestant", "")] += without_times(record) + '\n';
    }
    if (!text.empty() && !text.ends_with('\n')) throw std::runtime_error("the last line is cut off");
    for (const auto& [contestant, records] : of) out += records;
    return out;
}

/// Names, types, shapes, metadata, and every bit.
std::string safetensors(const fs::path& path) {
    const l2o::framework::TensorFile file = l2o::framework::read_safetensors(path);
    using l2o::framework::kSealKey;  // of the times too
    if (file.metadata.contains(kSealKey) && !l2o::framework::is_sealed(file))
        throw std::runtime_error("its checksum is wrong");
    std::string out;
    for (const auto& [key, text] : file.metadata) {
        if (is_of_the_clock(key) || key == kSealKey) continue;
        json value = json::parse(text, nullptr, false);
        out += key + "=" + (value.is_structured() ? without_times(std::move(value)) : text) + '\n';
    }
    for (const auto& [name, tensor] : file.tensors) {
        if (is_of_the_clock(name)) continue;
        out += name + " " + std::to_string(static_cast<int>(tensor.dtype()));
        for (const std::int64_t extent : tensor.shape()) out += " " + std::to_string(extent);
        out += '\n';
        out.append(static_cast<const char*>(tensor.data()), static_cast<std::size_t>(tensor.bytes()));
    }
    return out;
}

std::string content(const fs::path& path) try {
    const std::string extension = path.extension();
    if (extension == ".safetensors") return safetensors(path);
    const std::string text = l2o::framework::read_file(path);
    if (extension == ".csv") return csv(text);
    if (extension == ".jsonl") return json_lines(text);
    if (extension == ".json") return without_times(json::parse(text));
    return text;
} catch (const std::exception& error) {
    throw std::runtime_error(path.string() + " cannot be read: " + error.what());
}

bool is_temporary(const fs::path& path) { return path.filename().string().starts_with("."); }

/// By name; folders of runs have names of the clock too, and the one run that counts is the one with a
/// configuration.
std::map<std::string, std::string> contents(const fs::path& root) {
    std::map<std::string, std::string> out;
    for (const auto& entry : fs::recursive_directory_iterator(root)) {
        if (!entry.is_regular_file() || is_temporary(entry.path())) continue;
        const fs::path relative = fs::relative(entry.path(), root);
        std::string name = relative.string();
        if (*relative.begin() != "weights") {
            auto part = relative.begin();  // EXPERIMENT/RUN/...
            fs::path run = root / *part++;
            if (part == relative.end()) throw std::runtime_error(name + " lies in no run");
            run /= *part++;
            if (!fs::exists(run / "config.info")) continue;
            name = "run";
            for (; part != relative.end(); ++part) name += "/" + part->string();
            if (out.contains(name)) throw std::runtime_error(root.string() + " holds two runs");
        }
        out[name] = content(entry.path());
    }
    return out;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2 && argc != 3) {
        std::cerr << "usage: compare_runs ROOT [ROOT]\n";
        return 2;
    }
    try {
        const auto one = contents(argv[1]);
        if (argc == 2) return 0;
        for (const char* name :
             {"metrics.jsonl", "curves.csv", "finals.csv", "summary.csv", "results.json"}) {
            if (!one.contains(std::string("run/") + name))
                throw std::runtime_error(std::string(argv[1]) + " holds no " + name);
        }
        const auto other = contents(argv[2]);
        int differences = 0;
        const auto tell = [&](const std::string& text) {
            std::cerr << text << '\n';
            ++differences;
        };
        for (const auto& [name, text] : one) {
            const auto found = other.find(name);
            if (found == other.end()) {
                tell(name + " is missing in " + argv[2]);
            } else if (found->second != text) {
                const auto at =
                    std::mismatch(text.begin(), text.end(), found->second.begin(), found->second.end());
                const auto byte = static_cast<std::size_t>(at.first - text.begin());
                const std::size_t from = byte < 60 ? 0 : byte - 60;
                tell(name + " differs at byte " + std::to_string(byte) + ":\n  " + text.substr(from, 100) +
                     "\n  " + found->second.substr(from, 100));
            }
        }
        for (const auto& [name, text] : other) {
            if (!one.contains(name)) tell(name + " is missing in " + argv[1]);
        }
        return differences == 0 ? 0 : 1;
    } catch (const std::exception& error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
}
