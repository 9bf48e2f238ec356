#include "framework/check/optimizee_bench.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <limits>

#include "framework/check/sized.hpp"
#include "framework/error.hpp"

namespace l2o::framework {
namespace {

constexpr Key kDataKey{0xda7a, 1};

bool is_by_solve(const l2o_spec& spec) { return has(spec, L2O_SPEC_BY_SOLVE); }

const char* name_of(Oracle oracle) {
    switch (oracle) {
        case Oracle::kEval:
            return "eval";
        case Oracle::kHvp:
            return "hvp";
        case Oracle::kProx:
            return "prox";
    }
    return "";
}

}  // namespace

MetricsCase::MetricsCase(const Optimizee& optimizee,
                         const std::vector<Tensor>& points,
                         const std::vector<Tensor>& problem,
                         std::int64_t rows_per_instance,
                         bool with_solutions)
    : Case(with_solutions ? "metrics" : "metrics without solutions"),
      data(guarded(problem, optimizee.data())),
      x(guarded(points, optimizee.blocks())),
      optimizee_(optimizee),
      batch_(static_cast<std::uint32_t>(points[0].shape()[0])),
      rows_per_instance_(static_cast<std::uint32_t>(rows_per_instance)) {
    for (std::size_t i = 0; i < data.size() && !with_solutions; ++i)
        if (has(*optimizee.data()[i], L2O_SPEC_SOLUTION)) data.hide(i);
    for (const l2o_spec* spec : optimizee.metrics()) {
        if (with_solutions || (spec->flags & L2O_SPEC_NEEDS_SOLUTION) == 0) {
            metrics.add(spec->name, dtype_of(*spec), shape_of(*spec, batch_));
        } else {
            metrics.add_absent(spec->name);
        }
    }
    scratch_bytes = scratch_of(optimizee, batch_);
    inputs_ = {&data, &x};
    outputs_ = {&metrics};
}

l2o_status MetricsCase::call(l2o_call* context) {
    const l2o_points points{.batch = batch_,
                            .rows_per_instance = rows_per_instance_,
                            .data = data.in(),
                            .x = x.in(),
                            .batch_key = {minibatch, 0}};
    return optimizee_.api().metrics(instance(optimizee_.raw()), context, &points, metrics.out());
}

namespace {

/// A call of solve: the tensors that it fills are outputs, the others inputs.
class SolveCase : public Case {
  public:
    SolveCase(const Optimizee& optimizee, const std::vector<Tensor>& problem, std::int64_t count)
        : Case("solve"), optimizee_(optimizee), count_(count) {
        for (std::size_t i = 0; i < problem.size(); ++i) {
            const l2o_spec& spec = *optimizee.data()[i];
            is_by_solve(spec) ? data.add_absent(spec.name) : data.add(spec.name, problem[i]);
            is_by_solve(spec) ? solution.add(spec.name, dtype_of(spec), shape_of(spec, count))
                              : solution.add_absent(spec.name);
        }
        scratch_bytes = scratch_of(optimizee, count);
        draws_ = true;
        inputs_ = {&data};
        outputs_ = {&solution};
    }
    GuardedSet data, solution;

  protected:
    l2o_status call(l2o_call* context) override {
        return optimizee_.api().solve(instance(optimizee_.raw()),
                                      context,
                                      static_cast<std::uint32_t>(count_),
                                      data.in(),
                                      solution.out());
    }

  private:
    const Optimizee& optimizee_;
    std::int64_t count_;
};

}  // namespace

EvalCase::EvalCase(const Optimizee& optimizee,
                   const std::vector<Tensor>& points,
                   const std::vector<Tensor>& problem,
                   std::int64_t rows_per_instance,
                   Oracle oracle,
                   Want want)
    : Case(std::string(name_of(oracle)) + (oracle != Oracle::kEval || (want.f && want.g) ? ""
                                           : want.f                                      ? " of f alone"
                                                                                         : " of g alone")),
      data(guarded(problem, optimizee.data())),
      x(guarded(points, optimizee.blocks())),
      optimizee_(optimizee),
      oracle_(oracle),
      batch_(static_cast<std::uint32_t>(points[0].shape()[0])),
      rows_per_instance_(static_cast<std::uint32_t>(rows_per_instance)) {
    const bool is_eval = oracle == Oracle::kEval;
    if (is_eval && want.f) f.add("f", optimizee.dtype(), {batch_});
    for (std::size_t k = 0; k < points.size(); ++k) {
        const std::string block = optimizee.blocks()[k]->name;
        if (!is_eval || want.g)
            g.add((is_eval ? "g of " : std::string(name_of(oracle)) + " of ") + block,
                  points[k].dtype(),
                  points[k].shape());
        if (oracle == Oracle::kHvp) {
            Tensor direction(points[k].dtype(), points[k].shape());
            const std::vector<double> draws = normals(direction.size(), 100 + k);
            for (std::int64_t i = 0; i < direction.size(); ++i)
                set(direction, i, draws[static_cast<std::size_t>(i)]);
            v.add("v of " + block, direction);
        }
    }
    if (oracle == Oracle::kProx) {
        Tensor steps(optimizee.dtype(), {batch_});
        for (std::int64_t r = 0; r < steps.size(); ++r) set(steps, r, 0.3 + 0.1 * static_cast<double>(r));
        tau.add("tau", steps);
    }
    scratch_bytes = scratch_of(optimizee, batch_);
    inputs_ = {&data, &x, &v, &tau};
    outputs_ = {&f, &g};
}

l2o_status EvalCase::call(l2o_call* context) {
    const l2o_points points{.batch = batch_,
                            .rows_per_instance = rows_per_instance_,
                            .data = data.in(),
                            .x = x.in(),
                            .batch_key = {minibatch, 0}};
    const l2o_eval_out out{.f = f.empty() ? nullptr : f.out()[0], .g = g.empty() ? nullptr : g.out()};
    const l2o_optimizee_api& api = optimizee_.api();
    const l2o_optimizee* optimizee = instance(optimizee_.raw());
    switch (oracle_) {
        case Oracle::kEval:
            return api.eval(optimizee, context, &points, &out);
        case Oracle::kHvp:
            return api.hvp(optimizee, context, &points, v.in(), g.out());
        case Oracle::kProx:
            return api.prox(optimizee, context, &points, tau.in()[0], g.out());
    }
    return L2O_STATUS_INTERNAL;
}

SampleCase::SampleCase(const Optimizee& optimizee, Split split, std::uint64_t first, std::int64_t count)
    : Case(fmt::format("sample of [{}, {})", first, first + static_cast<std::uint64_t>(count))),
      optimizee_(optimizee),
      split_(split),
      first_(first),
      count_(count) {
    for (const l2o_spec* spec : optimizee.data()) {
        if (is_by_solve(*spec)) {
            data.add_absent(spec->name);
        } else {
            data.add(spec->name, dtype_of(*spec), shape_of(*spec, count));
        }
    }
    key = seeded(kDataKey);
    draws_ = true;
    outputs_ = {&data};
}

l2o_status SampleCase::call(l2o_call* context) {
    return optimizee_.api().sample(instance(optimizee_.raw()),
                                   context,
                                   static_cast<std::int32_t>(split_),
                                   first_,
                                   static_cast<std::uint32_t>(count_),
                                   data.out());
}

StartCase::StartCase(const Optimizee& optimizee, const std::vector<Tensor>& problem, std::int64_t batch)
    : Case("init_point"),
      data(guarded(problem, optimizee.data())),
      optimizee_(optimizee),
      batch_(static_cast<std::uint32_t>(batch)) {
    for (const l2o_spec* spec : optimizee.blocks())
        x.add(spec->name, dtype_of(*spec), shape_of(*spec, batch));
    draws_ = true;
    inputs_ = {&data};
    outputs_ = {&x};
}

l2o_status StartCase::call(l2o_call* context) {
    return optimizee_.api().init_point(instance(optimizee_.raw()), context, batch_, data.in(), x.out());
}

OptimizeeBench::OptimizeeBench(const Subject& subject, Dtype dtype, std::int64_t batch)
    : Bench(subject.circumstances, batch),
      optimizee_(
          std::make_unique<Optimizee>(subject.entry, resolve(subject.entry, subject.settings), dtype)) {
    SampleCase sample(*optimizee_, Split::kTrain, 0, batch_);
    sample.run();
    data_ = sample.data.clone();
    StartCase start(*optimizee_, data_, batch_);
    start.run();
    x_ = start.x.clone();
    // Away from the start, which may be 0, where much is hidden.
    for (std::size_t k = 0; k < x_.size(); ++k) {
        const std::vector<double> noise = normals(x_[k].size(), k);
        for (std::int64_t i = 0; i < x_[k].size(); ++i)
            set(x_[k], i, x_[k].value(i) + 0.1 * circumstances_.spread * noise[static_cast<std::size_t>(i)]);
    }
}

bool OptimizeeBench::has(Oracle oracle) const {
    switch (oracle) {
        case Oracle::kEval:
            return true;
        case Oracle::kHvp:
            return optimizee_->api().hvp != nullptr;
        case Oracle::kProx:
            return optimizee_->api().prox != nullptr;
    }
    return false;
}

std::vector<Tensor> OptimizeeBench::data_of(const std::vector<std::int64_t>& rows) const {
    std::vector<Tensor> out;
    for (std::size_t i = 0; i < data_.size(); ++i) {
        if (!data_[i]) {
            out.emplace_back();
        } else {
            out.push_back(framework::has(*optimizee_->data()[i], L2O_SPEC_BATCHED) ? gather(data_[i], 0, rows)
                                                                                   : data_[i].clone());
        }
    }
    return out;
}

std::vector<Tensor> OptimizeeBench::solved_data_of(const std::vector<std::int64_t>& rows) const {
    std::vector<Tensor> out = data_of(rows);
    if (optimizee_->api().solve == nullptr) return out;
    SolveCase solve(*optimizee_, out, static_cast<std::int64_t>(rows.size()));
    solve.run();
    for (std::size_t i = 0; i < out.size(); ++i)
        if (solve.solution[i]) out[i] = solve.solution[i].clone();
    return out;
}

std::unique_ptr<EvalCase> OptimizeeBench::eval_case(Oracle oracle, EvalCase::Want want) const {
    want.g = want.g && has_gradient();
    return std::make_unique<EvalCase>(*optimizee_, x_, data_, 1, oracle, want);
}

std::vector<std::unique_ptr<Case>> OptimizeeBench::cases_of_rows(const std::vector<std::int64_t>& rows,
                                                                 std::uint64_t row0) const {
    std::vector<std::unique_ptr<Case>> out;
    std::vector<Tensor> x;
    for (const Tensor& block : x_) x.push_back(gather(block, 0, rows));
    const std::vector<Tensor> data = data_of(rows);
    const auto n = static_cast<std::int64_t>(rows.size());
    for (const EvalCase::Want want : {EvalCase::Want{true, true}, {true, false}, {false, true}})
        if (!want.g || has_gradient())
            out.push_back(std::make_unique<EvalCase>(*optimizee_, x, data, 1, Oracle::kEval, want));
    for (const Oracle oracle : {Oracle::kHvp, Oracle::kProx}) {
        if (!has(oracle)) continue;
        auto one = std::make_unique<EvalCase>(*optimizee_, x, data, 1, oracle, EvalCase::Want{});
        // Direction and step belong to the row of the whole batch.
        const auto whole = eval_case(oracle);
        for (std::size_t k = 0; k < one->v.size(); ++k) {
            const Tensor v = gather(whole->v[k], 0, rows);
            std::memcpy(one->v[k].data(), v.data(), static_cast<std::size_t>(v.bytes()));
        }
        if (!one->tau.empty()) {
            const Tensor tau = gather(whole->tau[0], 0, rows);
            std::memcpy(one->tau[0].data(), tau.data(), static_cast<std::size_t>(tau.bytes()));
        }
        out.push_back(std::move(one));
    }
    if (!optimizee_->metrics().empty()) {
        bool has_all = true;
        for (const Tensor& tensor : data) has_all = has_all && tensor;
        out.push_back(std::make_unique<MetricsCase>(*optimizee_, x, data, 1, has_all));
    }
    out.push_back(std::make_unique<StartCase>(*optimizee_, data, n));
    for (const auto& one : out) one->row0 = row0;
    return out;
}

std::vector<std::unique_ptr<Case>> OptimizeeBench::cases() const {
    std::vector<std::unique_ptr<Case>> out = cases_of_rows(all_rows(batch_), 0);
    out.push_back(std::make_unique<SampleCase>(*optimizee_, Split::kTrain, 3, batch_));
    if (optimizee_->api().solve != nullptr)
        out.push_back(std::make_unique<SolveCase>(*optimizee_, data_, batch_));
    return out;
}

std::string OptimizeeBench::declaration() const {
    const l2o_optimizee_api& api = optimizee_->api();
    const l2o_optimizee_info info = normalised(*api.info(optimizee_->raw()));
    std::string text = fmt::format(
        "blocks {} data {} metrics {} flags {:#x} scratch {} + {} per row answers {} costs {} {} {} {}",
        info.n_blocks,
        info.n_data,
        info.n_metrics,
        info.flags,
        info.scratch_fixed,
        info.scratch_per_row,
        info.answers,
        info.cost_value,
        info.cost_gradient,
        info.cost_hvp,
        info.cost_prox);
    for (std::uint32_t i = 0; i < info.n_blocks; ++i)
        text += "\nblock " + describe_spec(normalised(*api.block_spec(optimizee_->raw(), i)));
    for (std::uint32_t i = 0; i < info.n_data; ++i)
        text += "\ndata " + describe_spec(normalised(*api.data_spec(optimizee_->raw(), i)));
    for (std::uint32_t i = 0; i < info.n_metrics; ++i)
        text += "\nmetric " + describe_spec(normalised(*api.metric_spec(optimizee_->raw(), i)));
    return text;
}

std::shared_ptr<const void> OptimizeeBench::created_by(HostSize host) const {
    return create_as<l2o_optimizee>(optimizee_->api(), optimizee_->options(), host, [&](auto&& create) {
        Sized<l2o_optimizee_setting> setting(
            {sizeof(l2o_optimizee_setting), static_cast<std::uint32_t>(optimizee_->dtype())}, host);
        return create(*setting.get());
    });
}

std::unique_ptr<OptimizeeBench> optimizee_bench(const Subject& subject, std::int64_t batch) {
    return std::make_unique<OptimizeeBench>(subject, widest(subject), batch);
}

std::vector<Tensor> row_of(const std::vector<Tensor>& tensors, std::int64_t row) {
    std::vector<Tensor> out;
    out.reserve(tensors.size());
    for (const Tensor& tensor : tensors) out.push_back(gather(tensor, 0, {row}));
    return out;
}

bool is_any_batched(const Optimizee& optimizee) {
    return std::any_of(optimizee.data().begin(), optimizee.data().end(), [](const l2o_spec* spec) {
        return has(*spec, L2O_SPEC_BATCHED) && !has(*spec, L2O_SPEC_BY_SOLVE);
    });
}

std::pair<double, double> bounds_of(const Optimizee& optimizee, std::size_t block) {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    const l2o_spec& spec = *optimizee.blocks()[block];
    if (!has(spec, L2O_SPEC_BOUNDED)) return {-kInfinity, kInfinity};
    if (dtype_of(spec) == Dtype::kF64) return {spec.lower, spec.upper};
    return {static_cast<float>(spec.lower), static_cast<float>(spec.upper)};
}

}  // namespace l2o::framework
