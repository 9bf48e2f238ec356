#include "framework/plugin/keys.hpp"

#include <l2o/numerics/philox.hpp>

namespace l2o::framework {

Keys keys_of(std::uint64_t seed) {
    const Key root{seed, 0x6c326f};
    const auto key = [&](std::uint64_t tag) { return numerics::derive_key(root, tag); };
    // One key for all data: the splits differ in their instances, but share what all instances share, as the
    // matrix A that a LISTA is trained for.
    return {.train_data = key(1),
            .train_start = key(2),
            .train_steps = key(3),
            .test_data = key(1),
            .test_start = key(5),
            .test_steps = key(6),
            .init_params = key(7)};
}

}  // namespace l2o::framework
