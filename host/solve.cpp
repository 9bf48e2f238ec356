#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <iostream>
#include <limits>
#include <optional>

#include "framework/evaluate/evaluate.hpp"
#include "framework/evaluate/results.hpp"
#include "framework/plugin/keys.hpp"
#include "framework/rollout/arithmetic.hpp"
#include "framework/rollout/residual.hpp"
#include "framework/solve/planned_optimizer.hpp"
#include "framework/solve/problem_file.hpp"
#include "framework/store/paths.hpp"
#include "framework/store/safetensors.hpp"
#include "framework/text/json.hpp"
#include "framework/text/printable.hpp"
#include "framework/text/suggest.hpp"
#include "framework/weights/weights.hpp"
#include "host/command.hpp"
#include "host/console.hpp"
#include "host/solution.hpp"

namespace l2o::host {
namespace {

using namespace l2o::framework;
namespace po = boost::program_options;

constexpr std::int64_t kMaxIterations = 100'000'000;

/// For the help alone, which lists them: those of --plugin-path as well.
std::string optimizees_here(const Arguments& given) {
    const auto is_help = [](const std::string& word) { return word == "--help" || word == "-h"; };
    if (std::none_of(given.begin(), given.end(), is_help)) return "";
    std::vector<std::filesystem::path> folders;
    for (std::size_t i = 1; i < given.size(); ++i)
        if (given[i - 1] == "--plugin-path") folders.emplace_back(given[i]);
    std::string ids;
    const Catalog catalog(plugin_search_path(folders));
    for (const Catalog::Entry& entry : catalog.entries())
        if (entry.component.kind == Kind::kOptimizee) ids += (ids.empty() ? "" : " ") + entry.component.id;
    return ids.empty() ? "none" : ids;
}

Usage usage(const std::string& optimizees) {
    Usage usage{
        .verb = "solve",
        .synopsis = "--optimizer ID --problem FILE --output FILE",
        .text =
            "Solves the problems of a .safetensors file with one optimizer.\n\n"
            "The problem file holds the optimizee's data tensors by name, for B instances, as\n"
            "'l2o describe ID' shows them; for lasso these are A [m,n] and b [B,m]. Optimizees:\n"
            "  " +
            optimizees +
            "\n"
            "It may also hold starts, x0 [B,n], all blocks one after the other (default: the optimizee's "
            "own\n"
            "starts, by --seed). Metadata l2o.optimizee names the optimizee, l2o.options has its options as "
            "JSON;\n"
            "sizes follow from the shapes. float32 and float64 files are computed in their own precision,\n"
            "integers in that of the file's other tensors, or in float64 if there are none.\n\n"
            "The output holds x [B,n], f [T+1,B] and, with --trajectory, x_trajectory [T+1,B,n]. x_best "
            "[B,n]\n"
            "and f_best [B] are the best point that an instance has paid for: NAN for a method that "
            "evaluates\n"
            "nothing before its end; for a population, and with --restarts, x and f are that point, too. "
            "One\n"
            "evaluation is a point at which f, or f and its gradient, is asked for; f is recorded without "
            "being charged, except "
            "once\n"
            "at the end. Of a game also residual [B], |F| at the end, F the gradients of both players. If no "
            "row ends with a finite f, the file is still written and the exit code is "
            "4.\n\n"
            "With --safeguard every step is tested, row by row: a step that does not bring x closer to a\n"
            "fixed point of the classic optimizer is replaced by a step of that optimizer. --safeguard-set\n"
            "takes the options of both; see 'l2o describe safeguard', also for games.\n",
        .examples =
            "  l2o solve --optimizer fista --problem lasso.safetensors --output x.safetensors\n"
            "  l2o solve --optimizer adam --set learning_rate=0.1 --problem p.safetensors \\\n"
            "      --output x.safetensors --iterations 1000 --trajectory\n"
            "  l2o solve --optimizer lista --weights w.safetensors --problem p.safetensors \\\n"
            "      --output x.safetensors\n"
            "  l2o solve --optimizer alista --weights w.safetensors --safeguard ista \\\n"
            "      --problem p.safetensors --output x.safetensors\n"};
    usage.options.add_options()                                                                 //
        ("optimizer", po::value<std::string>()->value_name("ID"), "see 'l2o list optimizers'")  //
        ("set",
         po::value<std::vector<std::string>>()->composing()->value_name("KEY=VALUE"),  //
         "an option of the optimizer, see 'l2o describe ID'; may be given again")      //
        ("weights",
         po::value<std::string>()->value_name("FILE"),  //
         "parameters of a learned optimizer; the options in the file replace defaults, --set replaces "
         "both")                                                                                 //
        ("problem", po::value<std::string>()->value_name("FILE"), "the problems, .safetensors")  //
        ("output", po::value<std::string>()->value_name("FILE"), "the solutions, .safetensors")  //
        ("iterations",
         po::value<std::string>()->value_name("T"),                         //
         "default: the number of layers of a layered optimizer, else 100")  //
        ("continue-with",
         po::value<std::string>()->value_name("ID"),                                       //
         "a classic optimizer for the iterations behind the last layer of a layered one")  //
        ("max-evaluations",
         po::value<std::string>()->value_name("N"),  //
         "of an instance, which does not begin a step that would need more; what it paid for in one that it "
         "could not end counts for x_best; 0, the default: no limit")  //
        ("restarts",
         po::value<std::string>()->value_name("P"),  //
         "starts that share iterations and evaluations, one after the other: x0 or the optimizee's first, "
         "then others of the optimizee's; default 1")  //
        ("safeguard",
         po::value<std::string>()->value_name("ID"),                //
         "a classic optimizer whose step replaces one that fails")  //
        ("safeguard-set",
         po::value<std::vector<std::string>>()->composing()->value_name("KEY=VALUE"),  //
         "an option of the safeguard; may be given again")                             //
        ("trajectory", "also write x at every iteration")                              //
        ("state",
         po::value<std::vector<std::string>>()->composing()->value_name("NAME"),  //
         "also write a state of the optimizer at every iteration, as state.NAME [T+1,B,...]: 'intra' and "
         "'inter' are the attention of l2o_swarm; may be given again");
    return usage;
}

PlannedOptimizer create_optimizer(const CommandLine& line,
                                  const Catalog& catalog,
                                  std::int64_t restarts,
                                  Task& task) {
    const Catalog::Entry& entry = catalog.find(Kind::kOptimizer, line.require("optimizer"));
    std::vector<SettingText> settings;
    if (line.has("weights")) settings = weight_options(line.text("weights"), entry.component.id);
    const Origin command_line{.file = "--set", .folder = working_folder()};
    for (SettingText& setting : settings_from(given_settings(line, "set"), command_line))
        settings.push_back(std::move(setting));
    const OptionContext context{.origin = "l2o solve",
                                .path = "optimizer",
                                .kind = name_of(Kind::kOptimizer),
                                .id = entry.component.id};
    return planned_optimizer(
        entry,
        [&] { return resolve_options(entry.component.options, settings, context); },
        line.integer("iterations", 0, kMaxIterations),
        restarts,
        task);
}

/// The states of --state, by number; one that every block has is named without the block's name, too.
std::vector<std::size_t> states_of(const CommandLine& line, const Optimizer& optimizer) {
    std::vector<std::size_t> found;
    std::vector<std::string> names;
    for (const l2o_spec* spec : optimizer.state())
        if ((spec->flags & L2O_SPEC_BATCHED) != 0) names.emplace_back(spec->name);
    if (line.has("state") && (line.has("continue-with") || line.has("restarts")))
        throw line.refusal(
            "--state: with --continue-with or --restarts the states are not one optimizer's from "
            "start to end; remove one of them");
    for (const std::string& wanted : line.texts("state")) {
        bool is_known = false;
        for (std::size_t i = 0; i < optimizer.state().size(); ++i) {
            const std::string name = optimizer.state()[i]->name;
            if ((name != wanted && !name.starts_with(wanted + ".")) || std::ranges::count(names, name) == 0)
                continue;
            is_known = true;
            if (std::ranges::count(found, i) == 0) found.push_back(i);
        }
        if (!is_known)
            throw line.refusal("--state: '" + optimizer.id() + "' has no state '" + wanted + "'" +
                               did_you_mean(wanted, names));
    }
    return found;
}

/// The optimizer of --continue-with; nothing if there is none.
std::unique_ptr<const Optimizer> successor_of(const CommandLine& line,
                                              const Catalog& catalog,
                                              const Task& task) {
    if (!line.has("continue-with")) return nullptr;
    const Catalog::Entry& entry = catalog.find(Kind::kOptimizer, line.text("continue-with"));
    if (entry.component.has_tag("learned"))
        throw line.refusal("--continue-with: '" + entry.component.id +
                           "' is learned; expected a classic optimizer, such as 'fista'");
    return std::make_unique<const Optimizer>(entry,
                                             resolve_options(entry.component.options,
                                                             {},
                                                             {.origin = "l2o solve",
                                                              .path = "continue-with",
                                                              .kind = name_of(Kind::kOptimizer),
                                                              .id = entry.component.id}),
                                             task);
}

TensorSet parameters_of(const CommandLine& line,
                        const Catalog& catalog,
                        const Optimizer& optimizer,
                        const Key& key,
                        const ProblemFile& problem) {
    if (line.has("weights")) {
        const TensorFile file = read_safetensors(line.text("weights"));
        TensorSet params = read_weights(file, optimizer, key, problem.data, problem.optimizee.get());
        for (const std::string& text :
             weight_notes(file, known_builds(catalog), optimizer, *problem.optimizee, problem.data))
            note(line.common(), text);
        return params;
    }
    if (optimizer.entry().component.has_tag("learned")) {
        note(line.common(),
             "'" + optimizer.id() + "' is not trained: it runs from its initial parameters; give --weights");
    }
    return TensorSet(optimizer.init_params(key, problem.data));
}

/// The classic optimizer of --safeguard, with its rule; nothing if there is none.
struct Guard {
    std::unique_ptr<const Optimizer> classic{};
    TensorSet params{};
    SafeguardRule rule{};
};
Guard guard_of(const CommandLine& line,
               const Catalog& catalog,
               const Optimizer& optimizer,
               const Key& key,
               const ProblemFile& problem) {
    if (!line.has("safeguard")) {
        if (line.has("safeguard-set")) throw line.refusal("--safeguard-set needs --safeguard ID");
        return {};
    }
    const Catalog::Entry& entry = catalog.find(Kind::kOptimizer, line.require("safeguard"));
    const std::vector<SettingText> settings = settings_from(
        given_settings(line, "safeguard-set"), {.file = "--safeguard-set", .folder = working_folder()});
    const SafeguardChoice choice = safeguard_choice(entry,
                                                    settings,
                                                    {.origin = "l2o solve",
                                                     .path = "safeguard",
                                                     .kind = name_of(Kind::kOptimizer),
                                                     .id = entry.component.id});
    Guard guard{.classic = std::make_unique<const Optimizer>(
                    entry, choice.classic.resolve(), task_of(*problem.optimizee, 0)),
                .params = {},
                .rule = choice.rule};
    check_safeguard(optimizer, *guard.classic, guard.rule.test, *problem.optimizee, "--safeguard");
    guard.params = TensorSet(guard.classic->init_params(key, problem.data));
    return guard;
}

std::vector<Tensor> starts_of(const Optimizer& optimizer,
                              const ProblemFile& problem,
                              const Key& key,
                              const std::string& file) {
    std::vector<Tensor> start = problem.x0 ? split_blocks(problem.x0, *problem.optimizee)
                                           : problem.optimizee->init_point(key, 0, problem.data);
    check_start(optimizer,
                start,
                file,
                problem.x0 ? "leave out tensor 'x0', or make it zeros"
                           : "'" + problem.optimizee->id() + "' starts elsewhere; add 'x0' of zeros");
    return start;
}

/// |F| where each row ends, [B], NAN of what is no number; empty where nobody asks for it: f of a game does
/// not say how near its end is to a solution.
Tensor residuals(const Solution& solution, const Job& job) {
    const l2o_optimizee_info& info = job.optimizee.info();
    if (!is_game(job.optimizee) || (info.flags & L2O_FLAG_STOCHASTIC) != 0 ||
        (info.answers & L2O_ORACLE_GRADIENT) == 0)
        return {};
    const std::vector<double> sizes =
        residuals_of(job.optimizee, job.steps, job.data, split_blocks(solution.x, job.optimizee));
    Tensor out(Dtype::kF64, {job.data.instances});
    std::ranges::transform(
        sizes, out.values<double>().begin(), [](double size) { return std::isfinite(size) ? size : NAN; });
    return out;
}

void write(const Solution& solution,
           const Tensor& residual,
           const Job& job,
           std::uint64_t seed,
           const std::filesystem::path& file) {
    TensorRefs tensors{{"x", &solution.x}, {"f", &solution.f}};
    if (residual) tensors["residual"] = &residual;
    if (solution.trajectory) tensors["x_trajectory"] = &solution.trajectory;
    for (std::size_t i = 0; i < job.states.size(); ++i)
        tensors[std::string("state.") + job.course.first.optimizer.state()[job.states[i]]->name] =
            &solution.states[i];
    if (solution.f_best) {
        tensors["x_best"] = &solution.x_best;
        tensors["f_best"] = &solution.f_best;
    }
    write_safetensors(file,
                      tensors,
                      {{"l2o.format", "1"},
                       {"l2o.restarts", std::to_string(job.course.restarts)},
                       {"l2o.version", L2O_VERSION},
                       {"l2o.optimizer", job.course.first.optimizer.id()},
                       {"l2o.options", job.course.first.optimizer.options().to_json().dump()},
                       {"l2o.optimizee", job.optimizee.id()},
                       {"l2o.optimizee_options", job.optimizee.options().to_json().dump()},
                       {"l2o.iterations", std::to_string(job.course.iterations)},
                       {"l2o.seed", std::to_string(seed)}});
}

/// f at the end; NAN of a row that diverged: of which f or x is not finite.
std::vector<double> final_values(const Solution& solution) {
    const std::int64_t batch = solution.f.shape()[1], points = solution.f.shape()[0];
    std::vector<double> values;
    for (std::int64_t row = 0; row < batch; ++row) {
        const double f = solution.f.value((points - 1) * batch + row);
        const bool is_lost = !std::isfinite(f) || !all_finite(solution.x.rows(row, 1));
        values.push_back(is_lost ? NAN : f);
    }
    return values;
}

/// Whether f is finite at the start of any instance.
bool starts_finite(const Solution& solution) {
    for (std::int64_t row = 0; row < solution.f.shape()[1]; ++row)
        if (std::isfinite(solution.f.value(row))) return true;
    return false;
}

/// The least f that instances have paid for, of those that have paid for any.
Distribution best_values(const Solution& solution) {
    std::vector<double> values;
    for (std::int64_t row = 0; solution.f_best && row < solution.f_best.size(); ++row)
        if (const double f = solution.f_best.value(row); !std::isnan(f)) values.push_back(f);
    return distribution_of(std::move(values));
}

std::vector<double> values_of(const Tensor& tensor) {
    std::vector<double> values;
    for (std::int64_t i = 0; tensor && i < tensor.size(); ++i) values.push_back(tensor.value(i));
    return values;
}

nlohmann::json statistics(const Distribution& f) {
    return {{"mean", f.mean},
            {"median", f.median},
            {"q10", f.q10},
            {"q90", f.q90},
            {"finite", f.finite},
            {"rows", f.rows}};
}

void print(const Solution& solution,
           const Tensor& residual,
           const Job& job,
           const std::string& output,
           const Distribution& f,
           double total_seconds,
           const std::optional<Error>& failure,
           bool as_json) {
    const std::int64_t batch = job.data.instances;
    const Distribution best = best_values(solution), rest = distribution_of(values_of(residual));
    if (as_json) {
        nlohmann::json json{{"optimizer", job.course.first.optimizer.id()},
                            {"optimizee", job.optimizee.id()},
                            {"dtype", name_of(job.optimizee.dtype())},
                            {"instances", batch},
                            {"iterations", solution.iterations},
                            {"iterations_wanted", job.course.iterations},
                            {"restarts", job.course.restarts},
                            {"final_f", statistics(f)},
                            {"best_f", best.rows > 0 ? statistics(best) : nlohmann::json()},
                            {"evaluations",
                             {{"points", solution.evaluations.points},
                              {"values", solution.evaluations.values},
                              {"gradients", solution.evaluations.gradients}}},
                            {"seconds", solution.seconds},
                            {"total_seconds", total_seconds},
                            {"output", output}};
        if (residual) json["final_residual"] = statistics(rest);
        if (job.course.first.safeguard)
            json["safeguard"] = {{"use", job.course.first.safeguard->classic.id()},
                                 {"fallback_rate", solution.fallback_rate}};
        if (failure) json["error"] = message(failure->what());
        print_json(json);
        return;
    }
    std::cout << fmt::format(
        "{} on {}: {} instance{}, {}{} iterations{}, {}\n",
        job.course.first.optimizer.id(),
        job.optimizee.id(),
        batch,
        batch == 1 ? "" : "s",
        solution.iterations,
        solution.iterations < job.course.iterations ? fmt::format(" of {}", job.course.iterations) : "",
        job.course.restarts > 1 ? fmt::format(" in {} starts", job.course.restarts) : "",
        name_of(job.optimizee.dtype()));
    const auto text = [](double value) {
        return std::isfinite(value) ? fmt::format("{:.6g}", value + 0.0)
                                    : std::string("diverged");  // not "-0"
    };
    if (rest.finite > 0)
        std::cout << fmt::format("  final |F|    median {}, 10-90 % {} .. {}\n",
                                 text(rest.median),
                                 text(rest.q10),
                                 text(rest.q90));
    if (f.finite > 0)
        std::cout << fmt::format(
            "  final f      median {}, 10-90 % {} .. {}\n", text(f.median), text(f.q10), text(f.q90));
    if (f.finite < batch)
        std::cout << fmt::format("  diverged     {} of {} instances{}\n",
                                 batch - f.finite,
                                 batch,
                                 f.finite > 0 ? ", counted as the worst" : "");
    if (best.rows > 0 && best.median < f.median)
        std::cout << fmt::format("  best f       median {}, at points before the last\n", text(best.median));
    if (best.rows == 0 && f.finite > 0 && job.course.keeps_best)
        std::cout << "  best f       none: no point before the last was evaluated\n";
    std::cout << fmt::format("  evaluations  {} per instance\n", evaluations_text(solution.evaluations))
              << (!job.course.first.safeguard
                      ? ""
                      : fmt::format("  safeguard    {} of the steps were those of '{}'\n",
                                    percent_text(solution.fallback_rate),
                                    job.course.first.safeguard->classic.id()))
              << fmt::format("  time         {}, {} with loading, preparing and writing\n",
                             duration_text(solution.seconds),
                             duration_text(total_seconds))
              << "  written      " << framework::one_line(output) << "\n";
}

}  // namespace

ExitCode solve(const Arguments& given) {
    const auto begin = std::chrono::steady_clock::now();
    const auto line = CommandLine::parse(usage(optimizees_here(given)), given);
    if (!line) return ExitCode::kOk;
    for (const char* option : {"optimizer", "problem", "output"}) (void)line->require(option);
    prepare_output(*line, {line->text("problem"), line->text("weights")});
    const Catalog catalog = line->common().catalog();
    (void)catalog.find(Kind::kOptimizer, line->text("optimizer"));
    const ProblemFile problem = read_problem(catalog, line->text("problem"));
    const std::int64_t limit =
        line->integer("max-evaluations", 0, std::numeric_limits<std::int64_t>::max()).value_or(0);
    Task task = task_of(*problem.optimizee, 0, limit);
    const std::int64_t restarts = line->integer("restarts", 1, kMaxIterations).value_or(1);
    const auto [optimizer, iterations] = create_optimizer(*line, catalog, restarts, task);
    const auto successor = successor_of(*line, catalog, task);
    warn_without_blas(line->common(), {optimizer->entry(), problem.optimizee->entry()});

    const std::uint64_t seed = line->common().seed.value_or(0);
    const Keys keys = keys_of(seed);
    const std::vector<Tensor> start = starts_of(*optimizer, problem, keys.test_start, line->text("problem"));
    const Guard guard = guard_of(*line, catalog, *optimizer, keys.init_params, problem);
    TensorSet params, successor_params;
    Course course{.first = {*optimizer, params},
                  .iterations = iterations,
                  .max_evaluations = static_cast<double>(limit),
                  .keeps_best = can_keep_best(*problem.optimizee),
                  .pays_for_end = true,
                  .restarts = restarts};
    if (guard.classic) course.first.safeguard.emplace(Safeguard{*guard.classic, guard.params, guard.rule});
    if (successor) {
        successor_params = TensorSet(successor->init_params(keys.init_params, problem.data));
        course.then.emplace(Leg{*successor, successor_params});
    }
    check_course(course, *problem.optimizee, "l2o solve", true);
    params = parameters_of(*line, catalog, *optimizer, keys.init_params, problem);
    const Job job{.optimizee = *problem.optimizee,
                  .data = problem.data,
                  .start = start,
                  .course = course,
                  .steps = keys.test_steps,
                  .starts = keys.test_start,
                  .keeps_trajectory = line->has("trajectory"),
                  .states = states_of(*line, *optimizer)};
    const Solution solution = solve(job, line->common().threads);
    const Tensor residual = residuals(solution, job);
    write(solution, residual, job, seed, line->text("output"));

    const Distribution f = distribution_of(final_values(solution));
    const std::chrono::duration<double> total = std::chrono::steady_clock::now() - begin;
    std::optional<Error> failure;
    if (f.finite == 0)
        failure.emplace(
            ExitCode::kNumerical,
            (starts_finite(solution)
                 ? "'" + optimizer->id() +
                       "' diverged: no instance ends with a finite f; try a smaller step; "
                 : "f of '" + problem.optimizee->id() +
                       "' is not finite at any start, before the first step: look at the problem, "
                       "not at who solves it; ") +
                line->text("output") + " was written all the same");
    print(
        solution, residual, job, line->text("output"), f, total.count(), failure, line->common().wants_json);
    if (!solution.gave_up.empty()) note(line->common(), "gave up: " + solution.gave_up);
    if (failure) throw Error(*failure);
    return ExitCode::kOk;
}

}  // namespace l2o::host
