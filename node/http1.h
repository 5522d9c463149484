/* HTTP/1.1 without I/O: bytes of one connection in, pages out.
 *
 * Happy path: http1_feed parses requests; each is answered at once, or, when its page
 * needs a linearizable read, when that has come back; http1_collect takes what is to be
 * written. Requests that follow wait until the one before is answered. What can fail: a
 * request that is not HTTP or breaks a limit; it is answered with a 4xx and the
 * connection ends. */
#ifndef KVD_NODE_HTTP1_H
#define KVD_NODE_HTTP1_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"
#include "node/metrics.h"

struct node;
struct http1;

/* ready is called when a probe came back and there is output. */
struct http1 *http1_open(struct node *node, struct metrics *metrics,
                         void (*ready)(void *owner), void *owner, uint64_t now_ms);
void http1_close(struct http1 *http1);

/* Takes all bytes; give more only while http1_wants_input, else up to LIMIT_HTTP1_INPUT
 * are kept and the connection ends beyond. */
void http1_feed(struct http1 *http1, struct slice bytes, uint64_t now_ms);
bool http1_wants_input(const struct http1 *http1);

/* Appends output, up to max bytes; true when there is more. Then goes on with requests
 * that waited for room. */
bool http1_collect(struct http1 *http1, struct buf *out, size_t max, uint64_t now_ms);

/* The client will send no more, or the member stops: what was asked is still answered,
 * then http1_done. */
void http1_finish(struct http1 *http1);

/* Nothing to send and nothing more expected: the connection can close. */
bool http1_done(const struct http1 *http1);

/* Limits in time: on a request, between requests, on a probe. */
void http1_tick(struct http1 *http1, uint64_t now_ms);

#endif
