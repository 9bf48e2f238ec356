// An optimizer that is its equations: forward(), from which step, step_vjp and scratch follow.
#pragma once

#include <algorithm>
#include <cstdint>
#include <l2o/layers/elementwise.hpp>
#include <l2o/layers/judge.hpp>
#include <l2o/layers/rule.hpp>
#include <l2o/layers/value.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <l2o/sdk/scratch.hpp>
#include <limits>
#include <span>
#include <type_traits>
#include <vector>

namespace l2o::layers {

template <class T>
struct Matrix;

namespace detail {

template <class T>
class Input final : public Node<T> {
  public:
    Input(Tape<T>& tape, bool is_batched, const View<const T>& value, const View<T>& bar)
        : Node<T>(tape, is_batched, value, bar) {}

  private:
    void compute(const View<T>&, T, bool) override {}
    void back(const View<const T>&) override {}
};

/// Tensors of the shapes of a list, without memory, as a step of `batch` instances would get them.
class Shapes {
  public:
    /// @param per_particle  those with one of these flags have an axis `particles` behind the batch, if > 0
    Shapes(std::span<const l2o_spec* const> specs,
           std::int64_t batch,
           std::int64_t particles = 0,
           std::uint64_t per_particle = 0)
        : tensors_(specs.size()), dims_(specs.size()), list_(specs.size()) {
        for (std::size_t i = 0; i < specs.size(); ++i) {
            const l2o_spec* spec = specs[i];
            if (spec == nullptr) continue;
            std::vector<std::int64_t>& dims = dims_[i];
            if ((spec->flags & L2O_SPEC_BATCHED) != 0) dims.push_back(batch);
            if (particles > 0 && (spec->flags & per_particle) != 0) dims.push_back(particles);
            dims.insert(dims.end(), spec->shape, spec->shape + spec->ndim);
            const std::size_t ndim = dims.size();
            dims.resize(2 * ndim, 1);
            for (std::size_t j = ndim; j-- > 1;) dims[ndim + j - 1] = dims[ndim + j] * dims[j];
            tensors_[i].ndim = static_cast<std::int32_t>(ndim);
            tensors_[i].dtype = spec->dtype;
            tensors_[i].shape = dims.data(), tensors_[i].strides = dims.data() + ndim;
            list_[i] = &tensors_[i];
        }
    }
    [[nodiscard]] l2o_in list() const { return list_.data(); }

  private:
    std::vector<l2o_tensor> tensors_;
    std::vector<std::vector<std::int64_t>> dims_;
    std::vector<const l2o_tensor*> list_;
};

}  // namespace detail

/// A step as forward() sees it: inputs by name, and where the results go. The rows of a population are its
/// particles, those of an instance one after the other.
template <class T>
class Step {
  public:
    /// @param out        of a forward pass; @param cot, acc  of a reverse pass; else NULL
    /// @param first_row  of the tape's rows within the batch
    /// @param judge      of what forward() says, in a tape that measures; else NULL
    Step(Tape<T>& tape,
         const StepIn<T>& in,
         const StepOut<T>* out,
         const StepCot<T>* cot,
         const StepAcc<T>* acc,
         std::int64_t first_row = 0,
         detail::Judge* judge = nullptr)
        : tape_(tape), in_(in), out_(out), cot_(cot), acc_(acc), first_row_(first_row), judge_(judge) {}

    /// The number of the step, from 0.
    [[nodiscard]] std::int64_t t() const { return in_.t(); }
    [[nodiscard]] std::size_t blocks() const { return in_.blocks(); }
    /// Whether cotangents are asked for, or what that would take is measured.
    [[nodiscard]] bool goes_back() const { return tape_.pass() != Pass::kForward; }

    /// @throw Failure if there is no such block
    Value<T> x(std::size_t k = 0) { return batched(in_.x(valid(k)), acc_ ? acc_->x(k) : View<T>{}); }
    /// @throw Failure without reads_g(), or if there is no such block
    Value<T> g(std::size_t k = 0) { return batched(in_.g(valid(k)), acc_ ? acc_->g(k) : View<T>{}); }
    /// One number for each row.   @throw Failure without reads_f()
    Value<T> f() {
        static_cast<void>(in_.f());
        return batched(view<const T>(in_.raw().f, 2), acc_ ? view<T>(acc_->raw().f, 2) : View<T>{});
    }
    Value<T> state(const State& s) { return batched(in_.state(s), acc_ ? acc_->state(s) : View<T>{}); }
    /// Data of every instance.
    Value<T> data(const Need& need) { return batched(in_.data(need), {}); }
    /// A number, or a vector as one row, for all instances.
    Value<T> param(const Param& p) { return shared(in_.param(p), acc_ ? acc_->param(p) : View<T>{}); }
    Value<T> shared_data(const Need& need) { return shared(in_.data(need), View<T>{}); }
    Value<T> constant(T value) {
        const View<T> room{tape_.scratch().template take<T>(1), 1, 1, 1};
        if (room) room.scalar() = value;
        return shared(read_only(room), View<T>{});
    }
    Matrix<T> matrix(const Param& p) {
        const View<T> bar = acc_ ? acc_->param(p) : View<T>{};
        return {in_.param(p), bar, false, bool(bar) || tape_.pass() == Pass::kMeasure};
    }
    Matrix<T> matrix(const Need& need) { return {in_.data(need), {}, false, false}; }

    /// x' and state' are these. All have to be set, each once.   @return it, for further use
    /// @throw Failure if there is no such block
    Value<T> set_x(Value<T> value, std::size_t block = 0) {
        block = valid(block);
        return set([=] { return block; },
                   value,
                   rows(out_ ? out_->x(block) : View<T>{}),
                   rows(in_.x_out(block)),
                   rows(cot_ ? cot_->x(block) : View<const T>{}));
    }
    Value<T> set(const State& s, Value<T> value) {
        const View<const T> known = rows(in_.state_out(s));
        return set([&] { return in_.blocks() + s.index(); }, value, written(s), known, cotangent_of(s));
    }
    /// Where an operation writes a state', instead of set(), asked for once, when it is named; empty unless
    /// in a forward pass.
    View<T> room_of(const State& s) {
        const std::size_t place = in_.blocks() + s.index();
        if (judge_ != nullptr) judge_->set(place, 0, true);
        if (out_ != nullptr) marks_ += detail::mark(place);
        return written(s);
    }
    /// The same place, asked for again.
    View<T> written(const State& s) const { return rows(out_ ? out_->state(s) : View<T>{}); }
    /// For operations with a state of their own: parameters and state, the cotangent of a state', and
    /// accumulators; the last two empty where there is none.
    View<const T> values_of(const Param& p) const { return in_.param(p); }
    View<const T> values_of(const State& s) const { return rows(in_.state(s)); }
    View<const T> cotangent_of(const State& s) const { return rows(cot_ ? cot_->state(s) : View<const T>{}); }
    View<T> accumulator_of(const State& s) const { return rows(acc_ ? acc_->state(s) : View<T>{}); }
    View<T> accumulator_of(const Param& p) const { return acc_ ? acc_->param(p) : View<T>{}; }
    [[nodiscard]] Tape<T>& tape() const { return tape_; }
    /// The sum of detail::mark() of what was set.
    [[nodiscard]] std::uint64_t marks() const { return marks_; }
    /// Computes what was set.
    void finish() {
        for (const Output* output = first_; output != nullptr; output = output->next) {
            if (!output->value) {
                fill(output->to, 0);
                continue;
            }
            const View<const T> value = output->value->value();
            if (value.data != output->to.data) copy(value, output->to);
        }
    }

  private:
    struct Output {
        Value<T> value;
        View<T> to;
        Output* next = nullptr;
    };
    [[nodiscard]] std::size_t valid(std::size_t block) const {
        if (block < in_.blocks()) [[likely]]
            return block;
        l2o::detail::not_declared(
            "forward() names a block that the problem does not have; expected numbers from 0 below "
            "step.blocks()");
    }
    /// Those of the tape, of a tensor of the whole batch.
    template <class E>
    View<E> rows(const View<E>& all) const {
        return all ? View<E>{all.row(first_row_), tape_.batch(), all.cols, all.stride} : all;
    }
    Value<T> batched(const View<const T>& value, const View<T>& bar) {
        return input(true, rows(value), rows(bar));
    }
    Value<T> shared(const View<const T>& value, const View<T>& bar) {
        return input(false, as_row(value), as_row(bar));
    }
    Value<T> input(bool is_batched, const View<const T>& value, const View<T>& bar) {
        if (judge_ != nullptr) judge_->input(value.rows, is_batched ? tape_.batch() : 1);
        return Value<T>(tape_.template add<detail::Input<T>>(is_batched, value, bar));
    }
    template <class Place>
    Value<T> set(const Place& place,
                 Value<T> value,
                 const View<T>& to,
                 const View<const T>& known,
                 const View<const T>& bar) {
        switch (tape_.pass()) {
            case Pass::kMeasure:
                judge_->set(place(), value ? value->cols() : 0, !value || value->is_batched());
                break;
            case Pass::kForward:
                marks_ += detail::mark(place());
                if (value) value->use();
                if (value && !value->is_known()) value->place(to);
                *end_ = tape_.template make<Output>(Output{value, to});
                end_ = &(*end_)->next;
                break;
            case Pass::kReverse:
                if (!value) break;
                if (known && !value->is_known()) value->know(known);
                if (bar) value->give(bar);
                break;
        }
        return value;
    }

    Tape<T>& tape_;
    const StepIn<T>& in_;
    const StepOut<T>* out_;
    const StepCot<T>* cot_;
    const StepAcc<T>* acc_;
    std::int64_t first_row_;
    detail::Judge* judge_;
    std::uint64_t marks_ = 0;
    Output* first_ = nullptr;
    Output** end_ = &first_;
};

/// Base of a method that has
///   template <class T> void forward(l2o::layers::Step<T>& step) const;
/// and gets step, step_vjp and their scratch: declare() ends with measure(spec). forward() may look at the
/// number of the step, the options and what declare() found, never at values: it is called without memory
/// behind them to learn how much scratch it takes.
template <class Method>
class Layered {
  public:
    template <class T>
    void step(const StepIn<T>& in, const StepOut<T>& out) const {
        const std::int64_t rows = in.batch() * copies_;
        for (std::int64_t row = 0; row < rows; row += rows_at_once_) {
            Scratch scratch(in.call);
            Tape<T> tape(scratch, std::min(rows_at_once_, rows - row), Pass::kForward);
            Step<T> step(tape, in, &out, nullptr, nullptr, row);
            method().forward(step);
            if (step.marks() != marks_) [[unlikely]]
                refuse(in);
            step.finish();
        }
    }
    template <class T>
    void step_vjp(const StepIn<T>& in, const StepCot<T>& cot, const StepAcc<T>& acc) const {
        const std::int64_t rows = in.batch() * copies_;
        for (std::int64_t row = 0; row < rows; row += rows_at_once_) {
            Scratch scratch(in.call);
            Tape<T> tape(scratch, std::min(rows_at_once_, rows - row), Pass::kReverse);
            Step<T> step(tape, in, nullptr, &cot, &acc, row);
            method().forward(step);
            tape.reverse();
        }
    }
    /// @throw Failure if declare() did not end with measure(spec)
    void check_declared(const OptimizerSpec& spec) const {
        static_assert(kCanForward<float> || kCanForward<double>,
                      "forward is missing or cannot be called; expected 'template <class T> void "
                      "forward(l2o::layers::Step<T>&) const'");
        static_assert(std::is_same_v<decltype(&Method::template step<double>),
                                     void (Layered::*)(const StepIn<double>&, const StepOut<double>&) const>,
                      "step is there beside forward(), which it would hide; expected one of both");
        if (spec_ != &spec || marks_ != detail::marks_of(spec))
            invalid(
                "declare() does not end with 'measure(spec)', which finds the scratch of forward(); "
                "expected it after the last state");
    }

  protected:
    /// Declares the scratch that forward() takes in the steps up to max_steps, or in the first three, and
    /// refuses one that in these steps does not set all that it has to; later ones are refused by step().
    /// @param entries_at_once  0: the batch is computed at once; else as many of its instances at a time as
    ///        have so many coordinates, or one: where values are many, those of all rows leave the cache
    /// @param spec  complete, and there as long as the method
    void measure(OptimizerSpec& spec, std::int64_t entries_at_once = 0) {
        detail::Judge::check_states(spec);
        spec_ = &spec, marks_ = detail::marks_of(spec);
        const auto particles = static_cast<std::int64_t>(spec.info.particles);
        copies_ = std::max<std::int64_t>(1, particles);
        std::int64_t of_instance = 0;
        for (std::size_t k = 0; k < spec.blocks(); ++k) of_instance += copies_ * element_count(spec.block(k));
        std::int64_t at_once = 0;  // instances; 0: all
        if (entries_at_once > 0) {
            at_once = std::max<std::int64_t>(1, entries_at_once / std::max<std::int64_t>(1, of_instance));
            rows_at_once_ = at_once * copies_;
        }
        const std::int64_t steps = spec.info.max_steps > 0 ? spec.info.max_steps : 3;
        const l2o_problem& problem = spec.problem();
        const detail::Shapes params(spec.params.all(), 0);
        l2o_spec values{};
        values.dtype = problem.dtype, values.flags = L2O_SPEC_BATCHED;
        const l2o_spec* const f[] = {&values};
        std::vector<Lists> of_rows;
        for (std::int64_t of = 0; of < 3; ++of) {
            const std::int64_t batch = at_once > 0 ? at_once : of;
            of_rows.push_back({batch,
                               {spec.states.all(), batch, particles, L2O_SPEC_PER_PARTICLE},
                               {{problem.blocks, problem.n_blocks}, batch, particles, L2O_SPEC_BATCHED},
                               {{problem.data, problem.n_data}, batch},
                               {f, batch, particles, L2O_SPEC_BATCHED}});
        }
        for (std::int64_t t = 0; t < steps; ++t)
            spec.scratch([&](Scratch& scratch, std::int64_t of, auto scalar) {
                using T = decltype(scalar);
                const Lists& lists = of_rows[static_cast<std::size_t>(of)];
                l2o_step_in raw{};
                raw.batch = static_cast<std::uint32_t>(lists.batch), raw.t = t;
                raw.params = params.list(), raw.state = lists.states.list(), raw.data = lists.data.list();
                raw.x = lists.blocks.list();
                if ((spec.info.reads & L2O_ORACLE_GRADIENT) != 0) raw.g = raw.x;
                if ((spec.info.reads & L2O_ORACLE_VALUE) != 0) raw.f = *lists.f.list();
                const l2o_call call{};
                const StepIn<T> in(&raw, &call, particles > 0 ? 2 : 1, spec.blocks(), spec.states.size());
                judge(scratch, in);
            });
    }

  private:
    template <class T>
    static constexpr bool kCanForward = requires(const Method& m, Step<T>& step) {
        m.forward(step);
    };
    struct Lists {
        std::int64_t batch;
        detail::Shapes states, blocks, data, f;
    };
    [[nodiscard]] const Method& method() const { return static_cast<const Method&>(*this); }
    template <class T>
    void judge(Scratch& scratch, const StepIn<T>& in) const {
        Tape<T> tape(scratch, in.batch() * copies_, Pass::kMeasure);
        detail::Judge judge(*spec_, in.t());
        Step<T> step(tape, in, nullptr, nullptr, nullptr, 0, &judge);
        method().forward(step);
        judge.finish();
    }
    /// Says what forward() did not set, or set twice.
    template <class T>
    [[noreturn, gnu::cold, gnu::noinline]] void refuse(const StepIn<T>& in) const {
        Scratch scratch;
        judge(scratch, in);
        invalid("forward() of step " + std::to_string(in.t()) +
                " sets other outputs when it is called again; expected one that looks at no values");
    }

    const OptimizerSpec* spec_ = nullptr;  // as measured
    std::uint64_t marks_ = 0;              // of a step that sets every output once
    std::int64_t rows_at_once_ = std::numeric_limits<std::int64_t>::max() / 2;
    std::int64_t copies_ = 1;  // rows per instance
};

}  // namespace l2o::layers
