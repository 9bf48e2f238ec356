#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <l2o/sdk/coordinates.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <utility>

#include "lbfgs_search.hpp"

namespace {

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
            "where it has none, or where no |g_i| is above `tolerance`. Liu & Nocedal 1989; More & Thuente "
            "1994."};

    std::int64_t memory = 10;
    double tolerance = 1e-12;
    bool differences = false;

    static l2o::Options<Lbfgs> options() {
        l2o::Options<Lbfgs> options;
        options.integer("memory", &Lbfgs::memory, "pairs that are kept", l2o::between(1, 1000))
            .real("tolerance", &Lbfgs::tolerance, "of the gradient, where a row ends", l2o::kNonNegative)
            .flag("differences", &Lbfgs::differences, "gradients from values");
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        at_ = l2o::Coordinates(spec);
        spec.minimises().ends_rows();
        if (differences && spec.problem().dtype != L2O_DTYPE_F64)
            l2o::refuse("differences of values in single precision are no gradient; expected dtype float64");
        spec.asks(differences ? static_cast<std::uint32_t>(at_.size() + 1) : 1,
                  differences ? L2O_ORACLE_VALUE : L2O_ORACLE_VALUE | L2O_ORACLE_GRADIENT);
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
            if (in.round() == 0 && now[Search::kPhase] != Search::kFirst) {
                search.begin(alpha);
            } else if (in.round() > 0 && now[Search::kPhase] <= Search::kGoingOn) {
                const Search::Vector g(two.row(0), at_.size());
                read_gradient(in, row, two.row(0));
                search.tell(in.qf(0)[row], g, alpha);
            }
            std::memcpy(out.state(line_).row(row), &search.line, sizeof search.line);
            say(in, out, row, search, two.row(1));
        }
    }

  private:
    using Search = l2o::plugins::LbfgsSearch;

    template <class T>
    void read_gradient(const l2o::StepIn<T>& in, std::int64_t row, double* g) const {
        if (!differences)
            return at_.read(
                row, [&](std::size_t k) { return in.qg(k, 0); }, g);
        std::int64_t i = 0;  // over all blocks
        for (std::size_t k = 0; k < in.blocks(); ++k)
            for (std::int64_t c = 0; c < in.x(k).cols; ++c, ++i)
                g[i] = double(in.qf(i + 1)[row] - in.qf(0)[row]) /
                       double(in.q(k, i + 1)(row, c) - in.q(k, 0)(row, c));
    }

    /// What the row asks for, or has come to, which one that is done repeats.
    template <class T>
    void say(const l2o::StepIn<T>& in,
             const l2o::StepOut<T>& out,
             std::int64_t row,
             const Search& search,
             double* trial) const {
        const std::int64_t phase = search.now[Search::kPhase];
        if (phase == Search::kEnded) out.end(row, L2O_ROW_CONVERGED);
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
        for (std::int64_t i = 0; i < at_.size() && differences; ++i) {
            const double middle = trial[i];
            trial[i] += 1.5e-8 * std::max(1.0, std::abs(middle));  // the root of what numbers can tell apart
            at_.write(row, trial, [&](std::size_t k) { return out.q(k, i + 1); });
            trial[i] = middle;
            out.ask(row, std::uint32_t(i + 1), L2O_ORACLE_VALUE);
        }
    }

    l2o::Coordinates at_;
    l2o::StateOf<double> s_, y_, g_, d_, f_, line_;
    l2o::StateOf<std::int64_t> now_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<Lbfgs>)
