#include <cfloat>
#include <cstdint>
#include <l2o/numerics/cma.hpp>
#include <l2o/numerics/philox.hpp>
#include <l2o/sdk/coordinates.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <string>
#include <vector>

#include "incumbent.hpp"

namespace {

using l2o::numerics::Cma, l2o::numerics::Stream;

// Hansen 2016, "The CMA evolution strategy: a tutorial" (arXiv:1604.00772); restarts: Auger & Hansen 2005, "A
// restart CMA evolution strategy with increasing population size".
struct CmaEs {
    static constexpr l2o::About about{
        .id = "cma_es",
        .version = "1.0.0",
        .title = "CMA-ES: covariance matrix adaptation, restarts with larger populations",
        .doc =
            "Points m + sigma y, y ~ N(0, C), whose order moves m, sigma and C (Hansen 2016, with negative "
            "weights). A step evaluates `particles` points; x is the best so far, and the start is not "
            "evaluated. A search that has converged (`tolerance` is of f, and of sigma over sigma0, as in "
            "PyPI's cma) or stagnates is followed by one from anywhere in the box, or around x_0, with twice "
            "the population, evaluated in several steps, up to 2^doublings times (Auger & Hansen 2005). The "
            "box mirrors. Lengths are in units of the range of a coordinate in its box, without one of 1. "
            "The state has 2 n^2 numbers, with separable 5 n."};

    std::int64_t particles = 0, doublings = 6;
    double sigma0 = 0.3, tolerance = 1e-11;
    bool separable = false;

    static l2o::Options<CmaEs> options() {
        l2o::Options<CmaEs> options;
        options
            .integer("particles", &CmaEs::particles, "points per step; 0: 4 + 3 ln n", l2o::between(0, 65536))
            .real("sigma0", &CmaEs::sigma0, "sigma at the start", l2o::kPositive)
            .flag("separable", &CmaEs::separable, "C is diagonal: for many coordinates")
            .integer("doublings", &CmaEs::doublings, "of the population, at most", l2o::between(0, 12))
            .real("tolerance", &CmaEs::tolerance, "to start again; 1e-3 among many wells", l2o::kNonNegative);
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        spec.minimises().keeps_bounds().flag(L2O_FLAG_STOCHASTIC);
        at_ = l2o::Coordinates(spec);
        if (particles == 1) l2o::invalid("particles is 1, which nothing ranks; expected 0, or at least 2");
        if (!separable && at_.size() > 4096)
            l2o::refuse("the covariance of " + std::to_string(at_.size()) +
                        " coordinates is too large; expected at most 4096, or separable true");
        if (particles == 0) particles = Cma::default_lambda(at_.size());
        const double epsilon = spec.problem().dtype == L2O_DTYPE_F32 ? FLT_EPSILON : DBL_EPSILON;
        for (std::int64_t k = 0; k <= doublings; ++k)
            cma_.emplace_back(at_.size(), particles << k, separable, epsilon);
        spec.asks(static_cast<std::uint32_t>(particles), L2O_ORACLE_VALUE);
        const auto numbers = [&](const char* name, std::int64_t size, const char* doc) {
            return spec.state<double>({.name = name, .doc = doc, .shape = {size}, .batched = true});
        };
        search_ = numbers("search", cma_[0].state_size(), "see numerics/cma.hpp");
        values_ = numbers("values", particles << doublings, "of the generation so far");
        origin_ = numbers("origin", at_.size(), "x_0, in units of the ranges");
        progress_ = spec.state<std::int64_t>({.name = "progress", .shape = {3}, .batched = true});
        best_.bind(spec);
        spec.scratch([this](l2o::Scratch& scratch, std::int64_t, auto) {
            scratch.rows<double>(particles << doublings, at_.size());
        });
    }

    template <class T>
    void init_state(const l2o::StepIn<T>& in, const l2o::StatesOut<T>& state) const {
        l2o::fill(state[search_], 0);
        l2o::fill(state[values_], 0);
        l2o::fill(state[progress_], 0);
        best_.start(state);
        for (std::int64_t row = 0; row < in.batch(); ++row) {
            double* mean = state[origin_].row(row);
            at_.read(
                row, [&](std::size_t k) { return in.x(k); }, mean);
            cma_[0].start(state[search_].row(row), mean, sigma0);
        }
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        out.keep(in);
        const auto y = l2o::Scratch(in.call).rows<double>(particles << doublings, at_.size());
        for (std::int64_t row = 0; row < in.batch(); ++row) {
            const std::uint64_t number = in.call.row0 + std::uint64_t(row);
            const Row now{number, out.state(progress_).row(row), out.state(search_).row(row)};
            if (in.round() == 0) {
                if (now.progress[kDone] == 0) now.progress[kKey] = std::int64_t(in.call.key[0]);
                for (std::int64_t j = 0; j < particles; ++j) {
                    draw(now, now.progress[kDone] + j, y.data);
                    for (std::int64_t i = 0; i < at_.size(); ++i)
                        y.data[i] = Cma::mean(now.search)[i] + Cma::sigma(now.search) * y.data[i];
                    at_.write(row, y.data, [&](std::size_t k) { return out.q(k, j); });
                    out.ask(row, std::uint32_t(j), L2O_ORACLE_VALUE);
                }
                continue;
            }
            best_.take(in, out, row, particles);
            double* values = out.state(values_).row(row);
            for (std::int64_t j = 0; j < particles; ++j) values[now.progress[kDone]++] = in.qf(j)[row];
            if (now.progress[kDone] == cma_of(now).lambda()) tell(now, values, in.state(origin_).row(row), y);
        }
    }

  private:
    enum Progress { kDoublings, kDone, kKey };  // done: of the generation
    struct Row {
        std::uint64_t number;
        std::int64_t* progress;
        double* search;
    };

    [[nodiscard]] const Cma& cma_of(const Row& now) const { return cma_[now.progress[kDoublings]]; }
    /// The same numbers in all steps of a generation.
    static Stream stream(const Row& now, std::int64_t purpose) {
        return {{std::uint64_t(now.progress[kKey]), 0}, now.number, std::uint32_t(purpose)};
    }
    void draw(const Row& now, std::int64_t point, double* y) const {
        Stream random = stream(now, point + 1);
        cma_[0].draw(
            now.search, [&] { return random.normal(); }, y);
    }
    void tell(const Row& now, const double* values, const double* origin, const l2o::View<double>& y) const {
        const std::int64_t lambda = cma_of(now).lambda();
        for (std::int64_t j = 0; j < lambda; ++j) draw(now, j, y.row(j));
        cma_of(now).tell(now.search, {values, std::size_t(lambda)}, l2o::numerics::matrix(y).topRows(lambda));
        now.progress[kDone] = 0;
        if (!cma_of(now).has_converged(now.search, tolerance)) return;
        now.progress[kDoublings] = std::min(now.progress[kDoublings] + 1, doublings);
        Stream random = stream(now, 0);
        for (std::int64_t i = 0; i < at_.size(); ++i) y.data[i] = at_.draw(i, origin[i], sigma0, random);
        cma_of(now).start(now.search, y.data, sigma0);
    }

    l2o::Coordinates at_;
    std::vector<Cma> cma_;  // by doublings
    l2o::StateOf<double> search_, values_, origin_;
    l2o::StateOf<std::int64_t> progress_;
    l2o::plugins::Incumbent best_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<CmaEs>)
