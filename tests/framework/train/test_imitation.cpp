#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "framework/train/back_propagation.hpp"
#include "framework/train/imitation.hpp"
#include "framework/train/meta_optimizer.hpp"
#include "framework/weights/weights.hpp"
#include "tests/framework/config/refusal.hpp"
#include "tests/framework/store/scratch_folder.hpp"
#include "tests/framework/train/trainee.hpp"

namespace {

using namespace l2o::framework;
using namespace l2o::test;

/// 5 instances in shards of 2, 2 and 1; windows of 6, 6 and 3 steps.
Trainee pupil(const std::string& teacher,
              const OptionText& options,
              double probability,
              const Trainee::Setup& setup = {}) {
    Trainee trainee(setup);
    TrainSettings& settings = trainee.settings();
    settings.imitation = {.teacher = choice(Kind::kOptimizer, teacher, options), .probability = probability};
    settings.epochs = 4;
    settings.horizon = 15;
    settings.unroll = 6;
    settings.batch = 5;
    settings.shard_rows = 2;
    return trainee;
}

/// The imitation of a trainee's settings, for parameters of one's own.
struct Apprentice {
    Apprentice(Trainee& trainee, TensorSet start)
        : phi(std::move(start)),
          keys(trainee.keys()),
          stage(stages_of(trainee.settings(), trainee.optimizer()).front()),
          batches(0),
          gradient(gradient_like(trainee.optimizer(), phi)),
          lesson(trainee.lesson(phi, keys, stage, batches)),
          imitation(lesson) {}

    /// What is carried into step t, with the parameters as they are.
    TensorFile reach(std::int64_t t) {
        imitation.start(3);
        if (t > 0) imitation.window(0, t, 1, gradient);
        TensorFile file;
        for (const auto& [name, tensor] : imitation.carried(t)) file.tensors[name] = tensor->clone();
        return file;
    }
    /// Loss of the n steps from t on.
    double loss(const TensorFile& from, std::int64_t t, std::int64_t n) {
        imitation.start(3);
        imitation.restore(from, 3, t);
        return imitation.window(t, n, 1, gradient).loss;
    }

    TensorSet phi;
    Keys keys;
    Stage stage;
    TrainingBatches batches;
    TensorSet gradient;
    Lesson lesson;
    Imitation imitation;
};

TensorSet descent_params(const Trainee& trainee, double step) {
    TensorSet phi = trainee.initial_params();
    for (std::size_t i = 0; i < phi.size(); ++i) {
        const bool is_step = std::string(trainee.optimizer().params()[i]->name) == "log_step";
        set_values(phi[i], {is_step ? std::log(step) : 0.0});
    }
    return phi;
}

}  // namespace

TEST_CASE("the gradient of imitation is that of central differences, from the start and in the middle") {
    for (const char* teacher : {"adam", "gradient_descent"}) {
        Trainee trainee =
            pupil(teacher, {{"learning_rate", "0.02"}}, 1, {.problem = {{"n", "3"}, {"init_std", "1"}}});
        Apprentice apprentice(trainee, trainee.initial_params());
        for (const std::int64_t t : {std::int64_t{0}, std::int64_t{6}}) {
            CAPTURE(t);
            const TensorFile from = apprentice.reach(t);
            static_cast<void>(apprentice.loss(from, t, 6));
            std::vector<double> got, want;
            for (const Tensor& tensor : apprentice.gradient.tensors()) got.push_back(tensor.value(0));
            for (Tensor& tensor : apprentice.phi.tensors()) {
                double& element = tensor.values<double>()[0];
                const double kept = element, step = 1e-6 * std::max(1.0, std::abs(kept));
                element = kept + step;
                const double above = apprentice.loss(from, t, 6);
                element = kept - step;
                const double below = apprentice.loss(from, t, 6);
                element = kept;
                want.push_back((above - below) / (2 * step));
            }
            // A learned initial state counts in the first window only.
            CHECK((want[2] != 0) == (t == 0));
            CHECK(relative_error(got, want) < 1e-6);
        }
    }
}

TEST_CASE("an optimizer that makes the teacher's steps has nothing to learn from it") {
    Trainee trainee = pupil("gradient_descent", {{"learning_rate", "0.05"}}, 1);
    Apprentice same(trainee, descent_params(trainee, 0.05)), other(trainee, descent_params(trainee, 0.04));
    CHECK(same.loss(same.reach(6), 6, 6) < 1e-30);
    for (const Tensor& tensor : same.gradient.tensors()) CHECK(std::abs(tensor.value(0)) < 1e-15);
    CHECK(other.loss(other.reach(6), 6, 6) > 1e-8);
}

TEST_CASE("the loss of imitation is the mean squared difference of the steps over two, summed over time") {
    // One step of gradient descent against one of another length: difference (0.05 - 0.04) g.
    Trainee trainee =
        pupil("gradient_descent", {{"learning_rate", "0.05"}}, 1, {.optimizee = "stopping", .problem = {}});
    trainee.settings().unroll = 1;
    Apprentice apprentice(trainee, descent_params(trainee, 0.04));
    const auto x = [&](std::int64_t t) {
        std::vector<double> all;
        const TensorFile file = apprentice.reach(t);
        for (const char* shard : {"0", "1", "2"}) {
            const std::vector<double> part = values(file.at("teacher/" + std::string(shard) + "/0"));
            all.insert(all.end(), part.begin(), part.end());
        }
        return all;
    };
    const std::vector<double> one = x(1), two = x(2);
    double want = 0;
    for (std::size_t row = 0; row < 5; ++row) {
        const double difference = 0.01 / 0.05 * (two[row] - one[row]);
        want += difference * difference / 2;
    }
    CHECK(apprentice.loss(apprentice.reach(1), 1, 1) == doctest::Approx(want).epsilon(1e-12));
}

TEST_CASE("an optimizer trained by imitation alone finds the teacher's step") {
    Trainee trainee =
        pupil("gradient_descent",
              {{"learning_rate", "0.05"}},
              1,
              {.problem = {{"n", "3"}, {"init_std", "1"}}, .meta_options = {{"learning_rate", "0.1"}}});
    trainee.settings().epochs = 300;
    trainee.settings().decay = Decay::kLinear;
    trainee.settings().multipliers = {{"start", 0}, {"decay", 0}, {"f_weight", 0}};
    const ScratchFolder folder;
    write_weights(folder / "w.safetensors", trainee.optimizer(), descent_params(trainee, 0.001), {});
    trainee.settings().warm_start = folder / "w.safetensors";
    const TensorSet found = trainee.train().params;
    CHECK(std::exp(param(trainee, found, "log_step").value(0)) == doctest::Approx(0.05).epsilon(0.01));
}

TEST_CASE(
    "trajectories of imitation have a meta-optimizer of their own, and come with the given probability") {
    Trainee trainee = pupil("adam", {{"learning_rate", "0.02"}}, 0.4);
    trainee.settings().epochs = 30;
    const ScratchFolder folder;
    const TrainResult result = trainee.train({.metrics = folder / "metrics"});
    std::vector<bool> is_imitation;
    for (const auto& record : records(folder / "metrics")) is_imitation.push_back(record.at("imitation"));
    const auto count = std::count(is_imitation.begin(), is_imitation.end(), true);
    CHECK(count >= 6);
    CHECK(count <= 18);

    // The same by hand.
    TrainSettings& settings = trainee.settings();
    Apprentice apprentice(trainee, trainee.initial_params());
    BackPropagation task(apprentice.lesson);
    MetaOptimizer of_task(settings.meta_optimizer, trainee.optimizer(), apprentice.phi),
        of_imitation(settings.meta_optimizer, trainee.optimizer(), apprentice.phi);
    const std::vector<double> rates(apprentice.phi.size(), 1);
    for (std::size_t epoch = 0; epoch < 30; ++epoch) {
        Estimator& estimator = is_imitation[epoch] ? static_cast<Estimator&>(apprentice.imitation) : task;
        estimator.start(epoch);
        for (std::int64_t t = 0; t < 15; t += 6) {
            estimator.window(t, std::min<std::int64_t>(6, 15 - t), 0.2, apprentice.gradient);
            (is_imitation[epoch] ? of_imitation : of_task).step(apprentice.gradient, rates);
        }
    }
    CHECK(bytes(result.params) == bytes(apprentice.phi));
}

TEST_CASE("imitation with probability 0 changes nothing, and any number of threads gives the same bits") {
    Trainee with = pupil("adam", {}, 0), without = pupil("adam", {}, 0);
    without.settings().imitation.reset();
    CHECK(bytes(with.train().params) == bytes(without.train().params));
    Trainee half =
        pupil("adam", {}, 0.5, {.optimizer = "l2o_dm", .options = {{"hidden", "4"}}, .dtype = Dtype::kF32});
    half.settings().epochs = 8;
    CHECK(bytes(half.train({}, 1).params) == bytes(half.train({}, 2).params));
}

TEST_CASE("imitation and evolution strategies take turns") {
    Trainee trainee = pupil("adam", {}, 0.5);
    trainee.settings().estimator = EstimatorKind::kPes;
    trainee.settings().pairs = 5;
    trainee.settings().epochs = 8;
    const TrainResult result = trainee.train({}, 1);
    CHECK(result.meta_steps == 24);
    CHECK(bytes(result.params) == bytes(trainee.train({}, 2).params));
}

TEST_CASE("a population does not teach, nor learn by imitation; no more does a pupil without a derivative") {
    Trainee swarm = pupil("particle_swarm", {}, 0.5);
    CHECK(refusal([&] { swarm.train(); }) ==
          "2 test: optimizer: 'particle_swarm' is a population, of which no point is the one to imitate");
    Trainee scouts = pupil("adam", {}, 0.5, {.optimizer = "learned_scouts"});
    CHECK(refusal([&] { scouts.train(); }) ==
          "2 optimizer 'learned_scouts' is a population, and a teacher has one point alone; remove "
          "train.imitation");
    Trainee opaque = pupil("adam", {}, 0.5, {.optimizer = "learned_step"});
    opaque.settings().estimator = EstimatorKind::kEs;
    opaque.settings().pairs = 5;
    CHECK(refusal([&] { opaque.train(); }) ==
          "3 optimizer 'learned_step' has no derivative (step_vjp); it cannot learn by imitation; remove "
          "train.imitation");
}

TEST_CASE("a memory budget that does not hold a window of imitation is refused") {
    Trainee trainee = pupil("adam", {}, 1, {.optimizer = "l2o_dm", .options = {{"hidden", "4"}}});
    trainee.settings().horizon = 70;
    trainee.settings().unroll = 50;
    trainee.settings().memory_bytes = static_cast<std::uint64_t>(trainee.train().engine_bytes) / 2;
    const std::string text = refusal([&] { trainee.train(); });
    CHECK(text.find("2 imitation keeps all points of a window, and 50 steps do not fit the budget of ") == 0);
}
