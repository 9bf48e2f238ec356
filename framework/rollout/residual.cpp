#include "framework/rollout/residual.hpp"

#include <algorithm>
#include <cmath>

#include "framework/plugin/evaluation.hpp"
#include "framework/rollout/arithmetic.hpp"

namespace l2o::framework {

double size_of_row(std::span<const Tensor> blocks, std::int64_t row) {
    double largest = 0, sum = 0;
    const auto each = [&](auto&& body) {
        for (const Tensor& block : blocks)
            with_values(
                [&](auto values) {
                    const auto cols = values.size() / static_cast<std::size_t>(block.shape()[0]);
                    for (const auto value : values.subspan(static_cast<std::size_t>(row) * cols, cols))
                        body(std::abs(static_cast<double>(value)));
                },
                block);
    };
    each([&](double value) { largest = std::isfinite(value) ? std::max(largest, value) : INFINITY; });
    if (largest == 0 || !std::isfinite(largest)) return largest;
    each([&](double value) { sum += (value / largest) * (value / largest); });
    return largest * std::sqrt(sum);
}

std::vector<double> residuals_of(const Optimizee& optimizee,
                                 const Key& key,
                                 const ProblemData& data,
                                 const std::vector<Tensor>& x) {
    std::vector<Tensor> gradient;
    std::vector<l2o_tensor*> g;
    for (const Tensor& block : x) gradient.emplace_back(block.dtype(), block.shape());
    for (Tensor& block : gradient) g.push_back(block.abi());
    evaluate_once(optimizee, key, data, x, {nullptr, g.data()});
    std::vector<double> sizes;
    for (std::int64_t row = 0; row < data.instances; ++row) sizes.push_back(size_of_row(gradient, row));
    return sizes;
}

}  // namespace l2o::framework
