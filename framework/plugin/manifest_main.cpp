// l2o-manifest <library.so>: writes the manifest beside a plugin library. Run by l2o_add_plugin() after
// linking.
#include <cstdio>

#include "framework/error.hpp"
#include "framework/plugin/library.hpp"
#include "framework/store/atomic_file.hpp"
#include "framework/text/json.hpp"
#include "framework/text/printable.hpp"

int main(int argc, char** argv) {
    l2o::framework::reserve_standard_streams();
    if (argc != 2) {
        std::fprintf(stderr, "usage: l2o-manifest <plugin library>\n");
        return 2;
    }
    try {
        using namespace l2o::framework;
        write_file_atomically(manifest_path(argv[1]), to_json(describe_library(argv[1])).dump() + "\n");
        return 0;
    } catch (const l2o::framework::Error& error) {
        std::fprintf(stderr, "l2o-manifest: %s\n", l2o::framework::one_line(error.what()).c_str());
        return static_cast<int>(error.code());
    } catch (const std::exception& error) {
        std::fprintf(stderr, "l2o-manifest: %s: %s\n", argv[1], error.what());
        return static_cast<int>(l2o::framework::ExitCode::kPlugin);
    }
}
