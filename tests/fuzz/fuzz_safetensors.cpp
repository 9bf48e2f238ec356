#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <numeric>

#include "framework/error.hpp"
#include "framework/store/safetensors.hpp"
#include "tests/fuzz/memory_file.hpp"

/// Whatever the bytes, they are refused with an Error, or every byte of every tensor can be read.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace l2o::framework;
    const l2o::test::MemoryFile file(data, size);
    try {
        std::size_t bytes = 0;
        unsigned sum = 0;
        for (const auto& [name, tensor] : read_safetensors(file.path()).tensors) {
            const auto* begin = static_cast<const std::uint8_t*>(tensor.data());
            const auto count = static_cast<std::size_t>(tensor.bytes());
            if (count > 0) sum = std::accumulate(begin, begin + count, sum);
            bytes += count;
        }
        if (bytes > size || sum > 255 * size) std::abort();
    } catch (const Error&) {
    }
    return 0;
}
