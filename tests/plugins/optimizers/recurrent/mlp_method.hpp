#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "tests/plugins/optimizers/rig.hpp"

namespace l2o::test {

/// Row r of a tensor [B, ...].
inline std::vector<double> row(const Tensor& tensor, std::size_t r) {
    const std::vector<double> all = values(tensor);
    const auto n = static_cast<std::ptrdiff_t>(all.size() / static_cast<std::size_t>(tensor.shape()[0]));
    const auto first = all.begin() + static_cast<std::ptrdiff_t>(r) * n;
    return {first, first + n};
}

/// The next x of a tensor whose features [F][n] are given, of which row 1 is x: the equations of MlpMethod
/// in plain loops.
inline std::vector<double> mlp_method_step(Rig& rig,
                                           const std::vector<std::vector<double>>& raw,
                                           std::int64_t t,
                                           double step_mult,
                                           double exp_mult,
                                           double time_scale) {
    const std::size_t n = raw[0].size();
    std::vector<std::vector<double>> weights, biases;
    for (const char* number : {"0", "1", "2"}) {
        weights.push_back(values(rig.param(std::string("mlp/w") + number)));
        biases.push_back(values(rig.param(std::string("mlp/b") + number)));
    }
    std::vector<double> scale;
    for (const std::vector<double>& feature : raw) {
        double squares = 0;
        for (const double value : feature) squares += value * value;
        scale.push_back(1 / std::sqrt(1e-5 + squares / double(n)));
    }
    std::vector<double> next;
    for (std::size_t j = 0; j < n; ++j) {
        std::vector<double> h;
        for (std::size_t f = 0; f < raw.size(); ++f) h.push_back(raw[f][j] * scale[f]);
        for (const double tau : {1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1e3, 3e3, 1e4, 3e4, 1e5})
            h.push_back(std::tanh(double(t) / (time_scale * tau) - 1));
        for (std::size_t l = 0; l < 3; ++l) {
            std::vector<double> z = biases[l];
            REQUIRE(weights[l].size() == h.size() * z.size());
            for (std::size_t o = 0; o < z.size(); ++o) {
                for (std::size_t i = 0; i < h.size(); ++i) z[o] += h[i] * weights[l][i * z.size() + o];
                if (l < 2) z[o] = std::max(z[o], 0.0);
            }
            h = z;
        }
        next.push_back(raw[1][j] - step_mult * h[0] * std::exp(exp_mult * h[1]));
    }
    return next;
}

/// Whether a step on all rows at once has the bits of a step on each, three steps from the start.
inline bool rows_are_apart(Rig& rig, std::int64_t batch) {
    TensorSet x = rig.blocks(batch), g = rig.blocks(batch), state = rig.state(batch);
    randomise(x, 1);
    for (int t = 0; t < 3; ++t) {
        randomise(g, 2U + unsigned(t));
        step_once(rig, state, x, g, batch, t);
    }
    TensorSet x_next = rig.blocks(batch), state_next = rig.state(batch);
    rig.step(state.in(), x.in(), g.in(), state_next.out(), x_next.out(), batch, 3);
    TensorSet x_apart = rig.blocks(batch), state_apart = rig.state(batch);
    for (std::int64_t r = 0; r < batch; ++r) {
        const auto one = [&](TensorSet& set) {
            std::vector<Tensor> list;
            for (Tensor& tensor : set.tensors()) list.push_back(tensor.rows(r, 1));
            return TensorSet(std::move(list));
        };
        rig.step(one(state).in(), one(x).in(), one(g).in(), one(state_apart).out(), one(x_apart).out(), 1, 3);
    }
    bool same = values(x_apart[0]) == values(x_next[0]);
    for (std::size_t i = 0; i < state.size(); ++i)
        same = same && values(state_apart[i]) == values(state_next[i]);
    return same;
}

}  // namespace l2o::test
