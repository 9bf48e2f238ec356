/* Option schema and resolved option values. The schema is enough for --help, validation and a tuner. */
#ifndef L2O_ABI_OPTION_H
#define L2O_ABI_OPTION_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Of l2o_option.type and l2o_value.type. */
enum {
    L2O_OPTION_BOOL = 1,   /* value.i is 0 or 1                                  */
    L2O_OPTION_INT = 2,    /* value.i                                            */
    L2O_OPTION_REAL = 3,   /* value.d                                            */
    L2O_OPTION_CHOICE = 4, /* value.i: index into choices; value.s: its text     */
    L2O_OPTION_INTS = 5,   /* value.iv[0..count); text form "20,20", may be ""   */
    L2O_OPTION_PATH = 6,   /* value.s; the host makes it absolute, "" is allowed */
    L2O_OPTION_TEXT = 7,   /* value.s                                            */
    L2O_OPTION_REALS = 8   /* value.dv[0..count); text form "0.1,1e-3"           */
};

/* Bits of l2o_option.flags. */
#define L2O_OPTION_REQUIRED (UINT64_C(1) << 0)
#define L2O_OPTION_OPEN_MIN (UINT64_C(1) << 1) /* the lower bound itself is not allowed */
#define L2O_OPTION_OPEN_MAX (UINT64_C(1) << 2)

typedef struct l2o_option {
    uint32_t struct_size;
    int32_t type; /* L2O_OPTION_*                                                                      */
    uint64_t flags;
    const char *key, *doc;
    const char* def;            /* default in text form, parsed by the host; NULL iff REQUIRED         */
    double min, max;            /* INT, REAL, each of INTS and REALS; -INFINITY, INFINITY: unbounded   */
    const char* const* choices; /* CHOICE: NULL-terminated, else NULL                                  */
} l2o_option;

/* A value in schema order, parsed and range-checked by the host; lives until create returns. */
typedef struct l2o_value {
    uint32_t struct_size;
    int32_t type;
    int64_t i;
    double d;
    const char* s;
    const int64_t* iv;
    const double* dv;
    uint64_t count;
} l2o_value;

#ifdef __cplusplus
}
#endif
#endif
