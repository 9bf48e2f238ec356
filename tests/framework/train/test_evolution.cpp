#include <doctest/doctest.h>

#include <cmath>

#include "framework/train/back_propagation.hpp"
#include "framework/train/evolution.hpp"
#include "framework/train/stages.hpp"
#include "tests/framework/config/refusal.hpp"
#include "tests/framework/train/trainee.hpp"

namespace {

using namespace l2o::framework;
using namespace l2o::test;

/// Mean of samples of a vector, and the standard errors of its elements.
class Mean {
  public:
    void add(const std::vector<double>& sample) {
        sum_.resize(sample.size());
        squares_.resize(sample.size());
        ++count_;
        for (std::size_t i = 0; i < sample.size(); ++i) {
            sum_[i] += sample[i];
            squares_[i] += sample[i] * sample[i];
        }
    }
    [[nodiscard]] std::size_t size() const { return sum_.size(); }
    [[nodiscard]] double mean(std::size_t i) const { return sum_[i] / count_; }
    [[nodiscard]] double error(std::size_t i) const {
        return std::sqrt((squares_[i] / count_ - mean(i) * mean(i)) / (count_ - 1));
    }

  private:
    double count_ = 0;
    std::vector<double> sum_, squares_;
};

std::vector<double> flat(const TensorSet& set) {
    std::vector<double> out;
    for (const Tensor& tensor : set.tensors()) {
        if (!tensor) continue;
        const std::vector<double> part = values(tensor);
        out.insert(out.end(), part.begin(), part.end());
    }
    return out;
}

/// Both estimators of a trainee's gradient, on the same trajectories.
struct Estimators {
    explicit Estimators(Trainee& trainee, TensorSet start)
        : phi(std::move(start)),
          keys(trainee.keys()),
          stage(stages_of(trainee.settings(), trainee.optimizer()).front()),
          batches(0),
          gradient(gradient_like(trainee.optimizer(), phi, stage.rates)),
          lesson(trainee.lesson(phi, keys, stage, batches)),
          evolution(lesson),
          back(lesson) {}

    /// The sum of the gradients of all windows of a trajectory, the parameters standing still.
    std::vector<double> of_trajectory(Estimator& estimator, std::uint64_t index) {
        std::vector<double> sum(flat(gradient).size());
        estimator.start(index);
        for (std::int64_t t = 0; t < stage.horizon; t += stage.unroll) {
            estimator.window(t, stage.unroll, 1, gradient);
            const std::vector<double> part = flat(gradient);
            for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += part[i];
        }
        return sum;
    }

    TensorSet phi;
    Keys keys;
    Stage stage;
    TrainingBatches batches;
    TensorSet gradient;
    Lesson lesson;
    Evolution evolution;
    BackPropagation back;
};

/// Gradient descent on f = w x^2 / 2, of which only the logarithm of its step is learned.
Trainee descent(EstimatorKind kind) {
    Trainee trainee({.optimizee = "stopping", .problem = {}});
    TrainSettings& settings = trainee.settings();
    settings.estimator = kind;
    settings.sigma = 1e-4;
    settings.pairs = 1;
    settings.batch = 4;
    settings.horizon = 8;
    settings.unroll = 2;
    settings.multipliers = {{"decay", 0}, {"start", 0}, {"f_weight", 0}};
    return trainee;
}
constexpr double kStep = 0.2;
TensorSet descent_params(const Trainee& trainee) {
    TensorSet phi = trainee.initial_params();
    for (std::size_t i = 0; i < phi.size(); ++i) {
        const bool is_step = std::string(trainee.optimizer().params()[i]->name) == "log_step";
        set_values(phi[i], {is_step ? std::log(kStep) : 0.0});
    }
    return phi;
}

/// d/d(log step) of the sum of f over a trajectory of x_{t+1} = (1 - step w) x_t, summed over the batch; in
/// windows: what each window does to later ones is left out.
double slope_of_descent(const Trainee& trainee,
                        Estimators& estimators,
                        std::uint64_t index,
                        std::int64_t window) {
    const std::int64_t batch = 4, horizon = 8;
    const std::vector<double> w =
        values(trainee.optimizee()
                   .sample(estimators.keys.train_data, Split::kTrain, index * 4, batch, false)
                   .tensors[0]);
    estimators.back.start(index);
    const std::vector<double> x0 = values(*estimators.back.carried(1).at("carried/0/0"));
    double slope = 0;
    for (std::size_t row = 0; row < w.size(); ++row) {
        const double factor = 1 - kStep * w[row];
        double x = x0[row];
        for (std::int64_t first = 0; first < horizon; first += window) {
            double at = x;
            for (std::int64_t j = 1; j <= window; ++j) {
                const double slope_of_x = -static_cast<double>(j) * kStep * w[row] * at;
                at *= factor;
                slope += w[row] * at * slope_of_x;
            }
            x = at;
        }
    }
    return slope;
}

Trainee momentum(EstimatorKind kind) {
    Trainee trainee({.problem = {{"n", "3"}}});
    TrainSettings& settings = trainee.settings();
    settings.estimator = kind;
    settings.second_order = SecondOrder::kExact;  // evolution strategies see all paths
    settings.sigma = 1e-4;
    settings.pairs = 4;
    settings.batch = 8;
    settings.shard_rows = 8;
    settings.horizon = 12;
    settings.unroll = 3;
    return trainee;
}

}  // namespace

TEST_CASE("the evolution strategy's gradient is the back-propagated one in the mean, window by window") {
    Trainee trainee = momentum(EstimatorKind::kEs);
    Estimators estimators(trainee, trainee.initial_params());
    Mean difference, back;
    for (std::uint64_t k = 0; k < 400; ++k) {
        const std::vector<double> want = estimators.of_trajectory(estimators.back, k);
        std::vector<double> got = estimators.of_trajectory(estimators.evolution, k);
        for (std::size_t i = 0; i < got.size(); ++i) got[i] -= want[i];
        difference.add(got);
        back.add(want);
    }
    double norm = 0, error = 0;
    for (std::size_t i = 0; i < difference.size(); ++i) {
        CAPTURE(i);
        CHECK(std::abs(difference.mean(i)) < 4 * difference.error(i));
        norm = std::hypot(norm, back.mean(i));
        error = std::hypot(error, difference.error(i));
    }
    MESSAGE("relative standard error " << error / norm);
    CHECK(error < 0.1 * norm);
}

TEST_CASE("persistent evolution strategies are unbiased where the truncated gradient is biased") {
    const auto measure = [](EstimatorKind kind, std::int64_t window, Mean& difference) {
        Trainee trainee = descent(kind);
        Estimators estimators(trainee, descent_params(trainee));
        for (std::uint64_t k = 0; k < 3000; ++k) {
            const double want = slope_of_descent(trainee, estimators, k, window);
            difference.add({(estimators.of_trajectory(estimators.evolution, k)[0] - want) / 4});
        }
    };
    Mean es_to_windows, es_to_whole, pes_to_whole;
    measure(EstimatorKind::kEs, 2, es_to_windows);
    measure(EstimatorKind::kEs, 8, es_to_whole);
    measure(EstimatorKind::kPes, 8, pes_to_whole);
    MESSAGE("es - windows " << es_to_windows.mean(0) << " +- " << es_to_windows.error(0) << ", es - whole "
                            << es_to_whole.mean(0) << " +- " << es_to_whole.error(0) << ", pes - whole "
                            << pes_to_whole.mean(0) << " +- " << pes_to_whole.error(0));
    CHECK(std::abs(es_to_windows.mean(0)) < 4 * es_to_windows.error(0));
    CHECK(std::abs(pes_to_whole.mean(0)) < 4 * pes_to_whole.error(0));
    CHECK(std::abs(es_to_whole.mean(0)) > 10 * es_to_whole.error(0));
    CHECK(std::abs(es_to_whole.mean(0)) > 10 * pes_to_whole.error(0));
}

TEST_CASE("the slope that the bias is measured with is that of back-propagation") {
    Trainee trainee = descent(EstimatorKind::kEs);
    trainee.settings().second_order = SecondOrder::kExact;
    Estimators windows(trainee, descent_params(trainee));
    trainee.settings().unroll = 8;
    Estimators whole(trainee, descent_params(trainee));
    CHECK(windows.of_trajectory(windows.back, 3)[0] ==
          doctest::Approx(slope_of_descent(trainee, windows, 3, 2)).epsilon(1e-10));
    CHECK(whole.of_trajectory(whole.back, 3)[0] ==
          doctest::Approx(slope_of_descent(trainee, whole, 3, 8)).epsilon(1e-10));
}

TEST_CASE("the pairs see the batch that back-propagation sees") {
    Trainee trainee = momentum(EstimatorKind::kEs);
    trainee.settings().sigma = 1e-7;
    Estimators estimators(trainee, trainee.initial_params());
    for (const std::uint64_t index : {std::uint64_t{0}, std::uint64_t{5}}) {
        estimators.back.start(index);
        estimators.evolution.start(index);
        for (std::int64_t t = 0; t < 12; t += 3) {
            const Unroll::Window want = estimators.back.window(t, 3, 1, estimators.gradient);
            const Unroll::Window got = estimators.evolution.window(t, 3, 1, estimators.gradient);
            CHECK(got.loss == doctest::Approx(want.loss).epsilon(1e-9));
        }
    }
}

TEST_CASE("persistent pairs are in different phases, and start their next trajectory by themselves") {
    Trainee trainee = momentum(EstimatorKind::kPes);
    Estimators estimators(trainee, trainee.initial_params());
    estimators.evolution.start(7);
    std::vector<std::vector<std::int64_t>> found;
    for (int window = 0; window < 2; ++window) {
        estimators.evolution.window(0, 3, 1, estimators.gradient);
        for (int pair = 0; pair < 4; ++pair) {
            const TensorRefs carried = estimators.evolution.carried(0);
            const auto at = carried.at("pairs/" + std::to_string(pair) + "/where")->values<std::int64_t>();
            found.emplace_back(at.begin(), at.end());
        }
    }
    // Trajectory, step, end.
    CHECK(found ==
          std::vector<std::vector<std::int64_t>>{
              {8, 0, 12}, {7, 3, 6}, {7, 3, 9}, {7, 3, 12}, {8, 3, 12}, {8, 0, 12}, {7, 6, 9}, {7, 6, 12}});
}

TEST_CASE("an optimizer without a derivative is trained by evolution strategies") {
    for (const EstimatorKind kind : {EstimatorKind::kEs, EstimatorKind::kPes}) {
        Trainee trainee({.optimizer = "learned_step", .meta_options = {{"learning_rate", "0.05"}}});
        TrainSettings& settings = trainee.settings();
        settings.estimator = kind;
        settings.pairs = 8;
        settings.epochs = 20;
        settings.horizon = 20;
        settings.unroll = 10;
        settings.batch = 16;
        settings.validate_every = 5;
        settings.validate_instances = 32;
        const double before = trainee.validation_loss(trainee.initial_params());
        const TrainResult result = trainee.train();
        MESSAGE("validation loss " << before << " -> " << result.best_validation);
        CHECK(result.meta_steps == 40);
        CHECK(result.best_validation < 0.8 * before);
    }
}

TEST_CASE("evolution strategies give the same bits for any number of threads, in single precision too") {
    for (const Dtype dtype : {Dtype::kF32, Dtype::kF64}) {
        for (const EstimatorKind kind : {EstimatorKind::kEs, EstimatorKind::kPes}) {
            Trainee trainee({.optimizer = "l2o_dm", .options = {{"hidden", "4"}}, .dtype = dtype});
            TrainSettings& settings = trainee.settings();
            settings.estimator = kind;
            settings.pairs = 3;
            settings.epochs = 3;
            settings.horizon = 25;
            settings.unroll = 10;
            settings.batch = 9;
            settings.shard_rows = 2;
            const TrainResult one = trainee.train({}, 1), two = trainee.train({}, 2);
            CHECK(one.meta_steps == 9);
            CHECK(bytes(one.params) == bytes(two.params));
            CHECK(bytes(one.params) != bytes(trainee.initial_params()));
        }
    }
}

TEST_CASE("a pair that diverges costs its window, and starts again") {
    for (const EstimatorKind kind : {EstimatorKind::kEs, EstimatorKind::kPes}) {
        Trainee trainee({.options = {{"gives_up_at", "7"}}});
        TrainSettings& settings = trainee.settings();
        settings.estimator = kind;
        settings.pairs = 4;
        settings.epochs = 4;
        settings.horizon = 20;
        settings.unroll = 5;
        settings.batch = 4;
        const TrainResult result = trainee.train();
        CHECK(result.skipped == 4);
        // Persistent pairs that were left are in another phase from then on.
        CHECK(result.meta_steps == (kind == EstimatorKind::kEs ? 4 : 1));
        for (const Tensor& tensor : result.params.tensors()) CHECK(std::isfinite(tensor.value(0)));
    }
}

TEST_CASE("pairs that do not divide the batch are refused") {
    Trainee trainee = momentum(EstimatorKind::kPes);
    trainee.settings().pairs = 3;
    CHECK(refusal([&] { trainee.train(); }) ==
          "2 train.evolution.pairs is 3; expected a divisor of train.batch, 8");
}
