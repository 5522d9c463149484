#include "node/fence_header.h"

#include <string.h>

#include "wire/percent.h"

/* Digits only, above 0. */
static bool parse_token(const char *text, int64_t *out)
{
    int64_t token = 0;

    for (const char *c = text; *c != '\0'; c++) {
        if (*c < '0' || *c > '9' || __builtin_mul_overflow(token, 10, &token) ||
            __builtin_add_overflow(token, *c - '0', &token)) {
            return false;
        }
    }
    *out = token;
    return token > 0;
}

bool fence_header_parse(const struct wire_metadata *metadata, struct arena *arena,
                        Kvd__V1__Fence **out)
{
    const char *text = metadata->fence;
    const char *colon;
    Kvd__V1__Fence *fence;
    int64_t token;
    size_t len;

    if (text == NULL) {
        return true;
    }
    colon = strrchr(text, ':');
    len = colon != NULL ? (size_t)(colon - text) : 0;
    if (metadata->two_fences || len == 0 || !parse_token(colon + 1, &token)) {
        return false;
    }
    fence = arena_alloc(arena, sizeof(*fence));
    kvd__v1__fence__init(fence);
    fence->name.data = arena_alloc(arena, len + 1);
    fence->name.len =
        percent_decode(slice_of(text, len), (char *)fence->name.data, len + 1);
    fence->token = token;
    *out = fence;
    return true;
}
