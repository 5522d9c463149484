/* Allocation that cannot fail: running out of memory aborts. Sizes a client chose are
 * checked against a limit before they come here. */
#ifndef KVD_BASE_MEM_H
#define KVD_BASE_MEM_H

#include <stddef.h>

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define ARRAY_LEN(a)                    (sizeof(a) / sizeof((a)[0]))

/* The caller frees with free(). */
void *mem_alloc(size_t size);
void *mem_zero(size_t size);
void *mem_grow(void *old, size_t size);
void *mem_dup(const void *src, size_t size);
char *mem_strdup(const char *src);
char *mem_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
