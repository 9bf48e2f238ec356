#include "framework/check/loss_bench.hpp"

#include <fmt/core.h>

#include <cmath>

#include "framework/check/sized.hpp"
#include "framework/error.hpp"

namespace l2o::framework {
namespace {

constexpr Key kDataKey{0xda7a, 1};

Tensor random(Dtype dtype, const Shape& shape, std::uint64_t index, double size = 1) {
    Tensor tensor(dtype, shape);
    const std::vector<double> draws = normals(tensor.size(), index);
    for (std::int64_t i = 0; i < tensor.size(); ++i)
        set(tensor, i, size * draws[static_cast<std::size_t>(i)]);
    return tensor;
}

}  // namespace

LossCase::LossCase(const Loss& loss, const MadeUpTrajectory& made_up)
    : Case(fmt::format("eval of points {} .. {}{}",
                       made_up.t0,
                       made_up.t0 + made_up.len - 1,
                       made_up.particles > 0 ? fmt::format(" of {} particles", made_up.particles) : "")),
      loss_(loss),
      t0_(made_up.t0),
      len_(made_up.len),
      batch_(static_cast<std::uint32_t>(made_up.batch)),
      particles_(static_cast<std::uint32_t>(made_up.particles)) {
    f.add("f", made_up.f);
    for (const Tensor& block : made_up.x) x.add("x", block);
    for (const Tensor& block : made_up.g) g.add("g", block);
    for (const Tensor& tensor : made_up.data) data.add("data", tensor);
    const Dtype dtype = made_up.f            ? made_up.f.dtype()
                        : !made_up.x.empty() ? made_up.x[0].dtype()
                                             : made_up.g.at(0).dtype();
    per_row.add("per_row", dtype, {made_up.batch});
    inputs_ = {&f, &x, &g, &data};
    outputs_ = {&per_row};
}

l2o_trajectory LossCase::trajectory() const {
    l2o_trajectory out{};
    out.batch = batch_;
    out.particles = particles_;
    out.t0 = t0_;
    out.len = len_;
    out.horizon = LossBench::kLength - 1;
    out.f = f.in()[0];
    out.x = x.empty() ? nullptr : x.in();
    out.data = data.in();
    out.g = g.empty() ? nullptr : g.in();
    return out;
}

l2o_status LossCase::call(l2o_call* context) {
    const l2o_trajectory points = trajectory();
    return loss_.api().eval(instance(loss_.raw()), context, &points, per_row.out()[0]);
}

LossBench::LossBench(const Subject& subject, Dtype dtype, std::int64_t batch)
    : Bench(subject.circumstances, batch) {
    optimizee_ = make_optimizee(subject, dtype);
    task_ = task_of(*optimizee_, kLength - 1);
    loss_ = std::make_unique<Loss>(subject.entry, resolve(subject.entry, subject.settings), task_);
    ProblemData data =
        optimizee_->sample(seeded(kDataKey), Split::kTrain, 0, batch_, loss_->needs_solution());
    for (const int index : loss_->needs())
        data_.push_back(index < 0 ? Tensor() : std::move(data.tensors[static_cast<std::size_t>(index)]));
    if (!loss_->reads_f() && !loss_->reads_x() && !loss_->reads_g())
        throw Broken("it declares to read neither f nor x nor g");
    const std::uint64_t blocks = optimizee_->blocks().size();
    whole_ = made_up(0, dtype, 1);
    population_ = made_up(kParticles, dtype, 2 + 2 * blocks);
    takes_populations_ = window(0, kLength, all_rows(batch_), true)->refusal().empty();
}

MadeUpTrajectory LossBench::made_up(std::int64_t particles, Dtype dtype, std::uint64_t index) const {
    MadeUpTrajectory out;
    out.batch = batch_;
    out.len = kLength;
    out.particles = particles;
    const auto shaped = [&](const l2o_spec* block) {
        Shape shape = block == nullptr ? Shape{batch_} : shape_of(*block, batch_);
        if (particles > 0) shape.insert(shape.begin() + 1, particles);
        shape.insert(shape.begin(), kLength);
        return shape;
    };
    if (loss_->reads_f()) {
        // Positive: a loss may take logarithms of the objective.
        out.f = random(dtype, shaped(nullptr), index);
        for (std::int64_t i = 0; i < out.f.size(); ++i)
            set(out.f, i, circumstances_.spread * std::exp(out.f.value(i)));
    }
    for (const l2o_spec* block : optimizee_->blocks()) {
        if (loss_->reads_x()) out.x.push_back(random(dtype, shaped(block), ++index, circumstances_.spread));
        if (loss_->reads_g()) out.g.push_back(random(dtype, shaped(block), ++index, circumstances_.spread));
    }
    return out;
}

std::unique_ptr<LossCase> LossBench::window(std::int64_t first,
                                            std::int64_t len,
                                            const std::vector<std::int64_t>& rows,
                                            bool is_population) const {
    const MadeUpTrajectory& whole = is_population ? population_ : whole_;
    MadeUpTrajectory part;
    part.particles = whole.particles;
    part.batch = static_cast<std::int64_t>(rows.size());
    part.t0 = first;
    part.len = len;
    const std::vector<std::int64_t> points = [&] {
        std::vector<std::int64_t> out = all_rows(len);
        for (std::int64_t& point : out) point += first;
        return out;
    }();
    part.f = gather(gather(whole.f, 0, points), 1, rows);
    for (const Tensor& block : whole.x) part.x.push_back(gather(gather(block, 0, points), 1, rows));
    for (const Tensor& block : whole.g) part.g.push_back(gather(gather(block, 0, points), 1, rows));
    for (std::size_t i = 0; i < data_.size(); ++i) {
        const int index = loss_->needs()[i];
        const bool batched =
            index >= 0 && has(*optimizee_->data()[static_cast<std::size_t>(index)], L2O_SPEC_BATCHED);
        part.data.push_back(batched ? gather(data_[i], 0, rows) : data_[i] ? data_[i].clone() : Tensor());
    }
    return std::make_unique<LossCase>(*loss_, part);
}

std::vector<std::unique_ptr<LossCase>> LossBench::trajectories(const std::vector<std::int64_t>& rows) const {
    std::vector<std::unique_ptr<LossCase>> out;
    for (const bool is_population : {false, true}) {
        if (is_population && !takes_populations_) continue;
        out.push_back(window(0, kLength, rows, is_population));
        if (loss_->scores_windows()) out.push_back(window(2, 3, rows, is_population));
    }
    return out;
}

std::vector<std::unique_ptr<Case>> LossBench::cases_of_rows(const std::vector<std::int64_t>& rows,
                                                            std::uint64_t row0) const {
    std::vector<std::unique_ptr<Case>> out;
    for (auto& one : trajectories(rows)) out.push_back(std::move(one));
    for (const auto& one : out) one->row0 = row0;
    return out;
}

std::string LossBench::unread() const {
    return joined({loss_->reads_f() ? "" : "f", loss_->reads_x() ? "" : "x", loss_->reads_g() ? "" : "g"});
}

std::string LossBench::declaration() const {
    return fmt::format("reads {} flags {:#x}", info().reads, info().flags);
}

std::shared_ptr<const void> LossBench::created_by(HostSize host) const {
    return create_as<l2o_loss>(loss_->api(), loss_->options(), host, [&](auto&& create) {
        const SizedProblem problem(task_, loss_->needs(), host);
        return create(problem.abi());
    });
}

}  // namespace l2o::framework
