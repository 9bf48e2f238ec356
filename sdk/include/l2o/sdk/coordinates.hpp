#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <l2o/sdk/optimizer.hpp>
#include <l2o/sdk/view.hpp>
#include <vector>

namespace l2o {

/// The coordinates of a row over all blocks as one vector of doubles, in the order of the blocks, in units of
/// the widths of their ranges (1 where a coordinate is not bounded on both sides): for methods to which
/// blocks mean nothing, and that have a length of their own. Of what lies outside of the box the mirror image
/// counts: a function that is continuous in the box is so everywhere then.
class Coordinates {
  public:
    Coordinates() = default;
    explicit Coordinates(const OptimizerSpec& spec) {
        for (std::size_t k = 0; k < spec.blocks(); ++k) {
            const l2o_spec& block = spec.block(k);
            const bool has_box = (block.flags & L2O_SPEC_BOUNDED) != 0;
            const auto n = static_cast<std::size_t>(element_count(block));
            lower_.insert(lower_.end(), n, has_box ? block.lower : -kInfinity);
            upper_.insert(upper_.end(), n, has_box ? block.upper : kInfinity);
        }
        for (std::size_t i = 0; i < lower_.size(); ++i) {
            const double width = upper_[i] - lower_[i];
            unit_.push_back(std::isfinite(width) && width > 0 ? width : 1);
        }
    }

    [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(unit_.size()); }
    /// Whether both bounds are numbers.
    [[nodiscard]] bool has_range(std::int64_t i) const { return std::isfinite(upper(i) - lower(i)); }

    [[nodiscard]] double unit(std::int64_t i) const { return unit_[static_cast<std::size_t>(i)]; }
    /// x itself, not in units, moved into the box.
    template <class T>
    [[nodiscard]] T clamped(std::int64_t i, T x) const {
        return std::min(std::max(x, T(lower(i))), T(upper(i)));
    }

    /// @param view_of  (block) -> View of that block, of which row `row` is read
    template <class ViewOf>
    void read(std::int64_t row, ViewOf&& view_of, double* to) const {
        for (std::int64_t i = 0, k = 0; i < size(); ++k) {
            const auto from = view_of(static_cast<std::size_t>(k));
            for (std::int64_t c = 0; c < from.cols; ++c, ++i) to[i] = double(from(row, c)) / unit(i);
        }
    }
    /// @param view_of  (block) -> View of that block, of which row `row` is written
    template <class ViewOf>
    void write(std::int64_t row, const double* from, ViewOf&& view_of) const {
        for (std::int64_t i = 0, k = 0; i < size(); ++k) {
            const auto to = view_of(static_cast<std::size_t>(k));
            using T = std::remove_reference_t<decltype(to(row, 0))>;
            for (std::int64_t c = 0; c < to.cols; ++c, ++i)
                to(row, c) = clamped(i, T(mirrored(i, unit(i) * from[i])));
        }
    }
    /// Anywhere in the range of a coordinate; without one, N(origin, spread^2).
    template <class Random>
    [[nodiscard]] double draw(std::int64_t i, double origin, double spread, Random& random) const {
        return has_range(i) ? lower(i) / unit(i) + random.uniform() : origin + spread * random.normal();
    }

  private:
    [[nodiscard]] double lower(std::int64_t i) const { return lower_[static_cast<std::size_t>(i)]; }
    [[nodiscard]] double upper(std::int64_t i) const { return upper_[static_cast<std::size_t>(i)]; }
    [[nodiscard]] double mirrored(std::int64_t i, double x) const {
        if (!(x < lower(i) || x > upper(i))) return x;
        if (!has_range(i)) return x < lower(i) ? 2 * lower(i) - x : 2 * upper(i) - x;
        const double width = upper(i) - lower(i), past = std::fmod(std::abs(x - lower(i)), 2 * width);
        return width > 0 ? lower(i) + std::min(past, 2 * width - past) : lower(i);
    }

    std::vector<double> lower_, upper_, unit_;
};

}  // namespace l2o
