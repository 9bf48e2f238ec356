#include "framework/store/safetensors.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "framework/config/suggest.hpp"
#include "framework/error.hpp"
#include "framework/store/atomic_file.hpp"
#include "framework/store/file_handle.hpp"

namespace l2o::framework {
namespace {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little, "safetensors data is little-endian");

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // limit of the reference implementation
constexpr std::uint64_t kHeaderAlignment = 8;           // padding of the reference implementation
constexpr const char* kMetadataKey = "__metadata__";

struct StoredDtype {
    Dtype dtype;
    std::string_view name;
};

// In the order in which the reference implementation lays tensors out: largest alignment first.
constexpr std::array kStoredDtypes{
    StoredDtype{.dtype = Dtype::kI64, .name = "I64"},
    StoredDtype{.dtype = Dtype::kF64, .name = "F64"},
    StoredDtype{.dtype = Dtype::kF32, .name = "F32"},
    StoredDtype{.dtype = Dtype::kI32, .name = "I32"},
    StoredDtype{.dtype = Dtype::kU8, .name = "U8"},
};

std::size_t layout_rank(Dtype dtype) {
    const auto* found = std::ranges::find(kStoredDtypes, dtype, &StoredDtype::dtype);
    assert(found != kStoredDtypes.end());
    return static_cast<std::size_t>(found - kStoredDtypes.begin());
}

Error bad_file(const std::string& path, std::string_view what) {
    return {ExitCode::kIo, fmt::format("{}: {}; the file is damaged or is not safetensors", path, what)};
}

// A value of the header for a message; texts and large arrays are cut.
std::string quoted(const json& value) {
    constexpr std::size_t kLongest = 60;
    std::string text = value.dump(-1, ' ', true);
    if (text.size() > kLongest) text = text.substr(0, kLongest) + "...";
    return text;
}

json parse_header(const std::string& path, std::string_view text) {
    // nlohmann::json takes one for the end of its input.
    if (text.find('\0') != std::string_view::npos)
        throw bad_file(path, "header is not valid JSON (it has a zero byte)");
    // root object, tensor object, its arrays; deeper nesting is refused before anything recurses over it
    constexpr int kMaxDepth = 3;
    std::vector<std::set<std::string>> keys;  // of the objects that are open
    const auto check = [&](int depth, json::parse_event_t event, json& parsed) {
        if (event == json::parse_event_t::object_start || event == json::parse_event_t::array_start) {
            if (depth >= kMaxDepth)
                throw bad_file(path,
                               "header is nested too deep; expected tensors with flat shapes and offsets");
            if (event == json::parse_event_t::object_start) keys.emplace_back();
        } else if (event == json::parse_event_t::object_end) {
            keys.pop_back();
        } else if (event == json::parse_event_t::key) {
            if (!keys.back().insert(parsed.get<std::string>()).second)
                throw bad_file(path,
                               fmt::format("header has {} twice; expected distinct keys", quoted(parsed)));
        }
        return true;
    };
    try {
        return json::parse(text, check);
    } catch (const json::exception& e) {
        throw bad_file(path, fmt::format("header is not valid JSON ({})", e.what()));
    }
}

struct Entry {
    std::string name;
    Dtype dtype;
    Shape shape;
    std::uint64_t begin, end;  // bytes, relative to the start of the data
};

const json& member(const std::string& path, const std::string& name, const json& tensor, const char* key) {
    const auto found = tensor.find(key);
    if (found == tensor.end()) throw bad_file(path, fmt::format("tensor '{}': has no {}", name, key));
    return *found;
}

Dtype parse_dtype(const std::string& path, const std::string& name, const json& value) {
    if (!value.is_string())
        throw bad_file(path, fmt::format("tensor '{}': dtype is {}; expected a string", name, quoted(value)));
    const auto& text = value.get_ref<const std::string&>();
    const auto* found = std::ranges::find(kStoredDtypes, text, &StoredDtype::name);
    if (found == kStoredDtypes.end())
        throw Error(
            ExitCode::kIo,
            fmt::format("{}: tensor '{}': dtype {} is not supported; expected F32, F64, I32, I64 or U8",
                        path,
                        name,
                        quoted(value)));
    return found->dtype;
}

Shape parse_shape(const std::string& path, const std::string& name, const json& value) {
    const auto is_extent = [](const json& extent) {
        return extent.is_number_unsigned() &&
               extent.get<std::uint64_t>() <= std::uint64_t{std::numeric_limits<std::int64_t>::max()};
    };
    if (!value.is_array() || !std::ranges::all_of(value, is_extent))
        throw bad_file(
            path,
            fmt::format(
                "tensor '{}': shape is {}; expected integers from 0 to 2^63 - 1", name, quoted(value)));
    return value.get<Shape>();
}

Entry parse_entry(const std::string& path,
                  const std::string& name,
                  const json& tensor,
                  std::uint64_t data_bytes) {
    if (!tensor.is_object())
        throw bad_file(path, fmt::format("tensor '{}': is {}; expected an object", name, quoted(tensor)));
    Entry entry{.name = name,
                .dtype = parse_dtype(path, name, member(path, name, tensor, "dtype")),
                .shape = parse_shape(path, name, member(path, name, tensor, "shape")),
                .begin = 0,
                .end = 0};

    const json& offsets = member(path, name, tensor, "data_offsets");
    if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
        !offsets[1].is_number_unsigned())
        throw bad_file(path,
                       fmt::format("tensor '{}': data_offsets is {}; expected two integers, begin and end",
                                   name,
                                   quoted(offsets)));
    entry.begin = offsets[0].get<std::uint64_t>();
    entry.end = offsets[1].get<std::uint64_t>();
    if (entry.begin > entry.end || entry.end > data_bytes)
        throw bad_file(
            path,
            fmt::format("tensor '{}': data_offsets is {}; expected begin <= end <= {}, the bytes of "
                        "data in the file",
                        name,
                        quoted(offsets),
                        data_bytes));

    std::int64_t bytes = 0;
    try {
        bytes = element_count(entry.shape) * bytes_of(entry.dtype);
    } catch (const Error& e) {
        throw bad_file(path, fmt::format("tensor '{}': {}", name, e.what()));
    }
    if (entry.end - entry.begin != static_cast<std::uint64_t>(bytes))
        throw bad_file(path,
                       fmt::format("tensor '{}': data_offsets span {} bytes; expected {} for {} {}",
                                   name,
                                   entry.end - entry.begin,
                                   bytes,
                                   name_of(entry.dtype),
                                   to_string(entry.shape)));
    return entry;
}

std::map<std::string, std::string> parse_metadata(const std::string& path, const json& value) {
    if (!value.is_object() || !std::ranges::all_of(value, [](const json& text) { return text.is_string(); }))
        throw bad_file(path, "__metadata__ is not an object of strings");
    return value.get<std::map<std::string, std::string>>();
}

// The format demands that the tensors cover the data without holes and overlaps.
void check_coverage(const std::string& path, std::vector<Entry>& entries, std::uint64_t data_bytes) {
    std::ranges::sort(entries, {}, [](const Entry& e) { return std::pair(e.begin, e.end); });
    std::uint64_t covered = 0;
    for (const Entry& entry : entries) {
        if (entry.begin != covered)
            throw bad_file(
                path,
                fmt::format("tensor '{}': data begins at byte {}; expected {}, the end of the data "
                            "before it ({})",
                            entry.name,
                            entry.begin,
                            covered,
                            entry.begin < covered ? "they overlap" : "there is a hole"));
        covered = entry.end;
    }
    if (covered != data_bytes)
        throw bad_file(
            path,
            fmt::format(
                "tensors cover {} bytes; expected {}, the bytes of data in the file", covered, data_bytes));
}

std::shared_ptr<char> map_file(const FileHandle& file, std::size_t bytes) {
    void* start =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, file.descriptor(), 0);
    if (start == MAP_FAILED) throw io_error(file.path(), "cannot map", errno, "check the free memory");
    return {static_cast<char*>(start), [bytes](char* p) { ::munmap(p, bytes); }};
}

Tensor tensor_at(const Entry& entry, char* data, const std::shared_ptr<char>& mapping) {
    const auto address = reinterpret_cast<std::uintptr_t>(data);
    if (address % static_cast<std::uintptr_t>(bytes_of(entry.dtype)) == 0)
        return Tensor::borrow(entry.dtype, entry.shape, data, mapping);
    Tensor copy(entry.dtype, entry.shape);
    std::memcpy(copy.data(), data, static_cast<std::size_t>(copy.bytes()));
    return copy;
}

std::uint64_t checked_header_bytes(const std::string& path, const char* start, std::uint64_t file_bytes) {
    std::uint64_t header_bytes = 0;
    std::memcpy(&header_bytes, start, kLengthBytes);
    if (header_bytes > kMaxHeaderBytes)
        throw bad_file(
            path,
            fmt::format("header length is {} bytes; expected at most {}", header_bytes, kMaxHeaderBytes));
    if (header_bytes > file_bytes - kLengthBytes)
        throw bad_file(path,
                       fmt::format("header length is {} bytes; expected at most {}, the rest of the file",
                                   header_bytes,
                                   file_bytes - kLengthBytes));
    return header_bytes;
}

}  // namespace

const Tensor& TensorFile::at(const std::string& name) const {
    if (const auto found = tensors.find(name); found != tensors.end()) return found->second;

    std::vector<std::string> known;
    for (const auto& entry : tensors) known.push_back(entry.first);
    throw Error(ExitCode::kIo,
                fmt::format("{}: has no tensor '{}'{}",
                            path,
                            name,
                            known.empty() ? "; the file holds no tensors" : did_you_mean(name, known)));
}

TensorFile read_safetensors(const std::filesystem::path& path) {
    TensorFile result;
    result.path = path.string();
    const FileHandle file(path, O_RDONLY);
    if (!file.is_regular()) throw bad_file(result.path, "is not a regular file");
    const auto file_bytes = static_cast<std::uint64_t>(file.size_bytes());
    if (file_bytes < kLengthBytes)
        throw bad_file(
            result.path,
            fmt::format(
                "holds {} bytes; expected at least {}, the header's length", file_bytes, kLengthBytes));

    const std::shared_ptr<char> mapping = map_file(file, file_bytes);
    const std::uint64_t header_bytes = checked_header_bytes(result.path, mapping.get(), file_bytes);
    const std::string_view text(mapping.get() + kLengthBytes, header_bytes);
    // Demanded by the format, which leaves no room for a byte order mark or leading blanks.
    if (!text.starts_with('{')) throw bad_file(result.path, "header is not a JSON object");
    const json header = parse_header(result.path, text);

    char* data = mapping.get() + kLengthBytes + header_bytes;
    const std::uint64_t data_bytes = file_bytes - kLengthBytes - header_bytes;
    std::vector<Entry> entries;
    for (const auto& [name, value] : header.items()) {
        if (name == kMetadataKey)
            result.metadata = parse_metadata(result.path, value);
        else
            entries.push_back(parse_entry(result.path, name, value, data_bytes));
    }
    check_coverage(result.path, entries, data_bytes);
    for (const Entry& entry : entries)
        result.tensors.emplace(entry.name, tensor_at(entry, data + entry.begin, mapping));
    return result;
}

void write_safetensors(const std::filesystem::path& path,
                       const TensorRefs& tensors,
                       const std::map<std::string, std::string>& metadata) {
    if (tensors.contains(kMetadataKey))
        throw Error(ExitCode::kIo,
                    fmt::format("{}: a tensor is named '{}'; expected another name, this one is reserved",
                                path.string(),
                                kMetadataKey));
    std::vector<std::pair<std::string_view, const Tensor*>> ordered(tensors.begin(), tensors.end());
    std::ranges::stable_sort(
        ordered, {}, [](const auto& entry) { return layout_rank(entry.second->dtype()); });

    nlohmann::ordered_json header = nlohmann::ordered_json::object();
    if (!metadata.empty()) header[kMetadataKey] = metadata;
    std::int64_t offset = 0;
    for (const auto& [name, tensor] : ordered) {
        const std::int64_t begin = std::exchange(offset, offset + tensor->bytes());
        header[std::string(name)] = {{"dtype", kStoredDtypes[layout_rank(tensor->dtype())].name},
                                     {"shape", tensor->shape()},
                                     {"data_offsets", {begin, offset}}};
    }
    std::string text;
    try {
        text = header.dump();
    } catch (const json::exception& e) {
        throw Error(ExitCode::kIo,
                    fmt::format("{}: a name or a text of the metadata is not UTF-8 ({}); rename it",
                                path.string(),
                                e.what()));
    }
    text.resize((text.size() + kHeaderAlignment - 1) / kHeaderAlignment * kHeaderAlignment, ' ');

    const std::uint64_t header_bytes = text.size();
    AtomicFile file(path);
    file.write({reinterpret_cast<const char*>(&header_bytes), kLengthBytes});
    file.write(text);
    for (const auto& [name, tensor] : ordered)
        file.write({static_cast<const char*>(tensor->data()), static_cast<std::size_t>(tensor->bytes())});
    file.commit();
}

}  // namespace l2o::framework
