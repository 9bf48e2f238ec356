#include <algorithm>
#include <cmath>
#include <cstdint>
#include <l2o/numerics/philox.hpp>
#include <l2o/sdk/coordinates.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <numeric>
#include <utility>

#include "incumbent.hpp"
#include "les_nets.hpp"

namespace {

using l2o::plugins::LesRates, l2o::plugins::LesRecombination;

// Lange et al. 2022, "Discovering evolution strategies via meta-black-box optimization" (arXiv:2211.11260),
// section 4, with the constants of its authors' code (evosax, checkpoint 2023_10_les_v2). With weights w of
// the points x_j = m + sigma z_j, and d_j = x_j - m:
//   p_c <- (1 - a) p_c + a sum w d,  p_sigma <- (1 - a) p_sigma + a sum w d / sigma,  a = 0.1, 0.5, 0.9
//   m <- m + l_m sum w d,  sigma <- sigma + l_sigma (sqrt(sum w d^2 + 1e-8) - sigma)
// w, l_m and l_sigma are learned: les_nets.hpp.
struct Les {
    static constexpr l2o::About about{
        .id = "les",
        .version = "1.0.0",
        .title = "Learned evolution strategy, 246 learned numbers",
        .doc =
            "Points m + sigma z, z ~ N(0, I), sigma of every coordinate its own. Attention among the points "
            "of a generation, whose values it knows by order and standing alone, weighs them; a net that is "
            "the same for all coordinates sets the rates at which m and sigma follow. A step evaluates "
            "`particles` points; x is the best so far, and the start is not evaluated. The learned numbers "
            "suit any n and number of points: train with `estimator es` and the loss best_value. The box "
            "mirrors. Lengths are in units of the range of a coordinate in its box, without one of 1, and "
            "have to be about those of the training. Lange et al. 2022."};

    std::int64_t particles = 16;
    double sigma0 = 1;

    static l2o::Options<Les> options() {
        l2o::Options<Les> options;
        options.integer("particles", &Les::particles, "points of a step", l2o::between(2, 65536))
            .real("sigma0", &Les::sigma0, "sigma at the start", l2o::kPositive);
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        spec.minimises().keeps_bounds().flag(L2O_FLAG_STOCHASTIC);
        at_ = l2o::Coordinates(spec);
        spec.asks(static_cast<std::uint32_t>(particles), L2O_ORACLE_VALUE);
        recombination_.declare(spec);
        rates_.declare(spec);
        const auto numbers = [&](const char* name, const char* doc, l2o::Shape shape) {
            return spec.state<double>({.name = name, .doc = doc, .shape = std::move(shape), .batched = true});
        };
        m_ = numbers("m", "the mean, in units", {at_.size()});
        sigma_ = numbers("sigma", "standard deviations, in units", {at_.size()});
        path_c_ = numbers("p_c", "of sum w d, one for every a", {LesRates::kPaths, at_.size()});
        path_sigma_ = numbers("p_sigma", "of sum w d / sigma", {LesRates::kPaths, at_.size()});
        best_.bind(spec);
        spec.scratch([this](l2o::Scratch& scratch, std::int64_t, auto) {
            scratch.rows<double>(particles, at_.size());
            LesRecombination::Room(scratch, particles);
        });
    }

    template <class T>
    void init_params(const l2o_call& call, const l2o::NeedsIn<T>&, const l2o::ParamsOut<T>& params) const {
        recombination_.init(call, params);
        rates_.init(call, params);
    }
    template <class T>
    void init_state(const l2o::StepIn<T>& in, const l2o::StatesOut<T>& state) const {
        best_.start(state);
        l2o::fill(state[sigma_], sigma0);
        l2o::fill(state[path_c_], 0);
        l2o::fill(state[path_sigma_], 0);
        for (std::int64_t row = 0; row < in.batch(); ++row)
            at_.read(
                row, [&](std::size_t k) { return in.x(k); }, state[m_].row(row));
    }

    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        out.keep(in);
        l2o::Scratch scratch(in.call);
        const l2o::View<double> x = scratch.rows<double>(particles, at_.size());
        const LesRecombination::Room room(scratch, particles);
        for (std::int64_t row = 0; row < in.batch(); ++row) {
            if (in.round() > 0) {
                for (std::int64_t j = 0; j < particles; ++j) {
                    at_.read(
                        row, [&](std::size_t k) { return in.q(k, j); }, x.row(j));
                    room.f[j] = double(in.qf(j)[row]);
                }
                if (recombination_.weigh(in, best_.before(in, row), room)) move(in, out, row, x, room.w);
                best_.take(in, out, row, particles);
                continue;
            }
            l2o::numerics::Stream random(in.call.key, in.call.row0 + std::uint64_t(row));
            for (std::int64_t j = 0; j < particles; ++j) {
                for (std::int64_t i = 0; i < at_.size(); ++i)
                    x(j, i) = in.state(m_)(row, i) + in.state(sigma_)(row, i) * random.normal();
                at_.write(row, x.row(j), [&](std::size_t k) { return out.q(k, j); });
                out.ask(row, std::uint32_t(j), L2O_ORACLE_VALUE);
            }
        }
    }

  private:
    template <class T>
    void move(const l2o::StepIn<T>& in,
              const l2o::StepOut<T>& out,
              std::int64_t row,
              const l2o::View<double>& x,
              const double* w) const {
        const std::int64_t n = at_.size();
        LesRates::Inputs inputs = LesRates::inputs_at(in.t());
        double *m = out.state(m_).row(row), *sigma = out.state(sigma_).row(row);
        for (std::int64_t i = 0; i < n; ++i) {
            double along = 0, square = 0;
            for (std::int64_t j = 0; j < particles; ++j) {
                const double d = x(j, i) - m[i];
                along += w[j] * d;
                square += w[j] * d * d;
            }
            for (std::int64_t p = 0; p < LesRates::kPaths; ++p) {
                const double a = LesRates::kDecays[p];
                double &c = out.state(path_c_)(row, p * n + i), &s = out.state(path_sigma_)(row, p * n + i);
                inputs[std::size_t(p)] = c = (1 - a) * c + a * along;
                inputs[std::size_t(p + LesRates::kPaths)] = s = (1 - a) * s + a * along / sigma[i];
            }
            const auto [l_m, l_sigma] = rates_.at(in, inputs);
            m[i] += l_m * along;
            sigma[i] += l_sigma * (std::sqrt(square + 1e-8) - sigma[i]);
        }
    }

    l2o::Coordinates at_;
    LesRecombination recombination_;
    LesRates rates_;
    l2o::StateOf<double> m_, sigma_, path_c_, path_sigma_;
    l2o::plugins::Incumbent best_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<Les>)
