#include <stdlib.h>

#include <cstddef>
#include <cstdint>

#include "framework/error.hpp"
#include "framework/report/report.hpp"
#include "tests/fuzz/bundle.hpp"

/// Whatever is in the files of a finished run, it is refused with an Error, or becomes a page.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace l2o::framework;
    static const ScratchFolder folder;
    ::setenv("PATH", "", 1);  // no gnuplot: without pictures
    const auto files = l2o::test::files_of(
        data,
        size,
        {"config.info", "environment.json", "metrics.jsonl", "results.json", "curves.csv", "finals.csv"});
    l2o::test::write_files(folder / "run", files);
    try {
        const ReportFile report = write_report({folder / "run"});
        if (!std::filesystem::exists(report.page)) std::abort();
    } catch (const Error&) {
    }
    return 0;
}
