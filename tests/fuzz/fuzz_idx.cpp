#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <l2o/sdk/failure.hpp>
#include <vector>

#include "idx.hpp"
#include "tests/fuzz/memory_file.hpp"

/// Whatever the bytes, plain or compressed, they are refused as unreadable, or are the items that the header
/// says.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace l2o::neural;
    const l2o::test::MemoryFile file(data, size);
    for (const std::size_t rank : {1, 2, 3}) {
        try {
            const IdxFile idx = open_idx(l2o::test::MemoryFile::folder(), file.name(), rank, "");
            for (const std::int64_t items : {std::int64_t{1}, idx.items()}) {
                std::vector<std::uint8_t> content(static_cast<std::size_t>(items * idx.item_bytes()));
                read_idx(idx, items, content);
            }
        } catch (const l2o::Failure& failure) {
            if (failure.status() != L2O_STATUS_IO) std::abort();
        }
    }
    return 0;
}
