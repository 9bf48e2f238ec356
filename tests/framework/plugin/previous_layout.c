/* A plugin of the ABI before the candidates of 1.0, as far as a host reads one that it does not know: what it
 * was compiled from is written out, since this tree's headers have another layout. */
#include <stdint.h>

typedef struct previous_plugin {
    uint32_t magic, struct_size, built_major, built_minor, required_minor, n_components;
    const char *id, *version, *license, *vendor, *runtime;
    const void* const* components;
    int32_t (*init)(const void* host, void* call);
} previous_plugin;

__attribute__((visibility("default"))) const previous_plugin* l2o_plugin_entry_v1(void);
const previous_plugin* l2o_plugin_entry_v1(void) {
    static const previous_plugin plugin = {.magic = 0x4C324F31u, /* "L2O1" */
                                           .struct_size = sizeof(previous_plugin),
                                           .built_major = 1,
                                           .id = "previous",
                                           .version = "1.0.0",
                                           .license = "MIT",
                                           .vendor = "tests",
                                           .runtime = ""};
    return &plugin;
}
