#include <algorithm>
#include <cmath>
#include <cstdint>
#include <l2o/numerics/philox.hpp>
#include <l2o/sdk/coordinates.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <numeric>
#include <vector>

#include "incumbent.hpp"

namespace {

// Schaul, Glasmachers & Schmidhuber 2011, "High dimensions and heavy tails for natural evolution strategies",
// algorithm SNES; Wierstra et al. 2014, "Natural evolution strategies" (JMLR 15), table 1: utilities, rates.
struct Snes {
    static constexpr l2o::About about{.id = "snes",
                                      .version = "1.0.0",
                                      .title = "Separable natural evolution strategy",
                                      .doc =
                                          "Points m + sigma z, z ~ N(0, I), sigma of every coordinate its "
                                          "own; ranked from the best, u_i = max(0, "
                                          "ln(lambda / 2 + 1) - ln i), normalised, - 1 / lambda; m <- m + "
                                          "sigma sum u z, sigma <- sigma exp(eta "
                                          "/ 2 sum u (z^2 - 1)). A step evaluates `particles` points; x is "
                                          "the best so far, and the start is not "
                                          "evaluated. The box mirrors. Lengths are in units of the range of "
                                          "a coordinate in its box, without "
                                          "one of 1. Schaul et al. 2011; Wierstra et al. 2014."};

    std::int64_t particles = 0;
    double sigma0 = 0.3, rate = 0;

    static l2o::Options<Snes> options() {
        l2o::Options<Snes> options;
        options.integer("particles", &Snes::particles, "of a step; 0: 4 + 3 ln n", l2o::between(0, 65536))
            .real("sigma0", &Snes::sigma0, "sigma at the start", l2o::kPositive)
            .real("rate", &Snes::rate, "eta; 0: (3 + ln n) / (5 sqrt(n))", l2o::kNonNegative);
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        spec.minimises().keeps_bounds().flag(L2O_FLAG_STOCHASTIC);
        at_ = l2o::Coordinates(spec);
        const double n = double(at_.size());
        if (particles == 1) l2o::invalid("particles is 1, which nothing ranks; expected 0, or at least 2");
        if (particles == 0) particles = 4 + std::int64_t(3 * std::log(n));
        if (rate == 0) rate = (3 + std::log(n)) / (5 * std::sqrt(n));
        for (std::int64_t i = 1; i <= particles; ++i)
            utilities_.push_back(std::max(0.0, std::log(double(particles) / 2 + 1) - std::log(double(i))));
        const double sum = std::accumulate(utilities_.begin(), utilities_.end(), 0.0);
        for (double& u : utilities_) u = u / sum - 1 / double(particles);
        spec.asks(static_cast<std::uint32_t>(particles), L2O_ORACLE_VALUE);
        m_ = spec.state<double>(
            {.name = "m", .doc = "the mean, in units", .shape = {at_.size()}, .batched = true});
        sigma_ = spec.state<double>({.name = "sigma", .shape = {at_.size()}, .batched = true});
        best_.bind(spec);
        spec.scratch([this](l2o::Scratch& scratch, std::int64_t, auto) {
            scratch.take<double>(at_.size());
            scratch.rows<double>(particles, at_.size());
            scratch.take<std::int64_t>(particles);
        });
    }

    template <class T>
    void init_state(const l2o::StepIn<T>& in, const l2o::StatesOut<T>& state) const {
        best_.start(state);
        l2o::fill(state[sigma_], sigma0);
        for (std::int64_t row = 0; row < in.batch(); ++row)
            at_.read(
                row, [&](std::size_t k) { return in.x(k); }, state[m_].row(row));
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        out.keep(in);
        l2o::Scratch scratch(in.call);
        double* point = scratch.take<double>(at_.size());
        const auto z = scratch.rows<double>(particles, at_.size());
        std::int64_t* order = scratch.take<std::int64_t>(particles);
        for (std::int64_t row = 0; row < in.batch(); ++row) {
            // The same draws in both rounds.
            l2o::numerics::Stream random(in.call.key, in.call.row0 + std::uint64_t(row));
            l2o::each([&](double& z_i) { z_i = random.normal(); }, z);
            double *m = out.state(m_).row(row), *sigma = out.state(sigma_).row(row);
            if (in.round() > 0) {
                best_.take(in, out, row, particles);
                tell(in, row, z, order, m, sigma);
                continue;
            }
            for (std::int64_t j = 0; j < particles; ++j) {
                for (std::int64_t i = 0; i < at_.size(); ++i) point[i] = m[i] + sigma[i] * z(j, i);
                at_.write(row, point, [&](std::size_t k) { return out.q(k, j); });
                out.ask(row, std::uint32_t(j), L2O_ORACLE_VALUE);
            }
        }
    }

  private:
    template <class T>
    void tell(const l2o::StepIn<T>& in,
              std::int64_t row,
              const l2o::View<double>& z,
              std::int64_t* order,
              double* m,
              double* sigma) const {
        const auto value = [&](std::int64_t j) {
            const double f = in.qf(j)[row];
            return std::isnan(f) ? l2o::kInfinity : f;
        };
        std::iota(order, order + particles, std::int64_t{0});
        std::stable_sort(
            order, order + particles, [&](std::int64_t a, std::int64_t b) { return value(a) < value(b); });
        for (std::int64_t i = 0; i < at_.size(); ++i) {
            double along = 0, wider = 0;
            for (std::int64_t r = 0; r < particles; ++r) {
                const double u = utilities_[std::size_t(r)], z_i = z(order[r], i);
                along += u * z_i;
                wider += u * (z_i * z_i - 1);
            }
            m[i] += sigma[i] * along;
            sigma[i] *= std::exp(rate / 2 * wider);
        }
    }

    l2o::Coordinates at_;
    std::vector<double> utilities_;
    l2o::StateOf<double> m_, sigma_;
    l2o::plugins::Incumbent best_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<Snes>)
