#include "images.hpp"

#include <png.h>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <l2o/numerics/philox.hpp>
#include <string>

#include "framework/error.hpp"
#include "framework/store/file_handle.hpp"

namespace l2o::dictionary {
namespace {

namespace fs = std::filesystem;
using framework::Error, framework::ExitCode;

[[noreturn]] void refuse(const fs::path& path, const std::string& text) {
    throw Error(ExitCode::kIo, path.string() + ": " + text);
}

Image from_bytes(const std::vector<std::uint8_t>& bytes, std::int64_t height, std::int64_t width) {
    const Eigen::Map<const numerics::RowMatrix<std::uint8_t>> grey(bytes.data(), height, width);
    return grey.cast<double>() / 255;
}

Image read_png(const fs::path& path) {
    png_image png{};
    png.version = PNG_IMAGE_VERSION;
    const auto fail = [&] {
        const std::string text = png.message;
        png_image_free(&png);
        refuse(path, text + "; expected a PNG image");
    };
    if (png_image_begin_read_from_file(&png, path.c_str()) == 0) fail();
    png.format = PNG_FORMAT_GRAY;
    std::vector<std::uint8_t> bytes(PNG_IMAGE_SIZE(png));
    const png_color black{};  // behind transparent pixels
    if (png_image_finish_read(&png, &black, bytes.data(), 0, nullptr) == 0) fail();
    return from_bytes(bytes, png.height, png.width);
}

/// A whole number of a PGM header: blanks and comments before it, one blank behind it.
std::int64_t pgm_number(std::istream& file) {
    while (file >> std::ws && file.peek() == '#') file.ignore(1 << 20, '\n');
    std::int64_t number = -1;
    file >> number;
    file.get();
    return file ? number : -1;
}

Image read_pgm(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) refuse(path, "cannot be read; check the path and its permissions");
    char magic[2] = {};
    file.read(magic, 2);
    const std::int64_t width = pgm_number(file), height = pgm_number(file), top = pgm_number(file);
    constexpr std::int64_t kMaxSide = 1 << 16;
    if (magic[0] != 'P' || magic[1] != '5' || width < 1 || height < 1 || width > kMaxSide ||
        height > kMaxSide || top != 255)
        refuse(path, "the header is not that of a binary PGM file (P5) with values up to 255");
    if (fs::file_size(path) < static_cast<std::uintmax_t>(width * height))
        refuse(path, "ends early; expected " + std::to_string(width * height) + " pixels");
    std::vector<std::uint8_t> bytes(static_cast<std::size_t>(width * height));
    file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    if (!file) refuse(path, "ends early; expected " + std::to_string(bytes.size()) + " pixels");
    return from_bytes(bytes, height, width);
}

}  // namespace

Image read_image(const fs::path& path) {
    framework::FileHandle::input(path).require(S_IFREG);  // a FIFO would be waited for
    if (path.extension() == ".png") return read_png(path);
    if (path.extension() == ".pgm") return read_pgm(path);
    refuse(path, "is no image that can be read; expected a .png or .pgm file");
}

std::vector<Image> read_images(const fs::path& folder, std::int64_t side) {
    std::error_code error;
    std::vector<fs::path> paths;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
        const fs::path& path = entry.path();
        if (path.extension() == ".png" || path.extension() == ".pgm") paths.push_back(path);
    }
    if (error) refuse(folder, error.message() + "; expected a folder with images");
    if (paths.empty()) refuse(folder, "holds no .png and no .pgm file; expected a folder with images");
    std::sort(paths.begin(), paths.end());
    std::vector<Image> images;
    for (const fs::path& path : paths) {
        images.push_back(read_image(path));
        const Image& image = images.back();
        if (image.rows() < side || image.cols() < side)
            refuse(path,
                   "is " + std::to_string(image.cols()) + " x " + std::to_string(image.rows()) +
                       " pixels; expected at least " + std::to_string(side) + " x " + std::to_string(side) +
                       ", the size of a patch");
    }
    return images;
}

numerics::RowMatrix<double> sample_patches(const std::vector<Image>& images,
                                           std::int64_t side,
                                           std::int64_t count,
                                           std::uint64_t seed) {
    constexpr std::uint64_t kPatchTag = 0x70617463;
    std::vector<std::uint64_t> places_before{0};  // of all images before image i
    for (const Image& image : images)
        places_before.push_back(places_before.back() + static_cast<std::uint64_t>((image.rows() - side + 1) *
                                                                                  (image.cols() - side + 1)));
    numerics::RowMatrix<double> patches(count, side * side);
    for (std::int64_t r = 0; r < count; ++r) {
        numerics::Stream draws(numerics::Key{seed, kPatchTag}, static_cast<std::uint64_t>(r));
        const std::uint64_t place = draws.below(places_before.back());
        const auto after = std::upper_bound(places_before.begin(), places_before.end(), place);
        const Image& image = images[static_cast<std::size_t>(after - places_before.begin() - 1)];
        const auto within = static_cast<std::int64_t>(place - *(after - 1));
        const std::int64_t columns = image.cols() - side + 1;
        const numerics::RowMatrix<double> patch = image.block(within / columns, within % columns, side, side);
        patches.row(r) = patch.reshaped<Eigen::RowMajor>().transpose().array() - patch.mean();
    }
    const double scale = std::sqrt(patches.squaredNorm() / static_cast<double>(count));
    if (!(scale > 0)) throw Error(ExitCode::kUsage, "all patches are constant; expected natural images");
    patches /= scale;
    return patches;
}

}  // namespace l2o::dictionary
