#include "framework/solve/solver.hpp"

#include <algorithm>
#include <cstring>
#include <optional>

#include "framework/error.hpp"
#include "framework/float_control.hpp"
#include "framework/plugin/keys.hpp"
#include "framework/rollout/rollout.hpp"
#include "framework/solve/planned_optimizer.hpp"
#include "framework/solve/problem_file.hpp"
#include "framework/store/paths.hpp"
#include "framework/text/suggest.hpp"
#include "framework/weights/weights.hpp"

namespace l2o::framework {
namespace {

[[noreturn]] void refuse(const std::string& text) { throw Error(ExitCode::kUsage, "solver: " + text); }

std::vector<SettingText> settings_of(const std::map<std::string, std::string>& texts) {
    return settings_from(texts, {.file = "solver", .folder = working_folder()});
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
        if (settings.max_evaluations < 0)
            refuse("'max_evaluations' is " + std::to_string(settings.max_evaluations) +
                   "; expected a whole number >= 0");
        if (settings.iterations < 0)
            refuse("'iterations' is " + std::to_string(settings.iterations) +
                   "; expected a whole number >= 0");
        if (settings.restarts < 1)
            refuse("'restarts' is " + std::to_string(settings.restarts) + "; expected a whole number >= 1");
        Task task = task_of(*problem.optimizee, 0, settings.max_evaluations);
        PlannedOptimizer planned = planned_optimizer(
            entry,
            [&] { return resolve_options(entry.component.options, options, context_of(entry, "options")); },
            settings.iterations > 0 ? std::optional(settings.iterations) : std::nullopt,
            settings.restarts,
            task);
        optimizer = std::move(planned.optimizer);
        if (settings.weights.empty() && entry.component.has_tag("learned"))
            refuse("'" + id + "' is learned; expected 'weights', which `l2o train` writes");
        if (settings.weights.empty()) {
            params = TensorSet(optimizer->init_params(keys.init_params, problem.data));
        } else {
            const TensorFile file = read_safetensors(settings.weights);
            params = read_weights(file, *optimizer, keys.init_params, problem.data, problem.optimizee.get());
            notes = weight_notes(file, known_builds(catalog), *optimizer, *problem.optimizee, problem.data);
        }
        bind_course(settings, planned.iterations, task);
    }

    void bind_course(const SolverSettings& settings, std::int64_t iterations, const Task& task) {
        course.emplace(Course{.first = {*optimizer, params},
                              .iterations = iterations,
                              .max_evaluations = static_cast<double>(settings.max_evaluations),
                              .pays_for_end = true,  // as l2o solve does: x under a budget is the same
                              .restarts = settings.restarts});
        if (!settings.safeguard.empty()) bind_safeguard(settings, task);
        if (!settings.continue_with.empty()) bind_successor(settings, task);
        check_course(*course, *problem.optimizee, "solver");
    }

    void bind_successor(const SolverSettings& settings, const Task& task) {
        const Catalog::Entry& entry = catalog.find(Kind::kOptimizer, settings.continue_with);
        if (entry.component.has_tag("learned"))
            refuse("continue_with: '" + entry.component.id +
                   "' is learned; expected a classic optimizer, such as 'fista'");
        continue_with = std::make_unique<const Optimizer>(
            entry, resolve_options(entry.component.options, {}, context_of(entry, "continue_with")), task);
        continue_params = TensorSet(continue_with->init_params(keys.init_params, problem.data));
        course->then.emplace(Leg{*continue_with, continue_params});
    }

    void bind_safeguard(const SolverSettings& settings, const Task& task) {
        const Catalog::Entry& entry = catalog.find(Kind::kOptimizer, settings.safeguard);
        const SafeguardChoice choice = safeguard_choice(
            entry, settings_of(settings.safeguard_options), context_of(entry, "safeguard_options"));
        classic = std::make_unique<const Optimizer>(entry, choice.classic.resolve(), task);
        check_safeguard(*optimizer, *classic, choice.rule.test, *problem.optimizee, "solver: safeguard");
        classic_params = TensorSet(classic->init_params(keys.init_params, problem.data));
        course->first.safeguard.emplace(Safeguard{*classic, classic_params, choice.rule});
    }

    const std::int64_t batch;
    const Keys keys;
    const Catalog catalog;
    ProblemFile problem;
    std::unique_ptr<const Optimizer> optimizer, classic, continue_with;
    TensorSet params, classic_params, continue_params;
    std::optional<Course> course;
    std::vector<std::string> notes;  // on the weights
};

/// What one solver writes to.
struct Solver::State {
    explicit State(const Model& model)
        : data(own_data(model)),
          start(own_start(model, data)),
          rollout(*model.problem.optimizee,
                  data,
                  *model.course,
                  model.keys.test_steps,
                  model.keys.test_start,
                  0) {}

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

    ProblemData data;
    std::vector<Tensor> start;
    Rollout rollout;
    const TensorSet* end = nullptr;  // of the last solve
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
    Rollout& rollout = state_->rollout;
    check_start(*model_->optimizer, state_->start, "solver", "expected a start() of zeros");
    for (rollout.start(state_->start); !rollout.is_over();) rollout.step();
    state_->end = &rollout.answers();
    const auto guarded = static_cast<double>(rollout.guarded_steps());
    state_->fallback_rate = guarded > 0 ? static_cast<double>(rollout.fallbacks()) / guarded : 0;
    return solution();
} catch (const Diverged& diverged) {
    throw Error(ExitCode::kNumerical, "solver: '" + optimizer() + "' gave up: " + diverged.text);
}

const Tensor& Solver::solution(std::size_t block) const {
    if (state_->end == nullptr) refuse("solution() of nothing; call solve() first");
    return state_->end->tensors().at(block);
}

const Tensor& Solver::objective() {
    if (state_->end == nullptr) refuse("objective() of nothing; call solve() first");
    const StandardFloat standard;
    return *state_->rollout.look(false).f;
}

double Solver::fallback_rate() const { return state_->fallback_rate; }
const std::string& Solver::optimizer() const { return model_->optimizer->id(); }
const std::string& Solver::problem() const { return model_->problem.optimizee->id(); }
std::int64_t Solver::iterations() const { return model_->course->iterations; }
const std::vector<std::string>& Solver::notes() const { return model_->notes; }

}  // namespace l2o::framework
