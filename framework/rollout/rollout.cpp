#include "framework/rollout/rollout.hpp"

#include <algorithm>
#include <cmath>
#include <l2o/numerics/philox.hpp>

#include "framework/error.hpp"
#include "framework/rollout/arithmetic.hpp"
#include "framework/rollout/safe_steps.hpp"
#include "framework/rollout/safe_tracks.hpp"
#include "framework/rollout/start.hpp"

namespace l2o::framework {
namespace {

bool is_population(const Optimizer& optimizer) { return optimizer.info().particles > 0; }

bool is_finite_row(const TensorSet& x, std::int64_t row, std::int64_t rows) {
    return std::ranges::all_of(x.tensors(), [&](const Tensor& block) {
        return with_values(
            [&](auto values) {
                const auto size = values.size() / static_cast<std::size_t>(rows);
                const auto own = values.subspan(static_cast<std::size_t>(row) * size, size);
                return std::ranges::all_of(own, [](auto v) { return std::isfinite(v); });
            },
            block);
    });
}

/// Of the n-th start of a course.
Key key_of_start(const Key& key, std::int64_t n) {
    constexpr std::uint64_t kTag = 0x72737472;
    return n == 0 ? key : Key(numerics::derive_key(key, kTag, static_cast<std::uint64_t>(n)));
}

}  // namespace

/// A leg under way.
struct Rollout::Run {
    Run(const Leg& leg,
        const Optimizee& optimizee,
        const ProblemData& data,
        const Key& key,
        std::uint64_t row0,
        Ledger& ledger,
        std::int64_t first,
        std::int64_t last)
        : scene{leg.optimizer, optimizee, data, leg.params, key, row0},
          stepper(scene),
          begin(first),
          end(last) {
        stepper.charge_to(ledger);
        PointParts parts = stepper.parts();
        if (leg.safeguard && leg.safeguard->rule.test == SafeguardRule::Test::kAhead) {
            safe = std::make_unique<SafeTracks>(stepper, scene, *leg.safeguard);
            parts.g = false;  // the tracks have theirs
        } else if (leg.safeguard) {
            safe = std::make_unique<SafeSteps>(stepper, scene, *leg.safeguard);
        }
        parts.f = true;
        for (Point& point : points) point = Point(stepper.layout(), parts);
        parts.state = false;
        parts.g = false;
        seen = Point(stepper.layout(), parts);
    }

    void advance(std::int64_t t) {
        if (safe) {
            safe->advance(*from, *to, t);
        } else {
            stepper.advance(*from, *to, t);
        }
    }
    void end_row(std::int64_t row) {
        if (safe) {
            safe->end(row);
        } else {
            stepper.end(row, L2O_ROW_CONVERGED);
        }
    }

    Scene scene;
    Stepper stepper;
    std::unique_ptr<Guard> safe;
    Point points[2];
    Point *from = &points[0], *to = &points[1];
    Point seen;  // looked at, outside of the trajectory
    std::int64_t begin, end;
};

Rollout::Rollout(const Optimizee& optimizee,
                 const ProblemData& data,
                 const Course& course,
                 const Key& steps,
                 const Key& starts,
                 std::uint64_t row0)
    : optimizee_(optimizee),
      data_(data),
      course_(course),
      steps_(steps),
      starts_(starts),
      row0_(row0),
      is_stochastic_((optimizee.info().flags & L2O_FLAG_STOCHASTIC) != 0),
      ledger_(optimizee,
              data.instances,
              {.limit = course.max_evaluations,
               .keeps_best = course.keeps_best || course.answer == Answer::kBest || course.restarts > 1 ||
                             is_population(course.first.optimizer),
               .pays_for_end = course.pays_for_end,
               .keeps_improvements = course.keeps_improvements}),
      has_paid_for_end_(static_cast<std::size_t>(data.instances)),
      goes_on_(has_paid_for_end_.size()),
      pays_now_(goes_on_.size()),
      is_lost_(goes_on_.size()),
      due_(goes_on_.size()) {
    const std::int64_t first = course.first_iterations();
    runs_.push_back(std::make_unique<Run>(course.first, optimizee, data, steps, row0, ledger_, 0, first));
    if (course.then && first < course.iterations)
        runs_.push_back(std::make_unique<Run>(
            *course.then, optimizee, data, steps, row0, ledger_, first, course.iterations));
    std::vector<Tensor> x;
    for (const l2o_spec* block : optimizee.blocks())
        x.emplace_back(optimizee.dtype(), shape_of(*block, data.instances));
    x_ = TensorSet(std::move(x));
    f_ = Tensor(optimizee.dtype(), {data.instances});
}

Rollout::~Rollout() = default;

std::int64_t Rollout::leg_t() const { return iteration_ - start_begin_ - now().begin; }

bool Rollout::has_failed(std::int64_t row) const {
    return now().stepper.row_status()[static_cast<std::size_t>(row)] == L2O_ROW_FAILED;
}

// ---- forward

void Rollout::start(const std::vector<Tensor>& x0) {
    ledger_.restart();
    iteration_ = last_moved_ = guarded_steps_ = fallbacks_ = 0;
    start_ = 0;
    is_over_ = false;
    check_starts_differ(x0);
    begin_start(x0);
    if (course_.iterations == 0) finish();
}

void Rollout::begin_start(const std::vector<Tensor>& x0) {
    leg_ = 0;
    start_begin_ = iteration_;
    start_end_ = course_.iterations * (start_ + 1) / course_.restarts;
    is_waiting_ = false;
    std::fill(has_paid_for_end_.begin(), has_paid_for_end_.end(), false);
    if (ledger_.is_limited())
        ledger_.grant(std::floor(course_.max_evaluations * double(start_ + 1) / double(course_.restarts)));
    Run& run = now();
    run.scene.key = key_of_start(steps_, start_);
    const std::int64_t particles = run.stepper.layout().particles;
    if (particles > 0) {
        const std::vector<Tensor> all =
            start_particles(optimizee_, key_of_start(starts_, start_), row0_, data_, x0, particles);
        for (std::size_t k = 0; k < all.size(); ++k) copy_values(run.from->x[k], all[k]);
    } else {
        for (std::size_t k = 0; k < x0.size(); ++k) copy_values(run.from->x[k], x0[k]);
    }
    run.from->forget();
    if (run.safe) run.safe->restart();
    run.stepper.init_state(*run.from);
    ledger_.set_answer(answer_at());
}

/// Rows that are done before the others wait for them, and all for the iteration in which every shard of the
/// batch would begin anew.
void Rollout::end_start() {
    if (start_ + 1 == course_.restarts) return finish();
    // Where a start can pay for one point alone, that is where it begins.
    pay_for_ends([&](std::int64_t row) { return ledger_.affords_end(row); });
    is_waiting_ = iteration_ < start_end_;
    if (is_waiting_) return;
    ++start_;
    begin_start(point_of_start(start_));
}

std::vector<Tensor> Rollout::point_of_start(std::int64_t n) const {
    return optimizee_.init_point(key_of_start(starts_, n), row0_, data_);
}

/// Who goes the same way again from the same points is not begun: what it would pay for is known.
void Rollout::check_starts_differ(const std::vector<Tensor>& x0) const {
    const Optimizer& optimizer = course_.first.optimizer;
    if (course_.restarts == 1 || (optimizer.info().flags & L2O_FLAG_STOCHASTIC) != 0) return;
    // The first start may be a given one.
    const std::vector<Tensor> last = point_of_start(course_.restarts - 1);
    const auto is_last = [&](const std::vector<Tensor>& x) {
        for (std::size_t k = 0; k < x.size(); ++k)
            for (std::int64_t row = 0; row < data_.instances; ++row)
                if (!is_same_row(last[k], row, x[k], row)) return false;
        return true;
    };
    if (course_.restarts == 2 ? !is_last(x0) : !is_last(point_of_start(course_.restarts - 2))) return;
    throw Error(ExitCode::kUsage,
                "there are " + std::to_string(course_.restarts) + " starts of each instance (restarts), '" +
                    optimizee_.id() + "' begins all of them in one point, and '" + optimizer.id() +
                    "' would go the same way from there again; expected a problem whose starts differ, or "
                    "one start");
}

void Rollout::step() {
    if (is_waiting_) {
        ledger_.set_iteration(++iteration_);
        if (iteration_ == start_end_) end_start();
        return;
    }
    Run& run = now();
    for (std::int64_t row = 0; row < data_.instances; ++row)
        goes_on_[static_cast<std::size_t>(row)] = !run.stepper.has_ended(row);
    if (is_stochastic_ && ledger_.keeps_best()) ledger_.age_best();
    for (std::int64_t row = 0; row < data_.instances && ledger_.is_limited(); ++row)
        ledger_.reserve(row, course_.pays_for_end ? due(row) : 0);
    const double paid_before = all_paid();
    run.advance(leg_t());
    const bool has_any_moved = hold_spent_rows();
    // A step that no row could pay for to its end is one where something was paid.
    if (!has_any_moved && all_paid() == paid_before) return end_start();
    std::swap(run.from, run.to);
    ledger_.set_iteration(++iteration_);
    if (has_any_moved) last_moved_ = iteration_;
    pay_for_ends([&](std::int64_t row) {
        return goes_on_[static_cast<std::size_t>(row)] && run.stepper.has_ended(row);
    });
    if (!has_any_moved || run.stepper.all_ended() || iteration_ == start_end_) return end_start();
    if (iteration_ == run.end) hand_over();
}

/// Of all rows together; only a limit makes anybody ask.
double Rollout::all_paid() const {
    double sum = 0;
    if (!ledger_.is_limited()) return sum;
    for (const Evaluations& row : ledger_.evaluations()) sum += row.points + row.gradients;
    return sum;
}

/// Rows that cannot pay for their step, or then for its end, stay where they are.
/// @return whether any row has moved.
bool Rollout::hold_spent_rows() {
    Run& run = now();
    const AnswerAt answer = answer_at();
    bool has_any_moved = false;
    for (std::int64_t row = 0; row < data_.instances; ++row) {
        if (!goes_on_[static_cast<std::size_t>(row)]) continue;
        const bool owes =
            answer == AnswerAt::kRecommended || (answer == AnswerAt::kIterate && run.to->paid_at(row) == 0);
        if (ledger_.is_spent(row) || (owes && !ledger_.affords_end(row))) {
            run.end_row(row);
            run.stepper.hold_row(*run.from, *run.to, row);
            continue;
        }
        has_any_moved = true;
        if (!run.safe) continue;
        ++guarded_steps_;
        if (run.safe->fell_back(row)) ++fallbacks_;
    }
    return has_any_moved;
}

void Rollout::hand_over() {
    const Run& last = now();
    ++leg_;
    ledger_.set_answer(answer_at());
    Run& next = now();
    next.from->x.copy_from(last.from->x);
    next.from->forget();
    for (std::int64_t row = 0; row < data_.instances && !is_stochastic_; ++row)
        take_known(*last.from, *next.from, row);
    next.from->settle();
    next.stepper.init_state(*next.from);
    for (std::int64_t row = 0; row < data_.instances; ++row)
        if (last.stepper.has_ended(row))
            next.stepper.end(row, last.stepper.row_status()[static_cast<std::size_t>(row)]);
}

void Rollout::finish() {
    is_over_ = true;
    pay_for_ends([](std::int64_t) { return true; });
}

/// Of the rows that end here; what is paid for may be their best, if their method evaluates anything by
/// itself.
template <class Ends>
void Rollout::pay_for_ends(Ends&& ends) {
    if (!course_.pays_for_end) return;
    bool has_any_paid = false;
    for (std::int64_t row = 0; row < data_.instances; ++row) {
        const auto r = static_cast<std::size_t>(row);
        pays_now_[r] = ends(row) && !has_failed(row) && due(row) > 0;
        if (!pays_now_[r]) continue;
        has_any_paid = true;
        ledger_.charge_end(row);
        has_paid_for_end_[r] = true;
    }
    const bool is_evaluated = evaluates(course_.first) || (leg_ > 0 && evaluates(*course_.then));
    if (!has_any_paid || !ledger_.keeps_best() || !is_evaluated) return;
    const View end = look(false);
    for (std::int64_t row = 0; row < data_.instances; ++row)
        if (pays_now_[static_cast<std::size_t>(row)]) ledger_.offer(row, end.f->value(row), *end.x, row);
}

/// What f of its answer would cost a row that stopped here.
double Rollout::due(std::int64_t row) const {
    const Run& run = now();
    const std::int64_t particles = std::max<std::int64_t>(run.stepper.layout().particles, 1);
    const AnswerAt answer = answer_at();
    const bool is_paid = has_paid_for_end_[static_cast<std::size_t>(row)] ||
                         (answer == AnswerAt::kBest && ledger_.has_best(row)) ||
                         (answer != AnswerAt::kRecommended && run.from->paid_at(row * particles) != 0);
    return is_paid ? 0 : ledger_.cost_of_value();
}

// ---- what is seen of it

AnswerAt Rollout::answer_at() const {
    if (course_.answer == Answer::kBest || course_.restarts > 1 || is_population(now().scene.optimizer))
        return AnswerAt::kBest;
    return now().stepper.recommends() ? AnswerAt::kRecommended : AnswerAt::kIterate;
}

Rollout::View Rollout::look(bool with_next) {
    Run& run = now();
    const AnswerAt answer = answer_at();
    const Point* point = &run.seen;
    const bool is_best_alone = answer == AnswerAt::kBest &&
                               std::ranges::none_of(ledger_.best_f(), [](double f) { return std::isnan(f); });
    if (answer == AnswerAt::kRecommended) {
        run.stepper.recommend(*run.from, leg_t(), run.seen.x);
        run.seen.forget();
        run.stepper.evaluate(run.seen, leg_t(), true, false, kFree);
    } else if (!is_best_alone) {
        point = &iterate(with_next);
    }
    for (std::int64_t row = 0; row < data_.instances; ++row) due_[static_cast<std::size_t>(row)] = due(row);
    if (answer == AnswerAt::kBest) return judged(best_x(*point), best_f(*point));
    return judged(point->x, point->f);
}

const TensorSet& Rollout::answers() {
    Run& run = now();
    const AnswerAt answer = answer_at();
    if (answer == AnswerAt::kIterate) return run.from->x;
    if (answer == AnswerAt::kBest) return best_x(*run.from);
    run.stepper.recommend(*run.from, leg_t(), run.seen.x);
    run.seen.forget();
    return run.seen.x;
}

const TensorSet& Rollout::states() const { return now().from->state; }

/// The iterates with their f.
const Point& Rollout::iterate(bool with_next) {
    Run& run = now();
    if (run.from->has_f) return *run.from;
    if (with_next || is_over_) {
        const bool wants_g = !is_over_ && run.scene.optimizer.reads_g() && !run.from->g.empty();
        run.stepper.evaluate(*run.from, leg_t(), true, wants_g, kFree);
        return *run.from;
    }
    run.seen.x.copy_from(run.from->x);
    run.seen.forget();
    run.stepper.evaluate(run.seen, leg_t(), true, false, kFree);
    return run.seen;
}

/// Where every row has paid for its best; a row that has paid for nothing is where it, or its first particle,
/// is.
const TensorSet& Rollout::best_x(const Point& iterates) {
    const std::int64_t particles = std::max<std::int64_t>(now().stepper.layout().particles, 1);
    for (std::int64_t row = 0; row < data_.instances; ++row) {
        const bool has_best = ledger_.has_best(row);
        const TensorSet& x = has_best ? ledger_.best_x() : iterates.x_rows;
        for (std::size_t k = 0; k < x_.size(); ++k)
            copy_row(x[k], has_best ? row : row * particles, x_[k], row);
    }
    return x_;
}

/// f there.
const Tensor& Rollout::best_f(const Point& iterates) {
    const std::int64_t particles = std::max<std::int64_t>(now().stepper.layout().particles, 1);
    with_values(
        [&](auto f) {
            using T = typename decltype(f)::value_type;
            for (std::int64_t row = 0; row < data_.instances; ++row) {
                const auto r = static_cast<std::size_t>(row);
                f[r] = static_cast<T>(ledger_.has_best(row) ? ledger_.best_f()[r]
                                                            : iterates.f_rows.value(row * particles));
            }
        },
        f_);
    return f_;
}

Rollout::View Rollout::judged(const TensorSet& x, const Tensor& f) {
    for (std::int64_t row = 0; row < data_.instances; ++row) {
        const double value = f.value(row);
        is_lost_[static_cast<std::size_t>(row)] = std::isnan(value) || (std::isinf(value) && value < 0) ||
                                                  has_failed(row) || !is_finite_row(x, row, data_.instances);
    }
    return {.x = &x, .f = &f, .is_lost = &is_lost_, .due = &due_};
}

}  // namespace l2o::framework
