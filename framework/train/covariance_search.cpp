#include "framework/train/covariance_search.hpp"

#include <cmath>
#include <l2o/numerics/philox.hpp>
#include <string>

#include "framework/error.hpp"
#include "framework/rollout/arithmetic.hpp"
#include "framework/rollout/team.hpp"
#include "framework/train/checkpoint.hpp"
#include "framework/train/shards.hpp"

namespace l2o::framework {
namespace {

constexpr std::uint64_t kCandidateTag = 0x636d61;
constexpr const char* kSearch = "search";

/// That a stage trains.
std::int64_t numbers_of(const Optimizer& optimizer, const Stage& stage) {
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < optimizer.params().size(); ++i) {
        const l2o_spec& spec = *optimizer.params()[i];
        if (has(spec, L2O_SPEC_DERIVED) || stage.rates[i] == 0) continue;
        sum += element_count(Shape(spec.shape, spec.shape + spec.ndim));
    }
    return sum;
}

}  // namespace

void CovarianceSearch::check(const Optimizer& optimizer, const Stage& stage) {
    if (!stage.has_one_window())
        throw Error(ExitCode::kUsage,
                    "train.unroll is " + std::to_string(stage.unroll) + " and train.horizon " +
                        std::to_string(stage.horizon) +
                        ": estimator cma_es compares whole trajectories; set unroll to the horizon, or use "
                        "estimator pes");
    const std::int64_t numbers = numbers_of(optimizer, stage);
    if (numbers > kMostNumbers)
        throw Error(ExitCode::kUsage,
                    "'" + optimizer.id() + "' has " + std::to_string(numbers) +
                        " numbers to train; expected at most " + std::to_string(kMostNumbers) +
                        " with estimator cma_es; use es or pes");
}

struct CovarianceSearch::Candidate {
    explicit Candidate(const Lesson& lesson)
        : params(clone(lesson.phi)),
          shards(lesson.optimizer,
                 lesson.optimizee,
                 lesson.loss,
                 params,
                 lesson.keys,
                 {.split = Split::kTrain,
                  .batch = lesson.settings.batch,
                  .shard_rows = lesson.settings.shard_rows,
                  .rates = std::vector<double>(lesson.stage.rates.size(), 0),
                  .unroll = {.horizon = lesson.stage.horizon,
                             .update_probability = lesson.settings.update_probability}},
                 1) {}

    TensorSet params;
    Shards shards;
    Unroll::Window window;
};

CovarianceSearch::CovarianceSearch(const Lesson& lesson)
    : lesson_(lesson),
      mean_(gradient_like(lesson.optimizer, lesson.phi, lesson.stage.rates)),
      cma_(numbers_of(lesson.optimizer, lesson.stage),
           lesson.settings.population > 0
               ? lesson.settings.population
               : numerics::Cma::default_lambda(numbers_of(lesson.optimizer, lesson.stage))),
      search_(Dtype::kF64, {cma_.state_size()}),
      draws_(cma_.lambda(), cma_.size()) {
    for (std::int64_t i = 0; i < cma_.lambda(); ++i)
        candidates_.push_back(std::make_unique<Candidate>(lesson));
}

CovarianceSearch::~CovarianceSearch() = default;

std::int64_t CovarianceSearch::start(std::uint64_t index) {
    if (!has_begun_) {
        std::vector<double> at;
        for (std::size_t i = 0; i < mean_.size(); ++i) {
            if (!mean_[i]) continue;
            with_values(
                [&](auto phi) {
                    for (const auto value : phi) at.push_back(double(value) / lesson_.stage.rates[i]);
                },
                lesson_.phi[i]);
        }
        cma_.start(search_.values<double>().data(), at.data(), lesson_.settings.sigma);
        has_begun_ = true;
    }
    trajectory_ = index;
    drawn_ = candidates_.front()->shards.draw(first_instance(index, lesson_.settings));
    return 0;
}

void CovarianceSearch::set_params(TensorSet& params, const std::vector<double>& coordinates) const {
    std::size_t next = 0;
    for (std::size_t i = 0; i < mean_.size(); ++i) {
        if (!mean_[i]) continue;
        with_values(
            [&](auto values) {
                using T = typename decltype(values)::value_type;
                for (T& value : values) value = static_cast<T>(coordinates[next++] * lesson_.stage.rates[i]);
            },
            params[i]);
    }
}

void CovarianceSearch::run(Candidate& candidate, std::int64_t number) const {
    const double* search = search_.values<double>().data();
    std::vector<double> at(numerics::Cma::mean(search), numerics::Cma::mean(search) + cma_.size());
    for (std::size_t j = 0; j < at.size(); ++j)
        at[j] += numerics::Cma::sigma(search) * draws_(number, static_cast<std::int64_t>(j));
    for (std::size_t i = 0; i < mean_.size(); ++i)
        if (!mean_[i]) copy_values(candidate.params[i], lesson_.phi[i]);
    set_params(candidate.params, at);
    const std::int64_t horizon = lesson_.stage.horizon_of(lesson_.keys, trajectory_);
    candidate.shards.set_horizon(horizon);
    candidate.shards.start(trajectory_, drawn_);
    candidate.window = candidate.shards.score(horizon);
}

Unroll::Window CovarianceSearch::window(std::int64_t /*t*/,
                                        std::int64_t /*n*/,
                                        double /*cot*/,
                                        TensorSet& gradient) {
    gradient.zero();
    double* search = search_.values<double>().data();
    const Key key = numerics::derive_key(lesson_.keys.train_steps, kCandidateTag, trajectory_);
    for (std::int64_t i = 0; i < cma_.lambda(); ++i) {
        numerics::Stream random(key, static_cast<std::uint64_t>(i));
        cma_.draw(
            search, [&] { return random.normal(); }, draws_.row(i).data());
    }
    Team(lesson_.threads).each(cma_.lambda(), [&](std::int64_t i) {
        run(*candidates_[static_cast<std::size_t>(i)], i);
    });
    Unroll::Window sum;
    std::vector<double> losses;
    double finite = 0;
    for (const auto& candidate : candidates_) {
        const Unroll::Window& window = candidate->window;
        losses.push_back(window.is_finite ? window.loss : NAN);
        sum.is_unsolved = sum.is_unsolved || window.is_unsolved;
        if (sum.diverged.empty()) sum.diverged = window.diverged;
        if (!window.is_finite) continue;
        ++finite;
        sum.loss += window.loss;
    }
    sum.is_finite = finite > 0 && !sum.is_unsolved;
    if (!sum.is_finite) return sum;
    sum.loss /= finite;
    cma_.tell(search, losses, draws_);
    set_params(mean_, {numerics::Cma::mean(search), numerics::Cma::mean(search) + cma_.size()});
    return sum;
}

TensorRefs CovarianceSearch::carried(std::int64_t /*t*/) const {
    return has_begun_ ? TensorRefs{{kSearch, &search_}} : TensorRefs{};
}

void CovarianceSearch::restore(const TensorFile& file, std::uint64_t /*index*/, std::int64_t /*t*/) {
    has_begun_ = file.tensors.contains(kSearch);
    if (has_begun_) take(file, kSearch, search_);
}

double CovarianceSearch::paid() const { return paid_by_shards(candidates_); }

std::int64_t CovarianceSearch::bytes() const { return bytes_of_shards(candidates_); }

}  // namespace l2o::framework
