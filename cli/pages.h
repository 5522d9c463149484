/* A range read in pages at one revision: memory stays bounded however large the range is,
 * and what is read is one consistent state. Pages are sized to about PAGE_BYTES.
 *
 * A range that asks for another order than that of keys comes as a single page. */
#ifndef KVD_CLI_PAGES_H
#define KVD_CLI_PAGES_H

#include "base/arena.h"
#include "cli/lib/client.h"
#include "rpc.pb-c.h"

struct pages {
    struct client *client;              /* private, as all of it */
    Etcdserverpb__RangeRequest request; /* of the next page */
    struct arena arena;                 /* of the current page */
    struct arena keys;                  /* where the next page begins */
    int64_t left;                       /* keys still wanted; -1: all */
    int64_t seen;                       /* keys of the pages so far */
    int64_t count;                      /* of the first page: keys in the range */
    int64_t page_keys;
    bool paged;
    bool ended;
};

/* request is copied; its bytes must live as long as the pages. */
void pages_open(struct pages *pages, struct client *client,
                const Etcdserverpb__RangeRequest *request);

/* The next page in *page, valid until the next call; NULL after the last one. In every
 * page `count` and the header are those of the first; `more` says, in the last, whether
 * the request's limit cut the range. */
int pages_next(struct pages *pages, const Etcdserverpb__RangeResponse **page,
               struct err *err);
void pages_close(struct pages *pages);

#endif
