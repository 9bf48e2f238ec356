#pragma once

#include <cstdint>
#include <l2o/sdk/optimizer.hpp>
#include <l2o/sdk/schedule.hpp>

namespace l2o::plugins {

/// What the methods share that search their step: the largest eta = initial_step * shrink^k, k = 0 ..
/// max_halvings, with f(y - eta g) <= f(y) - armijo_c eta ||g||^2, g the gradient at y. A round asks for f at
/// the trial of every row that goes on, the next one judges it. One whose search is over repeats its trial,
/// and asks for nothing, until the last row is done. Nocedal & Wright 2006, Numerical Optimization,
/// algorithm 3.1.
class Backtracking {
  public:
    double armijo_c = 1e-4;
    double shrink = 0.5;
    double initial_step = 0.1;
    std::int64_t max_halvings = 30;

  protected:
    template <class Method>
    static void add_options(Options<Method>& options) {
        constexpr Range kInsideUnit{0, 1, true, true};
        options
            .real("armijo_c",
                  &Method::armijo_c,
                  "line search: share of the linear decrease asked for",
                  kInsideUnit)
            .real("shrink", &Method::shrink, "line search: factor between two trials", kInsideUnit)
            .real("initial_step", &Method::initial_step, "line search: the first trial", kPositive)
            .integer(
                "max_halvings", &Method::max_halvings, "line search: trials after the first", at_least(0));
    }

    void bind(OptimizerSpec& spec) {
        eta_ = spec.state({.name = "eta", .doc = "the trial of the row", .batched = true});
        search_ =
            spec.state({.name = "search", .doc = "0 going on, 1 accepted, 2 given up", .batched = true});
    }

    enum Search { kGoingOn, kAccepted, kGivenUp };
    template <class T>
    struct Trial {
        T eta;
        Search search;
        [[nodiscard]] bool is_over() const { return search != kGoingOn; }
    };

    template <class T>
    [[nodiscard]] Trial<T> first_trial() const {
        return {T(initial_step), kGoingOn};
    }
    /// The trial that the previous round asked for.
    template <class T>
    [[nodiscard]] Trial<T> trial_of(const StepIn<T>& in, std::int64_t row) const {
        return {in.state(eta_)[row], static_cast<Search>(in.state(search_)[row])};
    }
    /// What becomes of it by f there, after so many trials.
    template <class T>
    [[nodiscard]] Trial<T> judge(Trial<T> trial, T f_trial, T f, T squared_norm, std::int64_t trials) const {
        if (trial.is_over()) return trial;
        if (f_trial <= f - T(armijo_c) * trial.eta * squared_norm) {
            trial.search = kAccepted;
        } else if (trials > max_halvings) {
            trial.search = kGivenUp;
        } else {
            trial.eta *= T(shrink);
        }
        return trial;
    }
    template <class T>
    void keep(const Trial<T>& trial, const StepOut<T>& out, std::int64_t row) const {
        out.state(eta_)[row] = trial.eta;
        out.state(search_)[row] = T(trial.search);
    }

    /// Of a row over all blocks; g(block) is the gradient's view.
    template <class T, class Gradient>
    static T squared_norm(const StepIn<T>& in, std::int64_t row, Gradient&& g_of) {
        T sum = 0;
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            const View<const T> g = g_of(k);
            for (std::int64_t i = 0; i < g.cols; ++i) sum += g(row, i) * g(row, i);
        }
        return sum;
    }

    /// What the row asks for now, and what its x' is: the trial of question 0, if that was accepted.
    template <class T>
    static void say(const Trial<T>& trial, const StepOut<T>& out, std::int64_t row) {
        if (!trial.is_over()) out.ask(row, 0, L2O_ORACLE_VALUE);
        if (trial.search == kAccepted) out.x_is_question(row, 0);
        if (trial.search == kGivenUp) out.x_is_unchanged(row);
    }

  private:
    State eta_, search_;
};

/// Of the methods that search only if they are asked to.
class FixedOrBacktracking : public Backtracking, public Schedule {
  public:
    enum class StepRule { kFixed, kArmijo };
    StepRule step_rule = StepRule::kFixed;
    double learning_rate = 0.01;

  protected:
    template <class Method>
    static Options<Method> step_options() {
        Options<Method> options;
        options
            .choice("step_rule",
                    static_cast<StepRule Method::*>(&Method::step_rule),
                    {"fixed", "armijo"},
                    "how the step eta is chosen")
            .real("learning_rate", &Method::learning_rate, "fixed: the step eta", kPositive);
        add_options(options);
        add_schedule(options);
        return options;
    }
    void plan_steps(const OptimizerSpec& spec) {
        if (searches() && varies())
            invalid("schedule and warm_up are of the fixed step, and step_rule is armijo; leave them out");
        plan(spec);
    }
    [[nodiscard]] bool searches() const { return step_rule == StepRule::kArmijo; }
    void bind_search(OptimizerSpec& spec) {
        spec.reads_f().asks(1, L2O_ORACLE_VALUE);
        bind(spec);
    }
};

}  // namespace l2o::plugins
