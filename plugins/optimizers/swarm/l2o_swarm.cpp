#include <array>
#include <l2o/layers/planes.hpp>
#include <l2o/layers/population.hpp>
#include <l2o/nets/two_lstms.hpp>
#include <limits>

#include "feature_attention.hpp"

namespace {

using l2o::layers::Value, l2o::plugins::FeatureAttention;

// Cao, Chen, Wang & Shen 2019, "Learning to optimize in swarms" (NeurIPS; arXiv:1911.03787), section 3, per
// coordinate, so that weights depend neither on the number of particles P nor on that of the coordinates.
// Symbols: particles i, j, r of an instance; x* own best point; d_ij distance of i and j:
//   m' = beta m + (1 - beta) g,   a_i = sum_j w_ij (x_i - x_j),  w_ij ~ e^{-alpha d_ij^2} over f_j < f_i,
//   s = (g, m', x - x*', a),   p = softmax_r(v_a' tanh(W_a s_r + U_a h2 + b_a)),   c = sum_r p_r s_r,
//   m_rj = softmax_r(c_r' c_j),   q_rj = softmax_r(-d_rj^2 / 2 l),   e_j = c_j + 1/P sum_r m_rj q_rj c_r,
//   x' = x + output_scale (h2' w + b) of two LSTM layers that read e.
// Deviations: what the paper leaves open. Its code has weights for every coordinate of a batch, a momentum
// and an own best that never move, and attraction by the particles that are worse.
class L2oSwarm : public l2o::nets::TwoLstms<L2oSwarm> {
  public:
    static constexpr l2o::About about{
        .id = "l2o_swarm",
        .version = "1.0.0",
        .title = "L2O-Swarm: particles that share an LSTM and attend to one another",
        .doc =
            "Cao et al. 2019 (arXiv:1911.03787), per coordinate. Every coordinate of every particle is one "
            "run of a small shared LSTM; it reads a mixture of gradient, momentum, distance to its own best "
            "point and attraction to better particles, by learned attention (state 'intra'), and of those of "
            "the other particles, by their likeness and distance (state 'inter': m q). Weights fit any "
            "number of particles and coordinates. The derivative is that of the whole step, also through "
            "velocity, attraction and q, which others keep constant: so it can be checked. "
            "Published: preprocess identity, output_scale 1, trained by bptt on trajectory_sum, which ends "
            "in the nearest well. What works: that as a warm start, then estimator es on the loss "
            "best_value over whole trajectories. Particles that start in one point stay together."};

    static l2o::Options<L2oSwarm> options() {
        l2o::Options<L2oSwarm> o =
            options_of_net("what the LSTM reads: logarithm and sign of the mixture, or the mixture itself");
        o.integer("particles", &L2oSwarm::particles_, "points per instance", l2o::between(1, 1024));
        o.integer("attention", &L2oSwarm::attention_, "width of W_a, U_a and v_a", l2o::between(1, 1024));
        o.real("momentum", &L2oSwarm::beta_, "beta", l2o::kFraction);
        o.real(
            "attraction", &L2oSwarm::alpha_, "alpha: of better particles near ones count", l2o::kNonNegative);
        o.real("likeness", &L2oSwarm::length_, "l: closer than its root is near", l2o::kPositive);
        return o;
    }

    void declare(l2o::OptimizerSpec& spec) {
        spec.info.particles = static_cast<std::uint32_t>(particles_);
        spec.minimises().reads_f().reads_g();
        declare_net(spec);
        attention_net_.part<0>().declare(spec, layer2(), attention_);
        m_ = spec.state_like_x("m", "momentum: mean of g");
        best_ = spec.state_like_x("best", "best point of the particle");
        const auto per_particle = L2O_SPEC_PER_PARTICLE;
        best_f_ =
            spec.state({.name = "best_f", .doc = "value at best", .batched = true, .flags = per_particle});
        intra_ = spec.state_of_each({.name = "intra",
                                     .doc = "attention p to g, m, x - best and attraction",
                                     .axes = "feature,coordinate",
                                     .batched = true,
                                     .flags = per_particle},
                                    [&](std::size_t k) {
                                        return l2o::Shape{kFeatures, l2o::element_count(spec.block(k))};
                                    });
        inter_ = spec.state({.name = "inter",
                             .doc = "attention m q to the particles",
                             .axes = "particle",
                             .shape = {particles_},
                             .batched = true,
                             .flags = per_particle});
        measure(spec, 2560);  // chosen: the values of as many coordinates stay in the cache
    }

    template <class T>
    void init_params(const l2o_call& call, const l2o::NeedsIn<T>&, const l2o::ParamsOut<T>& params) const {
        net_.init_params(call, params);
        attention_net_.init_params(call, params);
    }

    template <class T>
    void forward(l2o::layers::Step<T>& step) const {
        using l2o::numerics::where_less;
        l2o::nets::Running attention(attention_net_, step);
        l2o::nets::Running net(net_, step);
        const auto least = [](auto a, auto b) { return where_less(a, b, a, b); };
        const auto better = [](auto f, auto f_best, auto x, auto best) {
            return where_less(f, f_best, x, best);
        };
        const auto mean = [b = T(beta_)](auto m, auto g) { return b * m + (1 - b) * g; };
        const auto of_better = [a = T(alpha_)](auto f_j, auto f_i, auto d2) {
            return where_less(f_j, f_i, -a * d2, decltype(d2)(-std::numeric_limits<T>::infinity()));
        };
        const auto times = [](auto a, auto b) { return a * b; };
        const auto outputs = [](auto... out) { return std::array{out...}; };
        const auto append = [](Value<T> all, Value<T> next) { return all ? joined(all, next) : next; };

        // Before the first step there is no best point, whatever the state says.
        const bool is_first = step.t() == 0;
        const auto f = step.f();
        const auto f_best =
            is_first ? step.constant(std::numeric_limits<T>::infinity()) : step.state(best_f_);
        step.set(best_f_, map(least, f, f_best));
        Value<T> x_all, c_all;
        for (std::size_t k = 0; k < step.blocks(); ++k) x_all = append(x_all, step.x(k));
        const auto d2 = squared_distances(x_all, particles_);
        const auto w = softmax(map(of_better, of_all_particles(f, particles_), f, d2));
        const auto attraction = sum_of_differences(w, x_all);
        std::int64_t first = 0;
        for (std::size_t k = 0; k < step.blocks(); ++k) {
            const auto x = step.x(k), g = step.g(k);
            const auto n = x->cols();
            const auto best =
                step.set(best_[k], is_first ? x : map(better, f, f_best, x, step.state(best_[k])));
            const auto m = step.set(m_[k], map(mean, step.state(m_[k]), g));
            const std::array s{g, m, x - best, columns(attraction, first, n)};
            const auto all = attention.template at<1 + kFeatures>(k, s, outputs, std::array<Value<T>, 0>{});
            c_all = append(c_all, columns(all, 0, n));
            step.set(intra_[k], columns(all, n, kFeatures * n));
            first += n;
        }
        const auto q = softmax(T(-0.5 / length_) * d2);
        const auto inter = step.set(inter_, map(times, softmax(products_of_pairs(c_all, particles_)), q));
        const auto e = c_all + T(1 / double(particles_)) * sum_of_particles(inter, c_all);
        first = 0;
        for (std::size_t k = 0; k < step.blocks(); ++k) {
            const auto x = step.x(k);
            const auto e_k = columns(e, first, x->cols());
            step.set_x(moved(net, k, e_k, x), k);
            first += x->cols();
        }
    }

  private:
    static constexpr std::int64_t kFeatures = FeatureAttention::kFeatures;

    std::int64_t particles_ = 4, attention_ = 10;
    double beta_ = 0.9, alpha_ = 1, length_ = 1;
    l2o::nets::Net<FeatureAttention> attention_net_;
    l2o::BlockStates m_, best_, intra_;
    l2o::State best_f_, inter_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<L2oSwarm>)
