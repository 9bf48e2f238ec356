#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <l2o/nets/tiles.hpp>
#include <l2o/sdk/optimizer.hpp>
#include <numeric>
#include <string>

namespace l2o::plugins {

/// out = in w + b. A parameter is named as the authors' code of les names it.
class LesLayer {
  public:
    void declare(
        OptimizerSpec& spec, const std::string& name, const char* doc, std::int64_t from, std::int64_t to) {
        inputs_ = from, outputs_ = to;
        w_ = spec.param({.name = name + "/kernel", .doc = doc, .shape = {from, to}});
        b_ = spec.param({.name = name + "/bias", .shape = {to}});
    }
    /// As Flax has it.
    template <class T>
    void init(const l2o_call& call, const ParamsOut<T>& params) const {
        nets::fill_truncated_normal(params, w_, 1 / std::sqrt(double(inputs_)), call);
        if (const View<T> b = params[b_]) fill(b, 0);
    }
    template <class T>
    void apply(const StepIn<T>& in, const double* from, double* to) const {
        const View<const T> w = in.param(w_), b = in.param(b_);
        for (std::int64_t o = 0; o < outputs_; ++o) {
            to[o] = double(b[o]);
            for (std::int64_t i = 0; i < inputs_; ++i) to[o] += from[i] * double(w(i, o));
        }
    }

  private:
    Param w_, b_;
    std::int64_t inputs_ = 0, outputs_ = 0;
};

/// What weighs the points of a generation by their values f: with F [lambda, 3],
///   F_j = [f_j < the least before, rank_j / (lambda - 1) - 1/2, (f_j - mean f) / (std f + 1e-10)],
///   w = softmax(softmax(Q(F) K(F)^T / sqrt(lambda)) V(F)).
class LesRecombination {
  public:
    /// Of one generation.
    struct Room {
        Room(Scratch& scratch, std::int64_t points)
            : lambda(points),
              f(scratch.take<double>(lambda)),
              w(scratch.take<double>(lambda)),
              features(scratch.rows<double>(lambda, kFeatures)),
              keys(scratch.rows<double>(lambda, kWidth)),
              queries(scratch.rows<double>(lambda, kWidth)),
              values(scratch.take<double>(lambda)),
              attention(scratch.take<double>(lambda)),
              order(scratch.take<std::int64_t>(lambda)) {}
        std::int64_t lambda;
        double *f, *w;
        View<double> features, keys, queries;
        double *values, *attention;
        std::int64_t* order;
    };

    void declare(OptimizerSpec& spec) {
        keys_.declare(spec, "recomb_weights/Dense_0", "keys K", kFeatures, kWidth);
        queries_.declare(spec, "recomb_weights/Dense_1", "queries Q", kFeatures, kWidth);
        values_.declare(spec, "recomb_weights/Dense_2", "values V", kFeatures, 1);
    }
    template <class T>
    void init(const l2o_call& call, const ParamsOut<T>& params) const {
        for (const LesLayer* layer : {&keys_, &queries_, &values_}) layer->init(call, params);
    }

    /// Makes room.w of room.f, where a value that is no finite number counts as the worst.
    /// @return false if none is finite, which tells nothing.
    template <class T>
    bool weigh(const StepIn<T>& in, double least_before, const Room& room) const {
        if (!tell_apart(least_before, room)) return false;
        for (std::int64_t j = 0; j < room.lambda; ++j) {
            keys_.apply(in, room.features.row(j), room.keys.row(j));
            queries_.apply(in, room.features.row(j), room.queries.row(j));
            values_.apply(in, room.features.row(j), room.values + j);
        }
        for (std::int64_t i = 0; i < room.lambda; ++i) {
            for (std::int64_t j = 0; j < room.lambda; ++j)
                room.attention[j] =
                    dot(room.queries.row(i), room.keys.row(j), kWidth) / std::sqrt(double(room.lambda));
            softmax(room.attention, room.lambda);
            room.w[i] = dot(room.attention, room.values, room.lambda);
        }
        softmax(room.w, room.lambda);
        return true;
    }

  private:
    static constexpr std::int64_t kFeatures = 3, kWidth = 8;

    static bool tell_apart(double least_before, const Room& room) {
        const std::int64_t lambda = room.lambda;
        double worst = -kInfinity, mean = 0, square = 0;
        for (std::int64_t j = 0; j < lambda; ++j)
            if (std::isfinite(room.f[j])) worst = std::max(worst, room.f[j]);
        if (!std::isfinite(worst)) return false;
        for (std::int64_t j = 0; j < lambda; ++j) {
            if (!std::isfinite(room.f[j])) room.f[j] = worst;
            mean += room.f[j] / double(lambda);
        }
        for (std::int64_t j = 0; j < lambda; ++j)
            square += (room.f[j] - mean) * (room.f[j] - mean) / double(lambda);
        std::iota(room.order, room.order + lambda, std::int64_t{0});
        std::stable_sort(room.order, room.order + lambda, [&](std::int64_t a, std::int64_t b) {
            return room.f[a] < room.f[b];
        });
        for (std::int64_t rank = 0; rank < lambda; ++rank) {
            const double f = room.f[room.order[rank]];
            double* features = room.features.row(room.order[rank]);
            features[0] = f < least_before ? 1 : 0;
            features[1] = double(rank) / double(lambda - 1) - 0.5;
            features[2] = (f - mean) / (std::sqrt(square) + 1e-10);
        }
        return true;
    }
    static double dot(const double* a, const double* b, std::int64_t n) {
        double sum = 0;
        for (std::int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
        return sum;
    }
    static void softmax(double* a, std::int64_t n) {
        const double most = *std::max_element(a, a + n);
        double sum = 0;
        for (std::int64_t i = 0; i < n; ++i) sum += a[i] = std::exp(a[i] - most);
        for (std::int64_t i = 0; i < n; ++i) a[i] /= sum;
    }

    LesLayer keys_, queries_, values_;
};

/// How fast mean and sigma of a coordinate follow:
///   h = ReLU(H([p_c, p_sigma, tanh(t / tau - 1)])),  l_m = logistic(M(h)),  l_sigma = logistic(S(h)).
class LesRates {
  public:
    static constexpr std::int64_t kPaths = 3;
    static constexpr double kDecays[kPaths] = {0.1, 0.5, 0.9};

    void declare(OptimizerSpec& spec) {
        hidden_.declare(spec, "lrate_modulation/Dense_0", "hidden layer H", kInputs, kWidth);
        mean_.declare(spec, "lrate_modulation/Dense_1", "rate of the mean M", kWidth, 1);
        sigma_.declare(spec, "lrate_modulation/Dense_2", "rate of sigma S", kWidth, 1);
    }
    template <class T>
    void init(const l2o_call& call, const ParamsOut<T>& params) const {
        for (const LesLayer* layer : {&hidden_, &mean_, &sigma_}) layer->init(call, params);
    }
    struct Rates {
        double mean, sigma;
    };
    static constexpr double kTau[] = {1, 3, 10, 30, 50, 100, 250, 500, 750, 1000, 1250, 1500, 2000};
    static constexpr std::int64_t kInputs = 2 * kPaths + std::int64_t(std::size(kTau));
    /// p_c and p_sigma, which are the caller's to set, and the time.
    using Inputs = std::array<double, kInputs>;
    [[nodiscard]] static Inputs inputs_at(std::int64_t t) {
        Inputs inputs{};
        for (std::size_t i = 0; i < std::size(kTau); ++i)
            inputs[2 * kPaths + i] = std::tanh(double(t) / kTau[i] - 1);
        return inputs;
    }
    template <class T>
    [[nodiscard]] Rates at(const StepIn<T>& in, const Inputs& inputs) const {
        std::array<double, kWidth> h;
        hidden_.apply(in, inputs.data(), h.data());
        for (double& h_i : h) h_i = std::max(h_i, 0.0);
        Rates rates;
        mean_.apply(in, h.data(), &rates.mean);
        sigma_.apply(in, h.data(), &rates.sigma);
        return {logistic(rates.mean), logistic(rates.sigma)};
    }

  private:
    static constexpr std::int64_t kWidth = 8;

    static double logistic(double x) { return 1 / (1 + std::exp(-x)); }

    LesLayer hidden_, mean_, sigma_;
};

}  // namespace l2o::plugins
