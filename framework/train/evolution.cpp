#include "framework/train/evolution.hpp"

#include <algorithm>
#include <l2o/numerics/philox.hpp>
#include <utility>

#include "framework/rollout/arithmetic.hpp"
#include "framework/rollout/team.hpp"
#include "framework/train/checkpoint.hpp"

namespace l2o::framework {
namespace {

constexpr std::uint64_t kPerturbationTag = 0x657073;

/// a += factor * b
void add_scaled(Tensor& a, double factor, const Tensor& b) {
    with_values(
        [factor](auto to, auto from) {
            using T = typename decltype(to)::value_type;
            for (std::size_t i = 0; i < to.size(); ++i) to[i] += static_cast<T>(factor) * from[i];
        },
        a,
        b);
}

/// The learned parameters with values of their own, the others those of phi.
TensorSet parameters_beside(const TensorSet& phi, const TensorSet& trained) {
    std::vector<Tensor> tensors;
    for (std::size_t i = 0; i < phi.size(); ++i) {
        tensors.push_back(
            trained[i] ? phi[i].clone()
                       : Tensor::borrow(phi[i].dtype(), phi[i].shape(), const_cast<void*>(phi[i].data())));
    }
    return TensorSet(std::move(tensors));
}

std::string name_of_pair(std::size_t number, const char* part) {
    return "pairs/" + std::to_string(number) + "/" + part;
}

}  // namespace

struct Evolution::Pair {
    Pair(const Lesson& lesson, std::int64_t number)
        : row(number),
          perturbation(gradient_like(lesson.optimizer, lesson.phi, lesson.stage.rates)),
          total(gradient_like(lesson.optimizer, lesson.phi, lesson.stage.rates)),
          params(parameters_beside(lesson.phi, perturbation)),
          batches(
              lesson.settings.memory_bytes > 0
                  ? std::max<std::uint64_t>(
                        lesson.settings.memory_bytes / static_cast<std::uint64_t>(lesson.settings.pairs), 1)
                  : 0),
          shards(lesson.optimizer,
                 lesson.optimizee,
                 lesson.loss,
                 params,
                 lesson.keys,
                 {.split = Split::kTrain,
                  .batch = lesson.settings.batch / lesson.settings.pairs,
                  .row0 = number * (lesson.settings.batch / lesson.settings.pairs),
                  .shard_rows = lesson.settings.shard_rows,
                  .rates = std::vector<double>(lesson.stage.rates.size(), 0),
                  .unroll = {.horizon = lesson.stage.horizon,
                             .update_probability = lesson.settings.update_probability}},
                 1),
          plus(copies(shards.carried())),
          minus(copies(shards.carried())) {}

    /// Starts the shards on the instances of its trajectory.
    void start(const TrainSettings& settings, std::int64_t horizon) {
        const auto index = static_cast<std::uint64_t>(trajectory());
        shards.set_horizon(horizon);
        const std::uint64_t first = first_instance(index, settings) +
                                    static_cast<std::uint64_t>(row * (settings.batch / settings.pairs));
        if (settings.instances > 0) {
            batches.start(shards, index, first, 0);
            return;
        }
        if (drawn_for != trajectory()) drawn = shards.draw(first);
        drawn_for = trajectory();
        shards.start(index, drawn);
    }

    std::int64_t& trajectory() { return where.values<std::int64_t>()[0]; }
    std::int64_t& t() { return where.values<std::int64_t>()[1]; }
    std::int64_t& end() { return where.values<std::int64_t>()[2]; }

    std::int64_t row;
    TensorSet perturbation, total;  // eps, xi; empty tensors for what is not trained
    TensorSet params;               // of the run in hand
    TrainingBatches batches;
    Shards shards;
    ProblemData drawn;
    std::int64_t drawn_for = -1;  // trajectory
    Carried plus, minus;          // where the runs are; not persistent: plus is where phi has led to
    Tensor where{Dtype::kI64, {3}};
    Unroll::Window above, below;
};

Evolution::Evolution(const Lesson& lesson)
    : lesson_(lesson), is_persistent_(lesson.settings.estimator == EstimatorKind::kPes) {
    for (std::int64_t i = 0; i < lesson.settings.pairs; ++i)
        pairs_.push_back(std::make_unique<Pair>(lesson, i));
}

Evolution::~Evolution() = default;

void Evolution::begin(Pair& pair, std::uint64_t index, std::int64_t end) const {
    pair.trajectory() = static_cast<std::int64_t>(index);
    pair.t() = 0;
    pair.end() = end;
    pair.total.zero();
}

std::int64_t Evolution::start(std::uint64_t index) {
    if (is_persistent_ && has_begun_) return 0;
    for (const auto& pair : pairs_) {
        const std::int64_t horizon = lesson_.stage.horizon_of(lesson_.keys, index),
                           unroll = lesson_.stage.unroll;
        // Whole windows, evenly up to the horizon.
        const std::int64_t share =
            (horizon * (pair->row + 1) + lesson_.settings.pairs - 1) / lesson_.settings.pairs;
        const std::int64_t windows = (share + unroll - 1) / unroll;
        begin(*pair, index, is_persistent_ ? std::min(windows * unroll, horizon) : horizon);
    }
    has_begun_ = true;
    return 0;
}

void Evolution::draw_perturbation(Pair& pair) const {
    const auto trajectory = static_cast<std::uint64_t>(pair.trajectory());
    const Key key =
        numerics::derive_key(numerics::derive_key(lesson_.keys.train_steps, kPerturbationTag, trajectory),
                             kPerturbationTag,
                             static_cast<std::uint64_t>(pair.t()));
    for (std::size_t i = 0; i < pair.perturbation.size(); ++i) {
        if (!pair.perturbation[i]) continue;
        numerics::Stream random(key, static_cast<std::uint64_t>(pair.row), static_cast<std::uint32_t>(i));
        with_values(
            [&](auto epsilon) {
                using T = typename decltype(epsilon)::value_type;
                for (T& element : epsilon) element = static_cast<T>(lesson_.settings.sigma * random.normal());
            },
            pair.perturbation[i]);
        if (!is_persistent_) pair.total[i].zero();
        add(pair.total[i], pair.perturbation[i]);
    }
}

/// One window of a pair: forward with phi + eps and phi - eps, and on with phi if the pair is not persistent.
void Evolution::run(Pair& pair, std::int64_t n) const {
    n = std::min(n, pair.end() - pair.t());
    const auto set_out = [&](double sign, const Carried& from) {
        for (std::size_t i = 0; i < pair.params.size(); ++i) {
            if (!pair.perturbation[i]) continue;
            copy_values(pair.params[i], lesson_.phi[i]);
            add_scaled(pair.params[i], sign, pair.perturbation[i]);
        }
        if (pair.t() > 0)
            pair.shards.restore(pair.t(), pointers(from));
        else
            pair.start(lesson_.settings,
                       lesson_.stage.horizon_of(lesson_.keys, static_cast<std::uint64_t>(pair.trajectory())));
    };
    draw_perturbation(pair);
    set_out(1, pair.plus);
    pair.above = pair.shards.score(n);
    if (is_persistent_) pair.plus = copies(pair.shards.carried());
    set_out(-1, is_persistent_ ? pair.minus : pair.plus);
    pair.below = pair.shards.score(n);
    if (is_persistent_) {
        pair.minus = copies(pair.shards.carried());
    } else if (pair.t() + n < pair.end() && pair.above.is_finite && pair.below.is_finite) {
        set_out(0, pair.plus);
        pair.below.is_finite = pair.shards.advance(n);
        pair.plus = copies(pair.shards.carried());
    }
    pair.t() += n;
}

Unroll::Window Evolution::window(std::int64_t /*t*/, std::int64_t n, double cot, TensorSet& gradient) {
    Team(lesson_.threads).each(static_cast<std::int64_t>(pairs_.size()), [&](std::int64_t i) {
        run(*pairs_[static_cast<std::size_t>(i)], n);
    });
    Unroll::Window sum;
    gradient.zero();
    for (const auto& pair : pairs_) {
        const double slope = cot * (pair->above.loss - pair->below.loss) /
                             (2 * lesson_.settings.sigma * lesson_.settings.sigma);
        for (std::size_t i = 0; i < gradient.size(); ++i) {
            if (gradient[i]) add_scaled(gradient[i], slope, pair->total[i]);
        }
        sum.loss += (pair->above.loss + pair->below.loss) / 2;
        for (const Unroll::Window* window : {&pair->above, &pair->below}) {
            sum.is_finite = sum.is_finite && window->is_finite;
            sum.is_unsolved = sum.is_unsolved || window->is_unsolved;
            if (sum.diverged.empty()) sum.diverged = window->diverged;
        }
        const bool diverged = !pair->above.is_finite || !pair->below.is_finite;
        if (is_persistent_ && (diverged || pair->t() >= pair->end())) {
            const auto next = static_cast<std::uint64_t>(pair->trajectory()) + 1;
            begin(*pair, next, lesson_.stage.horizon_of(lesson_.keys, next));
        }
    }
    return sum;
}

TensorRefs Evolution::carried(std::int64_t t) const {
    TensorRefs out;
    if (!has_begun_ || (!is_persistent_ && t == 0)) return out;
    for (std::size_t number = 0; number < pairs_.size(); ++number) {
        const Pair& pair = *pairs_[number];
        out[name_of_pair(number, "where")] = &pair.where;
        out.merge(by_name(name_of_pair(number, "plus"), pointers(pair.plus)));
        if (!is_persistent_) continue;
        out.merge(by_name(name_of_pair(number, "minus"), pointers(pair.minus)));
        for (std::size_t i = 0; i < pair.total.size(); ++i) {
            if (pair.total[i]) out[name_of_pair(number, "total/") + std::to_string(i)] = &pair.total[i];
        }
    }
    return out;
}

void Evolution::restore(const TensorFile& file, std::uint64_t /*index*/, std::int64_t t) {
    // Nothing was carried before the first window of a stage, or between two trajectories.
    if (t == 0 && !file.tensors.contains(name_of_pair(0, "where"))) return;
    has_begun_ = true;
    for (std::size_t number = 0; number < pairs_.size(); ++number) {
        Pair& pair = *pairs_[number];
        take(file, name_of_pair(number, "where"), pair.where);
        if (pair.trajectory() < 0 || pair.t() < 0 || pair.t() > pair.end() ||
            pair.end() > lesson_.stage.horizon)
            throw damaged(file.path,
                          "a training is never at " + name_of_pair(number, "where") + " = [" +
                              std::to_string(pair.trajectory()) + ", " + std::to_string(pair.t()) + ", " +
                              std::to_string(pair.end()) + "]");
        for (std::size_t i = 0; is_persistent_ && i < pair.total.size(); ++i) {
            if (pair.total[i]) take(file, name_of_pair(number, "total/") + std::to_string(i), pair.total[i]);
        }
        if (pair.t() == 0) continue;
        pair.start(lesson_.settings,
                   lesson_.stage.horizon_of(lesson_.keys, static_cast<std::uint64_t>(pair.trajectory())));
        pair.plus = copies(read_by_name(file, name_of_pair(number, "plus"), pair.shards.carried()));
        if (is_persistent_)
            pair.minus = copies(read_by_name(file, name_of_pair(number, "minus"), pair.shards.carried()));
    }
}

double Evolution::paid() const { return paid_by_shards(pairs_); }

std::int64_t Evolution::bytes() const { return bytes_of_shards(pairs_); }

}  // namespace l2o::framework
