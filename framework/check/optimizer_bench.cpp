#include "framework/check/optimizer_bench.hpp"

#include <fmt/core.h>
#include <l2o/abi/draft/alternates.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "framework/check/sized.hpp"
#include "framework/error.hpp"
#include "framework/train/augmented.hpp"

namespace l2o::framework {
namespace {

constexpr Key kDataKey{0xda7a, 1}, kStartKey{0x57a7, 2}, kParamsKey{0x9a7a, 3}, kMinibatchKey{0x3175, 4};
constexpr double kApart = 0.1;
/// Of an iteration; an optimizer that needs more asks without an end.
constexpr std::uint32_t kMaxRounds = 1000;

bool is_moderate(const std::vector<Tensor>& tensors) {
    constexpr double kMost = 1e6;
    for (const Tensor& tensor : tensors)
        for (std::int64_t i = 0; i < tensor.size(); ++i)
            if (!(std::abs(tensor.value(i)) <= kMost)) return false;
    return true;
}

/// Row `row` of `rows` in both.
void copy_row(const Tensor& from, Tensor& to, std::int64_t row, std::int64_t rows) {
    const auto bytes = static_cast<std::size_t>(to.bytes() / rows);
    std::memcpy(static_cast<std::byte*>(to.data()) + static_cast<std::size_t>(row) * bytes,
                static_cast<const std::byte*>(from.data()) + static_cast<std::size_t>(row) * bytes,
                bytes);
}

}  // namespace

OptimizerBench::OptimizerBench(const Subject& subject, Dtype dtype, std::int64_t batch)
    : Bench(subject.circumstances, batch) {
    std::unique_ptr<Optimizee> optimizee = make_optimizee(subject, dtype);
    optimizee_ = subject.two_blocks ? augmented(std::move(optimizee), {.convex_term = 3})
                                    : std::unique_ptr<const Optimizee>(std::move(optimizee));
    task_ = task_of(*optimizee_, kHorizon);
    optimizer_ = std::make_unique<Optimizer>(subject.entry, resolve(subject.entry, subject.settings), task_);
    data_ = optimizee_->sample(seeded(kDataKey), Split::kTrain, 0, batch_, false);
    start_.batch = batch_;
    start_.status.resize(static_cast<std::size_t>(batch_), L2O_ROW_GOES_ON);
    for (const int index : optimizer_->needs()) {
        const Tensor* tensor = index < 0 ? nullptr : &data_.tensors[static_cast<std::size_t>(index)];
        start_.data.push_back(tensor != nullptr && *tensor ? tensor->clone() : Tensor());
    }
    const std::vector<Tensor> x = optimizee_->init_point(seeded(kStartKey), 0, data_);
    const std::int64_t particles = optimizer_->info().particles;
    for (std::size_t k = 0; k < x.size(); ++k) {
        Shape shape = x[k].shape();
        if (particles > 0) shape.insert(shape.begin() + 1, particles);
        start_.x.emplace_back(dtype, shape);
        // Away from the start, which may be 0, where much is hidden.
        const bool at_zero = (flags() & L2O_OPTIMIZER_STARTS_AT_ZERO) != 0;
        const std::vector<double> noise = normals(start_.x[k].size(), k);
        const std::int64_t per_row = x[k].size() / batch_;
        const std::int64_t copies = std::max<std::int64_t>(particles, 1);
        for (std::int64_t i = 0; i < start_.x[k].size() && !at_zero; ++i) {
            const std::int64_t from = i / (per_row * copies) * per_row + i % per_row;
            set(start_.x[k],
                i,
                x[k].value(from) + kApart * circumstances_.spread * noise[static_cast<std::size_t>(i)]);
        }
    }
    InitParamsCase init(*optimizer_, start_);
    init.key = seeded(kParamsKey);
    try {
        if (!optimizer_->params().empty()) init.run();
    } catch (const Refused& refused) {
        throw Error(ExitCode::kPlugin, "optimizer '" + optimizer_->id() + "': " + refused.what());
    }
    start_.params = init.params_out.clone();
}

std::int64_t OptimizerBench::steps(std::int64_t wanted) const {
    const std::int64_t max = optimizer_->info().max_steps;
    return max > 0 ? std::min(max, wanted) : wanted;
}

void OptimizerBench::evaluate(const std::vector<Tensor>& x,
                              const Moment& at,
                              Tensor* f,
                              std::vector<Tensor>* g) const {
    const std::int64_t copies = std::max<std::int64_t>(optimizer_->info().particles, 1);
    const auto rows_of = [&](const Tensor& tensor) {
        Shape shape = tensor.shape();
        if (copies > 1 || optimizer_->info().particles == 1) shape.erase(shape.begin() + 1);
        if (!shape.empty()) shape[0] = batch_ * copies;
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
    Tensor f_rows = f == nullptr ? Tensor() : Tensor::borrow(f->dtype(), {batch_ * copies}, f->data());
    const std::vector<const l2o_tensor*> data = abi_data(data_);
    const l2o_points where{.batch = static_cast<std::uint32_t>(batch_ * copies),
                           .rows_per_instance = static_cast<std::uint32_t>(copies),
                           .data = data.data(),
                           .x = points.data(),
                           .batch_key = {kMinibatchKey[0], static_cast<std::uint64_t>(at.t)}};
    const l2o_eval_out out{.f = f_rows.abi(), .g = g == nullptr ? nullptr : gradients.data()};
    CallContext context;
    context.reserve_scratch(scratch_of(*optimizee_, batch_ * copies));
    context.check(optimizee_->api().eval(optimizee_->raw(), context.with(kStartKey), &where, &out),
                  optimizee_->id());
    // Rows of one distribution may all need the same number of questions: the objective of each has its own
    // scale.
    constexpr std::int64_t kScales = 5;
    const int by_row = optimizer_->info().max_questions > 0 ? 2 : 0;
    if (by_row == 0 && at.slope == 0) return;
    const auto scale = [&](Tensor& tensor) {
        const std::int64_t per_row = tensor.size() / batch_;
        for (std::int64_t i = 0; i < tensor.size(); ++i)
            set(tensor,
                i,
                std::ldexp(tensor.value(i),
                           at.slope + by_row * static_cast<int>(i / per_row % batch_ % kScales)));
    };
    if (f != nullptr) scale(*f);
    for (Tensor& block : g_rows) scale(block);
}

void OptimizerBench::evaluate(Moment& moment) const {
    moment.g.clear();
    moment.f = Tensor();
    if (optimizer_->reads_g()) {
        for (const Tensor& block : moment.x) moment.g.emplace_back(block.dtype(), block.shape());
    }
    if (optimizer_->reads_f()) {
        const std::int64_t particles = optimizer_->info().particles;
        moment.f = Tensor(optimizee_->dtype(), particles > 0 ? Shape{batch_, particles} : Shape{batch_});
    }
    if (moment.f || !moment.g.empty())
        evaluate(moment.x, moment, moment.f ? &moment.f : nullptr, moment.g.empty() ? nullptr : &moment.g);
}

void OptimizerBench::spoil_unused(Moment& moment, double garbage) const {
    if ((flags() & L2O_OPTIMIZER_ALTERNATES_DRAFT1) == 0) return;
    const bool asks = optimizer_->info().max_questions > 0, max_moves = moment.t % 2 != 0;
    for (std::size_t k = 0; k < optimizee_->blocks().size(); ++k) {
        const bool is_max = has(*optimizee_->blocks()[k], L2O_SPEC_MAXIMISED);
        if (!asks && is_max == max_moves) continue;
        std::vector<Tensor>& unused = asks && !is_max ? moment.qg : moment.g;
        for (std::int64_t i = 0; k < unused.size() && i < unused[k].size(); ++i) set(unused[k], i, garbage);
    }
}

/// Makes `moment` the next round: what the step asked, with the answers that are wanted.
void OptimizerBench::answer(const StepCase& step, Moment& moment) const {
    const std::vector<std::int64_t> asked = all_rows(step.n_questions());
    const auto n = static_cast<std::int64_t>(asked.size());
    const bool has_g = (optimizer_->info().question_kinds & L2O_ORACLE_GRADIENT) != 0;
    moment.wanted = gather(step.q_wanted[0], 0, asked);
    moment.q.clear();
    moment.qg.clear();
    for (std::size_t k = 0; k < step.q_out.size(); ++k) {
        moment.q.push_back(gather(step.questions()[k], 0, asked));
        if (has_g) moment.qg.emplace_back(moment.q[k].dtype(), moment.q[k].shape());
    }
    moment.qf = Tensor(optimizee_->dtype(), moment.wanted.shape());
    for (std::int64_t j = 0; j < n; ++j) {
        const auto member = [&](Tensor& tensor) {
            return Tensor::borrow(tensor.dtype(),
                                  Shape(tensor.shape().begin() + 1, tensor.shape().end()),
                                  static_cast<std::byte*>(tensor.data()) + j * (tensor.bytes() / n));
        };
        std::vector<Tensor> x, g;
        for (Tensor& block : moment.q) x.push_back(member(block).clone());
        for (Tensor& block : moment.qg) g.push_back(member(block));
        Tensor f = member(moment.qf);
        const Tensor wanted = member(moment.wanted);
        std::uint32_t kinds = 0;
        for (std::int64_t row = 0; row < wanted.size(); ++row) {
            const auto wants = static_cast<std::uint32_t>(wanted.value(row));
            kinds |= wants;
            // Nobody knows what stands in a question that is not wanted.
            for (std::size_t k = 0; k < x.size() && wants == 0; ++k)
                copy_row(moment.x[k], x[k], row, wanted.size());
        }
        if (kinds != 0)
            evaluate(x,
                     moment,
                     (kinds & L2O_ORACLE_VALUE) != 0 ? &f : nullptr,
                     (kinds & L2O_ORACLE_GRADIENT) != 0 ? &g : nullptr);
    }
    moment.spoil(std::numeric_limits<double>::quiet_NaN());
    moment.state = step.state_out.clone();
    moment.n_answers = step.n_questions();
    ++moment.round;
}

void OptimizerBench::iterate(const Optimizer& optimizer, Moment& moment, std::vector<Moment>* seen) const {
    moment.key = {0x5eed, static_cast<std::uint64_t>(moment.t)};
    const std::vector<Tensor> before = clone_all(moment.state);
    while (true) {
        if (seen != nullptr) seen->push_back(moment.clone());
        StepCase step(optimizer, moment);
        step.run();
        if (step.n_questions() == 0) {
            take(step, before, moment);
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
    moment.wanted = Tensor();
    ++moment.t;
    evaluate(moment);
}

/// x and state of a step that asks no more; of rows that have ended they stay.
void OptimizerBench::take(const StepCase& step, const std::vector<Tensor>& state, Moment& moment) const {
    std::vector<Tensor> x = step.x_out.clone();
    moment.state = step.state_out.clone();
    for (std::int64_t row = 0; row < batch_; ++row) {
        std::int32_t& status = moment.status[static_cast<std::size_t>(row)];
        if (status == L2O_ROW_GOES_ON) {
            if (step.row_status[0]) status = static_cast<std::int32_t>(step.row_status[0].value(row));
            continue;
        }
        for (std::size_t k = 0; k < x.size(); ++k) copy_row(moment.x[k], x[k], row, batch_);
        for (std::size_t i = 0; i < state.size(); ++i)
            if (has(*optimizer_->state()[i], L2O_SPEC_BATCHED))
                copy_row(state[i], moment.state[i], row, batch_);
    }
    moment.x = std::move(x);
}

Moment OptimizerBench::first(const Optimizer& optimizer, int slope) const {
    Moment moment = start_.clone();
    moment.slope = slope;
    InitStateCase init(optimizer, start_);
    init.run();
    moment.state = init.state_out.clone();
    evaluate(moment);
    return moment;
}

std::int64_t OptimizerBench::walk(int slope,
                                  std::int64_t end,
                                  const std::vector<std::int64_t>& wanted,
                                  std::vector<Moment>& seen) const {
    Moment moment = first(*optimizer_, slope);
    while (moment.t < end) {
        const bool is_wanted = std::find(wanted.begin(), wanted.end(), moment.t) != wanted.end();
        const std::size_t before = seen.size();
        iterate(*optimizer_, moment, is_wanted ? &seen : nullptr);
        if (is_moderate(moment.x)) continue;
        seen.erase(seen.begin() + static_cast<std::ptrdiff_t>(before), seen.end());
        return moment.t - 1;
    }
    return moment.t;
}

namespace {
// In powers of two; what even the last one sends off does not go by the objective.
constexpr int kFlatter[] = {0, 12, 24, 36, 48, 60};
}  // namespace

int OptimizerBench::calm_slope(std::int64_t steps) const {
    std::vector<Moment> none;
    for (const int flatter : kFlatter)
        if (walk(circumstances_.slope - flatter, steps, {}, none) == steps)
            return circumstances_.slope - flatter;
    return circumstances_.slope;
}

const std::vector<Moment>& OptimizerBench::moments() const {
    if (moments_) return *moments_;
    // The first iteration, a later one and the last one, one of a long run, and a few rounds of each: of the
    // steepest objective on which it comes so far.
    constexpr std::uint32_t kRounds = 3;
    std::vector<Moment> seen;
    const std::int64_t n = steps(circumstances_.last + 1), far = steps(circumstances_.far + 1);
    std::vector<std::int64_t> missing{0, std::min(circumstances_.later, n - 1), n - 1};
    if (far > n) missing.push_back(far - 1);
    std::int64_t longest = 0;
    int slope_of_longest = circumstances_.slope;
    const auto look = [&](int slope, std::int64_t end) {
        const std::int64_t came_to = walk(slope, end, missing, seen);
        if (came_to > longest) longest = came_to, slope_of_longest = slope;
        std::erase_if(missing, [&](std::int64_t t) { return t < came_to; });
    };
    for (const int flatter : kFlatter)
        if (!missing.empty()) look(circumstances_.slope - flatter, missing.back() + 1);
    if (longest < std::min<std::int64_t>(n, 2))
        unseen_ = fmt::format(
            "x is no number, or beyond 1e6, after the step at t = {}, however flat the "
            "objective; nothing later was looked at",
            longest);
    if (longest == 0) {
        Moment moment = first(*optimizer_, circumstances_.slope);
        iterate(*optimizer_, moment, &seen);
    } else if (!missing.empty()) {
        // However flat, it goes off: as late as can be before that.
        missing = {longest - 1};
        std::erase_if(seen, [&](const Moment& m) { return m.t == longest - 1; });
        look(slope_of_longest, longest);
    }
    std::erase_if(seen, [&](const Moment& m) { return m.round >= kRounds; });
    std::stable_sort(seen.begin(), seen.end(), [](const Moment& a, const Moment& b) { return a.t < b.t; });
    return moments_.emplace(std::move(seen));
}

std::string OptimizerBench::unseen() const {
    (void)moments();
    return unseen_;
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
    out.wanted = gather(out.wanted, 1, rows);
    out.f = gather(out.f, 0, rows);
    out.qf = gather(out.qf, 1, rows);
    for (std::size_t i = 0; i < out.state.size(); ++i) {
        if (has(*optimizer_->state()[i], L2O_SPEC_BATCHED)) out.state[i] = gather(out.state[i], 0, rows);
    }
    for (std::size_t i = 0; i < out.data.size(); ++i) {
        const int index = optimizer_->needs()[i];
        if (index >= 0 && has(*optimizee_->data()[static_cast<std::size_t>(index)], L2O_SPEC_BATCHED))
            out.data[i] = gather(out.data[i], 0, rows);
    }
    out.batch = static_cast<std::int64_t>(rows.size());
    return out;
}

std::vector<std::unique_ptr<Case>> OptimizerBench::cases() const {
    std::vector<std::unique_ptr<Case>> out = cases_of_rows(all_rows(batch_), 0);
    if (!optimizer_->params().empty()) out.push_back(std::make_unique<InitParamsCase>(*optimizer_, start_));
    return out;
}

std::vector<std::unique_ptr<Case>> OptimizerBench::cases_of_rows(const std::vector<std::int64_t>& rows,
                                                                 std::uint64_t row0) const {
    std::vector<std::unique_ptr<Case>> out;
    for (const Moment& moment : moments()) {
        const Moment part = rows_of(moment, rows);
        out.push_back(std::make_unique<StepCase>(*optimizer_, part));
        if (moment.round == 0 && optimizer_->api().recommend != nullptr)
            out.push_back(std::make_unique<RecommendCase>(*optimizer_, part));
    }
    out.push_back(std::make_unique<InitStateCase>(*optimizer_, rows_of(start_, rows)));
    for (const auto& one : out) one->row0 = row0;
    return out;
}

std::string OptimizerBench::unread() const {
    return joined({optimizer_->reads_f() ? "" : "f", optimizer_->reads_g() ? "" : "g"});
}

std::string OptimizerBench::declaration() const {
    const l2o_optimizer_api& api = optimizer_->api();
    const l2o_optimizer_info info = normalised(*api.info(optimizer_->raw()));
    std::string text = fmt::format(
        "params {} state {} particles {} flags {:#x} scratch {} + {} per row reads {} questions {} of {} "
        "max_steps {} points_per_step {}",
        info.n_params,
        info.n_state,
        info.particles,
        info.flags,
        info.scratch_fixed,
        info.scratch_per_row,
        info.reads,
        info.max_questions,
        info.question_kinds,
        info.max_steps,
        info.points_per_step);
    for (std::uint32_t i = 0; i < info.n_params; ++i)
        text += "\nparameter " + describe_spec(normalised(*api.param_spec(optimizer_->raw(), i)));
    for (std::uint32_t i = 0; i < info.n_state; ++i)
        text += "\nstate " + describe_spec(normalised(*api.state_spec(optimizer_->raw(), i)));
    return text;
}

std::shared_ptr<const void> OptimizerBench::created_by(HostSize host) const {
    return create_as<l2o_optimizer>(optimizer_->api(), optimizer_->options(), host, [&](auto&& create) {
        const SizedProblem problem(task_, optimizer_->needs(), host);
        return create(problem.abi());
    });
}

}  // namespace l2o::framework
