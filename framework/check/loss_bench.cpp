#include "framework/check/loss_bench.hpp"

#include <fmt/core.h>

#include <cmath>

#include "framework/check/sized.hpp"
#include "framework/error.hpp"

namespace l2o::framework {
namespace {

constexpr Key kDataKey{0xda7a, 1};

Tensor random(Dtype dtype, const Shape& shape, std::uint64_t index) {
    Tensor tensor(dtype, shape);
    const std::vector<double> draws = normals(tensor.size(), index);
    for (std::int64_t i = 0; i < tensor.size(); ++i) set(tensor, i, draws[static_cast<std::size_t>(i)]);
    return tensor;
}

}  // namespace

LossCase::LossCase(const Loss& loss, const MadeUpTrajectory& made_up)
    : Case(fmt::format("eval of points {} .. {}", made_up.t0, made_up.t0 + made_up.len - 1)),
      loss_(loss),
      t0_(made_up.t0),
      len_(made_up.len),
      batch_(static_cast<std::uint32_t>(made_up.batch)) {
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

LossBench::LossBench(const Subject& subject, Dtype dtype, std::int64_t batch) : Bench(batch) {
    optimizee_ = make_optimizee(subject, dtype);
    task_ = task_of(*optimizee_, kLength - 1);
    loss_ = std::make_unique<Loss>(subject.entry, resolve(subject.entry, subject.settings), task_);
    ProblemData data = optimizee_->sample(kDataKey, Split::kTrain, 0, batch_, loss_->needs_solution());
    whole_.batch = batch_;
    whole_.len = kLength;
    for (const int index : loss_->needs())
        whole_.data.push_back(index < 0 ? Tensor()
                                        : std::move(data.tensors[static_cast<std::size_t>(index)]));
    if (loss_->reads_f()) {
        // Positive: a loss may take logarithms of the objective.
        whole_.f = random(dtype, {kLength, batch_}, 1);
        for (std::int64_t i = 0; i < whole_.f.size(); ++i) set(whole_.f, i, std::exp(whole_.f.value(i)));
    }
    const std::size_t blocks = optimizee_->blocks().size();
    for (std::size_t k = 0; k < blocks; ++k) {
        Shape shape = shape_of(*optimizee_->blocks()[k], batch_);
        shape.insert(shape.begin(), kLength);
        if (loss_->reads_x()) whole_.x.push_back(random(dtype, shape, 2 + k));
        if (loss_->reads_g()) whole_.g.push_back(random(dtype, shape, 2 + blocks + k));
    }
    if (!whole_.f && whole_.x.empty() && whole_.g.empty())
        throw Broken("it declares to read neither f nor x nor g");
}

std::unique_ptr<LossCase> LossBench::window(std::int64_t first,
                                            std::int64_t len,
                                            const std::vector<std::int64_t>& rows) const {
    MadeUpTrajectory part;
    part.batch = static_cast<std::int64_t>(rows.size());
    part.t0 = first;
    part.len = len;
    const std::vector<std::int64_t> points = [&] {
        std::vector<std::int64_t> out = all_rows(len);
        for (std::int64_t& point : out) point += first;
        return out;
    }();
    part.f = gather(gather(whole_.f, 0, points), 1, rows);
    for (const Tensor& block : whole_.x) part.x.push_back(gather(gather(block, 0, points), 1, rows));
    for (const Tensor& block : whole_.g) part.g.push_back(gather(gather(block, 0, points), 1, rows));
    for (std::size_t i = 0; i < whole_.data.size(); ++i) {
        const int index = loss_->needs()[i];
        const bool batched =
            index >= 0 && has(*optimizee_->data()[static_cast<std::size_t>(index)], L2O_SPEC_BATCHED);
        part.data.push_back(batched          ? gather(whole_.data[i], 0, rows)
                            : whole_.data[i] ? whole_.data[i].clone()
                                             : Tensor());
    }
    return std::make_unique<LossCase>(*loss_, part);
}

std::vector<std::unique_ptr<Case>> LossBench::cases_of_rows(const std::vector<std::int64_t>& rows,
                                                            std::uint64_t row0) const {
    std::vector<std::unique_ptr<Case>> out;
    out.push_back(window(0, kLength, rows));
    // Only a loss that is a sum over time may be asked for a window in the middle.
    if (loss_->scores_windows()) out.push_back(window(2, 3, rows));
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
