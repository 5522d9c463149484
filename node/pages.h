/* The pages of the HTTP/1.1 side: /health, /livez, /readyz, /version, /metrics. */
#ifndef KVD_NODE_PAGES_H
#define KVD_NODE_PAGES_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/slice.h"
#include "node/health.h"
#include "node/metrics.h"

#define PAGE_BYTES_MAX (1 * MIB)

/* A target is path and query as they came in the request line; it is borrowed. */
struct page_request {
    bool is_get; /* or HEAD; another method is refused */
    struct slice target;
};

struct page {
    int status;       /* HTTP's */
    const char *type; /* content type */
    struct buf body;
};

/* The answer depends on node_probe. */
bool page_needs_probe(const struct page_request *request, const struct health *health);

/* Fills status, type and appends to the body. read_ok is the probe's outcome, true when
 * none was needed. */
void page_render(const struct page_request *request, const struct health *health,
                 struct metrics *metrics, bool read_ok, struct page *out);

/* A page that only says what went wrong. */
void page_render_error(int status, const char *text, struct page *out);

#endif
