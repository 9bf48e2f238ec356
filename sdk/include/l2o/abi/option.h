/* Option schema and resolved option values. The schema is enough for --help, validation and a tuner. */
#ifndef L2O_ABI_OPTION_H
#define L2O_ABI_OPTION_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    L2O_BOOL = 1,   /* value.i is 0 or 1                                  */
    L2O_INT = 2,    /* value.i                                            */
    L2O_REAL = 3,   /* value.d                                            */
    L2O_CHOICE = 4, /* value.i: index into choices; value.s: its text     */
    L2O_INTS = 5,   /* value.iv[0..count); text form "20,20", may be ""   */
    L2O_PATH = 6    /* value.s; the host makes it absolute, "" is allowed */
};
enum {
    L2O_OPTION_REQUIRED = 1u,
    L2O_OPTION_OPEN_MIN = 2u, /* the lower bound itself is not allowed */
    L2O_OPTION_OPEN_MAX = 4u
};

typedef struct l2o_option {
    uint32_t struct_size;
    int32_t type;
    const char *key, *doc;
    const char* def;            /* default in text form, parsed by the host; NULL iff REQUIRED         */
    double min, max;            /* INT, REAL and each of INTS; -INFINITY, INFINITY: unbounded          */
    const char* const* choices; /* CHOICE: NULL-terminated, else NULL                                  */
    uint32_t flags, reserved;
} l2o_option;

/* A value in schema order, parsed and range-checked by the host; lives until create returns. */
typedef struct l2o_value {
    uint32_t struct_size;
    int32_t type;
    int64_t i;
    double d;
    const char* s;
    const int64_t* iv;
    uint64_t count;
} l2o_value;

#ifdef __cplusplus
}
#endif
#endif
