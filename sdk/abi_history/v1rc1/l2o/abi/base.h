/* Version, calling convention and the rules of the contract between an l2o host and its plugins.
 *
 * EVOLUTION
 *  R1 The major number is part of the name of the one exported symbol. Until it is frozen, so is the number of
 *     the candidate (l2o_plugin_entry_v1rc1), and each candidate has a magic number of its own. Within a major
 *     nothing is removed, reordered or retyped; structs only grow at the end, in 8-byte units, without implicit
 *     padding.
 *  R2 Every struct that begins with, or has, a struct_size (tables, infos, specs, options and values, problem,
 *     setting, host) is stamped by its owner with sizeof() of its own header. Whoever
 *     receives one copies it, once, into a zeroed struct of its own header: an unknown tail is dropped, an absent
 *     tail is 0 or NULL. Nothing else looks at struct_size, and it is never compared.
 *  R3 What belongs to one call (l2o_call, l2o_step_in ...) has no size. The host knows the minor that the plugin
 *     was built for (l2o_plugin.built_minor) and does not expect fields behind it to be written; the plugin knows
 *     the host's (l2o_host.abi_minor) and does not read behind that. A plugin that cannot work without minor N
 *     says so in required_minor, and is refused before any call.
 *  R4 No arrays of growable structs by value: arrays of pointers, or accessors.
 *  R5 An optional feature is an extension id "l2o.<kind>.<name>/<revision>"; third parties use reverse DNS. An id
 *     never changes; an unknown id yields NULL.
 *  R6 No exception, longjmp, signal handler, exit(), setlocale, change of the floating-point control word, the
 *     environment, the umask or the working folder, or of a process-wide thread count may cross or outlive a
 *     call. Each side frees what it allocated. Strings are UTF-8, without control characters, NUL-terminated.
 *
 * LIFE CYCLE
 *  entry, init          [load] once per process before everything else; a library is never unloaded
 *  create               [any]  gives an instance, or a status and none
 *  info, *_spec,        [pure] from create on; what they return belongs to the instance, and stays as it is
 *  get_extension               until destroy
 *  everything else      [pure] from create on, in any order: an instance has no state
 *  destroy              [any]  last; no other call on the instance runs or follows. After L2O_STATUS_INTERNAL
 *                              nothing else may be called on it, after L2O_STATUS_FATAL nothing of the library
 *
 * THREADS
 *  [load] one thread, never concurrent with anything else in this library
 *  [any]  any thread, concurrent with calls on other instances
 *  [pure] any thread, concurrently on one instance: it is immutable after create; the call context and the
 *         outputs belong to that call alone, and pointers passed in die when it returns. An instance that says
 *         L2O_FLAG_SERIAL is called by one thread at a time. */
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

#endif
