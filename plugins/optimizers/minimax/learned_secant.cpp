#include <algorithm>
#include <cmath>
#include <l2o/layers/layered.hpp>
#include <string>

#include "feature_net.hpp"
#include "players.hpp"
#include "row_vectors.hpp"

namespace {

using namespace l2o::plugins;  // NOLINT(google-build-using-namespace)

struct LearnedSecant : l2o::layers::Layered<LearnedSecant> {
    static constexpr l2o::About about{
        .id = "learned_secant",
        .version = "1.0.0",
        .title = "Learned secant steps for games",
        .doc =
            "A step -tau |F| sum_i o_i b_i along b = (F / |F|, y_1 / |y_1| ..., s_1 / |s_1| ...) of the "
            "last m pairs y = F - F_before, s = z - z_before, newest first, tau = |s_1| / |y_1|, F = "
            "(df/du, -df/dv) of all coordinates together; at most 4 e^o_t |s_1| long. o is a net of two "
            "hidden layers (SiLU) of the products of the b, ln |F| / |F_before|, ln |y_1| / |F|, ln tau_i / "
            "tau_1 and the share of pairs there are; the first step is -e^eta_0 F, in the units of f "
            "and z. Nothing else depends on their scales, on rotations of z or its dimension. One gradient "
            "per step. Of this project."};

    std::int64_t memory = 2, hidden = 32;

    static l2o::Options<LearnedSecant> options() {
        l2o::Options<LearnedSecant> options;
        options.integer("memory", &LearnedSecant::memory, "m", l2o::between(1, 16))
            .integer("hidden", &LearnedSecant::hidden, "width of the net", l2o::between(1, 1024));
        return options;
    }

    void declare(l2o::OptimizerSpec& spec) {
        players_ = l2o::plugins::Players(spec);
        spec.reads_g();
        const std::int64_t q = 1 + 2 * memory, features = q * (q - 1) / 2 + memory + 3;
        net_.declare(spec, features, hidden, q + 1);
        eta0_ = spec.param({.name = "eta_0", .doc = "logarithm of the first step size"});
        z_ = spec.state_like_x("z_before");
        f_ = spec.state_like_x("F_before");
        const auto number = [&](const std::string& name) {
            return spec.state({.name = name, .shape = {1}, .batched = true, .start = 1});
        };
        size_ = number("size_of_F");
        length_ = number("length");
        for (std::int64_t i = 0; i < memory; ++i) {
            y_.push_back(spec.state_like_x("y" + std::to_string(i + 1)));
            s_.push_back(spec.state_like_x("s" + std::to_string(i + 1)));
            tau_.push_back(number("tau" + std::to_string(i + 1)));
        }
        measure(spec);
    }

    template <class T>
    void init_params(const l2o_call& call, const l2o::NeedsIn<T>&, const l2o::ParamsOut<T>& params) const {
        net_.init_params(call, params);
        if (const auto to = params[net_.output_bias()]) to[0] = T(0.35), to[1] = T(0.2);  // optimistic steps
        if (const auto to = params[eta0_]) to.scalar() = T(-3);
    }

    template <class T>
    void forward(l2o::layers::Step<T>& step) const {
        using Value = l2o::layers::Value<T>;
        RowVector<T> z, f;
        for (std::size_t k = 0; k < step.blocks(); ++k) {
            z.push_back(step.x(k));
            f.push_back(T(players_.sign(k)) * step.g(k));
        }
        const std::int64_t held = std::min(step.t(), memory);
        const Value before = held == 0 ? step.constant(1) : step.state(size_), size = norm(f, before);
        const auto pairs = static_cast<std::size_t>(memory);
        std::vector<RowVector<T>> y(pairs), s(pairs);
        std::vector<Value> tau(pairs);
        Value length;
        if (held == 0) {
            const Value eta = map([](auto e) { return exp(e); }, step.param(eta0_));
            for (std::size_t k = 0; k < step.blocks(); ++k) step.set_x(z[k] - map(kProduct, eta, f[k]), k);
            length = map(kProduct, eta, size);
            std::fill(tau.begin(), tau.end(), size);  // of no pair yet
        } else {
            y[0] = each(kDifference, f, state_of(step, f_));
            s[0] = each(kDifference, z, state_of(step, z_));
            const Value size_y = norm(y[0], before), size_s = norm(s[0], step.state(length_));
            y[0] = each(kQuotient<T>, y[0], {size_y});
            s[0] = each(kQuotient<T>, s[0], {size_s});
            tau[0] = map(kQuotient<T>, size_s, size_y);
            for (std::size_t i = 1; i < pairs; ++i) {
                y[i] = state_of(step, y_[i - 1]);
                s[i] = state_of(step, s_[i - 1]);
                tau[i] = step.state(tau_[i - 1]);
            }
            std::vector<RowVector<T>> basis{each(kQuotient<T>, f, {size})};
            basis.insert(basis.end(), y.begin(), y.end());
            basis.insert(basis.end(), s.begin(), s.end());
            std::vector<Value> features;
            for (std::size_t i = 0; i < basis.size(); ++i)
                for (std::size_t j = i + 1; j < basis.size(); ++j)
                    features.push_back(dot(basis[i], basis[j]));
            features.push_back(map(kLogRatio<T>, size, before));
            features.push_back(map(kLogRatio<T>, size_y, size));
            for (std::size_t i = 0; i < pairs; ++i)
                features.push_back(T(std::int64_t(i) < held ? 1 : 0) * map(kLogRatio<T>, tau[i], tau[0]));
            const Value o = net_(step, features, double(held) / double(memory));
            RowVector<T> direction(step.blocks());
            for (std::size_t j = 0; j < basis.size(); ++j)
                for (std::size_t k = 0; k < step.blocks(); ++k)
                    direction[k] = direction[k] + map(kProduct, columns(o, std::int64_t(j), 1), basis[j][k]);
            const Value along = norm(direction, step.constant(1));
            const auto shorter = [](auto ratio, auto n, auto t, auto last, auto d) {
                using N = decltype(ratio * n);
                using std::exp, std::min;
                return min(N(ratio * n), N(N(T(4)) * exp(t) * last / d));
            };
            const Value rate = map(shorter, tau[0], size, columns(o, 1 + 2 * memory, 1), size_s, along);
            for (std::size_t k = 0; k < step.blocks(); ++k)
                step.set_x(z[k] - map(kProduct, rate, direction[k]), k);
            length = map(kProduct, rate, along);
        }
        keep(step, z_, z);
        keep(step, f_, f);
        step.set(size_, size);
        step.set(length_, length);
        for (std::size_t i = 0; i < y.size(); ++i) {
            keep(step, y_[i], y[i]);
            keep(step, s_[i], s[i]);
            step.set(tau_[i], tau[i]);
        }
    }

  private:
    l2o::plugins::Players players_;
    l2o::plugins::FeatureNet net_;
    l2o::Param eta0_;
    l2o::BlockStates z_, f_;
    std::vector<l2o::BlockStates> y_, s_;
    l2o::State size_, length_;
    std::vector<l2o::State> tau_;
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<LearnedSecant>)
