// The simplest plugin: read this one first, the fixed step alone (`descend`) is a complete optimizer.
//
// A method is a struct: its options are members, `declare` says what it reads and keeps, `step` is a pure
// function from what the host hands in to what it wants back. Whatever changes from step to step lives in
// state tensors that the host owns; an instance never changes.
#include <l2o/sdk/optimizer.hpp>

namespace {

struct GradientDescent {
    static constexpr l2o::About about{
        .id = "gradient_descent",
        .version = "1.0.0",
        .title = "Gradient descent with a fixed step or Armijo backtracking",
        .doc =
            "x <- x - eta g. step_rule fixed: eta = learning_rate. step_rule armijo: the largest eta = "
            "initial_step * shrink^k, k = 0 .. max_halvings, with f(x - eta g) <= f(x) - armijo_c eta "
            "||g||^2, searched anew in every step and for every row on its own; a row without such an "
            "eta stays where it is. Nocedal & Wright 2006, Numerical Optimization, algorithm 3.1."};

    enum class StepRule { kFixed, kArmijo };
    StepRule step_rule = StepRule::kFixed;
    double learning_rate = 0.01;
    double armijo_c = 1e-4;
    double shrink = 0.5;
    double initial_step = 0.1;
    std::int64_t max_halvings = 30;

    static l2o::Options<GradientDescent> options() {
        using Method = GradientDescent;
        constexpr l2o::Range kInsideUnit{0, 1, true, true};
        l2o::Options<Method> options;
        options.choice("step_rule", &Method::step_rule, {"fixed", "armijo"}, "how the step eta is chosen")
            .real("learning_rate", &Method::learning_rate, "fixed: the step eta", l2o::kPositive)
            .real(
                "armijo_c", &Method::armijo_c, "armijo: share of the linear decrease asked for", kInsideUnit)
            .real("shrink", &Method::shrink, "armijo: factor between two trials", kInsideUnit)
            .real("initial_step", &Method::initial_step, "armijo: the first trial", l2o::kPositive)
            .integer(
                "max_halvings", &Method::max_halvings, "armijo: trials after the first", l2o::at_least(0));
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        spec.minimises().reads_g();
        if (step_rule == StepRule::kFixed) {
            spec.coordinatewise();
        } else {
            spec.reads_f().asks(1, L2O_VALUE);
            eta_ = spec.state({.name = "eta", .doc = "the trial of the row", .batched = true});
            search_ =
                spec.state({.name = "search", .doc = "0 going on, 1 accepted, 2 given up", .batched = true});
        }
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        if (step_rule == StepRule::kFixed) {
            descend(in, out);
        } else {
            backtrack(in, out);
        }
    }

  private:
    enum Search { kGoingOn, kAccepted, kGivenUp };

    template <class T>
    void descend(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        const T eta = T(learning_rate);
        for (std::size_t k = 0; k < in.blocks(); ++k)
            l2o::each([=](T x, T g, T& x_next) { x_next = x - eta * g; }, in.x(k), in.g(k), out.x(k));
    }

    // One round asks for f at the trial of every row, the next one judges it. The rows go in lock-step: a row
    // whose search is over repeats its trial until the last row is done.
    template <class T>
    void backtrack(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        bool any_going_on = false;
        for (std::int64_t row = 0; row < in.batch(); ++row) {
            T eta = T(initial_step);
            auto search = kGoingOn;
            if (in.round() > 0) {
                eta = in.state(eta_)[row];
                search = static_cast<Search>(in.state(search_)[row]);
                if (search == kGoingOn) {
                    const T enough = in.f()[row] - T(armijo_c) * eta * squared_norm(in, row);
                    if (in.qf(0)[row] <= enough) {
                        search = kAccepted;
                    } else if (in.round() > max_halvings) {
                        search = kGivenUp;
                    } else {
                        eta *= T(shrink);
                    }
                }
            }
            out.state(eta_)[row] = eta;
            out.state(search_)[row] = T(search);
            for (std::size_t k = 0; k < in.blocks(); ++k) {
                const auto x = in.x(k), g = in.g(k);
                const auto x_next = out.x(k), trial = out.q(k, 0);
                for (std::int64_t i = 0; i < x.cols; ++i) {
                    trial(row, i) = x(row, i) - eta * g(row, i);
                    x_next(row, i) = search == kAccepted ? trial(row, i) : x(row, i);
                }
            }
            if (search == kAccepted) out.x_is_question(row, 0);
            any_going_on = any_going_on || search == kGoingOn;
        }
        if (any_going_on) out.ask(1, L2O_VALUE);
    }

    template <class T>
    static T squared_norm(const l2o::StepIn<T>& in, std::int64_t row) {
        T sum = 0;
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            const auto g = in.g(k);
            for (std::int64_t i = 0; i < g.cols; ++i) sum += g(row, i) * g(row, i);
        }
        return sum;
    }

    std::size_t eta_ = 0, search_ = 0;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<GradientDescent>)
