#include "framework/store/safetensors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <l2o/files/safetensors.hpp>
#include <string_view>
#include <utility>
#include <vector>

#include "framework/error.hpp"
#include "framework/store/atomic_file.hpp"
#include "framework/store/hash.hpp"
#include "framework/text/json.hpp"
#include "framework/text/suggest.hpp"

namespace l2o::framework {
namespace {

constexpr std::uint64_t kHeaderAlignment = 8;  // padding of the reference implementation

std::size_t layout_rank(Dtype dtype) {
    const auto* found =
        std::ranges::find(files::kStoredTypes, static_cast<std::uint32_t>(dtype), &files::StoredType::dtype);
    return static_cast<std::size_t>(found - files::kStoredTypes.begin());
}

Tensor tensor_of(const files::StoredTensor& stored, const std::shared_ptr<char>& memory) {
    const auto dtype = static_cast<Dtype>(stored.dtype);
    const auto address = reinterpret_cast<std::uintptr_t>(stored.data);
    if (address % static_cast<std::uintptr_t>(bytes_of(dtype)) == 0)
        return Tensor::borrow(dtype, stored.shape, stored.data, memory);
    Tensor copy(dtype, stored.shape);
    std::memcpy(copy.data(), stored.data, static_cast<std::size_t>(copy.bytes()));
    return copy;
}

std::string checksum_of(const TensorRefs& tensors, const std::map<std::string, std::string>& metadata) {
    Checksum checksum;
    for (const auto& [key, text] : metadata) {
        if (key == kSealKey) continue;
        checksum.add(key);
        checksum.add(text);
    }
    for (const auto& [name, tensor] : tensors) {
        checksum.add(name);
        checksum.add(name_of(tensor->dtype()) + to_string(tensor->shape()));
        checksum.add({static_cast<const char*>(tensor->data()), static_cast<std::size_t>(tensor->bytes())});
    }
    return checksum.hex();
}

}  // namespace

std::map<std::string, std::string> sealed(const TensorRefs& tensors,
                                          std::map<std::string, std::string> metadata) {
    metadata[kSealKey] = checksum_of(tensors, metadata);
    return metadata;
}

bool is_sealed(const TensorFile& file) {
    const auto seal = file.metadata.find(kSealKey);
    if (seal == file.metadata.end()) return false;
    TensorRefs tensors;
    for (const auto& [name, tensor] : file.tensors) tensors[name] = &tensor;
    return seal->second == checksum_of(tensors, file.metadata);
}

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

TensorFile read_safetensors(const std::filesystem::path& path) try {
    files::Safetensors file = files::read_safetensors(path.string());
    TensorFile result{.path = file.path, .tensors = {}, .metadata = std::move(file.metadata)};
    for (const auto& [name, stored] : file.tensors)
        result.tensors.emplace(name, tensor_of(stored, file.memory));
    return result;
} catch (const Failure& failure) {
    throw Error(ExitCode::kIo, failure.what());
}

std::map<std::string, std::string> read_safetensors_metadata(const std::filesystem::path& path) try {
    return files::read_safetensors_metadata(path.string());
} catch (const Failure& failure) {
    throw Error(ExitCode::kIo, failure.what());
}

void write_safetensors(const std::filesystem::path& path,
                       const TensorRefs& tensors,
                       const std::map<std::string, std::string>& metadata) {
    if (tensors.contains(files::kMetadataKey))
        throw Error(ExitCode::kIo,
                    fmt::format("{}: a tensor is named '{}'; expected another name, this one is reserved",
                                path.string(),
                                files::kMetadataKey));
    std::vector<std::pair<std::string_view, const Tensor*>> ordered(tensors.begin(), tensors.end());
    std::ranges::stable_sort(
        ordered, {}, [](const auto& entry) { return layout_rank(entry.second->dtype()); });

    nlohmann::ordered_json header = nlohmann::ordered_json::object();
    if (!metadata.empty()) header[files::kMetadataKey] = metadata;
    std::int64_t offset = 0;
    for (const auto& [name, tensor] : ordered) {
        const std::int64_t begin = std::exchange(offset, offset + tensor->bytes());
        header[std::string(name)] = {{"dtype", files::kStoredTypes[layout_rank(tensor->dtype())].stored_name},
                                     {"shape", tensor->shape()},
                                     {"data_offsets", {begin, offset}}};
    }
    std::string text;
    try {
        text = header.dump();
    } catch (const nlohmann::json::exception& e) {
        throw Error(ExitCode::kIo,
                    fmt::format("{}: a name or a text of the metadata is not UTF-8 ({}); rename it",
                                path.string(),
                                e.what()));
    }
    text.resize((text.size() + kHeaderAlignment - 1) / kHeaderAlignment * kHeaderAlignment, ' ');

    const std::uint64_t header_bytes = text.size();
    AtomicFile file(path);
    file.write({reinterpret_cast<const char*>(&header_bytes), files::kLengthBytes});
    file.write(text);
    for (const auto& [name, tensor] : ordered)
        file.write({static_cast<const char*>(tensor->data()), static_cast<std::size_t>(tensor->bytes())});
    file.commit();
}

}  // namespace l2o::framework
