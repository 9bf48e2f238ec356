#include "framework/unroll/stepper.hpp"

#include <atomic>
#include <l2o/numerics/philox.hpp>

#include "framework/error.hpp"
#include "framework/parallel.hpp"

namespace l2o::framework {
namespace {

// Tags of derived keys: the optimizer's draws and the minibatch at step t.
constexpr std::uint64_t kStepTag = 0x73746570, kMinibatchTag = 0x6d696e69;

/// Member k of a leading axis.
Tensor member_of(Tensor& tensor, std::int64_t k, Shape shape) {
    const std::int64_t bytes = element_count(shape) * bytes_of(tensor.dtype());
    return Tensor::borrow(
        tensor.dtype(), std::move(shape), static_cast<std::byte*>(tensor.data()) + k * bytes);
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
      data_(abi_data(scene.data)),
      updates_(scene.optimizer, scene.optimizee, update_probability) {
    for (const int index : scene.optimizer.needs()) {
        needed_.push_back(index < 0 ? nullptr : data_[static_cast<std::size_t>(index)]);
    }
    io_.struct_size = sizeof io_;
    io_.batch = static_cast<std::uint32_t>(layout_.rows);
    io_.rows_per_instance = static_cast<std::uint32_t>(std::max<std::int64_t>(layout_.particles, 1));
    io_.data = data_.data();
    const auto& optimizer = scene.optimizer.info();
    const auto& optimizee = scene.optimizee.info();
    const auto rows = static_cast<std::uint64_t>(layout_.rows);
    call_.reserve_scratch(std::max(optimizer.scratch_fixed + optimizer.scratch_per_row * rows,
                                   optimizee.scratch_fixed + optimizee.scratch_per_row * rows));
    if (slicing.length > 0) slices_ = Slices::of(scene.optimizer, layout_, slicing.length);
    if (slices_ != nullptr && slices_->all().size() <= layout_.blocks.size()) slices_.reset();
    for (int i = 0; slices_ != nullptr && i < slicing.threads; ++i)
        slice_calls_.push_back(std::make_unique<SliceCall>(*slices_, layout_.dtype, slicing.length));
    if (asks_) {
        rounds_[0] = make_round();
        rounds_[1] = make_round();
        spare_state_ = Point(layout_, {}).state;
        x_from_q_ = Tensor(Dtype::kI32, {layout_.batch});
    }
}

Stepper::Round Stepper::make_round() const {
    const auto max = static_cast<std::int64_t>(scene_.optimizer.info().max_questions);
    const bool gradients = (scene_.optimizer.info().question_kinds & L2O_GRADIENT) != 0;
    std::vector<Tensor> q, qg;
    for (const Shape& shape : layout_.blocks) {
        q.emplace_back(layout_.dtype, with_leading(max, shape));
        if (gradients) qg.emplace_back(layout_.dtype, with_leading(max, shape));
    }
    Round round;
    round.q = TensorSet(std::move(q));
    round.qg = TensorSet(std::move(qg));
    round.qf = Tensor(layout_.dtype, with_leading(max, layout_.f));
    return round;
}

l2o_call* Stepper::step_call(std::int64_t t) {
    if ((scene_.optimizer.info().flags & L2O_STOCHASTIC) == 0) return call_.with(scene_.key, scene_.row0);
    return call_.with(numerics::derive_key(scene_.key, kStepTag, static_cast<std::uint64_t>(t)), scene_.row0);
}

l2o_step_in Stepper::step_in(const Point& from, std::int64_t t, const Round* round) const {
    l2o_step_in in{};
    in.struct_size = sizeof in;
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

void Stepper::evaluate_rows(l2o_in x, std::int64_t t, l2o_tensor* f, l2o_out g) {
    io_.x = x;
    io_.f = f;
    io_.g = g;
    if ((scene_.optimizee.info().flags & L2O_STOCHASTIC) != 0) {
        const Key key = numerics::derive_key(scene_.key, kMinibatchTag, static_cast<std::uint64_t>(t));
        io_.batch_key[0] = key[0];
        io_.batch_key[1] = key[1];
    }
    const auto lock = scene_.optimizee.guard();
    call_.check(
        scene_.optimizee.api().eval(scene_.optimizee.raw(), call_.with(scene_.key, scene_.row0), &io_),
        scene_.optimizee.id());
}

void Stepper::evaluate(Point& point, std::int64_t t, bool want_f, bool want_g, bool charge) {
    const bool f = want_f && !point.has_f, g = want_g && !point.has_g;
    if (!f && !g) return;
    evaluate_rows(point.x_rows.in(), t, f ? point.f_rows.abi() : nullptr, g ? point.g_rows.out() : nullptr);
    point.has_f = point.has_f || f;
    point.has_g = point.has_g || g;
    if (!charge) return;
    const auto per_row = static_cast<double>(io_.rows_per_instance);
    evaluations_.values += f ? per_row : 0;
    evaluations_.gradients += g ? per_row : 0;
}

void Stepper::gradient_at(const TensorSet& x_rows, std::int64_t t, const TensorSet& g_rows) {
    evaluate_rows(x_rows.in(), t, nullptr, g_rows.out());
}

void Stepper::hvp(const TensorSet& x_rows,
                  const TensorSet& v_rows,
                  std::int64_t t,
                  const TensorSet& out_rows) {
    io_.x = x_rows.in();
    io_.v = v_rows.in();
    io_.f = nullptr;
    io_.g = out_rows.out();
    const Key key = numerics::derive_key(scene_.key, kMinibatchTag, static_cast<std::uint64_t>(t));
    io_.batch_key[0] = key[0];
    io_.batch_key[1] = key[1];
    const auto lock = scene_.optimizee.guard();
    call_.check(scene_.optimizee.api().hvp(scene_.optimizee.raw(), call_.with(scene_.key, scene_.row0), &io_),
                scene_.optimizee.id());
    io_.v = nullptr;
}

void Stepper::answer(Round& round, std::int64_t t) {
    const bool f = (round.kinds & L2O_VALUE) != 0, g = (round.kinds & L2O_GRADIENT) != 0;
    for (std::int64_t k = 0; k < round.n; ++k) {
        std::vector<Tensor> q, qg;
        for (std::size_t block = 0; block < layout_.blocks.size(); ++block) {
            q.push_back(member_of(round.q[block], k, layout_.blocks_as_rows[block]));
            if (g) qg.push_back(member_of(round.qg[block], k, layout_.blocks_as_rows[block]));
        }
        Tensor qf = member_of(round.qf, k, {layout_.rows});
        const TensorSet points(std::move(q)), gradients(std::move(qg));
        evaluate_rows(points.in(), t, f ? qf.abi() : nullptr, g ? gradients.out() : nullptr);
    }
    const auto per_row = static_cast<double>(io_.rows_per_instance) * round.n;
    evaluations_.values += f ? per_row : 0;
    evaluations_.gradients += g ? per_row : 0;
}

bool Stepper::run_round(l2o_step_in& in, Point& to, Round& asked, std::int64_t t) {
    l2o_step_out out{};
    out.struct_size = sizeof out;
    out.batch = in.batch;
    out.state = to.state.out();
    out.x = to.x.out();
    if (asks_) {
        out.q = asked.q.out();
        out.x_from_q = x_from_q_.abi();
    }
    {
        const auto lock = scene_.optimizer.guard();
        call_.check(scene_.optimizer.api().step(scene_.optimizer.raw(), step_call(t), &in, &out),
                    scene_.optimizer.id());
    }
    asked.n = out.n_questions;
    asked.kinds = out.question_kinds;
    if (asked.n > scene_.optimizer.info().max_questions ||
        (asked.kinds & ~scene_.optimizer.info().question_kinds) != 0) {
        throw Error(ExitCode::kPlugin,
                    "optimizer '" + scene_.optimizer.id() + "' asked " + std::to_string(asked.n) +
                        " questions of kinds " + std::to_string(asked.kinds) + "; it declared at most " +
                        std::to_string(scene_.optimizer.info().max_questions) + " of kinds " +
                        std::to_string(scene_.optimizer.info().question_kinds));
    }
    return asked.n > 0;
}

void Stepper::take_over_answers(const Round& last, Point& to) {
    if (last.n == 0) return;
    const auto chosen = x_from_q_.values<std::int32_t>();
    for (const std::int32_t k : chosen) {
        if (k < 0 || k >= static_cast<std::int32_t>(last.n))
            return;  // some row needs an evaluation of its own
    }
    const auto take = [&](const Tensor& from, Tensor& target) {
        const std::int64_t row = target.bytes() / layout_.batch;
        for (std::int64_t b = 0; b < layout_.batch; ++b) {
            std::memcpy(static_cast<std::byte*>(target.data()) + b * row,
                        static_cast<const std::byte*>(from.data()) +
                            (chosen[static_cast<std::size_t>(b)] * layout_.batch + b) * row,
                        static_cast<std::size_t>(row));
        }
    };
    if ((last.kinds & L2O_VALUE) != 0 && to.f) {
        take(last.qf, to.f);
        to.has_f = true;
    }
    if ((last.kinds & L2O_GRADIENT) != 0 && !to.g.empty()) {
        for (std::size_t block = 0; block < to.g.size(); ++block) take(last.qg[block], to.g[block]);
        to.has_g = true;
    }
}

void Stepper::advance_slices(Point& from, Point& to, std::int64_t t) {
    std::atomic<std::size_t> next{0};
    const std::vector<Slice>& slices = slices_->all();
    const auto threads = static_cast<std::int64_t>(slice_calls_.size());
    parallel_for(threads, static_cast<int>(threads), [&](std::int64_t thread) {
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

void Stepper::advance(Point& from, Point& to, std::int64_t t) {
    evaluate(from, t, reads_f_, reads_g_, true);
    to.has_f = to.has_g = false;
    if (slices_ != nullptr) return advance_slices(from, to, t);
    l2o_step_in in = step_in(from, t, nullptr);
    if (!asks_) {
        run_round(in, to, rounds_[0], t);
    } else {
        Round* previous = &rounds_[0];
        Round* next = &rounds_[1];
        previous->n = 0;
        while (run_round(in, to, *next, t)) {
            answer(*next, t);
            std::swap(to.state, spare_state_);
            std::swap(previous, next);
            const std::uint32_t round = in.round + 1;
            in = step_in(from, t, previous);
            in.state = spare_state_.in();
            in.round = round;
        }
        if (!updates_.any_stays(scene_.key, t)) take_over_answers(*previous, to);
    }
    updates_.hold(scene_.key, t, from, to);
    evaluations_.gradients += scene_.optimizer.info().grad_cost_per_step;
}

void Stepper::replay(Point& from, Point& to, std::int64_t t, std::vector<Round>& rounds) {
    rounds.clear();
    rounds.emplace_back();
    l2o_step_in in = step_in(from, t, nullptr);
    if (!asks_) return;
    for (Round next = make_round(); run_round(in, to, next, t); next = make_round()) {
        answer(next, t);
        next.state = Point(layout_, {}).state;
        next.state.copy_from(to.state);
        rounds.push_back(std::move(next));
        const std::uint32_t round = in.round + 1;
        in = step_in(from, t, &rounds.back());
        in.round = round;
    }
}

}  // namespace l2o::framework
