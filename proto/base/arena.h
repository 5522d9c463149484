/* Memory that goes all at once: a request's memory comes from its arena. Nothing is freed
 * one by one. A zeroed struct with a limit is a valid empty arena. */
#ifndef KVD_BASE_ARENA_H
#define KVD_BASE_ARENA_H

#include <stddef.h>

#include "base/slice.h"

struct arena_block;

struct arena {
    struct arena_block *blocks; /* private: newest first */
    size_t used;                /* bytes handed out */
    size_t max;                 /* ceiling of used */
};

void arena_init(struct arena *a, size_t max);

/* Frees everything; the arena is empty and usable afterwards. */
void arena_close(struct arena *a);

/* Forgets everything but keeps the newest block for reuse. */
void arena_reset(struct arena *a);

/* Aligned for any type; NULL when the ceiling would be passed: for sizes a client chose.
 */
void *arena_try(struct arena *a, size_t size);

/* As arena_try, but passing the ceiling is our mistake and stops the process. */
void *arena_alloc(struct arena *a, size_t size);
void *arena_zero(struct arena *a, size_t size);
struct slice arena_dup(struct arena *a, struct slice bytes);

#endif
