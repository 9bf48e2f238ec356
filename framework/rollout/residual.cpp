#include "framework/rollout/residual.hpp"

#include <algorithm>
#include <cmath>

#include "framework/plugin/call.hpp"
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
    const std::string who = "optimizee '" + optimizee.id() + "'";
    CallContext call;
    call.reserve_scratch(CallContext::scratch_of(optimizee.info(), data.instances, who));
    const std::vector<const l2o_tensor*> tensors = abi_data(data);
    std::vector<Tensor> gradient;
    std::vector<const l2o_tensor*> points_x;
    std::vector<l2o_tensor*> g;
    for (const Tensor& block : x) gradient.emplace_back(block.dtype(), block.shape());
    for (std::size_t k = 0; k < x.size(); ++k) {
        points_x.push_back(x[k].abi());
        g.push_back(gradient[k].abi());
    }
    l2o_points points{};
    points.batch = static_cast<std::uint32_t>(data.instances);
    points.rows_per_instance = 1;
    points.data = tensors.data();
    points.x = points_x.data();
    points.batch_key[0] = key[0];
    points.batch_key[1] = key[1];
    const l2o_eval_out out{nullptr, g.data()};
    {
        const auto lock = optimizee.guard();
        call.check(optimizee.api().eval(optimizee.raw(), call.with(key), &points, &out), who);
    }
    std::vector<double> sizes;
    for (std::int64_t row = 0; row < data.instances; ++row) sizes.push_back(size_of_row(gradient, row));
    return sizes;
}

}  // namespace l2o::framework
