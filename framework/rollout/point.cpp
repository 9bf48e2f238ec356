#include "framework/rollout/point.hpp"

#include <functional>
#include <numeric>

#include "framework/rollout/arithmetic.hpp"

namespace l2o::framework {
namespace {

TensorSet make_set(Dtype dtype, const std::vector<Shape>& shapes) {
    std::vector<Tensor> tensors;
    for (const Shape& shape : shapes) tensors.emplace_back(dtype, shape);
    return TensorSet(std::move(tensors));
}

TensorSet make_state(const PointLayout& layout, bool is_cotangent) {
    std::vector<Tensor> tensors;
    for (std::size_t i = 0; i < layout.state.size(); ++i) {
        const Dtype dtype = layout.state_dtypes[i];
        tensors.push_back(is_cotangent && !is_real(dtype) ? Tensor() : Tensor(dtype, layout.state[i]));
    }
    return TensorSet(std::move(tensors));
}

TensorSet seen_as(TensorSet& set, const std::vector<Shape>& shapes) {
    std::vector<Tensor> tensors;
    for (std::size_t i = 0; i < set.size(); ++i) {
        tensors.push_back(Tensor::borrow(set[i].dtype(), shapes[i], set[i].data()));
    }
    return TensorSet(std::move(tensors));
}

}  // namespace

PointLayout::PointLayout(const Optimizer& optimizer, const Optimizee& optimizee, std::int64_t batch_size)
    : batch(batch_size),
      particles(optimizer.info().particles),
      rows(batch_size * std::max<std::int64_t>(particles, 1)),
      dtype(optimizee.dtype()) {
    for (const l2o_spec* spec : optimizee.blocks()) {
        Shape shape = shape_of(*spec, rows);
        blocks_as_rows.push_back(shape);
        if (particles > 0) {
            shape[0] = particles;
            shape.insert(shape.begin(), batch);
        }
        blocks.push_back(std::move(shape));
    }
    for (const l2o_spec* spec : optimizer.state()) {
        state.push_back(shape_of(*spec, batch, particles));
        state_dtypes.push_back(dtype_of(*spec));
    }
    f = particles > 0 ? Shape{batch, particles} : Shape{batch};
}

Point::Point(const PointLayout& layout, PointParts parts) {
    x = make_set(layout.dtype, layout.blocks);
    x_rows = seen_as(x, layout.blocks_as_rows);
    if (parts.g) {
        g = make_set(layout.dtype, layout.blocks);
        g_rows = seen_as(g, layout.blocks_as_rows);
    }
    if (parts.f) {
        f = Tensor(layout.dtype, layout.f);
        f_rows = Tensor::borrow(layout.dtype, {layout.rows}, f.data());
    }
    if (parts.state) state = make_state(layout, parts.is_cotangent);
}

void copy_x_and_state(const Point& from, Point& to) {
    to.x.copy_from(from.x);
    to.state.copy_from(from.state);
    to.forget();
}

void Point::know(std::int64_t row, std::uint32_t kinds) {
    if (kinds == 0) return;
    if (known.empty()) known.resize(static_cast<std::size_t>(x_rows[0].shape()[0]));
    known[static_cast<std::size_t>(row)] |= static_cast<std::uint8_t>(kinds);
}

void Point::pay(std::int64_t row, std::uint32_t kinds) {
    if ((kinds & ~paid_by_all) == 0) return;
    if (paid.empty()) paid.resize(static_cast<std::size_t>(x_rows[0].shape()[0]));
    paid[static_cast<std::size_t>(row)] |= static_cast<std::uint8_t>(kinds);
}

void Point::forget_row(std::int64_t row) {
    if (paid_by_all != 0) {
        paid.resize(static_cast<std::size_t>(x_rows[0].shape()[0]));
        for (std::uint8_t& kinds : paid) kinds |= static_cast<std::uint8_t>(paid_by_all);
        paid_by_all = 0;
    }
    if (!paid.empty()) paid[static_cast<std::size_t>(row)] = 0;
    const auto all =
        static_cast<std::uint8_t>((has_f ? L2O_ORACLE_VALUE : 0U) | (has_g ? L2O_ORACLE_GRADIENT : 0U));
    if (known.empty() && all == 0) return;
    known.resize(static_cast<std::size_t>(x_rows[0].shape()[0]));
    if (all != 0)
        for (std::uint8_t& kinds : known) kinds |= all;
    known[static_cast<std::size_t>(row)] = 0;
    has_f = has_g = false;
}

void Point::settle() {
    if (known.empty()) return;
    const auto by_all = std::accumulate(known.begin(), known.end(), std::uint8_t{0xFF}, std::bit_and<>());
    has_f = has_f || (by_all & L2O_ORACLE_VALUE) != 0;
    has_g = has_g || (by_all & L2O_ORACLE_GRADIENT) != 0;
    if (has_f == static_cast<bool>(f) && has_g == !g.empty()) known.clear();
}

void take_known(const Point& from, Point& to, std::int64_t row) {
    const std::uint32_t known =
        from.known_at(row) & ((to.f ? L2O_ORACLE_VALUE : 0U) | (to.g.empty() ? 0U : L2O_ORACLE_GRADIENT));
    if ((known & L2O_ORACLE_VALUE) != 0) copy_row(from.f_rows, row, to.f_rows, row);
    for (std::size_t k = 0; k < to.g.size() && (known & L2O_ORACLE_GRADIENT) != 0; ++k)
        copy_row(from.g_rows[k], row, to.g_rows[k], row);
    to.know(row, known);
    to.pay(row, from.paid_at(row));
}

TensorSet rows_of(const TensorSet& blocks, std::int64_t j, const PointLayout& layout) {
    std::vector<Tensor> rows;
    for (std::size_t block = 0; block < blocks.size(); ++block) {
        const Tensor point = point_of(blocks[block], j);
        rows.push_back(
            Tensor::borrow(point.dtype(), layout.blocks_as_rows[block], const_cast<void*>(point.data())));
    }
    return TensorSet(std::move(rows));
}

}  // namespace l2o::framework
