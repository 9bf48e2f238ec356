#include "framework/check/optimizee_bench.hpp"

#include <fmt/core.h>

#include "framework/error.hpp"

namespace l2o::framework {
namespace {

constexpr Key kDataKey{0xda7a, 1};

bool is_by_solve(const l2o_spec& spec) { return (spec.flags & L2O_DATA_BY_SOLVE) != 0; }

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

GuardedSet guarded(const std::vector<Tensor>& tensors, const std::vector<const l2o_spec*>& specs) {
    GuardedSet set;
    for (std::size_t i = 0; i < tensors.size(); ++i) set.add(specs[i]->name, tensors[i]);
    return set;
}

std::uint64_t scratch_of(const Optimizee& optimizee, std::int64_t batch) {
    return optimizee.info().scratch_fixed +
           optimizee.info().scratch_per_row * static_cast<std::uint64_t>(batch);
}

}  // namespace

MetricsCase::MetricsCase(const Optimizee& optimizee,
                         const std::vector<Tensor>& points,
                         const std::vector<Tensor>& problem,
                         bool with_solutions)
    : Case(with_solutions ? "metrics" : "metrics without solutions"),
      data(guarded(problem, optimizee.data())),
      x(guarded(points, optimizee.blocks())),
      optimizee_(optimizee),
      batch_(points[0].shape()[0]) {
    for (std::size_t i = 0; i < data.size() && !with_solutions; ++i)
        if (optimizee.data()[i]->role == L2O_DATA_SOLUTION) data.hide(i);
    for (const l2o_spec* spec : optimizee.metrics()) {
        if (with_solutions || (spec->flags & L2O_METRIC_NEEDS_SOLUTION) == 0) {
            metrics.add(spec->name, static_cast<Dtype>(spec->dtype), shape_of(*spec, batch_));
        } else {
            metrics.add_absent(spec->name);
        }
    }
    scratch_bytes = scratch_of(optimizee, batch_);
    inputs_ = {&data, &x};
    outputs_ = {&metrics};
}

l2o_status MetricsCase::call(l2o_call* context, HostSize size) {
    l2o_eval_io io{};
    io.struct_size = sizeof io;
    io.batch = static_cast<std::uint32_t>(batch_);
    io.rows_per_instance = 1;
    io.data = data.in();
    io.x = x.in();
    Sized<l2o_eval_io> sized(io, size, offsetof(l2o_eval_io, f));
    return optimizee_.api().metrics(optimizee_.raw(), context, sized.get(), metrics.out());
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
            is_by_solve(spec) ? solution.add(spec.name, static_cast<Dtype>(spec.dtype), shape_of(spec, count))
                              : solution.add_absent(spec.name);
        }
        scratch_bytes = scratch_of(optimizee, count);
        inputs_ = {&data};
        outputs_ = {&solution};
    }
    GuardedSet data, solution;

  protected:
    l2o_status call(l2o_call* context, HostSize) override {
        return optimizee_.api().solve(
            optimizee_.raw(), context, static_cast<std::uint32_t>(count_), data.in(), solution.out());
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
      want_(want),
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

l2o_status EvalCase::call(l2o_call* context, HostSize size) {
    l2o_eval_io io{};
    io.struct_size = sizeof io;
    io.batch = batch_;
    io.rows_per_instance = rows_per_instance_;
    io.data = data.in();
    io.x = x.in();
    io.v = v.empty() ? nullptr : v.in();
    io.tau = tau.empty() ? nullptr : tau.in()[0];
    io.batch_key[0] = 0xba7c4;
    io.f = f.empty() ? nullptr : f.out()[0];
    io.g = g.empty() ? nullptr : g.out();
    // Only what is NULL anyway can be left out.
    const bool cut = size == HostSize::kSmaller && !want_.g;
    Sized<l2o_eval_io> sized(
        io, size == HostSize::kSmaller && !cut ? HostSize::kExact : size, offsetof(l2o_eval_io, g));
    const l2o_optimizee_api& api = optimizee_.api();
    switch (oracle_) {
        case Oracle::kEval:
            return api.eval(optimizee_.raw(), context, sized.get());
        case Oracle::kHvp:
            return api.hvp(optimizee_.raw(), context, sized.get());
        case Oracle::kProx:
            return api.prox(optimizee_.raw(), context, sized.get());
    }
    return L2O_INTERNAL;
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
            data.add(spec->name, static_cast<Dtype>(spec->dtype), shape_of(*spec, count));
        }
    }
    key = kDataKey;
    outputs_ = {&data};
}

l2o_status SampleCase::call(l2o_call* context, HostSize) {
    return optimizee_.api().sample(optimizee_.raw(),
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
        x.add(spec->name, static_cast<Dtype>(spec->dtype), shape_of(*spec, batch));
    inputs_ = {&data};
    outputs_ = {&x};
}

l2o_status StartCase::call(l2o_call* context, HostSize) {
    return optimizee_.api().init_point(optimizee_.raw(), context, batch_, data.in(), x.out());
}

OptimizeeBench::OptimizeeBench(const Subject& subject, Dtype dtype)
    : optimizee_(
          std::make_unique<Optimizee>(subject.entry, resolve(subject.entry, subject.settings), dtype)) {
    SampleCase sample(*optimizee_, Split::kTrain, 0, kBatch);
    sample.run();
    data_ = sample.data.clone();
    StartCase start(*optimizee_, data_, kBatch);
    start.run();
    x_ = start.x.clone();
    // Away from the start, which may be 0, where much is hidden.
    for (std::size_t k = 0; k < x_.size(); ++k) {
        const std::vector<double> noise = normals(x_[k].size(), k);
        for (std::int64_t i = 0; i < x_[k].size(); ++i)
            set(x_[k], i, x_[k].value(i) + 0.1 * noise[static_cast<std::size_t>(i)]);
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
            out.push_back(optimizee_->data()[i]->batched != 0 ? gather(data_[i], 0, rows) : data_[i].clone());
        }
    }
    return out;
}

std::unique_ptr<EvalCase> OptimizeeBench::eval_case(Oracle oracle, EvalCase::Want want) const {
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
    if (optimizee_->api().metrics != nullptr) {
        bool has_all = true;
        for (const Tensor& tensor : data) has_all = has_all && tensor;
        out.push_back(std::make_unique<MetricsCase>(*optimizee_, x, data, has_all));
    }
    out.push_back(std::make_unique<StartCase>(*optimizee_, data, n));
    for (const auto& one : out) one->row0 = row0;
    return out;
}

std::vector<std::unique_ptr<Case>> OptimizeeBench::cases() const {
    std::vector<std::unique_ptr<Case>> out = cases_of_rows(all_rows(kBatch), 0);
    out.push_back(std::make_unique<SampleCase>(*optimizee_, Split::kTrain, 3, kBatch));
    if (optimizee_->api().solve != nullptr)
        out.push_back(std::make_unique<SolveCase>(*optimizee_, data_, kBatch));
    return out;
}

std::string OptimizeeBench::declaration() const {
    const l2o_optimizee_api& api = optimizee_->api();
    const l2o_optimizee_info& info = *api.info(optimizee_->raw());
    std::string text = fmt::format("blocks {} data {} metrics {} flags {} scratch {} + {} per row oracles {}",
                                   info.n_blocks,
                                   info.n_data,
                                   info.n_metrics,
                                   info.flags,
                                   info.scratch_fixed,
                                   info.scratch_per_row,
                                   info.oracle_kinds);
    for (std::uint32_t i = 0; i < info.n_blocks; ++i)
        text += "\nblock " + describe_spec(*api.block_spec(optimizee_->raw(), i));
    for (std::uint32_t i = 0; i < info.n_data; ++i)
        text += "\ndata " + describe_spec(*api.data_spec(optimizee_->raw(), i));
    for (std::uint32_t i = 0; i < info.n_metrics; ++i)
        text += "\nmetric " + describe_spec(*api.metric_spec(optimizee_->raw(), i));
    return text;
}

}  // namespace l2o::framework
