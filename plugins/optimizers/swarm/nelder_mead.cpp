#include <cmath>
#include <cstdint>
#include <l2o/numerics/philox.hpp>
#include <l2o/sdk/coordinates.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <limits>
#include <string>

#include "incumbent.hpp"
#include "nelder_mead_machine.hpp"

namespace {

// Nelder & Mead 1965, "A simplex method for function minimization", in the form of Lagarias, Reeds, Wright &
// Wright 1998, "Convergence properties of the Nelder-Mead simplex method in low dimensions", which SciPy has
// too; adaptive: Gao & Han 2012, "Implementing the Nelder-Mead simplex algorithm with adaptive parameters".
struct NelderMead {
    static constexpr l2o::About about{
        .id = "nelder_mead",
        .version = "1.0.0",
        .title = "The simplex method of Nelder and Mead",
        .doc =
            "A simplex of n + 1 points; the worst is reflected about the mean "
            "of the others, by 1 (and by 2 where "
            "that is the best, 1/2 or -1/2 where it is bad), or all move half "
            "way to the best. adaptive: 1 + 2 / n, "
            "3/4 - 1 / (2 n), and to the best by 1 / n, for many coordinates. "
            "A step evaluates one point; x is the "
            "best so far. The box mirrors. Where the points are within "
            "`tolerance` of the best, and their values, or as near as rounding lets them, "
            "the row ends, or with restart begins anew anywhere in the box, or "
            "around x_0. Nelder & Mead 1965; "
            "Lagarias et al. 1998; Gao & Han 2012."};

    using Machine = l2o::plugins::NelderMeadMachine;
    bool adaptive = false, restart = false;
    double size = 0, tolerance = 1e-8, spread = 1;

    static l2o::Options<NelderMead> options() {
        using M = NelderMead;
        l2o::Options<M> options;
        options.flag("adaptive", &M::adaptive, "coefficients by the number of coordinates")
            .real("size",
                  &M::size,
                  "edges of the first simplex, in units of the range of a coordinate in its box, without "
                  "one of 1; 0: as SciPy, 5 % of a coordinate, or 0.00025",
                  l2o::kNonNegative)
            .real("tolerance", &M::tolerance, "of points and values", l2o::kNonNegative)
            .flag("restart", &M::restart, "begin anew, where it would end")
            .real("spread",
                  &M::spread,
                  "standard deviation of restarts about x_0, without a box",
                  l2o::kPositive);
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        spec.minimises().keeps_bounds().asks(1, L2O_ORACLE_VALUE);
        restart ? spec.flag(L2O_FLAG_STOCHASTIC) : spec.ends_rows();
        at_ = l2o::Coordinates(spec);
        const std::int64_t n = at_.size();
        if (n > 4096)
            l2o::refuse("a simplex of " + std::to_string(n) +
                        " coordinates is too large; expected at most 4096");
        machine_ = {n, adaptive};
        // Behind the points of the machine x_0.
        points_ = spec.state<double>({.name = "points", .shape = {n + 3, n}, .batched = true});
        f_ = spec.state<double>({.name = "f", .doc = "at the points", .shape = {n + 2}, .batched = true});
        now_ = spec.state<std::int64_t>(
            {.name = "now", .doc = "phase, point", .shape = {Machine::kNow}, .batched = true});
        best_.bind(spec);
        spec.scratch([this](l2o::Scratch& scratch, std::int64_t, auto) { scratch.take<double>(at_.size()); });
    }

    template <class T>
    void init_state(const l2o::StepIn<T>& in, const l2o::StatesOut<T>& state) const {
        best_.start(state);
        for (std::int64_t row = 0; row < in.batch(); ++row) {
            double *points = state[points_].row(row), *origin = points + (at_.size() + 2) * at_.size();
            at_.read(
                row, [&](std::size_t k) { return in.x(k); }, origin);
            machine_.start({points, state[f_].row(row), state[now_].row(row)}, origin, size);
        }
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        out.keep(in);
        double* trial = l2o::Scratch(in.call).take<double>(at_.size());
        for (std::int64_t row = 0; row < in.batch(); ++row) {
            const Machine::Search search{
                out.state(points_).row(row), out.state(f_).row(row), out.state(now_).row(row)};
            if (in.round() == 0) {
                machine_.propose(search, trial);
                at_.write(row, trial, [&](std::size_t k) { return out.q(k, 0); });
                out.ask(row, 0, L2O_ORACLE_VALUE);
                continue;
            }
            best_.take(in, out, row);
            at_.read(
                row, [&](std::size_t k) { return in.q(k, 0); }, trial);
            machine_.judge(search, trial, std::isnan(in.qf(0)[row]) ? l2o::kInfinity : double(in.qf(0)[row]));
            if (!machine_.has_converged(search, tolerance, std::numeric_limits<T>::epsilon())) continue;
            if (!restart) {
                out.end(row, L2O_ROW_CONVERGED);
                continue;
            }
            const double* origin = search.points + (at_.size() + 2) * at_.size();
            l2o::numerics::Stream random(in.call.key, in.call.row0 + std::uint64_t(row));
            for (std::int64_t i = 0; i < at_.size(); ++i) trial[i] = at_.draw(i, origin[i], spread, random);
            machine_.start(search, trial, size);
        }
    }

  private:
    l2o::Coordinates at_;
    l2o::plugins::NelderMeadMachine machine_;
    l2o::StateOf<double> points_, f_;
    l2o::StateOf<std::int64_t> now_;
    l2o::plugins::Incumbent best_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<NelderMead>)
