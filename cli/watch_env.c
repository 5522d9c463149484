/* Variables from an event. */
#include "cli/watch_env.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cli/print_ops.h"
#include "cli/quote.h"

#define VARIABLES_MAX  10
#define VARIABLE_BYTES (100 * 1000) /* the kernel takes up to 128 KiB each */

struct variables {
    const char **all;
    size_t n;
    struct arena *arena;
};

/* One that is too long is left out, as the command could not be run with it. */
static void add(struct variables *v, const char *name, struct slice value)
{
    size_t len = strlen(name);
    char *text;

    if (len + value.len > VARIABLE_BYTES ||
        (value.len > 0 && memchr(value.ptr, 0, value.len) != NULL)) {
        return;
    }
    CHECK(v->n < VARIABLES_MAX);
    text = arena_alloc(v->arena, len + value.len + 2);
    memcpy(text, name, len);
    text[len] = '=';
    if (value.len > 0) {
        memcpy(text + len + 1, value.ptr, value.len);
    }
    text[len + 1 + value.len] = '\0';
    v->all[v->n++] = text;
}

static void add_number(struct variables *v, const char *name, int64_t number)
{
    char text[32];

    snprintf(text, sizeof(text), "%" PRId64, number);
    add(v, name, slice_str(text));
}

static void add_quoted(struct variables *v, const char *name, struct slice bytes)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out;

    if (bytes.len > VARIABLE_BYTES) {
        return;
    }
    out = open_memstream(&text, &len);
    CHECK(out != NULL);
    quote_write(out, bytes);
    fclose(out);
    add(v, name, slice_of(text, len));
    free(text);
}

const char *const *watch_environment(const Mvccpb__Event *event, int64_t revision,
                                     struct arena *arena)
{
    struct variables v = {.all = arena_zero(arena, (VARIABLES_MAX + 1) * sizeof(char *)),
                          .arena = arena};
    struct slice type = slice_str(event_type_name(event));
    struct slice key = slice_of_binary(event->kv->key);
    struct slice value = slice_of_binary(event->kv->value);

    add_number(&v, "ETCD_WATCH_REVISION", revision);
    add_quoted(&v, "ETCD_WATCH_EVENT_TYPE", type);
    add_quoted(&v, "ETCD_WATCH_KEY", key);
    add_quoted(&v, "ETCD_WATCH_VALUE", value);
    add_number(&v, "KVD_WATCH_REVISION", event->kv->mod_revision);
    add(&v, "KVD_WATCH_EVENT_TYPE", type);
    add(&v, "KVD_WATCH_KEY", key);
    add(&v, "KVD_WATCH_VALUE", value);
    if (event->prev_kv != NULL) {
        add(&v, "KVD_WATCH_PREV_VALUE", slice_of_binary(event->prev_kv->value));
    }
    return v.all;
}
