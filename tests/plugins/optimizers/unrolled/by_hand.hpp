#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <l2o/numerics/philox.hpp>
#include <string>
#include <vector>

#include "tests/support/lab.hpp"

namespace l2o::test {

/// A copy in double, axis 0 as the rows; a scalar is 1 x 1.
inline Eigen::MatrixXd wide(const Tensor& tensor) {
    const std::vector<double> all = values(tensor);
    const auto rows = tensor.shape().empty() ? 1 : Eigen::Index(tensor.shape()[0]);
    using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    return Eigen::Map<const RowMajor>(all.data(), rows, Eigen::Index(all.size()) / rows);
}

/// Adds spread * N(0, 1) to every learned parameter: an entry of a matrix in units of the root mean square.
inline void shake(Lab& lab, double spread, std::uint64_t seed = 5) {
    numerics::Stream random(numerics::Key{seed, 0}, 0);
    for (std::size_t i = 0; i < lab.params().size(); ++i) {
        if (has(*lab.optimizer().params()[i], L2O_SPEC_DERIVED)) continue;
        std::vector<double> all = values(lab.params()[i]);
        double square = 0;
        for (const double value : all) square += value * value;
        const double size = all.size() > 1 ? std::sqrt(square / double(all.size())) : 1;
        for (double& value : all) value += spread * size * random.normal();
        set_values(lab.params()[i], all);
    }
}

/// The worst norm-wise relative error of x_{k+1} over the layers k, where `layer` evaluates the method's
/// equations in double at the plugin's own x_k.
inline double layer_error(Lab& lab,
                          int layers,
                          const std::function<Eigen::MatrixXd(int, const Eigen::MatrixXd&)>& layer) {
    const auto x = lab.run(layers).x;
    const Eigen::Index batch = wide(lab.problem().data("b")).rows();
    const auto n = Eigen::Index(x[0].size()) / batch;
    double worst = 0;
    for (int k = 0; k < layers; ++k) {
        Eigen::MatrixXd from(batch, n);
        for (Eigen::Index i = 0; i < from.size(); ++i) from(i / n, i % n) = x[std::size_t(k)][std::size_t(i)];
        const Eigen::MatrixXd want = layer(k, from);
        double difference = 0;
        for (Eigen::Index i = 0; i < want.size(); ++i)
            difference += std::pow(x[std::size_t(k) + 1][std::size_t(i)] - want(i / n, i % n), 2);
        const double error = std::sqrt(difference) / want.norm();
        worst = error >= worst ? error : std::isnan(error) ? INFINITY : worst;
    }
    return worst;
}

/// The magnitude that entries must exceed to be left alone: that of rank (n - 1) percent / 100, to the
/// nearest.
inline double bar_by_hand(const Eigen::RowVectorXd& z, double percent) {
    std::vector<double> magnitude;
    for (const double z_i : z) magnitude.push_back(std::abs(z_i));
    std::ranges::sort(magnitude, std::greater<>{});
    return magnitude[std::size_t(std::nearbyint(double(z.size() - 1) * percent / 100))];
}

inline double soft_by_hand(double z, double theta) {
    const double size = std::max(std::abs(z) - theta, 0.0);
    return z > 0 ? size : z < 0 ? -size : 0;
}

/// "layer.03.name"
inline std::string layer_param(int k, const char* name) {
    return std::string("layer.") + (k < 10 ? "0" : "") + std::to_string(k) + "." + name;
}

}  // namespace l2o::test
