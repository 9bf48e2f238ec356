// What forward() says, looked at when it is measured, and where a step does not set what it has to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <l2o/sdk/failure.hpp>
#include <l2o/sdk/handle.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <string>
#include <vector>

namespace l2o::layers::detail {

/// Adds up to a number that tells what was set how often, where it is little.
inline std::uint64_t mark(std::size_t place) { return std::uint64_t{1} << place % 64; }
inline std::uint64_t marks_of(const OptimizerSpec& spec) {
    std::uint64_t sum = 0;
    for (std::size_t place = 0; place < spec.blocks() + spec.states.size(); ++place) sum += mark(place);
    return sum;
}

/// Refuses a forward() that does not set x' of every block and every state', each once, in rows of its size,
/// or that reads data or a parameter as what it is not.
class Judge {
  public:
    /// @param spec  complete, and there as long as this   @param t  number of the step
    Judge(const OptimizerSpec& spec, std::int64_t t)
        : spec_(spec), t_(t), is_set_(spec.blocks() + spec.states.size(), false) {}

    /// @throw Failure of a state that is not batched, or, of a population, not one for each particle: rows
    ///        are computed one by one.
    static void check_states(const OptimizerSpec& spec) {
        for (std::uint32_t i = 0; i < spec.states.size(); ++i) {
            const l2o_spec& state = *spec.states.at(i);
            if ((state.flags & L2O_SPEC_BATCHED) == 0)
                invalid("state '" + std::string(state.name) +
                        "' is one for the whole batch, and forward() computes row by row; expected '.batched "
                        "= true' in declare()");
            if (spec.info.particles > 0 && (state.flags & L2O_SPEC_PER_PARTICLE) == 0)
                invalid("state '" + std::string(state.name) +
                        "' is one for a whole population, and forward() computes particle by particle; "
                        "expected '.flags = L2O_SPEC_PER_PARTICLE' in declare()");
        }
    }

    /// @param place  in the list of the blocks and, after them, the states
    /// @param cols  of a row; 0: whatever fits
    void set(std::size_t place, std::int64_t cols, bool is_batched) {
        const std::int64_t expected = element_count(spec_at(place));
        if (is_set_[place]) invalid(here() + "sets " + text(place) + " twice; expected once");
        if (cols > 0 && !is_batched)
            invalid(here() + "sets " + text(place) +
                    " to one row for all; expected a value with a row for each");
        if (cols > 0 && cols != expected)
            invalid(here() + "sets " + text(place) + " to rows of " + std::to_string(cols) +
                    " entries; expected " + std::to_string(expected));
        is_set_[place] = true;
    }
    void finish() const {
        for (std::size_t place = 0; place < is_set_.size(); ++place)
            if (!is_set_[place])
                invalid(here() + "does not set " + text(place) + "; expected 'step." +
                        (place < spec_.blocks() ? "set_x(value, " + std::to_string(place) + ")"
                                                : "set(handle, value)") +
                        "', with an empty value for zeros");
    }

    /// Of a tensor that is read: its rows, and those of the batch or, where one is for all, 1.
    void input(std::int64_t rows, std::int64_t expected) const {
        if (rows != expected)
            invalid(here() + "reads " + std::to_string(rows) + " rows where there have to be " +
                    std::to_string(expected) +
                    "; expected step.data() of what every instance has of its own, "
                    "step.param() or step.shared_data() of one row for all, step.matrix() of a matrix");
    }

  private:
    [[nodiscard]] std::string here() const { return "forward() of step " + std::to_string(t_) + " "; }
    [[nodiscard]] const l2o_spec& spec_at(std::size_t place) const {
        return place < spec_.blocks() ? spec_.block(place)
                                      : *spec_.states.at(std::uint32_t(place - spec_.blocks()));
    }
    [[nodiscard]] std::string text(std::size_t place) const {
        return (place < spec_.blocks() ? "x' of block '" : "state '") + std::string(spec_at(place).name) +
               "'";
    }

    const OptimizerSpec& spec_;
    std::int64_t t_;
    std::vector<bool> is_set_;
};

}  // namespace l2o::layers::detail
