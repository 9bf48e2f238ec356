#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "framework/tensor/tensor.hpp"

namespace l2o::framework {

/// The content of a .safetensors file.
struct TensorFile {
    std::string path;  ///< for messages
    std::map<std::string, Tensor> tensors;
    std::map<std::string, std::string> metadata;

    /// Throws Error(kIo) that names the file, the tensor and the names it has.
    [[nodiscard]] const Tensor& at(const std::string& name) const;
};

/// A file as l2o/files/safetensors.hpp reads it; its errors become Error(kIo).
///
/// The tensors borrow the memory it was read into and keep that alive, each by itself; one whose data is not
/// aligned to its element is copied. Nothing more than that alignment is promised: clone() a tensor that must
/// be a 64-byte aligned buffer. What becomes of the file later changes nothing.
[[nodiscard]] TensorFile read_safetensors(const std::filesystem::path& path);

/// The metadata of a file alone, whose header is checked; the data is not read. Throws Error(kIo).
[[nodiscard]] std::map<std::string, std::string> read_safetensors_metadata(const std::filesystem::path& path);

/// Names and tensors of one file; the tensors are only read.
using TensorRefs = std::map<std::string, const Tensor*>;

inline constexpr const char* kSealKey = "l2o.checksum";
/// The metadata of a file that must come back as it was written: with a checksum of all of its names, shapes,
/// values and texts.
[[nodiscard]] std::map<std::string, std::string> sealed(const TensorRefs& tensors,
                                                        std::map<std::string, std::string> metadata);
/// Whether a file has sealed() metadata, and is what was written.
[[nodiscard]] bool is_sealed(const TensorFile& file);

/// Writes a file atomically (see AtomicFile); same input, same bytes. Throws Error(kIo), also if a name is
/// "__metadata__" or a text is not UTF-8.
void write_safetensors(const std::filesystem::path& path,
                       const TensorRefs& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace l2o::framework
