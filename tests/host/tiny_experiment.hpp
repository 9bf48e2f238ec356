#pragma once

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "framework/store/safetensors.hpp"
#include "tests/framework/store/scratch_folder.hpp"

namespace l2o::test {

/// Two analytic optimizers and a learned one on small quadratics; the training takes a moment.
inline ScratchFolder& with_experiment(ScratchFolder& folder) {
    std::ofstream(folder / "tiny.info") << R"(
name tiny
seed 1
optimizee {
    use quadratic
    n 3
}
contestants {
    descent { optimizer { use gradient_descent learning_rate 0.02 } }
    adam { optimizer { use adam learning_rate 0.1 } }
    learned {
        optimizer { use l2o_dm hidden 4 }
        train {
            epochs 3
            horizon 10
            unroll 5
            batch 4
            loss { use trajectory_sum }
            meta_optimizer { use adam learning_rate 1e-3 }
        }
    }
}
evaluate {
    instances 8
    iterations 20
}
)";
    return folder;
}

inline std::string replaced(std::string text, const std::string& part, const std::string& by) {
    return text.replace(text.find(part), part.size(), by);
}

inline std::filesystem::path only_entry(const std::filesystem::path& folder) {
    std::filesystem::path found;
    int count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        found = entry.path();
        ++count;
    }
    REQUIRE(count == 1);
    return found;
}

/// The bytes of the only weights that were trained under this root, without the time that it took.
inline std::string stored_weights(const std::filesystem::path& root) {
    std::string bytes;
    for (const auto& [name, tensor] : framework::read_safetensors(only_entry(root / "weights")).tensors)
        bytes.append(static_cast<const char*>(tensor.data()), static_cast<std::size_t>(tensor.bytes()));
    return bytes;
}

}  // namespace l2o::test
