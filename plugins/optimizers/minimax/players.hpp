#pragma once

#include <l2o/abi/draft/alternates.h>

#include <cstddef>
#include <l2o/sdk/optimizer.hpp>
#include <vector>

namespace l2o::plugins {

/// Who moves which block of a game z = (u, v), and which way. F(z) is df/du for the blocks that are minimised
/// and -df/dv for those that are maximised, so that z - eta F(z) is a step for both.
class Players {
  public:
    Players() = default;
    explicit Players(const OptimizerSpec& spec) {
        for (std::size_t k = 0; k < spec.blocks(); ++k)
            is_max_.push_back((spec.block(k).flags & L2O_SPEC_MAXIMISED) != 0);
    }
    [[nodiscard]] bool is_max(std::size_t block) const { return is_max_[block]; }
    /// F = sign df/dblock.
    [[nodiscard]] double sign(std::size_t block) const { return is_max_[block] ? -1 : 1; }
    [[nodiscard]] bool are_two() const {
        for (const bool is_max : is_max_)
            if (is_max) return true;
        return false;
    }

  private:
    std::vector<bool> is_max_;
};

/// What methods share whose players move at once or in turns: an option `order`, and steps in which the
/// minimising blocks move first, by the gradient at x, and the others by the gradient where those are then:
/// each player reads its own gradient alone, half of each.
class Turns {
  public:
    enum class Order { kSimultaneous, kAlternating };
    Order order = Order::kSimultaneous;

    template <class Method>
    static Options<Method>& add_order(Options<Method>& options) {
        return options.choice("order",
                              static_cast<Order Method::*>(&Method::order),
                              {"simultaneous", "alternating"},
                              "whether the maximising blocks see the minimising ones before or after their "
                              "move");
    }

    /// In declare(), for a method that reads g. Without a block that is maximised nobody waits.
    void declare_turns(OptimizerSpec& spec) {
        players_ = Players(spec);
        alternates_ = order == Order::kAlternating && players_.are_two();
        spec.reads_g();
        if (alternates_) {
            spec.asks(1, L2O_ORACLE_GRADIENT).flag(L2O_OPTIMIZER_ALTERNATES_DRAFT1);
        } else {
            spec.coordinatewise();
        }
    }
    [[nodiscard]] double sign(std::size_t block) const { return players_.sign(block); }

    /// @param move  (block, g): writes x' of a block, and its state
    /// @param wait  (block): writes the state of a block that does not move in this round
    template <class T, class Move, class Wait>
    void take_turns(const StepIn<T>& in, const StepOut<T>& out, Move&& move, Wait&& wait) const {
        const bool half_way = alternates_ && in.round() == 0;
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            if (half_way && players_.is_max(k)) {
                copy(in.x(k), out.x(k));
                wait(k);
            } else if (alternates_ && in.round() > 0 && !players_.is_max(k)) {
                copy(in.q(k, 0), out.x(k));  // x' of round 0; its state is what that round left
                wait(k);
            } else {
                move(k, alternates_ && players_.is_max(k) ? in.qg(k, 0) : in.g(k));
            }
            if (half_way) copy(out.x(k), out.q(k, 0));
        }
        if (half_way) out.ask_all(0, L2O_ORACLE_GRADIENT);
    }

  private:
    Players players_;
    bool alternates_ = false;
};

}  // namespace l2o::plugins
