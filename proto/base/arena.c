#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

#define ARENA_BLOCK_SIZE 4096u
#define ARENA_ALIGN      16u

struct arena_block {
    struct arena_block *next;
    size_t size; /* of bytes */
    size_t used;
    _Alignas(ARENA_ALIGN) unsigned char bytes[];
};

void arena_init(struct arena *a, size_t max)
{
    *a = (struct arena){.max = max};
}

void arena_close(struct arena *a)
{
    while (a->blocks != NULL) {
        struct arena_block *block = a->blocks;

        a->blocks = block->next;
        free(block);
    }
    a->used = 0;
}

void arena_reset(struct arena *a)
{
    struct arena_block *keep = a->blocks;

    if (keep != NULL) {
        a->blocks = keep->next;
        arena_close(a);
        keep->next = NULL;
        keep->used = 0;
        a->blocks = keep;
    }
    a->used = 0;
}

void *arena_try(struct arena *a, size_t size)
{
    struct arena_block *block = a->blocks;
    void *p;

    if (size > a->max || a->used > a->max - size) {
        return NULL;
    }
    size = (size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    if (block == NULL || block->size - block->used < size) {
        size_t want = size > ARENA_BLOCK_SIZE ? size : ARENA_BLOCK_SIZE;

        block = mem_alloc(sizeof(*block) + want);
        *block = (struct arena_block){.next = a->blocks, .size = want};
        a->blocks = block;
    }
    p = block->bytes + block->used;
    block->used += size;
    a->used += size;
    return p;
}

void *arena_alloc(struct arena *a, size_t size)
{
    void *p = arena_try(a, size);

    CHECK(p != NULL);
    return p;
}

void *arena_zero(struct arena *a, size_t size)
{
    return memset(arena_alloc(a, size), 0, size);
}

struct slice arena_dup(struct arena *a, struct slice bytes)
{
    uint8_t *p = arena_alloc(a, bytes.len);

    if (bytes.len > 0) {
        memcpy(p, bytes.ptr, bytes.len);
    }
    return slice_of(p, bytes.len);
}
