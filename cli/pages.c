/* Paging. The first page fixes the revision; each next one begins behind the last key.
 * The number of keys asked for doubles while pages are small and halves when they are
 * large. Fails as the calls do, and when the revision is compacted away meanwhile. */
#include "cli/pages.h"

#include "base/limits.h"

#define PAGE_KEYS_FIRST 64
#define PAGE_KEYS_ONLY  4096 /* first page without values */
#define PAGE_KEYS_MAX   16384

void pages_open(struct pages *pages, struct client *client,
                const Etcdserverpb__RangeRequest *request)
{
    *pages = (struct pages){
        .client = client,
        .request = *request,
        .left = request->limit > 0 ? request->limit : -1,
        .page_keys = request->keys_only ? PAGE_KEYS_ONLY : PAGE_KEYS_FIRST,
        .paged = request->range_end.len > 0 && !request->count_only &&
                 request->sort_target == ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__KEY &&
                 request->sort_order != ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND,
    };
    arena_init(&pages->arena, LIMIT_CLIENT_ARENA);
    arena_init(&pages->keys, LIMIT_CLIENT_ARENA);
}

void pages_close(struct pages *pages)
{
    arena_close(&pages->arena);
    arena_close(&pages->keys);
}

/* The request that continues behind the last key of a page. */
static void continue_behind(struct pages *pages, const Etcdserverpb__RangeResponse *page)
{
    const ProtobufCBinaryData *last = &page->kvs[page->n_kvs - 1]->key;
    uint8_t *key;

    arena_reset(&pages->keys);
    key = arena_alloc(&pages->keys, last->len + 1);
    memcpy(key, last->data, last->len);
    key[last->len] = 0;
    pages->request.key = (ProtobufCBinaryData){.len = last->len + 1, .data = key};
    if (pages->request.revision == 0 && page->header != NULL) {
        pages->request.revision = page->header->revision;
    }
}

static void adapt_size(struct pages *pages)
{
    if (pages->arena.used < PAGE_BYTES / 2 && pages->page_keys < PAGE_KEYS_MAX) {
        pages->page_keys *= 2;
    } else if (pages->arena.used > PAGE_BYTES * 2 && pages->page_keys > 1) {
        pages->page_keys /= 2;
    }
}

int pages_next(struct pages *pages, const Etcdserverpb__RangeResponse **page,
               struct err *err)
{
    Etcdserverpb__RangeResponse *res;
    int rc;

    *page = NULL;
    if (pages->ended) {
        return 0;
    }
    arena_reset(&pages->arena);
    if (pages->paged) {
        pages->request.limit = pages->left >= 0 && pages->left < pages->page_keys
                                   ? pages->left
                                   : pages->page_keys;
    }
    rc = client_call(pages->client, &client_range, &pages->request.base, &pages->arena,
                     &res, err);
    if (rc != 0) {
        return rc;
    }
    if (pages->seen == 0) {
        pages->count = res->count;
    }
    res->count = pages->count;
    pages->seen += (int64_t)res->n_kvs;
    pages->left -= pages->left > 0 ? (int64_t)res->n_kvs : 0;
    pages->ended = !pages->paged || !res->more || pages->left == 0 || res->n_kvs == 0;
    if (!pages->ended) {
        continue_behind(pages, res);
        adapt_size(pages);
    }
    *page = res;
    return 0;
}
