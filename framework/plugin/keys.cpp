#include "framework/plugin/keys.hpp"

#include <l2o/numerics/philox.hpp>

namespace l2o::framework {

Keys keys_of(std::uint64_t seed, std::uint64_t training) {
    constexpr std::uint64_t kTrainingTag = 0x747261696e;
    const Key root{seed, 0x6c326f};
    const auto key = [&](std::uint64_t tag) { return numerics::derive_key(root, tag); };
    const auto key_of_training = [&](std::uint64_t tag) {
        return training == 0 ? key(tag) : numerics::derive_key(key(tag), kTrainingTag, training);
    };
    // One key for all data: the splits differ in their instances, but share what all instances share, as the
    // matrix A that a LISTA is trained for.
    return {.train_data = key(1),
            .train_start = key_of_training(2),
            .train_steps = key_of_training(3),
            .validate_start = key(2),
            .validate_steps = key(3),
            .test_data = key(1),
            .test_start = key(5),
            .test_steps = key(6),
            .init_params = key_of_training(7)};
}

}  // namespace l2o::framework
