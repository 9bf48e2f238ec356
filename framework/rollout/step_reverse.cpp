#include "framework/rollout/step_reverse.hpp"

#include <algorithm>

#include "framework/rollout/arithmetic.hpp"

namespace l2o::framework {
namespace {

TensorSet zeros_of_reals(const TensorSet& set) {
    std::vector<Tensor> zeros;
    for (const Tensor& tensor : set.tensors())
        zeros.push_back(is_real(tensor.dtype()) ? Tensor(tensor.dtype(), tensor.shape()) : Tensor());
    return TensorSet(std::move(zeros));
}

/// Cotangents of what a round is given.
Stepper::Round zeros_like(const Stepper::Round& round) {
    Stepper::Round zeros;
    zeros.state = zeros_of_reals(round.state);
    zeros.q = zeros_of_reals(round.q);
    zeros.qg = zeros_of_reals(round.qg);
    zeros.qf = Tensor(round.qf.dtype(), round.qf.shape());
    return zeros;
}

}  // namespace

StepReverse::StepReverse(const Scene& scene,
                         Stepper& stepper,
                         SecondOrderOracle& oracle,
                         SecondOrder second_order)
    : scene_(scene), stepper_(stepper), oracle_(oracle), second_order_(second_order) {
    nothing_.assign(std::max({stepper.layout().blocks.size(),
                              stepper.layout().state.size(),
                              scene.optimizer.params().size(),
                              scene.optimizer.needs().size(),
                              std::size_t{1}}),
                    nullptr);
}

void StepReverse::reserve() { repeated_ = Point(stepper_.layout(), {.g = false, .f = false, .state = true}); }

void StepReverse::back(const Step& step, Point& cot, Point& before, TensorSet& gradient) {
    const bool to_g = is_second_order() && scene_.optimizer.reads_g();
    before.x.zero();
    before.state.zero();
    before.f.zero();
    if (to_g) before.g.zero();
    stepper_.updates().hold_back(scene_.key, step.t, cot, before);
    stepper_.replay(step.from, repeated_, step.t, rounds_);
    round_cot_.clear();
    round_cot_.resize(rounds_.size());
    for (std::size_t r = rounds_.size(); r-- > 0;) {
        if (r > 0) round_cot_[r] = zeros_like(rounds_[r]);
        round_back(step, r, cot, before, gradient);
        if (r > 0 && is_second_order()) answers_back(step, rounds_[r], round_cot_[r]);
    }
    if (to_g && !step.is_last) {
        const TensorSet& product = oracle_.hessian_product(step.from.x_rows, before.g_rows, step.t);
        for (std::size_t k = 0; k < before.x.size(); ++k) add(before.x[k], product[k]);
    }
}

/// Of round r: 0 is that without answers, the last one wrote x'.
void StepReverse::round_back(
    const Step& step, std::size_t r, Point& cot, Point& before, TensorSet& gradient) {
    const bool is_final = r + 1 == rounds_.size();
    l2o_step_in in = stepper_.step_in(step.from, step.t, r > 0 ? &rounds_[r] : nullptr);
    in.round = static_cast<std::uint32_t>(r);
    l2o_step_out out{};
    // Point j + 1 is what the optimizer wrote only where nothing was held.
    const bool has_out =
        rounds_.size() == 1 && step.after != nullptr && !stepper_.updates().any_stays(scene_.key, step.t);
    if (has_out) {
        out.state = step.after->state.out();
        out.x = step.after->x.out();
    }
    l2o_step_cot out_cot{};
    out_cot.state = is_final ? cot.state.in() : round_cot_[r + 1].state.in();
    out_cot.x = is_final ? cot.x.in() : nothing_.data();
    out_cot.q = is_final ? nothing_.data() : round_cot_[r + 1].q.in();

    l2o_step_acc acc{};
    acc.params = gradient.out();
    acc.state = before.state.out();
    // The first step of the window passes nothing on but the state, for a learned initial state.
    acc.x = step.is_last && r == 0 ? nothing_.data() : before.x.out();
    acc.g =
        is_second_order() && scene_.optimizer.reads_g() && !step.is_last ? before.g.out() : nothing_.data();
    acc.f = is_second_order() && scene_.optimizer.reads_f() && !step.is_last ? before.f.abi() : nullptr;
    acc.q = acc.qg = nothing_.data();
    if (r > 0) {
        Stepper::Round& given = round_cot_[r];
        acc.state = given.state.out();
        acc.q = given.q.out();
        if (is_second_order() && !given.qg.empty()) acc.qg = given.qg.out();
        if (is_second_order()) acc.qf = given.qf.abi();
    }
    const auto lock = scene_.optimizer.guard();
    stepper_.call().check(scene_.optimizer.vjp()->step_vjp(scene_.optimizer.raw(),
                                                           stepper_.step_call(step.t),
                                                           &in,
                                                           has_out ? &out : nullptr,
                                                           &out_cot,
                                                           &acc),
                          scene_.optimizer.id());
}

/// cot.q += cot(f(q)) g(q) + H(q) cot(g(q)) for every question of a round; 0 of what a row did not want.
void StepReverse::answers_back(const Step& step, const Stepper::Round& round, Stepper::Round& cot) {
    const PointLayout& layout = stepper_.layout();
    for (std::int64_t k = 0; k < round.n; ++k) {
        const TensorSet q = stepper_.asked(step.from, round, k);
        TensorSet q_cot = rows_of(cot.q, k, layout),
                  g_cot = cot.qg.empty() ? TensorSet() : rows_of(cot.qg, k, layout);
        Tensor f_cot = point_of(cot.qf, k);
        for (std::int64_t row = 0; row < layout.rows; ++row) {
            const auto wanted =
                static_cast<std::uint32_t>(stepper_.wanted_of(round, k)[static_cast<std::size_t>(row)]);
            if ((wanted & L2O_ORACLE_VALUE) == 0) zero_row(f_cot, row, layout.rows);
            for (std::size_t block = 0; block < g_cot.size() && (wanted & L2O_ORACLE_GRADIENT) == 0; ++block)
                zero_row(g_cot[block], row, layout.rows);
        }
        if ((round.kinds & L2O_ORACLE_VALUE) != 0 && !all_zero(f_cot)) {
            const TensorSet& g = oracle_.gradient(q, step.t);
            for (std::size_t block = 0; block < q.size(); ++block)
                add_scaled_rows(q_cot[block], f_cot, g[block]);
        }
        if ((round.kinds & L2O_ORACLE_GRADIENT) != 0) {
            const TensorSet& product = oracle_.hessian_product(q, g_cot, step.t);
            for (std::size_t block = 0; block < q.size(); ++block) add(q_cot[block], product[block]);
        }
    }
}

void StepReverse::initial_state_back(const Point& start, const Point& cot, TensorSet& gradient) {
    const l2o_optimizer_vjp* vjp = scene_.optimizer.vjp();
    if (vjp->init_state_vjp == nullptr) return;
    const l2o_step_in in = stepper_.step_in(start, 0, nullptr);
    l2o_step_acc acc{};
    acc.params = gradient.out();
    acc.state = acc.x = acc.g = nothing_.data();
    const auto lock = scene_.optimizer.guard();
    stepper_.call().check(
        vjp->init_state_vjp(
            scene_.optimizer.raw(), stepper_.call().with(scene_.key, scene_.row0), &in, cot.state.in(), &acc),
        scene_.optimizer.id());
}

}  // namespace l2o::framework
