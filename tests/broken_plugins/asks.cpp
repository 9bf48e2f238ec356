#include <cmath>
#include <l2o/sdk/optimizer.hpp>

// Optimizers that ask, each with one defect.
namespace {

/// A sound one: the first of x - 2^-j g, j = 0 .. 11, at which f is less; else x stays. A row knows on its
/// own when it is done: `trial` is -1 then, and `next` is x'.
struct Halving {
    static constexpr l2o::About about_as(const char* id) {
        return {.id = id, .version = "1.0.0", .title = "A broken optimizer", .doc = "For tests."};
    }
    static constexpr int kTrials = 12;

    void declare(l2o::OptimizerSpec& spec) {
        spec.reads_f().reads_g().asks(1, L2O_ORACLE_VALUE);
        next = spec.state_like_x("next");
        trial = spec.state({.name = "trial", .doc = "of this iteration", .batched = true});
        is = spec.state({.name = "is", .doc = "x_is, when it is done", .batched = true});
    }
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        for (std::int64_t row = 0; row < in.batch(); ++row) step_row(in, out, row);
    }
    template <class T>
    void step_row(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out, std::int64_t row) const {
        const bool is_first = in.round() == 0;
        T trial_now = is_first ? T(0) : in.state(trial)[row];
        T is_now = is_first ? T(L2O_X_IS_NEW) : in.state(is)[row];
        bool is_done = trial_now < 0;
        if (!is_done && !is_first) {
            if (in.qf(0)[row] < in.f()[row]) {
                is_done = true;
                is_now = 0;
            } else if (++trial_now == kTrials) {
                is_done = true;
                is_now = T(L2O_X_IS_UNCHANGED);
            }
            if (is_done) trial_now = -1;
        }
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            const auto x = in.x(k), g = in.g(k), kept = in.state(next[k]);
            const auto x1 = out.x(k), keep = out.state(next[k]);
            for (std::int64_t i = 0; i < x.cols; ++i) {
                if (is_done) {
                    // What was tried last is in `next`.
                    keep(row, i) = x1(row, i) = is_now == T(L2O_X_IS_UNCHANGED) ? x(row, i) : kept(row, i);
                } else {
                    keep(row, i) = out.q(k, 0)(row, i) = x(row, i) - std::exp2(-trial_now) * g(row, i);
                }
            }
        }
        out.state(trial)[row] = trial_now;
        out.state(is)[row] = is_now;
        if (!is_done) out.ask(row, 0, L2O_ORACLE_VALUE);
        if (is_done && is_now == T(L2O_X_IS_UNCHANGED)) out.x_is_unchanged(row);
        if (is_done && is_now == 0) out.x_is_question(row, 0);
    }

    l2o::BlockStates next;
    l2o::State trial, is;
};

struct AsksSoundly : Halving {
    static constexpr l2o::About about = about_as("asks_soundly");
};

// Also wants the gradient, which it has not declared.
struct AsksForMore : Halving {
    static constexpr l2o::About about = about_as("asks_for_more");
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        Halving::step(in, out);
        if (in.round() == 0) out.ask_all(0, L2O_ORACLE_VALUE | L2O_ORACLE_GRADIENT);
    }
};

struct AsksWithoutEnd : Halving {
    static constexpr l2o::About about = about_as("asks_without_end");
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        Halving::step(in, out);
        for (std::size_t k = 0; k < in.blocks(); ++k) l2o::copy(in.x(k), out.q(k, 0));
        out.ask_all(0, L2O_ORACLE_VALUE);
    }
};

struct AsksForNothing : Halving {
    static constexpr l2o::About about = about_as("asks_for_nothing");
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        Halving::step(in, out);
        if (in.round() == 0) out.ask_all(0, 0);
    }
};

// x' of a row that is done is a bit further in every round.
struct GoesOnWhenDone : Halving {
    static constexpr l2o::About about = about_as("goes_on_when_done");
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        Halving::step(in, out);
        for (std::int64_t row = 0; row < in.batch(); ++row)
            if (in.round() > 0 && in.state(trial)[row] < 0) out.x(0)(row, 0) += T(in.round());
    }
};

// Says that x' is the question, and moves on from it.
struct MovesFromQuestion : Halving {
    static constexpr l2o::About about = about_as("moves_from_question");
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        Halving::step(in, out);
        for (std::int64_t row = 0; row < in.batch(); ++row)
            if (out.state(trial)[row] < 0 && out.state(is)[row] == 0) out.x(0)(row, 0) -= T(0.01);
    }
};

struct MovesUnchanged : Halving {
    static constexpr l2o::About about = about_as("moves_unchanged");
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        Halving::step(in, out);
        for (std::int64_t row = 0; row < in.batch(); ++row)
            if (out.state(trial)[row] < 0) out.x_is_unchanged(row);
    }
};

// Adds the answers of all rows up, also where there is none.
struct ReadsUnwanted : Halving {
    static constexpr l2o::About about = about_as("reads_unwanted");
    void declare(l2o::OptimizerSpec& spec) {
        Halving::declare(spec);
        sum = spec.state({.name = "sum", .doc = "of the answers", .batched = true});
    }
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        Halving::step(in, out);
        for (std::int64_t row = 0; row < in.batch(); ++row)
            out.state(sum)[row] = in.state(sum)[row] + (in.round() > 0 ? in.qf(0)[row] : T(0));
    }
    l2o::State sum;
};

// While one row searches all do: what a row wants depends on the others.
struct AsksTogether : Halving {
    static constexpr l2o::About about = about_as("asks_together");
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        Halving::step(in, out);
        for (std::int64_t row = 0; row < in.batch(); ++row) {
            if (out.raw().n_questions == 0 || out.state(trial)[row] >= 0) continue;
            for (std::size_t k = 0; k < in.blocks(); ++k)
                for (std::int64_t i = 0; i < in.x(k).cols; ++i) out.q(k, 0)(row, i) = out.x(k)(row, i);
            out.ask(row, 0, L2O_ORACLE_VALUE);
        }
    }
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<AsksSoundly>,
           l2o::Optimizer<AsksForMore>,
           l2o::Optimizer<AsksWithoutEnd>,
           l2o::Optimizer<AsksForNothing>,
           l2o::Optimizer<GoesOnWhenDone>,
           l2o::Optimizer<MovesFromQuestion>,
           l2o::Optimizer<MovesUnchanged>,
           l2o::Optimizer<ReadsUnwanted>,
           l2o::Optimizer<AsksTogether>)
