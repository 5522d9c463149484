/* The names of a prefix, and the reading of its pointer. */
#include "cli/layout.h"

#include <string.h>

#include "cli/key_range.h"

struct slice slice_join(struct slice a, struct slice b, struct arena *arena)
{
    uint8_t *bytes = arena_alloc(arena, a.len + b.len);

    if (a.len > 0) {
        memcpy(bytes, a.ptr, a.len);
    }
    if (b.len > 0) {
        memcpy(bytes + a.len, b.ptr, b.len);
    }
    return slice_of(bytes, a.len + b.len);
}

bool slice_starts_with(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && slice_eq(slice_of(s.ptr, prefix.len), prefix);
}

void layout_name(struct layout *layout, const char *prefix, struct arena *arena)
{
    struct slice trimmed = slice_str(prefix);

    while (trimmed.len > 0 && trimmed.ptr[trimmed.len - 1] == '/') {
        trimmed.len--;
    }
    *layout = (struct layout){.base = slice_join(trimmed, slice_str("/"), arena)};
    layout->current = slice_join(layout->base, slice_str(LAYOUT_CURRENT), arena);
    layout->releases = slice_join(layout->base, slice_str(LAYOUT_RELEASES "/"), arena);
}

/* A pointer is the prefix of a release of the same layout. */
static bool is_pointer(const struct layout *layout, struct slice value)
{
    return slice_starts_with(value, layout->releases) &&
           value.len > layout->releases.len + 1 && value.ptr[value.len - 1] == '/' &&
           memchr(value.ptr + layout->releases.len, '/',
                  value.len - layout->releases.len - 1) == NULL;
}

int layout_read(struct layout *layout, const char *prefix, int64_t rev,
                struct client *client, struct arena *arena, struct err *err)
{
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    Etcdserverpb__RangeResponse *res;
    int rc;

    layout_name(layout, prefix, arena);
    request.key = binary_of(layout->current);
    request.revision = rev;
    rc = client_call(client, &client_range, &request.base, arena, &res, err);
    if (rc != 0) {
        return rc;
    }
    layout->revision = rev > 0 ? rev : res->header != NULL ? res->header->revision : 0;
    if (res->n_kvs == 1) {
        const Mvccpb__KeyValue *kv = res->kvs[0];
        struct slice value = slice_of(kv->value.data, kv->value.len);

        layout->pointer_rev = kv->mod_revision;
        layout->pointer = is_pointer(layout, value) ? value : slice_of(NULL, 0);
    }
    return 0;
}

struct slice layout_release(const struct layout *layout, struct slice id,
                            struct arena *arena)
{
    return slice_join(slice_join(layout->releases, id, arena), slice_str("/"), arena);
}

bool layout_id_valid(const char *id)
{
    return *id != '\0' && strchr(id, '/') == NULL && strcmp(id, ".") != 0 &&
           strcmp(id, "..") != 0 && strlen(id) <= 200;
}

bool layout_reserved(const char *path)
{
    return strcmp(path, LAYOUT_CURRENT) == 0 ||
           strncmp(path, LAYOUT_RELEASES "/", strlen(LAYOUT_RELEASES "/")) == 0;
}
