/* The entry of a plugin library: one exported symbol that returns static data. */
#ifndef L2O_ABI_PLUGIN_H
#define L2O_ABI_PLUGIN_H

#include "call.h"
#include "option.h"
#include "status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Of this candidate of 1.0; another candidate and 1.0 itself have others. */
#define L2O_MAGIC 0x4C325231u /* "L2R1" */

typedef struct l2o_component {
    uint32_t struct_size, n_options;
    const char *kind, *id, *title, *doc; /* kind: L2O_KIND_*; id: bare word, or reverse DNS for third parties */
    const l2o_option* const* options;
    const char* const* tags; /* NULL-terminated, for listing: "learned", "differentiable", ...               */
    const char* needs;       /* optimizer, loss: data tensors by name, "A,b?,lambda"; ? is optional          */
    const void* api;         /* l2o_optimizer_api, l2o_optimizee_api or l2o_loss_api, as kind says           */
} l2o_component;

typedef struct l2o_plugin {
    uint32_t magic, struct_size, built_major, built_minor, required_minor, n_components;
    const char *id, *version, *license, *vendor; /* none may be empty                                   */
    const char* runtime; /* what must match the host's process, "libtorch=1.13.1"; "" for nothing       */
    const l2o_component* const* components;
    L2O_FN(l2o_status, init, const l2o_host*, l2o_call*); /* [load] may be NULL; repeated calls are allowed */
} l2o_plugin;

/* [load] Static data, no side effects, never NULL. */
#define L2O_ENTRY l2o_plugin_entry_v1rc1
#define L2O_ENTRY_SYMBOL "l2o_plugin_entry_v1rc1"
L2O_EXPORT const l2o_plugin* L2O_CALL L2O_ENTRY(void) L2O_NOEXCEPT;

#ifdef __cplusplus
}
#endif
#endif
