/* The layout of every public struct and the value of every public constant, as this compiler sees them. */
#ifndef L2O_TESTS_SDK_ABI_LAYOUT_H
#define L2O_TESTS_SDK_ABI_LAYOUT_H

#ifdef __cplusplus
extern "C" {
#endif

/* One line. A struct has name and size, then its fields in order; a constant has offset = its value. */
typedef struct l2o_layout_line {
    const char *kind, *owner, *name; /* kind: "struct", "field", "constant" */
    unsigned long offset, size;
} l2o_layout_line;

/* @return the lines; *count is their number. */
const l2o_layout_line* l2o_abi_layout(unsigned long* count);

#ifdef __cplusplus
}
#endif
#endif
