#include <l2o/numerics/philox.hpp>

#include "players.hpp"

namespace {

struct KBeam {
    static constexpr l2o::About about{
        .id = "k_beam",
        .version = "1.0.0",
        .title = "K-beam minimax",
        .doc =
            "Keeps K candidates v_j of the maximising player: u <- u - eta df/du at the v_j of the largest "
            "f(u, v_j), then v_j <- v_j + ascent_ratio eta df/dv at (u, v_j), all j. x is u and the best "
            "candidate. A step is K + 1 partial gradients and K values. v_0 is the start, the other "
            "candidates are uniform around it. Hamm & Noh 2018, \"K-beam minimax: efficient optimization "
            "for deep adversarial learning\" (arXiv:1805.11640), algorithm 2."};

    std::int64_t candidates = 2;
    double learning_rate = 0.1, ascent_ratio = 1, spread = 0.5;

    static l2o::Options<KBeam> options() {
        l2o::Options<KBeam> options;
        options.integer("candidates", &KBeam::candidates, "K", l2o::between(1, 1000))
            .real("learning_rate", &KBeam::learning_rate, "eta", l2o::kPositive)
            .real("ascent_ratio", &KBeam::ascent_ratio, "step up, as a multiple of eta", l2o::kPositive)
            .real("spread", &KBeam::spread, "of the candidates: at most so far away", l2o::kNonNegative);
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        players_ = l2o::plugins::Players(spec);
        if (!players_.are_two())
            l2o::refuse(
                "no block is to be maximised, and this method keeps candidates of one; use "
                "'gradient_descent'");
        spec.reads_g()
            .asks(std::uint32_t(candidates), L2O_ORACLE_GRADIENT | L2O_ORACLE_VALUE)
            .flag(L2O_OPTIMIZER_ALTERNATES_DRAFT1 | L2O_FLAG_STOCHASTIC);
        for (std::size_t k = 0; k < spec.blocks(); ++k) {
            l2o::Shape shape = l2o::shape_of(spec.block(k));
            shape.insert(shape.begin(), candidates);
            beam_.push_back(players_.is_max(k)
                                ? spec.state_of(k, {.name = "beam", .shape = shape, .batched = true})
                                : l2o::State{});
        }
    }

    template <class T>
    void init_state(const l2o::StepIn<T>& in, const l2o::StatesOut<T>& state) const {
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            if (!players_.is_max(k)) continue;
            const auto x = in.x(k);
            const auto beam = state[beam_[k]];
            for (std::int64_t row = 0; row < x.rows; ++row) {
                l2o::numerics::Stream random(
                    in.call.key, in.call.row0 + std::uint64_t(row), std::uint32_t(k));
                for (std::int64_t i = 0; i < beam.cols; ++i) {
                    const double off = i < x.cols ? 0 : spread * (2 * random.uniform() - 1);
                    beam(row, i) = x(row, i % x.cols) + T(off);
                }
            }
        }
    }

    // Round 0 moves u and asks for df/dv at all candidates, round 1 moves them and asks for values, round 2
    // chooses.
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            const T down = T(learning_rate), up = T(ascent_ratio * learning_rate);
            if (!players_.is_max(k)) {
                if (in.round() == 0) {
                    l2o::each([=](T x, T g, T& to) { to = x - down * g; }, in.x(k), in.g(k), out.x(k));
                } else {
                    l2o::copy(in.q(k, 0), out.x(k));
                }
            } else {
                l2o::copy(in.x(k), out.x(k));
                l2o::copy(in.state(beam_[k]), out.state(beam_[k]));
            }
            for (std::int64_t j = 0; j < candidates; ++j) {
                if (in.round() == 2) break;
                if (!players_.is_max(k)) {
                    l2o::copy(out.x(k), out.q(k, j));
                    continue;
                }
                const auto kept = candidate(out.state(beam_[k]), j, in.x(k).cols);
                if (in.round() == 1) l2o::each([=](T& v, T g) { v += up * g; }, kept, in.qg(k, j));
                l2o::copy(kept, out.q(k, j));
            }
        }
        for (std::int64_t j = 0; j < candidates && in.round() < 2; ++j)
            out.ask_all(std::uint32_t(j), in.round() == 0 ? L2O_ORACLE_GRADIENT : L2O_ORACLE_VALUE);
        for (std::int64_t row = 0; row < in.batch() && in.round() == 2; ++row) choose(in, out, row);
    }

  private:
    template <class T>
    static l2o::View<T> candidate(const l2o::View<T>& beam, std::int64_t j, std::int64_t n) {
        return {beam.data + j * n, beam.rows, n, beam.stride};
    }
    template <class T>
    void choose(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out, std::int64_t row) const {
        std::int64_t best = 0;
        for (std::int64_t j = 1; j < candidates; ++j)
            if (in.qf(j)[row] > in.qf(best)[row]) best = j;
        for (std::size_t k = 0; k < in.blocks(); ++k) {
            if (!players_.is_max(k)) continue;
            const auto from = in.q(k, best);
            const auto to = out.x(k);
            for (std::int64_t i = 0; i < from.cols; ++i) to(row, i) = from(row, i);
        }
        out.x_is_question(row, std::int32_t(best));
    }

    l2o::plugins::Players players_;
    std::vector<l2o::State> beam_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<KBeam>)
