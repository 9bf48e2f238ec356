#include "framework/rollout/start.hpp"

#include <cmath>
#include <l2o/numerics/philox.hpp>
#include <string>

#include "framework/plugin/evaluation.hpp"
#include "framework/rollout/arithmetic.hpp"

namespace l2o::framework {
namespace {

// Tag of derived keys: start points of the particles after the first.
constexpr std::uint64_t kParticleTag = 0x70617274;

}  // namespace

std::vector<Tensor> start_particles(const Optimizee& optimizee,
                                    const Key& key,
                                    std::uint64_t row0,
                                    const ProblemData& data,
                                    const std::vector<Tensor>& x0,
                                    std::int64_t particles) {
    std::vector<Tensor> all, as_rows;
    for (const Tensor& x : x0) {
        Shape shape = x.shape();
        const std::int64_t batch = shape[0];
        shape.insert(shape.begin() + 1, particles);
        all.emplace_back(x.dtype(), shape);
        shape.erase(shape.begin() + 1);
        shape[0] = batch * particles;
        as_rows.push_back(Tensor::borrow(x.dtype(), std::move(shape), all.back().data()));
    }
    const auto put = [&](const std::vector<Tensor>& x, std::int64_t p) {
        for (std::size_t block = 0; block < x.size(); ++block)
            for (std::int64_t row = 0; row < x[block].shape()[0]; ++row)
                copy_row(x[block], row, as_rows[block], row * particles + p);
    };
    put(x0, 0);
    for (std::int64_t p = 1; p < particles; ++p)
        put(optimizee.init_point(
                numerics::derive_key(key, kParticleTag, static_cast<std::uint64_t>(p)), row0, data),
            p);
    return all;
}

bool has_finite_start(const Optimizee& optimizee,
                      const Key& key,
                      const ProblemData& data,
                      const std::vector<Tensor>& x0) {
    Tensor f(optimizee.dtype(), {data.instances});
    evaluate_once(optimizee, key, data, x0, {f.abi(), nullptr});
    for (std::int64_t row = 0; row < f.size(); ++row)
        if (std::isfinite(f.value(row))) return true;
    return false;
}

}  // namespace l2o::framework
