/* What optimizers, optimizees and losses in C99 have in common: who a component is, its options, elements of
 * tensors, and the tables of a library that holds one component. */
#ifndef L2O_C_COMPONENT_H
#define L2O_C_COMPONENT_H

#include <l2o/abi/plugin.h>
#include <l2o/abi/spec.h>
#include <l2o/abi/tensor.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define L2O_C_MAX_OPTIONS 32
#define L2O_C_MAX_TAGS 8

/* Entries of l2o_c_about.options, at file scope and in C (compound literals). def is the default as a text;
 * NULL goes with the flag L2O_OPTION_REQUIRED. Bounds may be infinite. */
#define L2O_C_OPTION(type, key, def, min, max, flags, choices, doc) \
    &(const l2o_option) { sizeof(l2o_option), type, flags, key, doc, def, min, max, choices }
#define L2O_C_REAL(key, def, min, max, flags, doc) \
    L2O_C_OPTION(L2O_OPTION_REAL, key, def, min, max, flags, NULL, doc)
#define L2O_C_REALS(key, def, min, max, flags, doc) \
    L2O_C_OPTION(L2O_OPTION_REALS, key, def, min, max, flags, NULL, doc)
#define L2O_C_INT(key, def, min, max, flags, doc) \
    L2O_C_OPTION(L2O_OPTION_INT, key, def, min, max, flags, NULL, doc)
#define L2O_C_INTS(key, def, min, max, flags, doc) \
    L2O_C_OPTION(L2O_OPTION_INTS, key, def, min, max, flags, NULL, doc)
#define L2O_C_BOOL(key, def, flags, doc) \
    L2O_C_OPTION(L2O_OPTION_BOOL, key, def, -INFINITY, INFINITY, flags, NULL, doc)
#define L2O_C_TEXT(key, def, flags, doc) \
    L2O_C_OPTION(L2O_OPTION_TEXT, key, def, -INFINITY, INFINITY, flags, NULL, doc)
#define L2O_C_PATH(key, def, flags, doc) \
    L2O_C_OPTION(L2O_OPTION_PATH, key, def, -INFINITY, INFINITY, flags, NULL, doc)
/* The choices come last: L2O_C_CHOICE("norm", "two", 0, "which norm", "one", "two"). */
#define L2O_C_CHOICE(key, def, flags, doc, ...)              \
    L2O_C_OPTION(L2O_OPTION_CHOICE,                          \
                 key,                                        \
                 def,                                        \
                 -INFINITY,                                  \
                 INFINITY,                                   \
                 flags,                                      \
                 ((const char* const[]){__VA_ARGS__, NULL}), \
                 doc)

typedef struct l2o_c_about {
    const char *id, *version, *title, *doc, *license, *vendor;
    const char* needs;                            /* optimizer, loss: data tensors, "A,b?"; NULL: none */
    const char* tags[L2O_C_MAX_TAGS];             /* the last is NULL */
    const l2o_option* options[L2O_C_MAX_OPTIONS]; /* L2O_C_REAL(...), ... */
} l2o_c_about;

/* ---- for the functions of a component */

/* Ends a call with a text for the user, written as with printf. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
static inline l2o_status
l2o_c_fail(l2o_call* call, l2o_status status, const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    if (call->err != NULL) vsnprintf(call->err, call->err_cap, format, arguments);
    va_end(arguments);
    return status;
}

/* A row of a tensor: b of [B, shape], the only one of a scalar; and its number of elements, which are
 * contiguous. */
static inline void* l2o_c_row(const l2o_tensor* tensor, int64_t row) {
    const int64_t bytes = L2O_DTYPE_BYTES(tensor->dtype);
    return (char*)tensor->data + (tensor->ndim > 0 ? row * tensor->strides[0] * bytes : 0);
}
static inline int64_t l2o_c_row_size(const l2o_tensor* tensor) {
    int64_t n = 1;
    for (int32_t i = 1; i < tensor->ndim; ++i) n *= tensor->shape[i];
    return n;
}

/* Element i of a row, whatever its type: read, written, added to. Of int64, what a double can hold. A tensor
 * that is NULL is one that is not wanted, and nothing is written. In a hot loop use l2o_c_row(). */
static inline double l2o_c_get(const l2o_tensor* tensor, int64_t row, int64_t i) {
    const void* at = l2o_c_row(tensor, row);
    switch (tensor->dtype) {
        case L2O_DTYPE_F32:
            return ((const float*)at)[i];
        case L2O_DTYPE_F64:
            return ((const double*)at)[i];
        case L2O_DTYPE_I32:
            return ((const int32_t*)at)[i];
        case L2O_DTYPE_I64:
            return (double)((const int64_t*)at)[i];
        default:
            return ((const uint8_t*)at)[i];
    }
}
static inline void l2o_c_put(const l2o_tensor* tensor, int64_t row, int64_t i, double value) {
    void* at = tensor == NULL ? NULL : l2o_c_row(tensor, row);
    if (at == NULL) return;
    switch (tensor->dtype) {
        case L2O_DTYPE_F32:
            ((float*)at)[i] = (float)value;
            break;
        case L2O_DTYPE_F64:
            ((double*)at)[i] = value;
            break;
        case L2O_DTYPE_I32:
            ((int32_t*)at)[i] = (int32_t)value;
            break;
        case L2O_DTYPE_I64:
            ((int64_t*)at)[i] = (int64_t)value;
            break;
        default:
            ((uint8_t*)at)[i] = (uint8_t)value;
    }
}
static inline void l2o_c_add(const l2o_tensor* tensor, int64_t row, int64_t i, double value) {
    if (tensor != NULL) l2o_c_put(tensor, row, i, l2o_c_get(tensor, row, i) + value);
}
static inline void l2o_c_zero(const l2o_tensor* tensor) {
    const int64_t rows = tensor->ndim > 0 ? tensor->shape[0] : 1;
    const size_t bytes = (size_t)l2o_c_row_size(tensor) * (L2O_DTYPE_BYTES(tensor->dtype));
    for (int64_t row = 0; row < rows; ++row) memset(l2o_c_row(tensor, row), 0, bytes);
}

/* ---- for the tables */

static inline uint32_t l2o_c_count_options(const l2o_c_about* about) {
    uint32_t n = 0;
    while (n < L2O_C_MAX_OPTIONS && about->options[n] != NULL) ++n;
    return n;
}

/* A struct of the host, which begins with its struct_size, in a zeroed one of this header: rule R2 of
 * l2o/abi/base.h. Nothing else looks at struct_size. */
static inline void l2o_c_normalise(const void* given, void* own, size_t size) {
    uint32_t bytes = 0;
    memcpy(&bytes, given, sizeof bytes);
    memset(own, 0, size);
    memcpy(own, given, bytes < size ? bytes : size);
    bytes = (uint32_t)size;
    memcpy(own, &bytes, sizeof bytes);
}

/* A copy that stays, 0 bytes included; NULL of NULL. *failed is set if there is no memory. */
static inline void* l2o_c_copy(const void* from, size_t bytes, int* failed) {
    void* to = from == NULL ? NULL : malloc(bytes + 1);
    if (to == NULL && from != NULL) *failed = 1;
    if (to != NULL) memcpy(to, from, bytes);
    return to;
}
static inline void l2o_c_drop_values(const l2o_value* kept) {
    for (uint32_t i = 0; i < L2O_C_MAX_OPTIONS; ++i) {
        free((void*)kept[i].s);
        free((void*)kept[i].iv);
        free((void*)kept[i].dv);
    }
}
/* Copies the values of the host, which die with create, to kept[L2O_C_MAX_OPTIONS], which is zero; after a
 * failure too, l2o_c_drop_values() frees what was copied. */
static inline l2o_status l2o_c_keep_values(
    const l2o_c_about* about, l2o_call* call, const l2o_value* const* values, uint32_t n, l2o_value* kept) {
    int failed = 0;
    if (n != l2o_c_count_options(about))
        return l2o_c_fail(call,
                          L2O_STATUS_INVALID,
                          "the host passed %u option values; expected %u",
                          (unsigned)n,
                          (unsigned)l2o_c_count_options(about));
    for (uint32_t i = 0; i < n; ++i) {
        l2o_value value;
        l2o_c_normalise(values[i], &value, sizeof value);
        value.s = (const char*)l2o_c_copy(value.s, value.s == NULL ? 0 : strlen(value.s) + 1, &failed);
        value.iv = (const int64_t*)l2o_c_copy(value.iv, value.count * sizeof *value.iv, &failed);
        value.dv = (const double*)l2o_c_copy(value.dv, value.count * sizeof *value.dv, &failed);
        kept[i] = value;
    }
    return failed ? l2o_c_fail(call, L2O_STATUS_NOMEM, "out of memory") : L2O_STATUS_OK;
}

/* Fills the tables of the library, always with the same: the entry may be called again. */
static inline const l2o_plugin* l2o_c_plugin(const l2o_c_about* about, const char* kind, const void* api) {
    static l2o_component component;
    static const l2o_component* const components[] = {&component};
    static l2o_plugin plugin;
    component.struct_size = sizeof component;
    component.n_options = l2o_c_count_options(about);
    component.kind = kind;
    component.id = about->id;
    component.title = about->title;
    component.doc = about->doc;
    component.options = about->options;
    component.tags = about->tags;
    component.needs = about->needs == NULL ? "" : about->needs;
    component.api = api;
    plugin.magic = L2O_MAGIC;
    plugin.struct_size = sizeof plugin;
    plugin.built_major = L2O_ABI_MAJOR;
    plugin.built_minor = L2O_ABI_MINOR;
    plugin.n_components = 1;
    plugin.id = about->id;
    plugin.version = about->version;
    plugin.license = about->license;
    plugin.vendor = about->vendor;
    plugin.runtime = "";
    plugin.components = components;
    return &plugin;
}

#endif
