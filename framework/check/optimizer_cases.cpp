#include "framework/check/optimizer_cases.hpp"

#include <fmt/core.h>

#include <cstring>
#include <utility>

namespace l2o::framework {
namespace {

GuardedSet guarded(const std::vector<Tensor>& tensors, const std::string& name) {
    GuardedSet set;
    for (std::size_t i = 0; i < tensors.size(); ++i)
        set.add(tensors.size() == 1 ? name : name + " of block " + std::to_string(i), tensors[i]);
    return set;
}

GuardedSet guarded(const Tensor& tensor, const std::string& name) {
    GuardedSet set;
    set.add(name, tensor);
    return set;
}

void zero_row(Tensor& tensor, std::int64_t row, std::int64_t rows) {
    const auto bytes = static_cast<std::size_t>(tensor.bytes() / rows);
    std::memset(static_cast<std::byte*>(tensor.data()) + static_cast<std::size_t>(row) * bytes, 0, bytes);
}

void fill_row(Tensor& tensor, std::int64_t row, std::int64_t rows, double value) {
    const std::int64_t n = tensor.size() / rows;
    for (std::int64_t i = row * n; i < (row + 1) * n; ++i) set(tensor, i, value);
}

Shape behind(std::int64_t n, const Shape& shape) {
    Shape out{n};
    out.insert(out.end(), shape.begin(), shape.end());
    return out;
}

}  // namespace

std::vector<Tensor> clone_all(const std::vector<Tensor>& tensors) {
    std::vector<Tensor> out;
    out.reserve(tensors.size());
    for (const Tensor& tensor : tensors) out.push_back(tensor ? tensor.clone() : Tensor());
    return out;
}

Moment Moment::clone() const {
    return {.t = t,
            .round = round,
            .n_answers = n_answers,
            .params = clone_all(params),
            .state = clone_all(state),
            .x = clone_all(x),
            .g = clone_all(g),
            .data = clone_all(data),
            .q = clone_all(q),
            .qg = clone_all(qg),
            .f = f ? f.clone() : Tensor(),
            .qf = qf ? qf.clone() : Tensor(),
            .wanted = wanted ? wanted.clone() : Tensor(),
            .batch = batch,
            .key = key,
            .status = status,
            .slope = slope};
}

void Moment::spoil(double garbage) {
    if (!wanted) return;
    const auto wants = std::as_const(wanted).values<std::int32_t>();
    for (std::int64_t i = 0; i < wanted.size(); ++i) {
        const auto kinds = static_cast<std::uint32_t>(wants[static_cast<std::size_t>(i)]);
        if ((kinds & L2O_ORACLE_VALUE) == 0) fill_row(qf, i, wanted.size(), garbage);
        for (Tensor& block : qg)
            if ((kinds & L2O_ORACLE_GRADIENT) == 0) fill_row(block, i, wanted.size(), garbage);
    }
}

StepCase::StepCase(const Optimizer& optimizer, const Moment& moment)
    : Case(fmt::format(
          "step at t = {}{}", moment.t, moment.round > 0 ? ", round " + std::to_string(moment.round) : "")),
      params(guarded(moment.params, optimizer.params())),
      state(guarded(moment.state, optimizer.state())),
      x(guarded(moment.x, "x")),
      g(guarded(moment.g, "g")),
      data(guarded(moment.data, "data")),
      f(guarded(moment.f, "f")),
      q(guarded(moment.q, "q")),
      qg(guarded(moment.qg, "qg")),
      qf(guarded(moment.qf, "qf")),
      state_out(guarded(moment.state, optimizer.state())),
      x_out(guarded(moment.x, "x'")),
      optimizer_(optimizer),
      t_(moment.t),
      batch_(static_cast<std::uint32_t>(moment.batch)),
      round_(moment.round),
      n_answers_(moment.n_answers) {
    const auto max = static_cast<std::int64_t>(optimizer.info().max_questions);
    const std::int64_t particles = optimizer.info().particles;
    const Shape per_row = particles > 0 ? Shape{moment.batch, particles} : Shape{moment.batch};
    if (max > 0) {
        for (const Tensor& block : moment.x) q_out.add("q", block.dtype(), behind(max, block.shape()));
        q_wanted.add("q_wanted", Dtype::kI32, behind(max, per_row));
    } else {
        q_wanted.add_absent("q_wanted");
    }
    x_is.add("x_is", Dtype::kI32, per_row);
    if ((optimizer.info().flags & L2O_OPTIMIZER_ENDS_ROWS) != 0) {
        row_status.add("row_status", Dtype::kI32, {moment.batch});
    } else {
        row_status.add_absent("row_status");
    }
    asked.add("n_questions", Dtype::kI64, {1});
    scratch_bytes = scratch_of(optimizer, moment.batch);
    key = moment.key;
    inputs_ = {&params, &state, &x, &g, &data, &f, &q, &qg, &qf};
    outputs_ = {&q_wanted, &asked, &q_out, &state_out, &x_out, &x_is, &row_status};
}

l2o_step_in StepCase::step_in() const {
    l2o_step_in in{};
    in.batch = batch_;
    in.round = round_;
    in.t = t_;
    in.params = params.in();
    in.state = state.in();
    in.x = x.in();
    in.g = g.empty() ? nullptr : g.in();
    in.data = data.in();
    in.f = f.in()[0];
    in.n_answers = n_answers_;
    if (round_ > 0) {
        in.q = q.in();
        in.qg = qg.empty() ? nullptr : qg.in();
        in.qf = qf.in()[0];
    }
    return in;
}

l2o_status StepCase::call(l2o_call* context) {
    // What the host sets before the call.
    if (q_wanted[0]) q_wanted[0].zero();
    if (row_status[0]) row_status[0].zero();
    for (std::int32_t& is : x_is[0].values<std::int32_t>()) is = L2O_X_IS_NEW;
    const l2o_step_in in = step_in();
    l2o_step_out out{};
    out.state = state_out.out();
    out.x = x_out.out();
    out.q = q_out.empty() ? nullptr : q_out.out();
    out.q_wanted = q_wanted.out()[0];
    out.x_is = x_is.out()[0];
    out.row_status = row_status.out()[0];
    const l2o_status status = optimizer_.api().step(instance(optimizer_.raw()), context, &in, &out);
    asked[0].values<std::int64_t>()[0] = out.n_questions;
    return status;
}

std::uint32_t StepCase::n_questions() const {
    return static_cast<std::uint32_t>(asked[0].values<std::int64_t>()[0]);
}

bool StepCase::is_open(std::int64_t row) const {
    if (!q_wanted[0]) return false;
    const std::int64_t particles = rows() / batch_;
    for (std::int64_t question = row * particles; question < q_wanted[0].size(); question += rows())
        for (std::int64_t p = 0; p < particles; ++p)
            if (q_wanted[0].value(question + p) != 0) return true;
    return false;
}

void StepCase::after() {
    const l2o_optimizer_info& info = optimizer_.info();
    const std::int64_t n = n_questions(), all = q_wanted[0] ? q_wanted[0].size() : 0;
    if (n > info.max_questions)
        throw Broken(
            fmt::format("{}: asked {} questions; it declared at most {}", name(), n, info.max_questions));
    questions_ = q_out.clone();
    std::int64_t wants = 0;
    for (std::int64_t i = 0; i < all; ++i) {
        const auto kinds =
            static_cast<std::uint32_t>(q_wanted[0].values<std::int32_t>()[static_cast<std::size_t>(i)]);
        if ((kinds & ~info.question_kinds) != 0)
            throw Broken(
                fmt::format("{}: q_wanted of question {}, row {} is {:#x}; it declared the kinds {:#x}",
                            name(),
                            i / rows(),
                            i % rows(),
                            kinds,
                            info.question_kinds));
        if (kinds != 0 && i >= n * rows())
            throw Broken(fmt::format("{}: q_wanted of question {}, row {} is {:#x}, and n_questions is {}",
                                     name(),
                                     i / rows(),
                                     i % rows(),
                                     kinds,
                                     n));
        if (kinds != 0) ++wants;
        for (std::size_t k = 0; k < q_out.size() && kinds == 0; ++k) zero_row(q_out[k], i, all);
    }
    if (n > 0 && wants == 0)
        throw Broken(fmt::format("{}: asked {} questions, and no row wants an answer", name(), n));
    for (std::int64_t row = 0; row < batch_; ++row) {
        if (!is_open(row)) continue;
        for (std::size_t k = 0; k < x_out.size(); ++k) zero_row(x_out[k], row, batch_);
        zero_row(x_is[0], row, batch_);
        if (row_status[0]) zero_row(row_status[0], row, batch_);
    }
}

RecommendCase::RecommendCase(const Optimizer& optimizer, const Moment& moment) : StepCase(optimizer, moment) {
    rename(fmt::format("recommend at t = {}", moment.t));
    outputs_ = {&x_out};
}

l2o_status RecommendCase::call(l2o_call* context) {
    l2o_step_in in = step_in();
    in.g = nullptr;
    in.f = nullptr;
    return optimizer_.api().recommend(instance(optimizer_.raw()), context, &in, x_out.out());
}

InitStateCase::InitStateCase(const Optimizer& optimizer, const Moment& start)
    : Case("init_state"),
      params(guarded(start.params, optimizer.params())),
      x(guarded(start.x, "x")),
      data(guarded(start.data, "data")),
      optimizer_(optimizer),
      batch_(static_cast<std::uint32_t>(start.batch)) {
    for (const l2o_spec* spec : optimizer.state())
        state_out.add(spec->name, dtype_of(*spec), shape_of(*spec, start.batch, optimizer.info().particles));
    scratch_bytes = scratch_of(optimizer, start.batch);
    draws_ = true;
    inputs_ = {&params, &x, &data};
    outputs_ = {&state_out};
}

l2o_step_in InitStateCase::step_in() const {
    l2o_step_in in{};
    in.batch = batch_;
    in.params = params.in();
    in.x = x.in();
    in.data = data.in();
    return in;
}

l2o_status InitStateCase::call(l2o_call* context) {
    const l2o_step_in in = step_in();
    return optimizer_.api().init_state(instance(optimizer_.raw()), context, &in, state_out.out());
}

InitParamsCase::InitParamsCase(const Optimizer& optimizer, const Moment& start)
    : Case("init_params"), optimizer_(optimizer) {
    for (const l2o_spec* spec : optimizer.params())
        params_out.add(spec->name, dtype_of(*spec), shape_of(*spec, 1));
    data = guarded(start.data, "data");
    draws_ = true;
    scratch_bytes = scratch_of(optimizer, 0);
    inputs_ = {&data};
    outputs_ = {&params_out};
}

l2o_status InitParamsCase::call(l2o_call* context) {
    return optimizer_.api().init_params(instance(optimizer_.raw()), context, data.in(), params_out.out());
}

}  // namespace l2o::framework
