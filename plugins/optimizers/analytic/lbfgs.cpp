#include <cstdint>
#include <cstring>
#include <l2o/numerics/philox.hpp>
#include <l2o/sdk/coordinates.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <utility>

#include "differences.hpp"
#include "lbfgs_search.hpp"

namespace {

using l2o::plugins::Differences;

// Liu & Nocedal 1989, "On the limited memory BFGS method for large scale optimization". Steps, tests and
// constants as in L-BFGS-B 3.0 (Zhu, Byrd, Lu & Nocedal 1997) without bounds, which SciPy has.
struct Lbfgs {
    static constexpr l2o::About about{
        .id = "lbfgs",
        .version = "1.0.0",
        .title = "L-BFGS with the line search of More and Thuente",
        .doc =
            "x <- x - alpha H g, H from the last `memory` pairs of differences (two loops, Nocedal 1980); "
            "alpha satisfies the strong Wolfe conditions by 1e-3 and 0.9, searched from 1 on, in the first "
            "step from 1 / ||g||. A trial asks for f and g; with differences, for f there and at n points "
            "beside it, of which it makes g. A row where 20 trials find nothing forgets its pairs, and ends "
            "where it has none, where a step does not lower f, or where no |g_i| is above `tolerance`; with "
            "restart it begins anew around x_0. Liu & Nocedal 1989; More & Thuente 1994."};

    std::int64_t memory = 10;
    double tolerance = 1e-12, spread = 1;
    bool differences = false, restart = false;

    static l2o::Options<Lbfgs> options() {
        l2o::Options<Lbfgs> options;
        options.integer("memory", &Lbfgs::memory, "pairs that are kept", l2o::between(1, 1000))
            .real("tolerance", &Lbfgs::tolerance, "of the gradient, where a row ends", l2o::kNonNegative)
            .flag("differences", &Lbfgs::differences, "gradients from values")
            .flag("restart", &Lbfgs::restart, "begin anew, where it would end")
            .real("spread", &Lbfgs::spread, "standard deviation of restarts about x_0", l2o::kPositive);
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        at_ = l2o::Coordinates(spec);
        restart ? spec.minimises().flag(L2O_FLAG_STOCHASTIC) : spec.minimises().ends_rows();
        Differences::announce(spec, at_, differences);
        const auto numbers = [&](const char* name, const char* doc, l2o::Shape shape) {
            return spec.state<double>({.name = name, .doc = doc, .shape = std::move(shape), .batched = true});
        };
        s_ = numbers("s", "differences of x", {memory, at_.size()});
        y_ = numbers("y", "differences of g", {memory, at_.size()});
        g_ = numbers("g", "the gradient at x", {at_.size()});
        d_ = numbers("d", "the direction", {at_.size()});
        f_ = numbers("f", "f at x", {});
        line_ = numbers("line", "see more_thuente.hpp", {sizeof(l2o::plugins::MoreThuente) / sizeof(double)});
        now_ = spec.state<std::int64_t>({.name = "now",
                                         .doc = "pairs, the next one, trials, search",
                                         .shape = {Search::kNow},
                                         .batched = true});
        if (restart) origin_ = numbers("origin", "x_0", {at_.size()});
        spec.scratch([this](l2o::Scratch& scratch, std::int64_t, auto) {
            scratch.rows<double>(2, at_.size());
            scratch.take<double>(memory);
        });
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        out.keep(in);
        l2o::Scratch scratch(in.call);
        const l2o::View<double> two = scratch.rows<double>(2, at_.size());
        double* alpha = scratch.take<double>(memory);
        for (std::int64_t row = 0; row < in.batch(); ++row) {
            std::int64_t* now = out.state(now_).row(row);
            Search search{{at_.size(),
                           memory,
                           out.state(s_).row(row),
                           out.state(y_).row(row),
                           now[Search::kPairs],
                           now[Search::kNext]},
                          now,
                          out.state(f_)[row],
                          {out.state(g_).row(row), at_.size()},
                          {out.state(d_).row(row), at_.size()},
                          {},
                          tolerance};
            std::memcpy(&search.line, in.state(line_).row(row), sizeof search.line);
            if (in.round() == 0) {
                if (now[Search::kPhase] != Search::kFirst) search.begin(alpha);
                if (restart) begin_anew(in, row, out.state(origin_).row(row), search);
            } else if (now[Search::kPhase] <= Search::kGoingOn) {
                const auto of = [&](std::size_t k) { return in.qg(k, 0); };
                differences ? Differences::read(in, row, two.row(0)) : at_.read(row, of, two.row(0));
                search.tell(in.qf(0)[row], {two.row(0), at_.size()}, alpha);
            }
            std::memcpy(out.state(line_).row(row), &search.line, sizeof search.line);
            say(in, out, row, search, two.row(1));
        }
    }

  private:
    using Search = l2o::plugins::LbfgsSearch;

    /// Remembers x_0, and where there is nothing more to gain jumps to a start that is drawn around it.
    template <class T>
    void begin_anew(const l2o::StepIn<T>& in, std::int64_t row, double* origin, Search& search) const {
        const auto x = [&](std::size_t k) { return in.x(k); };
        if (in.t() == 0) at_.read(row, x, origin);
        if (search.now[Search::kPhase] != Search::kEnded) return;
        l2o::numerics::Stream random(in.call.key, in.call.row0 + std::uint64_t(row));
        at_.read(row, x, search.d.data());
        search.jump([&](std::int64_t i) { return at_.draw(i, origin[i], spread, random); });
    }

    /// What the row asks for, or has come to, which one that is done repeats.
    template <class T>
    void say(const l2o::StepIn<T>& in,
             const l2o::StepOut<T>& out,
             std::int64_t row,
             const Search& search,
             double* trial) const {
        const std::int64_t phase = search.now[Search::kPhase];
        if (phase == Search::kEnded && !restart) out.end(row, L2O_ROW_CONVERGED);
        if (phase == Search::kEnded && in.t() == 0) return out.x_is_question(row, 0);
        if (phase >= Search::kGivenUp) return out.x_is_unchanged(row);
        at_.read(
            row, [&](std::size_t k) { return in.x(k); }, trial);
        for (std::int64_t i = 0; i < at_.size() && phase != Search::kFirst; ++i)
            trial[i] += search.line.step * search.d[i];
        if (phase == Search::kAccepted) {
            at_.write(row, trial, [&](std::size_t k) { return out.x(k); });
            return out.x_is_question(row, 0);
        }
        at_.write(row, trial, [&](std::size_t k) { return out.q(k, 0); });
        out.ask(row, 0, differences ? L2O_ORACLE_VALUE : L2O_ORACLE_VALUE | L2O_ORACLE_GRADIENT);
        if (differences) Differences::ask(out, row, at_, trial);
    }

    l2o::Coordinates at_;
    l2o::StateOf<double> s_, y_, g_, d_, f_, line_, origin_;
    l2o::StateOf<std::int64_t> now_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<Lbfgs>)
