#include <l2o/abi/draft/alternates.h>

#include <cstdint>
#include <l2o/sdk/loss.hpp>

namespace {

struct MinmaxGain {
    static constexpr l2o::About about{
        .id = "minmax_gain",
        .version = "1.0.0",
        .title = "What the players of a game gain by their moves",
        .doc =
            "sum over t of f(z_{t+1}) - f(z_t) for even t, when u moves, and of f(z_t) - f(z_{t+1}) for odd "
            "t, when v does: of (u_t, v_t), for an optimizer that moves one player in a step. Shen et al. "
            "2021, \"Learning a minimax optimizer: a pilot study\", section 3. Its derivative is that of "
            "the sum: a move is also charged with what it lets the other player gain. Their code credits "
            "each move with its own gain alone: train.unroll 1. Of a population, the mean over the "
            "particles."};

    static void declare(l2o::LossSpec& spec) {
        spec.needs_players().reads(L2O_LOSS_READS_F).additive();
        spec.info.flags |= L2O_LOSS_SCORES_TURNS_DRAFT1;
    }

    template <class T>
    void eval(const l2o::Trajectory<T>& trajectory, const l2o::View<T>& per_row) const {
        l2o::fill(per_row, 0);
        for (std::int64_t j = 0; j < trajectory.len(); ++j) {
            const auto f = trajectory.f(j);
            for (std::int64_t row = 0; row < f.rows; ++row)
                for (std::int64_t p = 0; p < f.cols; ++p)
                    per_row[row] += T(weight(trajectory, j)) * f(row, p) / T(f.cols);
        }
    }

    template <class T>
    void vjp(const l2o::Trajectory<T>& trajectory,
             const l2o::View<const T>& cot_row,
             const l2o::TrajectoryAcc<T>& acc) const {
        for (std::int64_t j = 0; j < trajectory.len(); ++j) {
            const auto to = acc.f(j);
            for (std::int64_t row = 0; row < to.rows; ++row)
                for (std::int64_t p = 0; p < to.cols; ++p)
                    to(row, p) += T(weight(trajectory, j)) * cot_row[row] / T(to.cols);
        }
    }

  private:
    /// Of f at point j of the window: it ends one move and begins the next.
    template <class T>
    static double weight(const l2o::Trajectory<T>& trajectory, std::int64_t j) {
        const double of_next = (trajectory.t0() + j) % 2 == 0 ? 1 : -1;
        return (j > 0 ? -of_next : 0) - (j + 1 < trajectory.len() ? of_next : 0);
    }
};

}  // namespace

L2O_PLUGIN(l2o::Loss<MinmaxGain>)
