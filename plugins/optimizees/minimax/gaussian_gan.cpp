#include <algorithm>
#include <array>
#include <l2o/numerics/dual_matrix.hpp>
#include <vector>

#include "adversarial_nets.hpp"
#include "game.hpp"
#include "gaussian_ring.hpp"

namespace {

using l2o::numerics::RowMatrix, l2o::numerics::row_vector, l2o::numerics::Stream, l2o::plugins::TanhNet;
namespace ring = l2o::plugins::ring;

constexpr std::int64_t kSamples = 2500, kFewest = 20, kDirections = 32;
/// Draws of one key.
enum Purpose : std::uint32_t { kNoise, kReal, kNoiseOfMetrics, kRealOfMetrics };

struct GaussianGan : l2o::plugins::Game {
    static constexpr l2o::About about{
        .id = "gaussian_gan",
        .version = "1.0.0",
        .title = "Generative adversarial nets on a ring of 8 Gaussians",
        .doc =
            "min over the weights G of a generator, max over the weights D of a discriminator of V = mean "
            "ln s(D(x)) + mean ln s(-D(G(z))) - gamma / 2 mean |dD/dx|^2, s the logistic function, the means "
            "over fresh draws of `batch` x and z at every step: x from 8 Gaussians of deviation 0.05 with "
            "centres at equal distances on a circle of radius 2, z ~ N(0, I) of `latent` numbers. G is a net "
            "8-32-32-2 of 1,410 weights, D one 2-32-32-1 of 1,185, tanh between layers; W ~ N(0, 1 / "
            "fan-in), b = 0 at the start. V: Goodfellow et al. 2014, \"Generative adversarial nets\", "
            "equation 1; its last term: Mescheder, Geiger & Nowozin 2018, \"Which training methods for GANs "
            "do actually converge?\", R1, equation 9, of D alone; ring and measures: Metz et al. 2017 "
            "(arXiv:1611.02163), Srivastava et al. 2017 (arXiv:1705.07761). No solution is known, and there "
            "is no duality gap."};
    static constexpr const char* tags[] = {"neural", "stochastic"};

    std::vector<std::int64_t> hidden = {32, 32};
    std::int64_t latent = 8, batch = 128;
    double gamma = 0;

    static l2o::Options<GaussianGan> options() {
        l2o::Options<GaussianGan> options;
        options.integer("batch", &GaussianGan::batch, "draws of x and of z per step", l2o::at_least(1))
            .real("gamma", &GaussianGan::gamma, "weight of the penalty on dD/dx", l2o::kNonNegative)
            .integers("hidden", &GaussianGan::hidden, "widths of the hidden layers", l2o::at_least(1))
            .integer("latent", &GaussianGan::latent, "numbers that G is fed with", l2o::at_least(1));
        return options;
    }

    void declare(l2o::OptimizeeSpec& spec) {
        const auto net = [&](std::int64_t inputs, std::int64_t outputs) {
            std::vector<std::int64_t> widths(hidden.size() + 2);
            std::copy(hidden.begin(), hidden.end(), widths.begin() + 1);
            widths.front() = inputs, widths.back() = outputs;
            return TanhNet(widths);
        };
        nets_ = {net(latent, 2), net(2, 1)};
        declare_players(
            spec,
            {.name = "G", .doc = "generator: W_1 [in, out] by row, b_1 ...", .shape = {nets_[kU].size()}},
            {.name = "D", .doc = "discriminator, likewise", .shape = {nets_[kV].size()}});
        spec.flag(L2O_FLAG_STOCHASTIC);
        modes_ = spec.metric("modes",
                             "centres that at least 20 of 2,500 G(z) lie within 3 standard deviations of",
                             L2O_SPEC_HIGHER_IS_BETTER);
        high_quality_ = spec.metric(
            "high_quality", "share of the G(z) that lie so near to a centre", L2O_SPEC_HIGHER_IS_BETTER);
        covered_ =
            spec.ratio("covered",
                       "sum over centres of the share of the G(z) that are near, or 1/8 if that is less; "
                       "of many games the mean",
                       L2O_SPEC_HIGHER_IS_BETTER);
        wasserstein_ = spec.metric("sliced_wasserstein",
                                   "between 2,500 G(z) and as many x, of order 1, mean of 32 directions");
    }

    template <class T>
    void sample(const l2o::Draw&, const l2o::DataOut<T>&) const {}

    template <class T>
    void init_point(const l2o_call& call, const l2o::DataIn<T>&, const l2o::Tensors<T>& x) const {
        for (const auto player : {kU, kV})
            for (std::int64_t row = 0; row < x[player].rows; ++row) {
                Stream random(call.key, call.row0 + std::uint64_t(row), player);
                nets_[player].init(random, x[player].row(row));
            }
    }

    /// All rows see the draws that batch_key names, so that particles and starts are compared on the same.
    template <class T>
    void eval(const l2o::EvalIn<T>& in, const l2o::EvalOut<T>& out) const {
        const Draws<T> draws(*this, in.raw().batch_key, kNoise, kReal, batch);
        for (std::int64_t row = 0; row < in.rows(); ++row) {
            auto at = nets(draws, in.x(kU).row(row), in.x(kV).row(row));
            if (out.f()) out.f()[row] = T(at.value());
            at.gradient(out.g(kU) ? out.g(kU).row(row) : nullptr, out.g(kV) ? out.g(kV).row(row) : nullptr);
        }
    }

    /// The gradient, of numbers that carry their slope along v.
    template <class T>
    void hvp(const l2o::EvalIn<T>& in, const l2o::Tensors<const T>& of, const l2o::Tensors<T>& to) const {
        using Dual = l2o::numerics::Dual<T, 1>;
        const Draws<Dual> draws(*this, in.raw().batch_key, kNoise, kReal, batch);
        for (std::int64_t row = 0; row < in.rows(); ++row) {
            std::array<std::vector<Dual>, 2> x, g;
            for (const auto player : {kU, kV}) {
                const std::size_t size(nets_[player].size());
                x[player].resize(size), g[player].resize(size);
                for (std::size_t i = 0; i < size; ++i) {
                    x[player][i] = in.x(player).row(row)[i];
                    if (of[player]) x[player][i].slope[0] = of[player].row(row)[i];
                }
            }
            nets<Dual>(draws, x[kU].data(), x[kV].data()).gradient(g[kU].data(), g[kV].data());
            for (const auto player : {kU, kV})
                for (std::size_t i = 0; to[player] && i < g[player].size(); ++i)
                    to[player].row(row)[i] = g[player][i].slope[0];
        }
    }

    template <class T>
    void metrics(const l2o::EvalIn<T>& in, const l2o::MetricsOut<T>& out) const {
        const Draws<T> draws(*this, in.raw().batch_key, kNoiseOfMetrics, kRealOfMetrics, kSamples);
        for (std::int64_t row = 0; row < in.rows(); ++row) {
            const TanhNet::Pass<T> generated(nets_[kU], in.x(kU).row(row), draws.z);
            const auto near = ring::near_centres(generated.output());
            const auto modes = std::count_if(near.begin(), near.end(), [](auto n) { return n >= kFewest; });
            double all = 0, covered = 0;
            for (const std::int64_t n : near) {
                all += double(n) / double(kSamples);
                covered += std::min(double(n) / double(kSamples), 1 / double(ring::kModes));
            }
            if (out[modes_]) out[modes_][row] = T(modes);
            if (out[high_quality_]) out[high_quality_][row] = T(all);
            tell_mean(out, covered_, row, T(covered));
            if (out[wasserstein_])
                out[wasserstein_][row] =
                    T(ring::sliced_wasserstein(generated.output(), draws.x, kDirections));
        }
    }

  private:
    /// n draws of z, [n, latent], and of x, [n, 2].
    template <class N>
    struct Draws {
        Draws(const GaussianGan& of, const std::uint64_t* key, Purpose noise, Purpose real, std::int64_t n)
            : z(n, of.latent) {
            Stream of_z(key, 0, noise), of_x(key, 0, real);
            for (N& entry : row_vector(z.data(), z.size())) entry = N(of_z.normal());
            x = ring::draw<N>(of_x, n);
        }
        RowMatrix<N> z, x;
    };
    template <class N>
    [[nodiscard]] l2o::plugins::AdversarialNets<N> nets(const Draws<N>& at, const N* u, const N* v) const {
        return {{nets_[kU], u}, {nets_[kV], v}, gamma, at.z, at.x};
    }

    std::array<TanhNet, 2> nets_;  // by player
    l2o::Metric modes_, high_quality_, covered_, wasserstein_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizee<GaussianGan>)
