/* Version, calling convention and the rules of the contract between an l2o host and its plugins.
 *
 * EVOLUTION
 *  R1 The major number is part of the name of the one exported symbol (l2o_plugin_entry_v1). Within a
 *     major nothing is removed, reordered or retyped; structs only grow at the end, in 8-byte units,
 *     without implicit padding.
 *  R2 Whoever allocates a struct stamps struct_size = sizeof() of its own header. An unknown tail is
 *     ignored, an absent tail means 0 or NULL. Sizes are never compared with ==.
 *  R3 The host copies every plugin table once, at load, into a zeroed struct of its own header; nothing
 *     else looks at struct_size. A plugin that cannot work without a field of minor N says so in
 *     l2o_plugin.required_minor, and the host refuses it before any call.
 *  R4 No arrays of growable structs by value: arrays of pointers, or accessors.
 *  R5 An optional feature is an extension id "l2o.<kind>.<name>/<revision>"; third parties use reverse
 *     DNS. An id never changes; an unknown id yields NULL.
 *  R6 No exception, longjmp, signal handler, exit(), setlocale, change of the floating-point control word
 *     or of a process-wide thread count may cross or outlive a call. Each side frees what it allocated.
 *     Strings are UTF-8 and NUL-terminated.
 *
 * THREADS
 *  [load] one thread, never concurrent with anything else in this library
 *  [any]  any thread, concurrent calls allowed
 *  [pure] any thread, concurrently on one instance: instances are immutable after create; the call context
 *         and the outputs belong to that call alone, and pointers passed in die when it returns */
#ifndef L2O_ABI_BASE_H
#define L2O_ABI_BASE_H

#include <stddef.h>
#include <stdint.h>

#define L2O_ABI_MAJOR 1u
#define L2O_ABI_MINOR 0u

#if defined(_WIN32)
#define L2O_CALL __cdecl
#define L2O_EXPORT __declspec(dllexport)
#else
#define L2O_CALL
#define L2O_EXPORT __attribute__((visibility("default")))
#endif

/* In C++17 noexcept is part of a function pointer's type: a throwing callback does not compile. */
#if defined(__cplusplus) && __cplusplus >= 201703L
#define L2O_NOEXCEPT noexcept
#else
#define L2O_NOEXCEPT
#endif

#define L2O_FN(ret, name, ...) ret(L2O_CALL* name)(__VA_ARGS__) L2O_NOEXCEPT

/* True if the struct that p points to is large enough to hold the field. */
#define L2O_HAS(p, type, field) \
    ((p)->struct_size >= offsetof(type, field) + sizeof(((const type*)0)->field))

#endif
