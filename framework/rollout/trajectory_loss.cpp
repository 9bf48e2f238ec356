#include "framework/rollout/trajectory_loss.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "framework/rollout/arithmetic.hpp"

namespace l2o::framework {
namespace {

Shape with_leading(std::int64_t n, const Shape& shape) {
    Shape out{n};
    out.insert(out.end(), shape.begin(), shape.end());
    return out;
}

/// [n, ...] for every block.
TensorSet blocks_of(const PointLayout& layout, std::int64_t n) {
    std::vector<Tensor> blocks;
    for (const Shape& shape : layout.blocks) blocks.emplace_back(layout.dtype, with_leading(n, shape));
    return TensorSet(std::move(blocks));
}

void copy_to(const Tensor& from, const Tensor& points, std::int64_t j) {
    Tensor point = point_of(points, j);
    std::memcpy(point.data(), from.data(), static_cast<std::size_t>(point.bytes()));
}

}  // namespace

TrajectoryLoss::TrajectoryLoss(const Loss& loss,
                               const Scene& scene,
                               Stepper& stepper,
                               SecondOrderOracle& oracle)
    : loss_(loss), scene_(scene), stepper_(stepper), oracle_(oracle) {
    const PointLayout& layout = stepper.layout();
    per_row_ = Tensor(layout.dtype, {layout.batch});
    row_cot_ = Tensor(layout.dtype, {layout.batch});
    for (const int index : loss.needs()) {
        const Tensor* tensor = index < 0 ? nullptr : &scene.data.tensors[static_cast<std::size_t>(index)];
        data_.push_back(tensor == nullptr ? nullptr : tensor->abi());
    }
}

void TrajectoryLoss::reserve(std::int64_t n, bool records) {
    const PointLayout& layout = stepper_.layout();
    if (loss_.reads_f()) f_ = Tensor(layout.dtype, with_leading(n + 1, layout.f));
    if (loss_.reads_x()) x_ = blocks_of(layout, n + 1);
    if (loss_.reads_g()) g_ = blocks_of(layout, n + 1);
    if (!records) return;
    if (loss_.reads_f()) f_cot_ = Tensor(layout.dtype, f_.shape());
    if (loss_.reads_x()) x_cot_ = blocks_of(layout, n + 1);
    if (loss_.reads_g()) g_cot_ = blocks_of(layout, n + 1);
}

void TrajectoryLoss::keep(const Point& point, std::int64_t j) {
    if (loss_.reads_f()) copy_to(point.f, f_, j);
    for (std::size_t k = 0; k < x_.size(); ++k) copy_to(point.x[k], x_[k], j);
    for (std::size_t k = 0; k < g_.size(); ++k) copy_to(point.g[k], g_[k], j);
}

l2o_trajectory TrajectoryLoss::trajectory(const Span& span) const {
    const PointLayout& layout = stepper_.layout();
    l2o_trajectory out{};
    out.batch = static_cast<std::uint32_t>(layout.batch);
    out.t0 = span.t0;
    out.len = span.steps + 1;
    out.horizon = span.horizon;
    out.particles = static_cast<std::uint32_t>(layout.particles);
    out.f = f_.abi();
    out.x = x_.empty() ? nullptr : x_.in();
    out.g = g_.empty() ? nullptr : g_.in();
    out.data = data_.data();
    return out;
}

double TrajectoryLoss::score(const Span& span) {
    const l2o_trajectory points = trajectory(span);
    stepper_.call().check(
        loss_.api().eval(loss_.raw(), stepper_.call().with(scene_.key, scene_.row0), &points, per_row_.abi()),
        "loss '" + loss_.id() + "'");
    double sum = 0;
    for (std::int64_t b = 0; b < per_row_.size(); ++b) sum += per_row_.value(b);
    return sum;
}

void TrajectoryLoss::give_up() {
    with_values([](auto row) { std::fill(row.begin(), row.end(), NAN); }, per_row_);
}

void TrajectoryLoss::differentiate(const Span& span, double cot, const std::vector<double>& weights) {
    with_values(
        [&](auto row) {
            using T = typename decltype(row)::value_type;
            for (std::size_t b = 0; b < row.size(); ++b)
                row[b] = static_cast<T>(weights.empty() ? cot : cot * weights[b]);
        },
        row_cot_);
    if (f_cot_) f_cot_.zero();
    x_cot_.zero();
    g_cot_.zero();
    const l2o_trajectory points = trajectory(span);
    const auto wanted = [](const TensorSet& set) { return set.empty() ? nullptr : set.out(); };
    const l2o_trajectory_acc cotangents{f_cot_.abi(), wanted(x_cot_), wanted(g_cot_)};
    stepper_.call().check(
        loss_.api().vjp(
            loss_.raw(), stepper_.call().with(scene_.key, scene_.row0), &points, row_cot_.abi(), &cotangents),
        "loss '" + loss_.id() + "'");
}

void TrajectoryLoss::back(std::int64_t j, Point& point, std::int64_t t, Point& cot) {
    for (std::size_t k = 0; k < x_cot_.size(); ++k) add(cot.x[k], point_of(x_cot_[k], j));
    if (!g_cot_.empty()) {
        const TensorSet& product =
            oracle_.hessian_product(point.x_rows, rows_of(g_cot_, j, stepper_.layout()), t);
        for (std::size_t k = 0; k < cot.x.size(); ++k) add(cot.x[k], product[k]);
    }
    if (f_cot_) add(cot.f, point_of(f_cot_, j));
    if (all_zero(cot.f)) return;
    if (!point.g.empty()) stepper_.evaluate(point, t, false, true, kFree);
    const TensorSet& g = point.g.empty() ? oracle_.gradient(point.x_rows, t) : point.g;
    for (std::size_t k = 0; k < cot.x.size(); ++k) add_scaled_rows(cot.x[k], cot.f, g[k]);
}

template <class T>
void TrajectoryLoss::slice_back(std::int64_t j, const Slice& slice, const T* g, T* x_cot) const {
    const PointLayout& layout = stepper_.layout();
    const std::int64_t coordinates = element_count(layout.blocks[slice.block]);
    if (f_cot_) {
        const std::int64_t per_row = coordinates / layout.batch;
        const T* f_cot = f_cot_.values<T>().data() + j * layout.batch;
        for (std::int64_t i = 0; i < slice.count; ++i) x_cot[i] += f_cot[(slice.first + i) / per_row] * g[i];
    }
    if (x_cot_.empty()) return;
    const T* own = x_cot_[slice.block].values<T>().data() + j * coordinates + slice.first;
    for (std::int64_t i = 0; i < slice.count; ++i) x_cot[i] += own[i];
}
template void TrajectoryLoss::slice_back(std::int64_t, const Slice&, const float*, float*) const;
template void TrajectoryLoss::slice_back(std::int64_t, const Slice&, const double*, double*) const;

std::int64_t TrajectoryLoss::bytes() const {
    std::int64_t sum = x_.bytes() + x_cot_.bytes() + g_.bytes() + g_cot_.bytes();
    for (const Tensor* tensor : {&f_, &f_cot_, &per_row_, &row_cot_}) sum += *tensor ? tensor->bytes() : 0;
    return sum;
}

}  // namespace l2o::framework
