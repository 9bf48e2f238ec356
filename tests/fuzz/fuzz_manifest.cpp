#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "framework/error.hpp"
#include "framework/plugin/description.hpp"
#include "tests/fuzz/memory_file.hpp"

/// Whatever the bytes, they are refused with an Error, or describe a plugin that can be written again.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace l2o::framework;
    const l2o::test::MemoryFile file(data, size);
    try {
        const std::string text = to_json(read_manifest(file.path())).dump();
        const auto* bytes = reinterpret_cast<const std::uint8_t*>(text.data());
        const l2o::test::MemoryFile again(bytes, text.size());
        if (to_json(read_manifest(again.path())).dump() != text) std::abort();
    } catch (const Error&) {
    }
    return 0;
}
