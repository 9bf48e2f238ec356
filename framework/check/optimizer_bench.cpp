#include "framework/check/optimizer_bench.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "framework/error.hpp"

namespace l2o::framework {
namespace {

constexpr Key kDataKey{0xda7a, 1}, kStartKey{0x57a7, 2}, kParamsKey{0x9a7a, 3}, kMinibatchKey{0x3175, 4};
/// Of an iteration; an optimizer that needs more asks without an end.
constexpr std::uint32_t kMaxRounds = 1000;

std::vector<Tensor> clone_all(const std::vector<Tensor>& tensors) {
    std::vector<Tensor> out;
    for (const Tensor& tensor : tensors) out.push_back(tensor ? tensor.clone() : Tensor());
    return out;
}

GuardedSet guarded(const std::vector<Tensor>& tensors, const std::vector<const l2o_spec*>& specs) {
    GuardedSet set;
    for (std::size_t i = 0; i < tensors.size(); ++i) set.add(specs[i]->name, tensors[i]);
    return set;
}

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

std::uint64_t scratch_of(const Optimizer& optimizer, std::int64_t batch) {
    return optimizer.info().scratch_fixed +
           optimizer.info().scratch_per_row * static_cast<std::uint64_t>(batch);
}

l2o_step_in empty_step_in(std::uint32_t batch) {
    l2o_step_in in{};
    in.struct_size = sizeof in;
    in.batch = batch;
    return in;
}

/// A batched parameter set for init_params.
class InitParamsCase : public Case {
  public:
    InitParamsCase(const Optimizer& optimizer, const Moment& start)
        : Case("init_params"), optimizer_(optimizer) {
        for (const l2o_spec* spec : optimizer.params())
            params_out.add(spec->name, static_cast<Dtype>(spec->dtype), shape_of(*spec, 1));
        data = guarded(start.data, "data");
        scratch_bytes = optimizer.info().scratch_fixed;
        inputs_ = {&data};
        outputs_ = {&params_out};
    }
    GuardedSet data, params_out;

  protected:
    l2o_status call(l2o_call* context, HostSize) override {
        return optimizer_.api().init_params(optimizer_.raw(), context, data.in(), params_out.out());
    }

  private:
    const Optimizer& optimizer_;
};

}  // namespace

Moment Moment::clone() const {
    return {t,
            round,
            n_answers,
            clone_all(params),
            clone_all(state),
            clone_all(x),
            clone_all(g),
            clone_all(data),
            clone_all(q),
            clone_all(qg),
            f ? f.clone() : Tensor(),
            qf ? qf.clone() : Tensor(),
            batch,
            key};
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
    if (max > 0) {
        for (std::size_t k = 0; k < moment.x.size(); ++k) {
            Shape shape = moment.x[k].shape();
            shape.insert(shape.begin(), max);
            q_out.add("q", moment.x[k].dtype(), shape);
        }
        x_from_q.add("x_from_q", Dtype::kI32, {moment.batch});
    } else {
        x_from_q.add_absent("x_from_q");
    }
    asked.add("n_questions and question_kinds", Dtype::kI64, {2});
    scratch_bytes = scratch_of(optimizer, moment.batch);
    key = moment.key;
    inputs_ = {&params, &state, &x, &g, &data, &f, &q, &qg, &qf};
    outputs_ = {&state_out, &x_out, &q_out, &x_from_q, &asked};
}

l2o_step_in StepCase::step_in() const {
    l2o_step_in in = empty_step_in(batch_);
    in.t = t_;
    in.round = round_;
    in.n_answers = n_answers_;
    in.params = params.in();
    in.state = state.in();
    in.x = x.in();
    in.g = g.empty() ? nullptr : g.in();
    in.f = f.in()[0];
    in.data = data.in();
    if (round_ > 0) {
        in.q = q.in();
        in.qg = qg.empty() ? nullptr : qg.in();
        in.qf = qf.in()[0];
    }
    return in;
}

l2o_status StepCase::call(l2o_call* context, HostSize size) {
    l2o_step_out out{};
    out.struct_size = sizeof out;
    out.batch = batch_;
    out.state = state_out.out();
    out.x = x_out.out();
    out.q = q_out.empty() ? nullptr : q_out.out();
    out.x_from_q = x_from_q.out()[0];
    // What the plugin has to overwrite.
    out.n_questions = optimizer_.info().max_questions > 0 ? 0xFFFF : 0;
    // A host without questions may leave out what belongs to them.
    Sized<l2o_step_in> in(step_in(), round_ > 0 ? HostSize::kExact : size, offsetof(l2o_step_in, q));
    Sized<l2o_step_out> sized(out, size == HostSize::kLarger ? size : HostSize::kExact);
    const l2o_status status = optimizer_.api().step(optimizer_.raw(), context, in.get(), sized.get());
    asked[0].values<std::int64_t>()[0] = sized.get()->n_questions;
    asked[0].values<std::int64_t>()[1] = sized.get()->n_questions > 0 ? sized.get()->question_kinds : 0;
    return status;
}

std::uint32_t StepCase::n_questions() const {
    return static_cast<std::uint32_t>(asked[0].values<std::int64_t>()[0]);
}
std::uint32_t StepCase::question_kinds() const {
    return static_cast<std::uint32_t>(asked[0].values<std::int64_t>()[1]);
}

void StepCase::after() {
    const l2o_optimizer_info& info = optimizer_.info();
    if (n_questions() > info.max_questions || (question_kinds() & ~info.question_kinds) != 0) {
        throw Broken(fmt::format("{}: asked {} questions of kinds {}; it declared at most {} of kinds {}",
                                 name(),
                                 n_questions(),
                                 question_kinds(),
                                 info.max_questions,
                                 info.question_kinds));
    }
    // While questions are open nobody reads x' and x_from_q.
    const bool is_open = n_questions() > 0;
    for (std::size_t k = 0; k < x_out.size(); ++k) x_out.require(k, is_open ? 0 : x_out[k].size());
    if (x_from_q[0]) x_from_q.require(0, is_open ? 0 : x_from_q[0].size());
    for (std::size_t k = 0; k < q_out.size(); ++k)
        q_out.require(k, q_out[k].size() / info.max_questions * n_questions());
}

InitStateCase::InitStateCase(const Optimizer& optimizer, const Moment& start)
    : Case("init_state"),
      params(guarded(start.params, optimizer.params())),
      x(guarded(start.x, "x")),
      data(guarded(start.data, "data")),
      optimizer_(optimizer),
      batch_(static_cast<std::uint32_t>(start.batch)) {
    for (const l2o_spec* spec : optimizer.state())
        state_out.add(spec->name, static_cast<Dtype>(spec->dtype), shape_of(*spec, start.batch));
    scratch_bytes = scratch_of(optimizer, start.batch);
    inputs_ = {&params, &x, &data};
    outputs_ = {&state_out};
}

l2o_step_in InitStateCase::step_in() const {
    l2o_step_in in = empty_step_in(batch_);
    in.params = params.in();
    in.x = x.in();
    in.data = data.in();
    return in;
}

l2o_status InitStateCase::call(l2o_call* context, HostSize size) {
    Sized<l2o_step_in> in(step_in(), size, offsetof(l2o_step_in, f));
    return optimizer_.api().init_state(optimizer_.raw(), context, in.get(), state_out.out());
}

OptimizerBench::OptimizerBench(const Subject& subject, Dtype dtype) {
    std::string refusals;
    for (const Catalog::Entry& entry : subject.optimizees) {
        try {
            optimizee_ =
                std::make_unique<Optimizee>(entry, resolve(entry, subject.optimizee_settings), dtype);
            optimizer_ = std::make_unique<Optimizer>(
                subject.entry, resolve(subject.entry, subject.settings), task_of(*optimizee_, kHorizon));
            break;
        } catch (const Error& error) {
            refusals += (refusals.empty() ? "" : "; ") + std::string(error.what());
        }
    }
    if (!optimizer_) {
        throw Error(ExitCode::kPlugin,
                    refusals.empty() ? "there is no optimizee to check it on; name a folder that has one "
                                       "with --plugin-path"
                                     : "no optimizee suits: " + refusals);
    }
    data_ = optimizee_->sample(kDataKey, Split::kTrain, 0, kBatch, false);
    start_.batch = kBatch;
    for (const int index : optimizer_->needs()) {
        const Tensor* tensor = index < 0 ? nullptr : &data_.tensors[static_cast<std::size_t>(index)];
        start_.data.push_back(tensor != nullptr && *tensor ? tensor->clone() : Tensor());
    }
    const std::vector<Tensor> x = optimizee_->init_point(kStartKey, 0, data_);
    const std::int64_t particles = optimizer_->info().particles;
    for (std::size_t k = 0; k < x.size(); ++k) {
        Shape shape = x[k].shape();
        if (particles > 0) shape.insert(shape.begin() + 1, particles);
        start_.x.emplace_back(dtype, shape);
        // Away from the start, which may be 0, where much is hidden.
        const bool at_zero = (flags() & L2O_STARTS_AT_ZERO) != 0;
        const std::vector<double> noise = normals(start_.x[k].size(), k);
        const std::int64_t per_row = x[k].size() / kBatch;
        const std::int64_t copies = std::max<std::int64_t>(particles, 1);
        for (std::int64_t i = 0; i < start_.x[k].size() && !at_zero; ++i) {
            const std::int64_t from = i / (per_row * copies) * per_row + i % per_row;
            set(start_.x[k], i, x[k].value(from) + 0.1 * noise[static_cast<std::size_t>(i)]);
        }
    }
    InitParamsCase init(*optimizer_, start_);
    init.key = kParamsKey;
    if (!optimizer_->params().empty()) init.run();
    start_.params = init.params_out.clone();
}

std::int64_t OptimizerBench::steps(std::int64_t wanted) const {
    const std::int64_t max = optimizer_->info().max_steps;
    return max > 0 ? std::min(max, wanted) : wanted;
}

void OptimizerBench::evaluate(const std::vector<Tensor>& x,
                              std::int64_t t,
                              Tensor* f,
                              std::vector<Tensor>* g) const {
    const std::int64_t copies = std::max<std::int64_t>(optimizer_->info().particles, 1);
    const auto rows_of = [&](const Tensor& tensor) {
        Shape shape = tensor.shape();
        if (copies > 1 || optimizer_->info().particles == 1) shape.erase(shape.begin() + 1);
        if (!shape.empty()) shape[0] = kBatch * copies;
        return Tensor::borrow(tensor.dtype(), shape, const_cast<void*>(tensor.data()));
    };
    std::vector<Tensor> x_rows, g_rows;
    for (const Tensor& block : x) x_rows.push_back(rows_of(block));
    if (g != nullptr) {
        for (const Tensor& block : *g) g_rows.push_back(rows_of(block));
    }
    std::vector<l2o_tensor*> points, gradients;
    for (Tensor& block : x_rows) points.push_back(block.abi());
    for (Tensor& block : g_rows) gradients.push_back(block.abi());
    Tensor f_rows = f == nullptr ? Tensor() : Tensor::borrow(f->dtype(), {kBatch * copies}, f->data());
    const std::vector<const l2o_tensor*> data = abi_data(data_);
    l2o_eval_io io{};
    io.struct_size = sizeof io;
    io.batch = static_cast<std::uint32_t>(kBatch * copies);
    io.rows_per_instance = static_cast<std::uint32_t>(copies);
    io.data = data.data();
    io.x = points.data();
    io.batch_key[0] = kMinibatchKey[0];
    io.batch_key[1] = static_cast<std::uint64_t>(t);
    io.f = f_rows.abi();
    io.g = g == nullptr ? nullptr : gradients.data();
    CallContext context;
    context.reserve_scratch(optimizee_->info().scratch_fixed + optimizee_->info().scratch_per_row * io.batch);
    context.check(optimizee_->api().eval(optimizee_->raw(), context.with(kStartKey), &io), optimizee_->id());
}

void OptimizerBench::evaluate(Moment& moment) const {
    moment.g.clear();
    moment.f = Tensor();
    if (optimizer_->reads_g()) {
        for (const Tensor& block : moment.x) moment.g.emplace_back(block.dtype(), block.shape());
    }
    if (optimizer_->reads_f()) {
        const std::int64_t particles = optimizer_->info().particles;
        moment.f = Tensor(optimizee_->dtype(), particles > 0 ? Shape{kBatch, particles} : Shape{kBatch});
    }
    if (moment.f || !moment.g.empty())
        evaluate(moment.x, moment.t, moment.f ? &moment.f : nullptr, moment.g.empty() ? nullptr : &moment.g);
}

/// Makes `moment` the next round: what the step asked, with the answers.
void OptimizerBench::answer(const StepCase& step, Moment& moment) const {
    const auto max = static_cast<std::int64_t>(optimizer_->info().max_questions);
    const bool wants_g = (optimizer_->info().question_kinds & L2O_GRADIENT) != 0;
    moment.q = step.q_out.clone();
    moment.qg.clear();
    if (wants_g) {
        for (const Tensor& block : moment.q) moment.qg.emplace_back(block.dtype(), block.shape());
    }
    const std::int64_t particles = optimizer_->info().particles;
    moment.qf =
        Tensor(optimizee_->dtype(), particles > 0 ? Shape{max, kBatch, particles} : Shape{max, kBatch});
    for (std::int64_t k = 0; k < step.n_questions(); ++k) {
        const auto member = [&](Tensor& tensor) {
            Shape shape(tensor.shape().begin() + 1, tensor.shape().end());
            return Tensor::borrow(
                tensor.dtype(), shape, static_cast<std::byte*>(tensor.data()) + k * (tensor.bytes() / max));
        };
        std::vector<Tensor> x, g;
        for (Tensor& block : moment.q) x.push_back(member(block));
        for (Tensor& block : moment.qg) g.push_back(member(block));
        Tensor f = member(moment.qf);
        evaluate(x, moment.t, &f, wants_g ? &g : nullptr);
    }
    moment.state = step.state_out.clone();
    moment.n_answers = step.n_questions();
    ++moment.round;
}

void OptimizerBench::iterate(const Optimizer& optimizer, Moment& moment, std::vector<Moment>* seen) const {
    moment.key = {0x5eed, static_cast<std::uint64_t>(moment.t)};
    while (true) {
        if (seen != nullptr) seen->push_back(moment.clone());
        StepCase step(optimizer, moment);
        step.run();
        if (step.n_questions() == 0) {
            moment.x = step.x_out.clone();
            moment.state = step.state_out.clone();
            break;
        }
        if (moment.round >= kMaxRounds)
            throw Broken(fmt::format("step at t = {}: still asks after {} rounds", moment.t, kMaxRounds));
        answer(step, moment);
    }
    moment.round = moment.n_answers = 0;
    moment.q.clear();
    moment.qg.clear();
    moment.qf = Tensor();
    ++moment.t;
    evaluate(moment);
}

Moment OptimizerBench::first(const Optimizer& optimizer) const {
    Moment moment = start_.clone();
    InitStateCase init(optimizer, start_);
    init.run();
    moment.state = init.state_out.clone();
    evaluate(moment);
    return moment;
}

std::vector<Moment> OptimizerBench::moments() const {
    std::vector<Moment> seen;
    Moment moment = first(*optimizer_);
    const std::int64_t n = steps(3);
    for (std::int64_t t = 0; t < n; ++t) iterate(*optimizer_, moment, &seen);
    // The first iteration, the last one, and a few rounds of each.
    constexpr std::uint32_t kRounds = 3;
    std::erase_if(seen, [&](const Moment& m) { return (m.t != 0 && m.t != n - 1) || m.round >= kRounds; });
    return seen;
}

Moment OptimizerBench::rows_of(const Moment& moment, const std::vector<std::int64_t>& rows) const {
    Moment out = moment.clone();
    const auto take = [&](std::vector<Tensor>& tensors, std::size_t axis) {
        for (Tensor& tensor : tensors) tensor = gather(tensor, axis, rows);
    };
    take(out.x, 0);
    take(out.g, 0);
    take(out.q, 1);
    take(out.qg, 1);
    out.f = gather(out.f, 0, rows);
    out.qf = gather(out.qf, 1, rows);
    for (std::size_t i = 0; i < out.state.size(); ++i) {
        if (optimizer_->state()[i]->batched != 0) out.state[i] = gather(out.state[i], 0, rows);
    }
    for (std::size_t i = 0; i < out.data.size(); ++i) {
        const int index = optimizer_->needs()[i];
        if (index >= 0 && optimizee_->data()[static_cast<std::size_t>(index)]->batched != 0)
            out.data[i] = gather(out.data[i], 0, rows);
    }
    out.batch = static_cast<std::int64_t>(rows.size());
    return out;
}

std::vector<std::unique_ptr<Case>> OptimizerBench::cases() const {
    std::vector<std::unique_ptr<Case>> out = cases_of_rows(all_rows(kBatch), 0);
    if (!optimizer_->params().empty()) out.push_back(std::make_unique<InitParamsCase>(*optimizer_, start_));
    return out;
}

std::vector<std::unique_ptr<Case>> OptimizerBench::cases_of_rows(const std::vector<std::int64_t>& rows,
                                                                 std::uint64_t row0) const {
    std::vector<std::unique_ptr<Case>> out;
    for (const Moment& moment : moments())
        out.push_back(std::make_unique<StepCase>(*optimizer_, rows_of(moment, rows)));
    out.push_back(std::make_unique<InitStateCase>(*optimizer_, rows_of(start_, rows)));
    for (const auto& one : out) one->row0 = row0;
    return out;
}

std::string OptimizerBench::declaration() const {
    const l2o_optimizer_info& info = *optimizer_->api().info(optimizer_->raw());
    std::string text = fmt::format(
        "params {} state {} particles {} flags {} scratch {} + {} per row questions {} of {} max_steps {} "
        "grad_cost_per_step {}",
        info.n_params,
        info.n_state,
        info.particles,
        info.flags,
        info.scratch_fixed,
        info.scratch_per_row,
        info.max_questions,
        info.question_kinds,
        info.max_steps,
        info.grad_cost_per_step);
    for (std::uint32_t i = 0; i < info.n_params; ++i)
        text += "\nparameter " + describe_spec(*optimizer_->api().param_spec(optimizer_->raw(), i));
    for (std::uint32_t i = 0; i < info.n_state; ++i)
        text += "\nstate " + describe_spec(*optimizer_->api().state_spec(optimizer_->raw(), i));
    return text;
}

}  // namespace l2o::framework
