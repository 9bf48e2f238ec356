#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "framework/error.hpp"
#include "framework/solve/problem_file.hpp"
#include "tests/fuzz/memory_file.hpp"

/// Whatever the bytes, they are refused with an Error, or are problems whose every value, and start, is
/// there.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace l2o::framework;
    static const Catalog catalog(plugin_search_path());
    const l2o::test::MemoryFile file(data, size);
    try {
        const ProblemFile problem = read_problem(catalog, file.path());
        // A sanitizer sees what is not there.
        double sum = 0;
        for (const Tensor& tensor : problem.data.tensors) {
            if (!tensor) continue;  // solutions, which nobody has
            for (std::int64_t i = 0; i < tensor.size(); ++i) sum += std::abs(tensor.value(i));
        }
        std::int64_t variables = 0;
        if (problem.x0) {
            for (const Tensor& block : split_blocks(problem.x0, *problem.optimizee))
                variables += block.size();
            if (variables != problem.data.instances * variables_of(*problem.optimizee)) std::abort();
        }
        if (problem.data.instances < 0 || sum < 0) std::abort();
    } catch (const Error&) {
    }
    return 0;
}
