#include "framework/rollout/course.hpp"

#include <algorithm>

#include "framework/error.hpp"
#include "framework/rollout/arithmetic.hpp"

namespace l2o::framework {
namespace {

[[noreturn]] void refuse(const std::string& where, const std::string& text) {
    throw Error(ExitCode::kUsage, where + ": " + text);
}

void check_successor(const Optimizer& first,
                     const Optimizer& then,
                     const std::string& where,
                     const std::string& setting) {
    if ((then.info().flags & L2O_OPTIMIZER_STARTS_AT_ZERO) != 0)
        refuse(where,
               setting + ": '" + then.id() +
                   "' is defined from x = 0 only; expected one that goes on from any point, such as 'fista'");
    if (then.info().max_steps > 0)
        refuse(where,
               setting + ": '" + then.id() +
                   "' has layers itself, and stops after them; expected a classic "
                   "optimizer, such as 'fista'");
    if (first.info().particles > 0 || then.info().particles > 0)
        refuse(where, setting + ": a population cannot take over, nor be taken over");
}

bool evaluates(const Optimizer& optimizer) {
    return optimizer.reads_f() || optimizer.reads_g() || optimizer.info().max_questions > 0;
}

void check_restarts(const Course& course,
                    const Optimizee& optimizee,
                    const std::string& where,
                    const std::string& setting) {
    const Optimizer& first = course.first.optimizer;
    const std::string restarts = setting + " is " + std::to_string(course.restarts);
    if (first.info().max_steps > 0 || course.then)
        refuse(where,
               restarts + ", and '" + first.id() +
                   "' has layers, one per step; expected a method without, or 1");
    if ((first.info().flags & L2O_OPTIMIZER_STARTS_AT_ZERO) != 0)
        refuse(where,
               restarts + ", and '" + first.id() +
                   "' is defined from x = 0 only; expected one that is not, or 1");
    if (!can_keep_best(optimizee))
        refuse(where,
               restarts + ", and the points of '" + optimizee.id() +
                   "' cannot be compared: its f is that of a minibatch, or of players; expected 1");
    if (!evaluates(course.first))
        refuse(
            where,
            restarts + ", and '" + first.id() +
                "' pays for no point, so that its starts cannot be compared; expected a method that reads f "
                "or its gradient, or 1");
    const auto fits = [&](std::int64_t budget) { return budget >= course.restarts; };
    if (!fits(course.iterations) ||
        (course.max_evaluations > 0 && !fits(std::int64_t(course.max_evaluations))))
        refuse(where,
               restarts + ", for " + std::to_string(course.iterations) + " iterations" +
                   (course.max_evaluations > 0
                        ? " and " + std::to_string(std::int64_t(course.max_evaluations)) + " evaluations"
                        : "") +
                   "; expected at most as many");
}

}  // namespace

std::int64_t Course::first_iterations() const {
    const std::int64_t layers = first.optimizer.info().max_steps;
    return layers > 0 ? std::min(iterations, layers) : iterations;
}

bool evaluates(const Leg& leg) {
    return evaluates(leg.optimizer) ||
           (leg.safeguard && (leg.safeguard->rule.test != SafeguardRule::Test::kResidual ||
                              evaluates(leg.safeguard->classic)));
}

bool is_game(const Optimizee& optimizee) {
    return std::ranges::any_of(optimizee.blocks(),
                               [](const l2o_spec* block) { return has(*block, L2O_SPEC_MAXIMISED); });
}

bool can_keep_best(const Optimizee& optimizee) {
    return (optimizee.info().flags & L2O_FLAG_STOCHASTIC) == 0 && !is_game(optimizee);
}

void check_course(const Course& course,
                  const Optimizee& optimizee,
                  const std::string& where,
                  bool as_options) {
    const Optimizer& first = course.first.optimizer;
    const std::string continue_with = as_options ? "--continue-with" : "continue_with";
    if (course.first_iterations() < course.iterations) {
        const std::string layers = std::to_string(first.info().max_steps);
        if (!course.then)
            refuse(where,
                   "'" + first.id() + "' has " + layers + " layers, one per step, and iterations is " +
                       std::to_string(course.iterations) + "; set it to at most " + layers +
                       ", or add a classic optimizer as '" + continue_with + "'");
    }
    if (course.then) {
        if (first.info().max_steps == 0)
            refuse(where,
                   continue_with + ": '" + first.id() +
                       "' has no layers, so that nobody would ever take over from it; leave " +
                       continue_with + " out");
        check_successor(first, course.then->optimizer, where, continue_with);
    }
    if (course.first.safeguard)
        check_safeguard(first,
                        course.first.safeguard->classic,
                        course.first.safeguard->rule.test,
                        optimizee,
                        where + ": safeguard");
    if (course.restarts > 1) check_restarts(course, optimizee, where, as_options ? "--restarts" : "restarts");
    if (course.answer == Answer::kBest && !can_keep_best(optimizee))
        refuse(where,
               "answer is best, and the points of '" + optimizee.id() +
                   "' cannot be compared: its f is that of a minibatch, or of players; set it to last");
}

void check_start(const Optimizer& optimizer,
                 const std::vector<Tensor>& x0,
                 std::string_view where,
                 std::string_view hint) {
    if ((optimizer.info().flags & L2O_OPTIMIZER_STARTS_AT_ZERO) == 0 || std::ranges::all_of(x0, all_zero))
        return;
    refuse(std::string(where),
           "'" + optimizer.id() + "' is defined from x = 0 only, and the start is another; " +
               std::string(hint));
}

}  // namespace l2o::framework
