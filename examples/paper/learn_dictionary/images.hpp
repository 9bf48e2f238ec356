#pragma once

#include <cstdint>
#include <filesystem>
#include <l2o/numerics/view.hpp>
#include <vector>

namespace l2o::dictionary {

/// A grey image, values from 0 to 1.
using Image = numerics::RowMatrix<double>;

/// Reads a .png (colours become luminance) or binary .pgm file.
/// @throw framework::Error kIo that names the file and what is wrong with it.
[[nodiscard]] Image read_image(const std::filesystem::path& path);

/// All .png and .pgm files of a folder, in the order of their names.
/// @param side  of the patches to be cut: no image may be smaller.
/// @throw framework::Error kIo; also if there is no image.
[[nodiscard]] std::vector<Image> read_images(const std::filesystem::path& folder, std::int64_t side);

/// Square patches as rows, drawn uniformly from all places of all images: the mean of each is removed, and
/// all are divided by one number, so that the mean of their squared norms is 1.
/// @pre no image is smaller than `side`.
/// @return  shape (count, side^2).
/// @throw framework::Error kUsage if all patches are constant.
[[nodiscard]] numerics::RowMatrix<double> sample_patches(const std::vector<Image>& images,
                                                         std::int64_t side,
                                                         std::int64_t count,
                                                         std::uint64_t seed);

}  // namespace l2o::dictionary
