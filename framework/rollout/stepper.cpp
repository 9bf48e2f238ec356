#include "framework/rollout/stepper.hpp"

#include <l2o/abi/draft/alternates.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <l2o/numerics/philox.hpp>

#include "framework/cancel.hpp"
#include "framework/error.hpp"
#include "framework/rollout/arithmetic.hpp"
#include "framework/rollout/team.hpp"

namespace l2o::framework {
namespace {

// Tags of derived keys: the optimizer's draws and the minibatch at step t.
constexpr std::uint64_t kStepTag = 0x73746570, kMinibatchTag = 0x6d696e69;

/// Member k of a leading axis.
Tensor member_of(const Tensor& tensor, std::int64_t k, Shape shape) {
    const std::int64_t bytes = element_count(shape) * bytes_of(tensor.dtype());
    return Tensor::borrow(tensor.dtype(),
                          std::move(shape),
                          static_cast<std::byte*>(const_cast<void*>(tensor.data())) + k * bytes);
}

Shape with_leading(std::int64_t n, const Shape& shape) {
    Shape out{n};
    out.insert(out.end(), shape.begin(), shape.end());
    return out;
}

}  // namespace

Stepper::Stepper(const Scene& scene, const Slicing& slicing, const UpdateProbability& update_probability)
    : scene_(scene),
      layout_(scene.optimizer, scene.optimizee, scene.data.instances),
      reads_f_(scene.optimizer.reads_f()),
      reads_g_(scene.optimizer.reads_g()),
      asks_(scene.optimizer.info().max_questions > 0),
      alternates_((scene.optimizer.info().flags & L2O_OPTIMIZER_ALTERNATES_DRAFT1) != 0),
      share_(alternates_ ? 0.5 : 1),
      data_(abi_data(scene.data)),
      updates_(scene.optimizer, scene.optimizee, update_probability),
      own_ledger_(scene.optimizee, scene.data.instances, {}) {
    for (const int index : scene.optimizer.needs()) {
        needed_.push_back(index < 0 ? nullptr : data_[static_cast<std::size_t>(index)]);
    }
    points_.batch = static_cast<std::uint32_t>(layout_.rows);
    points_.rows_per_instance = static_cast<std::uint32_t>(std::max<std::int64_t>(layout_.particles, 1));
    points_.data = data_.data();
    row_status_.resize(static_cast<std::size_t>(layout_.batch), L2O_ROW_GOES_ON);
    x_is_ = Tensor(Dtype::kI32, layout_.f);
    is_done_.resize(static_cast<std::size_t>(layout_.rows));
    if ((scene.optimizer.info().flags & L2O_OPTIMIZER_ENDS_ROWS) != 0)
        newly_ended_ = Tensor(Dtype::kI32, {layout_.batch});
    const auto& optimizer = scene.optimizer.info();
    const auto& optimizee = scene.optimizee.info();
    call_.reserve_scratch(std::max(
        CallContext::scratch_of(optimizer, layout_.rows, "optimizer '" + scene.optimizer.id() + "'"),
        CallContext::scratch_of(optimizee, layout_.rows, "optimizee '" + scene.optimizee.id() + "'")));
    if (slicing.length > 0) slices_ = Slices::of(scene.optimizer, layout_, slicing.length);
    if (slices_ != nullptr && slices_->all().size() <= layout_.blocks.size()) slices_.reset();
    for (int i = 0; slices_ != nullptr && i < slicing.threads; ++i)
        slice_calls_.push_back(std::make_unique<SliceCall>(*slices_, layout_.dtype));
    if (asks_) {
        rounds_[0] = make_round();
        rounds_[1] = make_round();
        spare_state_ = Point(layout_, {}).state;
    }
}

Stepper::Round Stepper::make_round() const {
    const auto max = static_cast<std::int64_t>(scene_.optimizer.info().max_questions);
    const bool gradients = (scene_.optimizer.info().question_kinds & L2O_ORACLE_GRADIENT) != 0;
    std::vector<Tensor> q, qg;
    for (const Shape& shape : layout_.blocks) {
        q.emplace_back(layout_.dtype, with_leading(max, shape));
        if (gradients) qg.emplace_back(layout_.dtype, with_leading(max, shape));
    }
    Round round;
    round.q = TensorSet(std::move(q));
    round.qg = TensorSet(std::move(qg));
    for (std::size_t k = 0; k < round.qg.size() && alternates_; ++k)
        if (!is_answered(k)) with_values([](auto g) { std::ranges::fill(g, NAN); }, round.qg[k]);
    round.qf = Tensor(layout_.dtype, with_leading(max, layout_.f));
    round.wanted = Tensor(Dtype::kI32, with_leading(max, layout_.f));
    return round;
}

l2o_call* Stepper::step_call(std::int64_t t) {
    if ((scene_.optimizer.info().flags & L2O_FLAG_STOCHASTIC) == 0)
        return call_.with(scene_.key, scene_.row0);
    return call_.with(numerics::derive_key(scene_.key, kStepTag, static_cast<std::uint64_t>(t)), scene_.row0);
}

l2o_step_in Stepper::step_in(const Point& from, std::int64_t t, const Round* round) const {
    l2o_step_in in{};
    in.batch = static_cast<std::uint32_t>(layout_.batch);
    in.t = t;
    in.params = scene_.params.in();
    in.state = from.state.in();
    in.x = from.x.in();
    in.g = reads_g_ ? from.g.in() : nullptr;
    in.f = reads_f_ ? from.f.abi() : nullptr;
    in.data = needed_.data();
    if (round != nullptr) {
        in.state = round->state.empty() ? from.state.in() : round->state.in();
        in.n_answers = round->n;
        in.q = round->q.in();
        in.qg = round->qg.empty() ? nullptr : round->qg.in();
        in.qf = round->qf.abi();
    }
    return in;
}

void Stepper::init_state(Point& point) {
    std::fill(row_status_.begin(), row_status_.end(), L2O_ROW_GOES_ON);
    ended_ = 0;
    if (point.state.empty()) return;
    l2o_step_in in = step_in(point, 0, nullptr);
    in.state = nullptr;
    in.g = nullptr;
    in.f = nullptr;
    const auto lock = scene_.optimizer.guard();
    call_.check(scene_.optimizer.api().init_state(
                    scene_.optimizer.raw(), call_.with(scene_.key, scene_.row0), &in, point.state.out()),
                scene_.optimizer.id());
}

void Stepper::recommend(const Point& point, std::int64_t t, const TensorSet& x) {
    l2o_step_in in = step_in(point, t, nullptr);
    in.g = nullptr;
    in.f = nullptr;
    const auto lock = scene_.optimizer.guard();
    call_.check(scene_.optimizer.api().recommend(scene_.optimizer.raw(), step_call(t), &in, x.out()),
                scene_.optimizer.id());
}

void Stepper::end(std::int64_t row, std::int32_t status) {
    if (!has_ended(row)) ++ended_;
    row_status_[static_cast<std::size_t>(row)] = status;
}

void Stepper::hold_row(const Point& from, Point& to, std::int64_t row) const {
    const std::int64_t per_row = layout_.rows / layout_.batch;
    for (std::size_t k = 0; k < to.x.size(); ++k) copy_row(from.x[k], row, to.x[k], row);
    for (std::size_t i = 0; i < to.state.size(); ++i)
        if (has(*scene_.optimizer.state()[i], L2O_SPEC_BATCHED))
            copy_row(from.state[i], row, to.state[i], row);
    for (std::int64_t r = row * per_row; r < (row + 1) * per_row; ++r) {
        to.forget_row(r);
        take_known(from, to, r);
    }
    to.settle();
}

void Stepper::evaluate_rows(l2o_in x, std::int64_t t, l2o_tensor* f, l2o_out g) {
    points_.x = x;
    name_minibatch(t);
    const l2o_eval_out out{f, g};
    const auto lock = scene_.optimizee.guard();
    call_.check(scene_.optimizee.api().eval(
                    scene_.optimizee.raw(), call_.with(scene_.key, scene_.row0), &points_, &out),
                scene_.optimizee.id());
}

void Stepper::name_minibatch(std::int64_t t) {
    if ((scene_.optimizee.info().flags & L2O_FLAG_STOCHASTIC) == 0) return;
    const Key key = numerics::derive_key(scene_.key, kMinibatchTag, static_cast<std::uint64_t>(t));
    points_.batch_key[0] = key[0];
    points_.batch_key[1] = key[1];
}

/// @param row  of the optimizee: of a population a particle.
/// @return whether the row has paid for it.
bool Stepper::charge(std::int64_t row, std::uint32_t kinds, std::uint32_t paid, bool at_iterate) {
    const std::int64_t instance = row / points_.rows_per_instance;
    return !has_ended(instance) && ledger_->charge(ledger_row0_ + instance, kinds, paid, at_iterate, share_);
}

/// Of a point where what the rows pay for is known.
void Stepper::pay(Point& point, std::uint32_t kinds) {
    if ((kinds & ~point.paid_by_all) == 0) return;
    const auto charged = static_cast<std::int64_t>(ledger_->evaluations().size());
    if (ended_ == 0 && layout_.rows == layout_.batch && layout_.batch == charged && point.paid_by_all == 0 &&
        point.paid.empty() && ledger_->charge_all(kinds, share_)) {
        point.paid_by_all = kinds;
        return;
    }
    const bool may_be_refused = ended_ > 0 || ledger_->is_limited();
    for (std::int64_t row = 0; row < layout_.rows; ++row) {
        const std::uint32_t paid = point.paid_at(row);
        if ((kinds & ~paid) == 0 || !charge(row, kinds, paid, true)) continue;
        if (ledger_->keeps_best() && (point.known_at(row) & L2O_ORACLE_VALUE) != 0)
            ledger_->offer(
                ledger_row0_ + row / points_.rows_per_instance, point.f_rows.value(row), point.x_rows, row);
        if (may_be_refused) point.pay(row, kinds);
    }
    if (!may_be_refused) point.paid_by_all |= kinds;
}

void Stepper::evaluate(Point& point, std::int64_t t, bool want_f, bool want_g, std::uint32_t charged) {
    const bool brings_f = want_g && ledger_->keeps_best() && point.f;
    const bool f = (want_f || brings_f) && !point.has_f, g = want_g && !point.has_g;
    if (f || g) {
        if (point.known.empty()) {
            evaluate_rows(
                point.x_rows.in(), t, f ? point.f_rows.abi() : nullptr, g ? point.g_rows.out() : nullptr);
        } else {
            evaluate_missing(point, t, (f ? L2O_ORACLE_VALUE : 0U) | (g ? L2O_ORACLE_GRADIENT : 0U));
        }
        point.has_f = point.has_f || f;
        point.has_g = point.has_g || g;
        point.settle();
    }
    pay(point, charged & ((want_f ? L2O_ORACLE_VALUE : 0U) | (want_g ? L2O_ORACLE_GRADIENT : 0U)));
}

/// What is known of some rows stays as it is, to the bit.
void Stepper::evaluate_missing(Point& point, std::int64_t t, std::uint32_t kinds) {
    const bool f = (kinds & L2O_ORACLE_VALUE) != 0, g = (kinds & L2O_ORACLE_GRADIENT) != 0;
    if (!missing_.f) missing_ = Point(layout_, {.g = true, .f = true, .state = false});
    evaluate_rows(
        point.x_rows.in(), t, f ? missing_.f_rows.abi() : nullptr, g ? missing_.g_rows.out() : nullptr);
    for (std::int64_t row = 0; row < layout_.rows; ++row) {
        const std::uint32_t needed = kinds & ~point.known_at(row);
        if ((needed & L2O_ORACLE_VALUE) != 0) copy_row(missing_.f_rows, row, point.f_rows, row);
        for (std::size_t k = 0; k < point.g.size() && (needed & L2O_ORACLE_GRADIENT) != 0; ++k)
            copy_row(missing_.g_rows[k], row, point.g_rows[k], row);
    }
}

void Stepper::gradient_at(const TensorSet& x_rows, std::int64_t t, const TensorSet& g_rows) {
    evaluate_rows(x_rows.in(), t, nullptr, g_rows.out());
}

void Stepper::hvp(const TensorSet& x_rows,
                  const TensorSet& v_rows,
                  std::int64_t t,
                  const TensorSet& out_rows) {
    points_.x = x_rows.in();
    name_minibatch(t);
    const auto lock = scene_.optimizee.guard();
    call_.check(scene_.optimizee.api().hvp(scene_.optimizee.raw(),
                                           call_.with(scene_.key, scene_.row0),
                                           &points_,
                                           v_rows.in(),
                                           out_rows.out()),
                scene_.optimizee.id());
}

/// Answers and charges what each row wants. Who asks where it is owes nothing for that point then; what it
/// paid for before is charged with the question all the same.
void Stepper::answer(Point& from, Round& round, std::int64_t t) {
    for (std::int64_t k = 0; k < round.n; ++k) {
        std::uint32_t kinds = 0;
        for (const std::int32_t wants : wanted_of(round, k)) kinds |= static_cast<std::uint32_t>(wants);
        const bool g = (kinds & L2O_ORACLE_GRADIENT) != 0;
        const bool f = (kinds & L2O_ORACLE_VALUE) != 0 || (g && ledger_->keeps_best());
        if (!f && !g) continue;
        Tensor qf = member_of(round.qf, k, {layout_.rows});
        const TensorSet gradients = g ? rows_of(round.qg, k, layout_) : TensorSet();
        const TensorSet at = asked(from, round, k);
        evaluate_rows(at.in(), t, f ? qf.abi() : nullptr, g ? answered(gradients) : nullptr);
        std::int64_t row = -1;
        for (const std::int32_t wants : wanted_of(round, k)) {
            if (++row; wants == 0) continue;
            const auto kinds_of_row = static_cast<std::uint32_t>(wants);
            const bool is_here = is_at(from, at, row);
            if (!charge(row, kinds_of_row, 0, is_here)) continue;
            if (is_here) from.pay(row, kinds_of_row);
            if (ledger_->keeps_best())
                ledger_->offer(ledger_row0_ + row / points_.rows_per_instance, qf.value(row), at, row);
        }
    }
}

/// Whether a question is the point itself, to the bit. Half a gradient there is not the other half.
bool Stepper::is_at(const Point& from, const TensorSet& x_rows, std::int64_t row) const {
    for (std::size_t k = 0; k < x_rows.size(); ++k)
        if (!is_same_row(from.x_rows[k], row, x_rows[k], row)) return false;
    return !alternates_;
}

/// Of an answer, without the blocks that are not used.
l2o_out Stepper::answered(const TensorSet& gradients) {
    if (!alternates_) return gradients.out();
    used_.assign(gradients.out(), gradients.out() + gradients.size());
    for (std::size_t k = 0; k < used_.size(); ++k)
        if (!is_answered(k)) used_[k] = nullptr;
    return used_.data();
}

bool Stepper::is_answered(std::size_t block) const {
    return !alternates_ || has(*scene_.optimizee.blocks()[block], L2O_SPEC_MAXIMISED);
}

TensorSet Stepper::asked(const Point& from, const Round& round, std::int64_t k) {
    TensorSet questions = rows_of(round.q, k, layout_);
    const auto wanted = wanted_of(round, k);
    if (std::ranges::find(wanted, 0) == wanted.end()) return questions;
    if (!missing_.f) missing_ = Point(layout_, {.g = true, .f = true, .state = false});
    std::vector<Tensor> at;
    for (std::size_t block = 0; block < questions.size(); ++block) {
        Tensor& x = missing_.x_rows[block];
        for (std::int64_t row = 0; row < layout_.rows; ++row)
            copy_row(wanted[static_cast<std::size_t>(row)] != 0 ? questions[block] : from.x_rows[block],
                     row,
                     x,
                     row);
        at.push_back(Tensor::borrow(x.dtype(), x.shape(), x.data()));
    }
    return TensorSet(std::move(at));
}

bool Stepper::run_round(l2o_step_in& in, Point& to, Round& asked, std::int64_t t) {
    const l2o_optimizer_info& info = scene_.optimizer.info();
    l2o_step_out out{};
    out.state = to.state.out();
    out.x = to.x.out();
    const auto x_is = x_is_.values<std::int32_t>();
    std::fill(x_is.begin(), x_is.end(), L2O_X_IS_NEW);
    out.x_is = x_is_.abi();
    if (newly_ended_) {
        newly_ended_.zero();
        out.row_status = newly_ended_.abi();
    }
    if (asks_) {
        asked.wanted.zero();
        out.q = asked.q.out();
        out.q_wanted = asked.wanted.abi();
    }
    {
        const auto lock = scene_.optimizer.guard();
        call_.check(scene_.optimizer.api().step(scene_.optimizer.raw(), step_call(t), &in, &out),
                    scene_.optimizer.id());
    }
    asked.n = out.n_questions;
    asked.kinds = 0;
    if (asked.n == 0) return false;
    if (asked.n <= info.max_questions) {
        const auto wanted =
            asked.wanted.values<std::int32_t>().first(static_cast<std::size_t>(asked.n * layout_.rows));
        for (const std::int32_t kinds : wanted) asked.kinds |= static_cast<std::uint32_t>(kinds);
    }
    if (asked.n > info.max_questions || (asked.kinds & ~info.question_kinds) != 0) {
        throw Error(ExitCode::kPlugin,
                    "optimizer '" + scene_.optimizer.id() + "' asked " + std::to_string(asked.n) +
                        " questions of kinds " + std::to_string(asked.kinds) + "; it declared at most " +
                        std::to_string(info.max_questions) + " of kinds " +
                        std::to_string(info.question_kinds));
    }
    return true;
}

/// What is known of x' without another evaluation, of the rows that are done with this round: x_is means the
/// answers of the last round that they asked in. Of a stochastic problem nothing is: the next step has
/// another minibatch.
void Stepper::take_over(const Point& from, const Round& last, const Round& next, Point& to) {
    const auto x_is = x_is_.values<std::int32_t>();
    for (std::int64_t row = 0; row < layout_.rows; ++row) {
        const auto r = static_cast<std::size_t>(row);
        if (is_done_[r] || wants_any(next, row)) continue;
        is_done_[r] = true;
        if ((scene_.optimizee.info().flags & L2O_FLAG_STOCHASTIC) != 0) continue;
        if (x_is[r] == L2O_X_IS_UNCHANGED) take_known(from, to, row);
        if (x_is[r] == L2O_X_IS_UNCHANGED || x_is[r] == L2O_X_IS_NEW) continue;
        if (x_is[r] < 0 || x_is[r] >= static_cast<std::int32_t>(last.n)) {
            throw Error(ExitCode::kPlugin,
                        "optimizer '" + scene_.optimizer.id() + "' says that x' of row " +
                            std::to_string(row) + " is question " + std::to_string(x_is[r]) +
                            "; there were " + std::to_string(last.n));
        }
        take_answer(last, x_is[r] * layout_.rows + row, to, row);
    }
    to.settle();
}

/// @param at  of a question and row among those of `last`. Half a gradient is not the one that is read.
void Stepper::take_answer(const Round& last, std::int64_t at, Point& to, std::int64_t row) const {
    const auto wanted =
        static_cast<std::uint32_t>(last.wanted.values<std::int32_t>()[static_cast<std::size_t>(at)]) &
        ~(alternates_ ? L2O_ORACLE_GRADIENT : 0U);
    std::uint32_t known = 0;
    const bool brings_f = (wanted & L2O_ORACLE_GRADIENT) != 0 && ledger_->keeps_best();
    if (((wanted & L2O_ORACLE_VALUE) != 0 || brings_f) && to.f) {
        copy_row(last.qf, at, to.f_rows, row);
        known |= L2O_ORACLE_VALUE;
    }
    if ((wanted & L2O_ORACLE_GRADIENT) != 0 && !to.g.empty()) {
        for (std::size_t block = 0; block < to.g.size(); ++block)
            copy_row(last.qg[block], at, to.g_rows[block], row);
        known |= L2O_ORACLE_GRADIENT;
    }
    to.know(row, known);
    to.pay(row, wanted);
}

/// Of an optimizer that asks nothing; all rows are done then.
bool Stepper::says_what_x_is() {
    if (std::ranges::all_of(x_is_.values<std::int32_t>(), [](std::int32_t is) { return is == L2O_X_IS_NEW; }))
        return false;
    std::fill(is_done_.begin(), is_done_.end(), false);
    return true;
}

bool Stepper::wants_any(const Round& round, std::int64_t row) const {
    for (std::int64_t k = 0; k < round.n; ++k)
        if (round.wanted.values<std::int32_t>()[static_cast<std::size_t>(k * layout_.rows + row)] != 0)
            return true;
    return false;
}

/// Rows that ended before stay; those that say so now are stepped no more.
void Stepper::end_rows(const Point& from, Point& to) {
    for (std::int64_t row = 0; row < layout_.batch && ended_ > 0; ++row)
        if (has_ended(row)) hold_row(from, to, row);
    if (!newly_ended_) return;
    const auto status = newly_ended_.values<std::int32_t>();
    for (std::int64_t row = 0; row < layout_.batch; ++row) {
        const std::int32_t says = status[static_cast<std::size_t>(row)];
        if (says < L2O_ROW_GOES_ON || says > L2O_ROW_FAILED)
            throw Error(ExitCode::kPlugin,
                        "optimizer '" + scene_.optimizer.id() + "' says that the status of row " +
                            std::to_string(row) + " is " + std::to_string(says) + "; expected an L2O_ROW_*");
        if (says != L2O_ROW_GOES_ON && !has_ended(row)) end(row, says);
    }
}

void Stepper::advance_slices(Point& from, Point& to, std::int64_t t) {
    std::atomic<std::size_t> next{0};
    const std::vector<Slice>& slices = slices_->all();
    const auto threads = static_cast<std::int64_t>(slice_calls_.size());
    Team(static_cast<int>(threads)).each(threads, [&](std::int64_t thread) {
        SliceCall& call = *slice_calls_[static_cast<std::size_t>(thread)];
        for (std::size_t i = next++; i < slices.size(); i = next++) {
            if (updates_.stays(scene_.key, t, slices[i].block)) continue;
            call.step(scene_.params,
                      scene_.key,
                      t,
                      slices[i].count,
                      call.in(from, slices[i]),
                      call.in(from.g, slices[i]),
                      call.in(to, slices[i]));
        }
    });
    updates_.hold(scene_.key, t, from, to);
}

/// Whoever asks for ever is stopped, and whoever waits for it can be interrupted.
void Stepper::expect_end(std::uint32_t round) const {
    constexpr std::uint32_t kMaxRounds = 100'000;
    if (cancel_flag().load() != 0)
        throw Error(ExitCode::kInterrupted,
                    "interrupted, in round " + std::to_string(round) + " of a step of '" +
                        scene_.optimizer.id() + "'");
    if (round >= kMaxRounds)
        throw Error(ExitCode::kPlugin,
                    "optimizer '" + scene_.optimizer.id() + "' still asks after " +
                        std::to_string(kMaxRounds) + " rounds of one step; 'l2o check' on it may say why");
}

void Stepper::advance(Point& from, Point& to, std::int64_t t) {
    evaluate(from, t, reads_f_, reads_g_, kCharged);
    to.forget();
    if (slices_ != nullptr) return advance_slices(from, to, t);
    l2o_step_in in = step_in(from, t, nullptr);
    Round* previous = &rounds_[0];
    Round* next = &rounds_[1];
    previous->n = 0;
    const bool is_held = updates_.any_stays(scene_.key, t);
    if (asks_ || is_held) std::fill(is_done_.begin(), is_done_.end(), is_held);
    while (run_round(in, to, *next, t)) {
        expect_end(in.round);
        take_over(from, *previous, *next, to);
        answer(from, *next, t);
        std::swap(to.state, spare_state_);
        std::swap(previous, next);
        const std::uint32_t round = in.round + 1;
        in = step_in(from, t, previous);
        in.state = spare_state_.in();
        in.round = round;
    }
    if (asks_ || (!is_held && says_what_x_is())) take_over(from, *previous, *next, to);
    updates_.hold(scene_.key, t, from, to);
    const double own = scene_.optimizer.info().points_per_step;
    for (std::int64_t row = 0; row < layout_.batch && own > 0; ++row)
        if (!has_ended(row)) ledger_->charge_own(ledger_row0_ + row, own);
    if (ended_ > 0 || newly_ended_) end_rows(from, to);
    if (layout_.particles > 1)
        particles_.watch(scene_.optimizer, scene_.optimizee, layout_, from.x_rows, to.x_rows, t);
}

void Stepper::replay(Point& from, Point& to, std::int64_t t, std::vector<Round>& rounds) {
    rounds.clear();
    rounds.emplace_back();
    l2o_step_in in = step_in(from, t, nullptr);
    if (!asks_) return;
    for (Round next = make_round(); run_round(in, to, next, t); next = make_round()) {
        expect_end(in.round);
        answer(from, next, t);
        next.state = Point(layout_, {}).state;
        next.state.copy_from(to.state);
        rounds.push_back(std::move(next));
        const std::uint32_t round = in.round + 1;
        in = step_in(from, t, &rounds.back());
        in.round = round;
    }
}

}  // namespace l2o::framework
