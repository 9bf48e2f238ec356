// Reading .safetensors files: what the host and plugins that take files from users share.
#pragma once

#include <fcntl.h>
#include <l2o/abi/tensor.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <l2o/files/json.hpp>
#include <l2o/sdk/failure.hpp>
#include <l2o/sdk/spec.hpp>
#include <limits>
#include <map>
#include <memory>
#include <new>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace l2o::files {

static_assert(std::endian::native == std::endian::little, "safetensors data is little-endian");

/// The element types that are supported, in the order in which the reference implementation lays tensors out:
/// largest alignment first.
struct StoredType {
    std::uint32_t dtype;  ///< L2O_DTYPE_F32 ...
    std::string_view stored_name, name;
    std::uint64_t bytes;
};
inline constexpr std::array kStoredTypes{
    StoredType{L2O_DTYPE_I64, "I64", "int64", 8},
    StoredType{L2O_DTYPE_F64, "F64", "float64", 8},
    StoredType{L2O_DTYPE_F32, "F32", "float32", 4},
    StoredType{L2O_DTYPE_I32, "I32", "int32", 4},
    StoredType{L2O_DTYPE_U8, "U8", "uint8", 1},
};

inline constexpr const char* kMetadataKey = "__metadata__";
inline constexpr std::uint64_t kLengthBytes = 8;

/// A tensor of a file, in memory: row-major, not always aligned to its element.
struct StoredTensor {
    std::uint32_t dtype = 0;  ///< L2O_DTYPE_F32 ...
    Shape shape{};
    char* data = nullptr;

    /// Element i as a double.   @pre dtype is L2O_DTYPE_F32 or L2O_DTYPE_F64
    [[nodiscard]] double real(std::int64_t i) const {
        if (dtype == L2O_DTYPE_F64) return at<double>(i);
        return static_cast<double>(at<float>(i));
    }

  private:
    template <class T>
    [[nodiscard]] T at(std::int64_t i) const {
        T value;
        std::memcpy(&value, data + i * static_cast<std::int64_t>(sizeof(T)), sizeof(T));
        return value;
    }
};

/// The content of a file.
struct Safetensors {
    std::string path;  ///< for messages
    std::map<std::string, StoredTensor> tensors{};
    std::map<std::string, std::string> metadata{};
    std::shared_ptr<char> memory{};  ///< what the tensors point into
};

/// "[3, 4]"; "[]" for a scalar.
inline std::string shape_text(const Shape& shape) {
    std::string text;
    for (const std::int64_t size : shape) text += (text.empty() ? "" : ", ") + std::to_string(size);
    return "[" + text + "]";
}

/// "float32" ...
inline std::string type_name(std::uint32_t dtype) {
    for (const StoredType& type : kStoredTypes)
        if (type.dtype == dtype) return std::string(type.name);
    return "?";
}

namespace detail {

using nlohmann::json;

/// Reads one file.
class Reader {
  public:
    explicit Reader(const std::string& path) { file_.path = path; }
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;
    ~Reader() {
        if (descriptor_ >= 0) ::close(descriptor_);
    }

    Safetensors read(bool with_data) {
        open();
        if (file_bytes_ < kLengthBytes)
            bad("holds " + std::to_string(file_bytes_) + " bytes; expected at least " +
                std::to_string(kLengthBytes) + ", the header's length");
        std::string text(checked_header_bytes(), '\0');
        read_at(kLengthBytes, text.data(), text.size());
        // Demanded by the format, which leaves no room for a byte order mark or leading blanks.
        if (!text.starts_with('{')) bad("header is not a JSON object");
        data_bytes_ = file_bytes_ - kLengthBytes - text.size();
        const json header = parse_header(text);
        for (const auto& [name, value] : header.items()) {
            if (name == kMetadataKey)
                file_.metadata = parse_metadata(value);
            else
                add_tensor(name, value);
        }
        check_coverage();
        if (with_data)
            read_data(kLengthBytes + text.size());
        else
            file_.tensors.clear();
        return std::move(file_);
    }

  private:
    struct Extent {
        std::uint64_t begin, end;  // bytes, relative to the start of the data
        std::string name;
    };

    [[noreturn]] void bad(const std::string& what) const {
        unreadable(file_.path + ": " + what + "; the file is damaged or is not safetensors");
    }
    [[noreturn]] void bad_tensor(const std::string& name, const std::string& what) const {
        bad("tensor '" + name + "': " + what);
    }
    [[noreturn]] void io_failure(const char* what, const char* advice) const {
        unreadable(file_.path + ": " + what + ": " + std::generic_category().message(errno) + "; " + advice);
    }

    // Without O_NONBLOCK a FIFO would be waited for.
    void open() {
        do {
            descriptor_ = ::open(file_.path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        } while (descriptor_ < 0 && errno == EINTR);
        if (descriptor_ < 0) io_failure("cannot open", "check the path and its permissions");
        const struct stat status = this->status();
        if (!S_ISREG(status.st_mode)) bad("is not a regular file");
        file_bytes_ = static_cast<std::uint64_t>(status.st_size);
        changed_ = status.st_mtim;
    }

    [[nodiscard]] struct stat status() const {
        struct stat status {};
        if (::fstat(descriptor_, &status) != 0)
            io_failure("cannot read the file's status", "check the file system");
        return status;
    }

    void read_at(std::uint64_t offset, char* to, std::uint64_t bytes) const {
        while (bytes > 0) {
            const ssize_t got = ::pread(descriptor_, to, bytes, static_cast<off_t>(offset));
            if (got == 0) changed();
            if (got < 0 && errno != EINTR) io_failure("cannot read", "expected a readable file");
            if (got < 0) continue;
            to += got;
            offset += static_cast<std::uint64_t>(got);
            bytes -= static_cast<std::uint64_t>(got);
        }
    }

    [[noreturn]] void changed() const {
        unreadable(file_.path +
                   ": was changed while it was read; expected a file that nobody writes to; try again");
    }

    // Of the whole file, so that what another process does to it later changes nothing and takes nobody down,
    // as it would with a mapping.
    void read_data(std::uint64_t offset) {
        constexpr std::align_val_t kAlignment{64};
        auto* start = static_cast<char*>(
            ::operator new(std::max<std::uint64_t>(data_bytes_, 1), kAlignment, std::nothrow));
        if (start == nullptr)
            unreadable(file_.path + ": holds " + std::to_string(data_bytes_) +
                       " bytes of data, more than there is memory; expected a smaller file");
        file_.memory = {start, [](char* p) { ::operator delete(p, kAlignment); }};
        read_at(offset, start, data_bytes_);
        const timespec now = status().st_mtim;
        if (now.tv_sec != changed_.tv_sec || now.tv_nsec != changed_.tv_nsec) changed();
        for (const Extent& extent : extents_) file_.tensors.at(extent.name).data = start + extent.begin;
    }

    [[nodiscard]] std::uint64_t checked_header_bytes() const {
        constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // limit of the reference implementation
        std::uint64_t bytes = 0;
        read_at(0, reinterpret_cast<char*>(&bytes), kLengthBytes);
        const auto expect = [&](std::uint64_t most, const char* why) {
            if (bytes > most)
                bad("header length is " + std::to_string(bytes) + " bytes; expected at most " +
                    std::to_string(most) + why);
        };
        expect(kMaxHeaderBytes, "");
        expect(file_bytes_ - kLengthBytes, ", the rest of the file");
        return bytes;
    }

    [[nodiscard]] json parse_header(std::string_view text) const {
        constexpr std::size_t kMaxDepth = 3;  // root object, tensor object, its arrays
        try {
            return parse_json(text, kMaxDepth, "tensors with flat shapes and offsets");
        } catch (const JsonFault& fault) {
            bad(std::string("header ") + fault.what());
        }
    }

    [[nodiscard]] std::map<std::string, std::string> parse_metadata(const json& value) const {
        if (!value.is_object() ||
            !std::all_of(value.begin(), value.end(), [](const json& text) { return text.is_string(); }))
            bad("__metadata__ is not an object of strings");
        return value.get<std::map<std::string, std::string>>();
    }

    [[nodiscard]] const json& member(const std::string& name, const json& tensor, const char* key) const {
        const auto found = tensor.find(key);
        if (found == tensor.end()) bad_tensor(name, std::string("has no ") + key);
        return *found;
    }

    [[nodiscard]] const StoredType& parse_type(const std::string& name, const json& value) const {
        if (!value.is_string()) bad_tensor(name, "dtype is " + quoted_json(value) + "; expected a string");
        for (const StoredType& type : kStoredTypes)
            if (type.stored_name == value.get_ref<const std::string&>()) return type;
        unreadable(file_.path + ": tensor '" + name + "': dtype " + quoted_json(value) +
                   " is not supported; expected F32, F64, I32, I64 or U8");
    }

    [[nodiscard]] Shape parse_shape(const std::string& name, const json& value) const {
        const auto is_extent = [](const json& extent) {
            return extent.is_number_unsigned() &&
                   extent.get<std::uint64_t>() <= std::uint64_t{std::numeric_limits<std::int64_t>::max()};
        };
        if (!value.is_array() || !std::all_of(value.begin(), value.end(), is_extent))
            bad_tensor(name, "shape is " + quoted_json(value) + "; expected integers from 0 to 2^63 - 1");
        return value.get<Shape>();
    }

    [[nodiscard]] Extent parse_offsets(const std::string& name, const json& offsets) const {
        if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
            !offsets[1].is_number_unsigned())
            bad_tensor(name,
                       "data_offsets is " + quoted_json(offsets) + "; expected two integers, begin and end");
        Extent extent{offsets[0].get<std::uint64_t>(), offsets[1].get<std::uint64_t>(), name};
        if (extent.begin > extent.end || extent.end > data_bytes_)
            bad_tensor(name,
                       "data_offsets is " + quoted_json(offsets) + "; expected begin <= end <= " +
                           std::to_string(data_bytes_) + ", the bytes of data in the file");
        return extent;
    }

    [[nodiscard]] std::uint64_t elements(const std::string& name, const Shape& shape) const {
        // Times 8 bytes it fits std::int64_t; a size of 0 excuses no other.
        constexpr std::uint64_t kLimit = std::uint64_t{1} << 59;
        std::uint64_t product = 1, without_zeros = 1;
        for (const std::int64_t size : shape) {
            const auto extent = static_cast<std::uint64_t>(size);
            if (extent > 0 && without_zeros > kLimit / extent)
                bad_tensor(name,
                           "shape " + shape_text(shape) + ": too large; expected at most 2^59 elements");
            without_zeros *= std::max<std::uint64_t>(extent, 1);
            product *= extent;
        }
        return product;
    }

    void add_tensor(const std::string& name, const json& tensor) {
        if (!tensor.is_object()) bad_tensor(name, "is " + quoted_json(tensor) + "; expected an object");
        const StoredType& type = parse_type(name, member(name, tensor, "dtype"));
        const Shape shape = parse_shape(name, member(name, tensor, "shape"));
        const Extent extent = parse_offsets(name, member(name, tensor, "data_offsets"));
        const std::uint64_t bytes = elements(name, shape) * type.bytes;
        if (extent.end - extent.begin != bytes)
            bad_tensor(name,
                       "data_offsets span " + std::to_string(extent.end - extent.begin) +
                           " bytes; expected " + std::to_string(bytes) + " for " + std::string(type.name) +
                           " " + shape_text(shape));
        file_.tensors.emplace(name, StoredTensor{type.dtype, shape, nullptr});
        extents_.push_back(extent);
    }

    // The format demands that the tensors cover the data without holes and overlaps.
    void check_coverage() {
        std::sort(extents_.begin(), extents_.end(), [](const Extent& a, const Extent& b) {
            return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
        });
        std::uint64_t covered = 0;
        for (const Extent& extent : extents_) {
            if (extent.begin != covered)
                bad_tensor(extent.name,
                           "data begins at byte " + std::to_string(extent.begin) + "; expected " +
                               std::to_string(covered) + ", the end of the data before it (" +
                               (extent.begin < covered ? "they overlap" : "there is a hole") + ")");
            covered = extent.end;
        }
        if (covered != data_bytes_)
            bad("tensors cover " + std::to_string(covered) + " bytes; expected " +
                std::to_string(data_bytes_) + ", the bytes of data in the file");
    }

    Safetensors file_;
    int descriptor_ = -1;
    std::uint64_t file_bytes_ = 0, data_bytes_ = 0;
    timespec changed_{};  // when, as it was opened
    std::vector<Extent> extents_;
};

}  // namespace detail

/// Reads a file into memory, which belongs to the result, and checks it completely, so that every tensor is
/// safe to read whatever becomes of the file.
/// @throw Failure L2O_STATUS_IO that says what is wrong where. F32, F64, I32, I64 and U8 are supported.
/// Source: https://github.com/huggingface/safetensors, section "Format" of its README.
[[nodiscard]] inline Safetensors read_safetensors(const std::string& path) {
    return detail::Reader(path).read(true);
}

/// The metadata alone; the data of the tensors is not read. The header is checked as by read_safetensors().
[[nodiscard]] inline std::map<std::string, std::string> read_safetensors_metadata(const std::string& path) {
    return detail::Reader(path).read(false).metadata;
}

}  // namespace l2o::files
