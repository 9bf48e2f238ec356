/* Tables that cross, as programs of three ages hand them out. Built with TOMORROW, against headers whose
 * tables have one more field, of_tomorrow: it is garbage. Built with SHORTER: a table ends where `size` says,
 * as one of a minor before. What lies behind a table is garbage, and AddressSanitizer ends whoever reads it.
 */
#ifndef ABI_HISTORY_TABLES_H
#define ABI_HISTORY_TABLES_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(TOMORROW)
#define KNOWN_SIZE(type, size) ((void)(size), offsetof(type, of_tomorrow))
#define GIVEN_SIZE(type, size) sizeof(type)
#elif defined(SHORTER)
#define KNOWN_SIZE(type, size) cut(#type, size)
#define GIVEN_SIZE(type, size) cut(#type, size)
/* Where ABI_HISTORY_CUT says so, as "l2o_spec 48", a struct ends even before. */
static inline size_t cut(const char* type, size_t size) {
    const char* asked = getenv("ABI_HISTORY_CUT");
    const size_t length = strlen(type);
    size_t bytes = 0;
    if (asked == NULL || strncmp(asked, type, length) != 0 || asked[length] != ' ') return size;
    bytes = strtoul(asked + length, NULL, 10);
    return bytes < size ? bytes : size;
}
#else
#define KNOWN_SIZE(type, size) ((void)(size), sizeof(type))
#define GIVEN_SIZE(type, size) sizeof(type)
#endif
#define GIVE(type, table, size) \
    ((const type*)give(&(table), offsetof(type, struct_size), KNOWN_SIZE(type, size), GIVEN_SIZE(type, size)))

#ifdef __SANITIZE_ADDRESS__
void __asan_poison_memory_region(const volatile void*, size_t);
#endif

/* Garbage at a multiple of 64, with garbage behind it; it stays. */
static inline void* kept(size_t bytes) {
    enum { LINE = 64, BEHIND = 256, GARBAGE = 0xA5 };
    static void* last; /* where a leak checker finds it */
    char* own = (char*)malloc(2 * LINE + bytes + BEHIND);
    if (own == NULL) abort();
    memset(own, GARBAGE, 2 * LINE + bytes + BEHIND);
    memcpy(own, &last, sizeof last);
    last = own;
    own += 2 * LINE - (uintptr_t)own % LINE;
#ifdef __SANITIZE_ADDRESS__
    __asan_poison_memory_region(own + bytes, BEHIND);
#endif
    return own;
}

/* The first `known` bytes of a table as one of `size` bytes. */
static inline const void* give(const void* table, size_t at, size_t known, size_t size) {
    const uint32_t stamp = (uint32_t)size;
    char* own = (char*)memcpy(kept(size), table, known);
    memcpy(own + at, &stamp, sizeof stamp);
    return own;
}

/* Rule R2: a table of the other side in a zeroed one of this header. */
#define TAKE(own, given) take(&(own), sizeof(own), given, (given)->struct_size)
static inline void take(void* own, size_t size, const void* given, size_t given_size) {
    memset(own, 0, size);
    memcpy(own, given, given_size < size ? given_size : size);
}

#endif
