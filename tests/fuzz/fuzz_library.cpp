#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "framework/error.hpp"
#include "framework/plugin/library_file.hpp"
#include "tests/fuzz/memory_file.hpp"

/// Whatever the bytes, they are refused with an Error, or are a library of that size whose build id is in
/// hexadecimal.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace l2o::framework;
    const l2o::test::MemoryFile file(data, size);
    try {
        LibraryFile library(file.path());
        const Build build = library.build_with_content();
        if (build.size != static_cast<std::int64_t>(size) || build.id != library.build().id) std::abort();
        if (build.id.size() % 2 != 0 || build.id.find_first_not_of("0123456789abcdef") != std::string::npos)
            std::abort();
    } catch (const Error&) {
    }
    return 0;
}
