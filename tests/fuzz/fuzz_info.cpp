#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "framework/config/config.hpp"
#include "framework/config/info_file.hpp"
#include "framework/error.hpp"
#include "framework/experiment/experiment.hpp"

/// Whatever the bytes, they are refused with an Error, or are a tree that reads back as itself; and what is
/// an experiment writes itself as one that reads back as itself.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace l2o::framework;
    static const Catalog catalog(plugin_search_path());
    const std::string text(reinterpret_cast<const char*>(data), size);
    try {
        const Config config = Config::parse(text, "/nowhere/fuzz.info");
        const std::string written = to_info(config.tree());
        if (to_info(parse_info(written, "/nowhere/written.info")) != written) std::abort();
        const Experiment experiment = read_experiment(catalog, config);
        const Config again = Config::parse(experiment.info, "/nowhere/again.info");
        if (read_experiment(catalog, again).hash != experiment.hash) std::abort();
    } catch (const Error&) {
    }
    return 0;
}
