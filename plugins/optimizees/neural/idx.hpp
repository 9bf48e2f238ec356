// The IDX files of MNIST and Fashion-MNIST, plain or gzip-compressed: a magic number 0x00000801 + rank - 1
// (the 08 means unsigned bytes), the sizes as big-endian 32-bit numbers, the bytes. Source: LeCun, Cortes &
// Burges, "The MNIST database of handwritten digits", section "File formats".
//
// Files come from users: nothing is allocated or computed from a size before it was checked.
#pragma once

#include <array>
#include <boost/iostreams/device/file.hpp>
#include <boost/iostreams/filter/gzip.hpp>
#include <boost/iostreams/filtering_streambuf.hpp>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <l2o/sdk/failure.hpp>
#include <span>
#include <string>
#include <system_error>
#include <vector>

namespace l2o::neural {

/// A file whose header was read and found consistent.
struct IdxFile {
    std::string path;
    std::vector<std::int64_t> shape;  ///< number of items first; every size is positive

    [[nodiscard]] std::int64_t items() const { return shape[0]; }
    [[nodiscard]] std::int64_t item_bytes() const {
        std::int64_t bytes = 1;
        for (std::size_t i = 1; i < shape.size(); ++i) bytes *= shape[i];
        return bytes;
    }
};

namespace detail {

/// The bytes of a file, decompressed if they start like gzip.
class IdxBytes {
  public:
    explicit IdxBytes(const std::string& path) : path_(path) {
        std::ifstream probe(path, std::ios::binary);
        char start[2] = {};
        probe.read(start, 2);
        if (!probe && !probe.eof()) unreadable(path + ": cannot be read");
        is_gzip_ = start[0] == '\x1f' && start[1] == '\x8b';
        if (is_gzip_) bytes_.push(boost::iostreams::gzip_decompressor());
        bytes_.push(boost::iostreams::file_source(path, std::ios::binary));
    }

    /// @return how many bytes there were; fewer than asked for at the end of the file.
    std::int64_t read(std::span<std::uint8_t> to) {
        try {
            return bytes_.sgetn(reinterpret_cast<char*>(to.data()), static_cast<std::streamsize>(to.size()));
        } catch (const std::exception& error) {
            unreadable(path_ + ": damaged gzip data (" + error.what() + "); fetch the file again");
        }
    }

    [[nodiscard]] bool is_gzip() const { return is_gzip_; }

  private:
    std::string path_;
    bool is_gzip_ = false;
    boost::iostreams::filtering_streambuf<boost::iostreams::input> bytes_;
};

inline std::uint32_t big_endian(const std::uint8_t* bytes) {
    return std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 | std::uint32_t{bytes[2]} << 8 |
           std::uint32_t{bytes[3]};
}

inline std::string shape_text(const std::vector<std::int64_t>& shape) {
    std::string text;
    for (const std::int64_t size : shape) text += (text.empty() ? "" : " x ") + std::to_string(size);
    return text;
}

/// Header of `rank` sizes from the start of the bytes.
inline std::vector<std::int64_t> idx_shape(IdxBytes& bytes, const std::string& path, std::size_t rank) {
    constexpr std::size_t kMaxRank = 3;
    std::array<std::uint8_t, 4 * (1 + kMaxRank)> header{};
    const std::size_t size = 4 * (1 + rank);
    const std::int64_t found = bytes.read({header.data(), size});
    if (found < static_cast<std::int64_t>(size))
        unreadable(path + ": ends after " + std::to_string(found) + " bytes; expected an IDX header of " +
                   std::to_string(size) + " bytes");
    const std::uint32_t expected_magic = 0x0800U + static_cast<std::uint32_t>(rank);
    const std::uint32_t magic = big_endian(header.data());
    if (magic != expected_magic)
        unreadable(path + ": the magic number is " + std::to_string(magic) + "; expected " +
                   std::to_string(expected_magic) + ", an IDX file of bytes with " + std::to_string(rank) +
                   (rank == 1 ? " axis" : " axes"));
    std::vector<std::int64_t> shape;
    for (std::size_t i = 0; i < rank; ++i) shape.push_back(big_endian(header.data() + 4 * (i + 1)));
    return shape;
}

}  // namespace detail

/// Finds <folder>/<name> or <folder>/<name>.gz and reads its header. Throws Failure(L2O_STATUS_IO) that names
/// the file, what was found and what was expected.
/// @param rank  number of axes, 1 to 3.
/// @param hint  appended where the file is missing: how to get it.
inline IdxFile open_idx(const std::string& folder,
                        const std::string& name,
                        std::size_t rank,
                        const std::string& hint) {
    namespace fs = std::filesystem;
    std::string path = (fs::path(folder) / name).string();
    std::error_code error;
    if (!fs::is_regular_file(path, error)) path += ".gz";
    if (!fs::is_regular_file(path, error))
        unreadable("no file '" + name + "' or '" + name + ".gz' in '" + folder + "'" + hint);

    detail::IdxBytes bytes(path);
    IdxFile file{path, detail::idx_shape(bytes, path, rank)};
    // Deflate packs at most 1032 to 1: a header that promises more lies, whatever follows.
    const std::uint64_t file_bytes = fs::file_size(path, error);
    const std::uint64_t limit = file_bytes * (bytes.is_gzip() ? 1032 : 1);
    std::uint64_t content = 1;
    for (const std::int64_t size : file.shape) {
        if (size == 0) unreadable(path + ": is empty, " + detail::shape_text(file.shape) + " items");
        if (static_cast<std::uint64_t>(size) > limit / content)
            unreadable(path + ": the header says " + detail::shape_text(file.shape) + " bytes; a file of " +
                       std::to_string(file_bytes) + " bytes cannot hold them");
        content *= static_cast<std::uint64_t>(size);
    }
    return file;
}

/// Reads the first `items` items into `content`; all of them: also checks that nothing follows.
inline void read_idx(const IdxFile& file, std::int64_t items, std::span<std::uint8_t> content) {
    detail::IdxBytes bytes(file.path);
    if (detail::idx_shape(bytes, file.path, file.shape.size()) != file.shape)
        unreadable(file.path + ": has changed since it was opened");
    const std::int64_t found = bytes.read(content);
    if (found < static_cast<std::int64_t>(content.size()))
        unreadable(file.path + ": ends after " + std::to_string(found) + " bytes of content; expected " +
                   std::to_string(content.size()));
    std::uint8_t beyond = 0;
    if (items == file.items() && bytes.read({&beyond, 1}) != 0)
        unreadable(file.path + ": goes on after the " + detail::shape_text(file.shape) +
                   " bytes that its header announces");
}

}  // namespace l2o::neural
