// The way back through a window: where gradients of what is learned come from.
#include <algorithm>
#include <cmath>
#include <vector>

#include "framework/rollout/arithmetic.hpp"
#include "framework/rollout/rematerialise.hpp"
#include "framework/rollout/unroll.hpp"

namespace l2o::framework {

void Unroll::reverse(std::int64_t n, TensorSet& gradient, std::int64_t stop) {
    if (loss_f_cot_) loss_f_cot_.zero();
    loss_x_cot_.zero();
    loss_g_cot_.zero();
    const l2o_trajectory points = trajectory(n, loss_f_, loss_x_, loss_g_);
    const auto wanted = [](const TensorSet& set) { return set.empty() ? nullptr : set.out(); };
    const l2o_trajectory_acc cotangents{loss_f_cot_.abi(), wanted(loss_x_cot_), wanted(loss_g_cot_)};
    stepper_.call().check(
        loss_.api().vjp(
            loss_.raw(), stepper_.call().with(scene_.key, scene_.row0), &points, row_cot_.abi(), &cotangents),
        "loss '" + loss_.id() + "'");
    if (reverses_slices() && plan_.keep != Keep::kSegments) return reverse_slices(n, gradient, stop);
    cot_.x.zero();
    cot_.state.zero();
    cot_.f.zero();
    add_loss_cotangent(n, cot_);
    for (std::int64_t j = n - 1; j >= stop; --j) {
        if (j < base_) recompute_segment(j / plan_.segment);
        step_back(j, cot_, before_, gradient, j == stop);
        if (j > stop) add_loss_cotangent(j, before_);
        std::swap(cot_, before_);
    }
    if (t_ == 0 && stop == 0) initial_state_back(gradient);
}

/// From the cotangent of the state at t = 0 to the parameters that it is made of.
void Unroll::initial_state_back(TensorSet& gradient) {
    const l2o_optimizer_vjp* vjp = scene_.optimizer.vjp();
    if (vjp->init_state_vjp == nullptr) return;
    const l2o_step_in in = stepper_.step_in(at(0), 0, nullptr);
    l2o_step_acc acc{};
    acc.params = gradient.out();
    acc.state = acc.x = acc.g = nothing_.data();
    const auto lock = scene_.optimizer.guard();
    stepper_.call().check(vjp->init_state_vjp(scene_.optimizer.raw(),
                                              stepper_.call().with(scene_.key, scene_.row0),
                                              &in,
                                              cot_.state.in(),
                                              &acc),
                          scene_.optimizer.id());
}

/// Keeps points_[0], where a segment begins, if there is room; and says which one is next.
void Unroll::keep_point(std::int64_t segment) {
    next_kept_ = 0;
    if (kept_at_.size() == kept_.size()) return;
    copy_x_and_state(points_[0], kept_[kept_at_.size()]);
    kept_at_.push_back(segment);
    if (plan_.keep != Keep::kSegments) return;
    const std::int64_t last = (reserved_ - 1) / plan_.segment;
    const auto room = static_cast<std::int64_t>(kept_.size() - kept_at_.size()) + 1;
    const std::int64_t further = next_kept(last - segment + 1, room);
    next_kept_ = further > 0 ? segment + further : 0;
}

/// From the last point that was kept before it; keeps others on the way, where there is room again.
void Unroll::recompute_segment(std::int64_t segment) {
    while (kept_at_.back() > segment) kept_at_.pop_back();
    std::int64_t now = kept_at_.back();
    copy_x_and_state(kept_[kept_at_.size() - 1], points_[0]);
    const auto target = [&](std::int64_t from) {  // room is counted up to the segment that is wanted
        const auto room = static_cast<std::int64_t>(kept_.size() - kept_at_.size()) + 1;
        const std::int64_t further = next_kept(segment - from + 1, room);
        return further > 0 ? from + further : 0;
    };
    std::int64_t next = target(now);
    for (;; ++now) {
        base_ = now * plan_.segment;
        if (now == next && next > 0) {
            copy_x_and_state(points_[0], kept_[kept_at_.size()]);
            kept_at_.push_back(now);
            next = target(now);
        }
        for (std::int64_t j = base_; j < base_ + plan_.segment; ++j) {
            evaluate_for(at(j), t_ + j, true);
            stepper_.advance(at(j), at(j + 1), t_ + j);
        }
        if (now == segment) return;
        copy_x_and_state(points_[static_cast<std::size_t>(plan_.segment)], points_[0]);
    }
}

/// cot.x += d loss / d x_j directly, through g_j by the Hessian there, and through f_j by the gradient (cot.f
/// holds what the step itself adds).
void Unroll::add_loss_cotangent(std::int64_t j, Point& cot) {
    for (std::size_t k = 0; k < loss_x_cot_.size(); ++k) add(cot.x[k], point_of(loss_x_cot_[k], j));
    if (!loss_g_cot_.empty()) {
        hessian_product(at(j).x_rows, rows_of(loss_g_cot_, j, stepper_.layout()), t_ + j);
        for (std::size_t k = 0; k < cot.x.size(); ++k) add(cot.x[k], scratch_.g[k]);
    }
    if (loss_f_cot_) add(cot.f, point_of(loss_f_cot_, j));
    if (all_zero(cot.f)) return;
    Point& point = at(j);
    const TensorSet* g = &point.g;
    if (!point.g.empty()) {
        stepper_.evaluate(point, t_ + j, false, true, kFree);
    } else {
        stepper_.gradient_at(point.x_rows, t_ + j, scratch_.g_rows);
        g = &scratch_.g;
    }
    for (std::size_t k = 0; k < cot.x.size(); ++k) add_scaled_rows(cot.x[k], cot.f, (*g)[k]);
}

/// From the cotangents of x_{j+1}, h_{j+1} to those of x_j, h_j (and f_j, left in before.f).
void Unroll::step_back(
    std::int64_t j, Point& cot, Point& before, TensorSet& gradient, bool is_last, bool is_taken) {
    const std::int64_t t = t_ + j;
    const bool second = options_.second_order != SecondOrder::kDrop;
    const bool to_g = second && scene_.optimizer.reads_g(), to_f = second && scene_.optimizer.reads_f();
    before.x.zero();
    before.state.zero();
    before.f.zero();
    if (to_g) before.g.zero();
    stepper_.updates().hold_back(scene_.key, t, cot, before);
    // Point j + 1 is what the optimizer wrote only where nothing was held.
    is_taken = is_taken && !stepper_.updates().any_stays(scene_.key, t);
    Point& point = at(j);
    stepper_.replay(point, scratch_, t, rounds_);

    std::vector<Stepper::Round> round_cot(rounds_.size());  // cotangents of what each round was given
    for (std::size_t r = rounds_.size(); r-- > 0;) {
        const bool is_final = r + 1 == rounds_.size();
        l2o_step_in in = stepper_.step_in(point, t, r > 0 ? &rounds_[r] : nullptr);
        in.round = static_cast<std::uint32_t>(r);
        l2o_step_out out{};
        if (rounds_.size() == 1 && is_taken) {
            out.state = at(j + 1).state.out();
            out.x = at(j + 1).x.out();
        }
        l2o_step_cot out_cot{};
        out_cot.state = is_final ? cot.state.in() : round_cot[r + 1].state.in();
        out_cot.x = is_final ? cot.x.in() : nothing_.data();
        out_cot.q = is_final ? nothing_.data() : round_cot[r + 1].q.in();

        l2o_step_acc acc{};
        acc.params = gradient.out();
        acc.state = before.state.out();
        // The first step of the window passes nothing on but the state, for a learned initial state.
        acc.x = is_last && r == 0 ? nothing_.data() : before.x.out();
        acc.g = to_g && !is_last ? before.g.out() : nothing_.data();
        acc.f = to_f && !is_last ? before.f.abi() : nullptr;
        acc.q = acc.qg = nothing_.data();
        if (r > 0) {
            Stepper::Round& given = round_cot[r];
            const auto like = [](const TensorSet& set) {
                std::vector<Tensor> zeros;
                for (const Tensor& tensor : set.tensors())
                    zeros.push_back(is_real(tensor.dtype()) ? Tensor(tensor.dtype(), tensor.shape())
                                                            : Tensor());
                return TensorSet(std::move(zeros));
            };
            given.state = like(rounds_[r].state);
            given.q = like(rounds_[r].q);
            given.qg = like(rounds_[r].qg);
            given.qf = Tensor(rounds_[r].qf.dtype(), rounds_[r].qf.shape());
            acc.state = given.state.out();
            acc.q = given.q.out();
            if (second && !given.qg.empty()) acc.qg = given.qg.out();
            if (second) acc.qf = given.qf.abi();
        }
        {
            const auto lock = scene_.optimizer.guard();
            stepper_.call().check(scene_.optimizer.vjp()->step_vjp(scene_.optimizer.raw(),
                                                                   stepper_.step_call(t),
                                                                   &in,
                                                                   out.x == nullptr ? nullptr : &out,
                                                                   &out_cot,
                                                                   &acc),
                                  scene_.optimizer.id());
        }
        if (r > 0 && second) answers_back(point, t, rounds_[r], round_cot[r]);
    }
    if (to_g && !is_last) {
        hessian_product(point.x_rows, before.g_rows, t);
        for (std::size_t k = 0; k < before.x.size(); ++k) add(before.x[k], scratch_.g[k]);
    }
}

/// Asked for, or the only way for a loss that reads g: its derivative needs the Hessian even with drop.
bool Unroll::by_differences() const {
    return options_.second_order == SecondOrder::kFd ||
           (options_.second_order == SecondOrder::kDrop && loss_.reads_g() &&
            scene_.optimizee.api().hvp == nullptr);
}

/// scratch_.g = H(x) v; by differences: (g(x + h v) - g(x - h v)) / 2h, with |h v| about the cube root of the
/// rounding of x, row by row.
void Unroll::hessian_product(const TensorSet& x_rows, const TensorSet& v_rows, std::int64_t t) {
    if (!by_differences()) return stepper_.hvp(x_rows, v_rows, t, scratch_.g_rows);
    const auto rows = static_cast<std::size_t>(stepper_.layout().rows);
    std::vector<double> x_norm(rows), v_norm(rows), h(rows);
    const auto add_squares = [&](const TensorSet& set, std::vector<double>& squares) {
        for (const Tensor& tensor : set.tensors()) {
            with_values(
                [&](auto values) {
                    const std::size_t cols = values.size() / rows;
                    for (std::size_t i = 0; i < values.size(); ++i)
                        squares[i / cols] += static_cast<double>(values[i]) * static_cast<double>(values[i]);
                },
                tensor);
        }
    };
    add_squares(x_rows, x_norm);
    add_squares(v_rows, v_norm);
    const double rounding = stepper_.layout().dtype == Dtype::kF32 ? 0x1p-23 : 0x1p-52;
    for (std::size_t row = 0; row < rows; ++row)
        h[row] = v_norm[row] > 0
                     ? std::cbrt(rounding) * std::max(1.0, std::sqrt(x_norm[row])) / std::sqrt(v_norm[row])
                     : 1;
    for (const double sign : {1.0, -1.0}) {
        for (std::size_t k = 0; k < x_rows.size(); ++k) {
            with_values(
                [&](auto to, auto x, auto v) {
                    using T = typename decltype(to)::value_type;
                    const std::size_t cols = to.size() / rows;
                    for (std::size_t i = 0; i < to.size(); ++i)
                        to[i] = x[i] + static_cast<T>(sign * h[i / cols]) * v[i];
                },
                displaced_.x_rows[k],
                x_rows[k],
                v_rows[k]);
        }
        stepper_.gradient_at(displaced_.x_rows, t, sign > 0 ? scratch_.g_rows : displaced_.g_rows);
    }
    for (std::size_t k = 0; k < x_rows.size(); ++k) {
        with_values(
            [&](auto product, auto below) {
                using T = typename decltype(product)::value_type;
                const std::size_t cols = product.size() / rows;
                for (std::size_t i = 0; i < product.size(); ++i)
                    product[i] = (product[i] - below[i]) / static_cast<T>(2 * h[i / cols]);
            },
            scratch_.g_rows[k],
            displaced_.g_rows[k]);
    }
}

/// cot.q += cot(f(q)) g(q) + H(q) cot(g(q)) for every question of a round; 0 of what a row did not want.
void Unroll::answers_back(const Point& point,
                          std::int64_t t,
                          const Stepper::Round& round,
                          Stepper::Round& cot) {
    const PointLayout& layout = stepper_.layout();
    for (std::int64_t k = 0; k < round.n; ++k) {
        const TensorSet q = stepper_.asked(point, round, k);
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
            stepper_.gradient_at(q, t, scratch_.g_rows);
            for (std::size_t block = 0; block < q.size(); ++block) {
                add_scaled_rows(q_cot[block], f_cot, scratch_.g[block]);
            }
        }
        if ((round.kinds & L2O_ORACLE_GRADIENT) != 0) {
            hessian_product(q, g_cot, t);
            for (std::size_t block = 0; block < q.size(); ++block) add(q_cot[block], scratch_.g[block]);
        }
    }
}

}  // namespace l2o::framework
