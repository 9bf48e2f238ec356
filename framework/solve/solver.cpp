#include "framework/solve/solver.hpp"

#include <algorithm>
#include <cstring>
#include <optional>

#include "framework/config/suggest.hpp"
#include "framework/error.hpp"
#include "framework/experiment/experiment.hpp"
#include "framework/experiment/weights.hpp"
#include "framework/float_control.hpp"
#include "framework/safeguard/safe_steps.hpp"
#include "framework/solve/problem_file.hpp"
#include "framework/store/paths.hpp"
#include "framework/unroll/arithmetic.hpp"

namespace l2o::framework {
namespace {

constexpr std::int64_t kDefaultIterations = 100;

[[noreturn]] void refuse(const std::string& text) { throw Error(ExitCode::kUsage, "solver: " + text); }

std::vector<SettingText> settings_of(const std::map<std::string, std::string>& texts) {
    return settings_from(texts, {.file = "solver", .folder = working_folder(), .is_override = true});
}

OptionContext context_of(const Catalog::Entry& entry, const std::string& path) {
    return {.origin = "solver", .path = path, .kind = name_of(Kind::kOptimizer), .id = entry.component.id};
}

/// Row r of the result is row r mod B of `from`.
Tensor repeated_rows(const Tensor& from, std::int64_t rows) {
    Shape shape = from.shape();
    const std::int64_t given = shape[0];
    shape[0] = rows;
    Tensor to(from.dtype(), shape);
    const auto bytes = static_cast<std::size_t>(from.bytes() / std::max<std::int64_t>(given, 1));
    for (std::int64_t r = 0; r < rows && given > 0; ++r) {
        std::memcpy(static_cast<std::byte*>(to.data()) + static_cast<std::size_t>(r) * bytes,
                    static_cast<const std::byte*>(from.data()) + static_cast<std::size_t>(r % given) * bytes,
                    bytes);
    }
    return to;
}

/// Puts what the optimizer recommends in the place of the last iterate.
void report_recommended(Stepper& stepper, Point& point, const Point& spare, std::int64_t t) {
    if (!stepper.recommends()) return;
    stepper.recommend(point, t, spare.x);
    point.x.copy_from(spare.x);
    point.forget();
}

}  // namespace

/// Immutable, shared by solvers.
struct Solver::Model {
    explicit Model(const SolverSettings& settings)
        : batch(settings.batch),
          keys(keys_of(settings.seed)),
          catalog(plugin_search_path(settings.plugin_folders)) {
        if (settings.problem.empty()) refuse("'problem' is missing; expected a .safetensors file");
        if (batch < 1) refuse("'batch' is " + std::to_string(batch) + "; expected a whole number >= 1");
        problem = read_problem(catalog, settings.problem);
        const std::string id = settings.optimizer.empty() && !settings.weights.empty()
                                   ? weight_optimizer(settings.weights)
                                   : settings.optimizer;
        if (id.empty()) refuse("neither 'optimizer' nor 'weights' is given; expected one of them");
        const Catalog::Entry& entry = catalog.find(Kind::kOptimizer, id);
        std::vector<SettingText> options;
        if (!settings.weights.empty()) options = weight_options(settings.weights, id);
        for (SettingText& setting : settings_of(settings.options)) options.push_back(std::move(setting));
        const Task task = task_of(*problem.optimizee, settings.iterations);
        optimizer = std::make_unique<const Optimizer>(
            entry, resolve_options(entry.component.options, options, context_of(entry, "options")), task);
        if (settings.weights.empty() && entry.component.has_tag("learned"))
            refuse("'" + id + "' is learned; expected 'weights', which `l2o train` writes");
        if (optimizer->info().particles > 0)
            refuse("'" + id + "' is a population, which `l2o solve` handles; expected another optimizer");
        if (settings.weights.empty()) {
            params = TensorSet(optimizer->init_params(keys.init_params, problem.data));
        } else {
            const TensorFile file = read_safetensors(settings.weights);
            params = read_weights(file, *optimizer, keys.init_params, problem.data, problem.optimizee.get());
            notes = weight_notes(file, known_builds(catalog), *optimizer, *problem.optimizee, problem.data);
        }
        bind_iterations(settings, task);
        if (!settings.safeguard.empty()) bind_safeguard(settings, task);
    }

    void bind_iterations(const SolverSettings& settings, const Task& task) {
        if (settings.iterations < 0)
            refuse("'iterations' is " + std::to_string(settings.iterations) +
                   "; expected a whole number >= 0");
        const std::int64_t layers = optimizer->info().max_steps;
        iterations = settings.iterations > 0 ? settings.iterations : layers > 0 ? layers : kDefaultIterations;
        first_leg = layers > 0 ? std::min(layers, iterations) : iterations;
        if (first_leg == iterations) return;
        if (settings.continue_with.empty())
            refuse("'iterations' is " + std::to_string(iterations) + ", but '" + optimizer->id() + "' has " +
                   std::to_string(layers) + " layers; expected at most as many, or 'continue_with'");
        const Catalog::Entry& entry = catalog.find(Kind::kOptimizer, settings.continue_with);
        continue_with = std::make_unique<const Optimizer>(
            entry, resolve_options(entry.component.options, {}, context_of(entry, "continue_with")), task);
        if (entry.component.has_tag("learned") || continue_with->info().particles > 0 ||
            (continue_with->info().flags & L2O_OPTIMIZER_STARTS_AT_ZERO) != 0)
            refuse("continue_with: '" + continue_with->id() +
                   "' cannot take over; expected a classic optimizer, such as 'fista'");
        continue_params = TensorSet(continue_with->init_params(keys.init_params, problem.data));
    }

    void bind_safeguard(const SolverSettings& settings, const Task& task) {
        const Catalog::Entry& entry = catalog.find(Kind::kOptimizer, settings.safeguard);
        const SafeguardChoice choice = safeguard_choice(
            entry, settings_of(settings.safeguard_options), context_of(entry, "safeguard_options"));
        classic = std::make_unique<const Optimizer>(entry, choice.classic.resolve(), task);
        check_safeguard(*optimizer, *classic, *problem.optimizee, "solver: safeguard");
        classic_params = TensorSet(classic->init_params(keys.init_params, problem.data));
        rule = choice.rule;
    }

    const std::int64_t batch;
    const Keys keys;
    const Catalog catalog;
    ProblemFile problem;
    std::unique_ptr<const Optimizer> optimizer, classic, continue_with;
    TensorSet params, classic_params, continue_params;
    SafeguardRule rule;
    std::int64_t iterations = 0, first_leg = 0;
    std::vector<std::string> notes;  // on the weights
};

/// What one solver writes to.
struct Solver::State {
    explicit State(const Model& model)
        : data(own_data(model)),
          start(own_start(model, data)),
          scene{*model.optimizer, *model.problem.optimizee, data, model.params, model.keys.test_steps, 0},
          stepper(scene) {
        PointParts parts = stepper.parts();
        parts.f = true;
        for (Point* point : {&from, &to}) *point = Point(stepper.layout(), parts);
        if (model.classic)
            safe.emplace(stepper, scene, Safeguard{*model.classic, model.classic_params, model.rule});
        if (!model.continue_with) return;
        continue_scene.emplace(Scene{*model.continue_with,
                                     *model.problem.optimizee,
                                     data,
                                     model.continue_params,
                                     model.keys.test_steps,
                                     0});
        continue_stepper.emplace(*continue_scene);
        PointParts continue_parts = continue_stepper->parts();
        continue_parts.f = true;
        for (Point* point : {&continue_from, &continue_to})
            *point = Point(continue_stepper->layout(), continue_parts);
    }

    static ProblemData own_data(const Model& model) {
        const ProblemData& given = model.problem.data;
        ProblemData data{.instances = model.batch, .tensors = {}};
        for (std::size_t i = 0; i < given.tensors.size(); ++i) {
            const Tensor& tensor = given.tensors[i];
            const l2o_spec& spec = *model.problem.optimizee->data()[i];
            if (!tensor || has(spec, L2O_SPEC_SOLUTION)) {
                data.tensors.emplace_back();
            } else if (has(spec, L2O_SPEC_BATCHED)) {
                data.tensors.push_back(repeated_rows(tensor, model.batch));
            } else {
                data.tensors.push_back(
                    Tensor::borrow(tensor.dtype(), tensor.shape(), const_cast<void*>(tensor.data())));
            }
        }
        return data;
    }
    static std::vector<Tensor> own_start(const Model& model, const ProblemData& data) {
        if (!model.problem.x0) return model.problem.optimizee->init_point(model.keys.test_start, 0, data);
        std::vector<Tensor> start;
        for (const Tensor& block : split_blocks(model.problem.x0, *model.problem.optimizee))
            start.push_back(repeated_rows(block, model.batch));
        return start;
    }

    /// The point that the next solve, or the last one, ended at.
    Point& end() { return ended_behind_layers ? continue_from : from; }

    ProblemData data;
    std::vector<Tensor> start;
    Scene scene;
    Stepper stepper;
    std::optional<SafeSteps> safe;
    Point from, to;
    std::optional<Scene> continue_scene;
    std::optional<Stepper> continue_stepper;
    Point continue_from, continue_to;
    bool ended_behind_layers = false;
    double fallback_rate = 0;
};

Solver::Solver(const SolverSettings& settings)
    : Solver((StandardFloat(), std::make_shared<const Model>(settings))) {}
Solver::Solver(std::shared_ptr<const Model> model)
    : model_(std::move(model)), state_((StandardFloat(), std::make_unique<State>(*model_))) {}
Solver::Solver(Solver&&) noexcept = default;
Solver& Solver::operator=(Solver&&) noexcept = default;
Solver::~Solver() = default;

Solver Solver::another() const { return Solver(model_); }

Tensor& Solver::input(const std::string& name) {
    const auto& specs = model_->problem.optimizee->data();
    std::vector<std::string> known;
    for (std::size_t i = 0; i < specs.size(); ++i) {
        if (!has(*specs[i], L2O_SPEC_BATCHED) || !state_->data.tensors[i]) continue;
        if (specs[i]->name == name) return state_->data.tensors[i];
        known.emplace_back(specs[i]->name);
    }
    refuse("the instances of '" + problem() + "' have no data '" + name + "'" + did_you_mean(name, known));
}

Tensor& Solver::start(std::size_t block) { return state_->start.at(block); }

const Tensor& Solver::solve() try {
    const StandardFloat standard;
    State& state = *state_;
    if ((model_->optimizer->info().flags & L2O_OPTIMIZER_STARTS_AT_ZERO) != 0 &&
        !std::all_of(state.start.begin(), state.start.end(), all_zero))
        refuse("'" + optimizer() + "' is defined from x = 0 only; expected a start() of zeros");
    for (std::size_t k = 0; k < state.start.size(); ++k) copy_values(state.from.x[k], state.start[k]);
    state.from.forget();
    state.stepper.init_state(state.from);
    const std::int64_t fallbacks = state.safe ? state.safe->fallbacks() : 0;
    if (state.safe) state.safe->restart();
    for (std::int64_t t = 0; t < model_->first_leg; ++t) {
        if (state.safe) {
            state.safe->advance(state.from, state.to, t);
        } else {
            state.stepper.advance(state.from, state.to, t);
        }
        std::swap(state.from, state.to);
        if (state.stepper.all_ended()) break;
    }
    if (state.safe)
        state.fallback_rate = static_cast<double>(state.safe->fallbacks() - fallbacks) /
                              static_cast<double>(model_->batch * model_->first_leg);
    state.ended_behind_layers = state.continue_stepper.has_value();
    if (!state.ended_behind_layers) {
        report_recommended(state.stepper, state.from, state.to, model_->first_leg);
        return solution();
    }
    state.continue_from.x.copy_from(state.from.x);
    state.continue_from.forget();
    state.continue_stepper->init_state(state.continue_from);
    for (std::int64_t t = model_->first_leg; t < model_->iterations; ++t) {
        state.continue_stepper->advance(state.continue_from, state.continue_to, t - model_->first_leg);
        std::swap(state.continue_from, state.continue_to);
    }
    report_recommended(*state.continue_stepper,
                       state.continue_from,
                       state.continue_to,
                       model_->iterations - model_->first_leg);
    return solution();
} catch (const Diverged& diverged) {
    throw Error(ExitCode::kNumerical, "solver: '" + optimizer() + "' gave up: " + diverged.text);
}

const Tensor& Solver::solution(std::size_t block) const { return state_->end().x.tensors().at(block); }

const Tensor& Solver::objective() {
    const StandardFloat standard;
    Point& end = state_->end();
    state_->stepper.evaluate(end, model_->iterations, true, false, kFree);
    return end.f;
}

double Solver::fallback_rate() const { return state_->fallback_rate; }
const std::string& Solver::optimizer() const { return model_->optimizer->id(); }
const std::string& Solver::problem() const { return model_->problem.optimizee->id(); }
std::int64_t Solver::iterations() const { return model_->iterations; }
const std::vector<std::string>& Solver::notes() const { return model_->notes; }

}  // namespace l2o::framework
