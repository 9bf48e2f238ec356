/* Status codes: the code says what may still be called, the text goes into l2o_call.err. */
#ifndef L2O_ABI_STATUS_H
#define L2O_ABI_STATUS_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An unknown code is treated as L2O_STATUS_INTERNAL. */
typedef int32_t l2o_status;
enum {
    L2O_STATUS_OK = 0,
    L2O_STATUS_NUMERICAL = 1,   /* this trajectory diverged: outputs undefined, instance fine    */
    L2O_STATUS_INVALID = 2,     /* an argument or an option is wrong                             */
    L2O_STATUS_UNSUPPORTED = 3, /* this combination is not offered (shape, dtype, feature)       */
    L2O_STATUS_NOMEM = 4,       /* out of memory                                                 */
    L2O_STATUS_CANCELLED = 5,   /* l2o_call.cancel was seen                                      */
    L2O_STATUS_IO = 6,          /* a file is missing or unreadable                               */
    L2O_STATUS_INTERNAL = 7,    /* a bug: the instance must be destroyed, other instances fine   */
    L2O_STATUS_FATAL = 8        /* never call this library again in this process                 */
};

enum {
    L2O_SEVERITY_NONE = 0,
    L2O_SEVERITY_DISCARD = 1,  /* the outputs of this call are lost; go on                */
    L2O_SEVERITY_CALL = 2,     /* this call cannot succeed as it stands; the instance can */
    L2O_SEVERITY_INSTANCE = 3, /* destroy the instance                                    */
    L2O_SEVERITY_LIBRARY = 4   /* never call the library again                            */
};

/* Severity of a status, one of L2O_SEVERITY_*. */
static inline int32_t l2o_status_severity(l2o_status status) {
    switch (status) {
        case L2O_STATUS_OK:
            return L2O_SEVERITY_NONE;
        case L2O_STATUS_NUMERICAL:
        case L2O_STATUS_CANCELLED:
            return L2O_SEVERITY_DISCARD;
        case L2O_STATUS_INVALID:
        case L2O_STATUS_UNSUPPORTED:
        case L2O_STATUS_NOMEM:
        case L2O_STATUS_IO:
            return L2O_SEVERITY_CALL;
        case L2O_STATUS_FATAL:
            return L2O_SEVERITY_LIBRARY;
        default:
            return L2O_SEVERITY_INSTANCE;
    }
}

#ifdef __cplusplus
}
#endif
#endif
