/* Any bytes as HTTP/1.1 requests for the pages, in pieces: each is answered or the
 * connection ends, memory stays bounded, and a page that waits for its read is let go.
 * The first two bytes choose the pieces and how the reads end. */
#include "base/limits.h"
#include "node/health.h"
#include "node/http1.h"
#include "tests/fuzz/fuzz.h"

/* A node that knows only its health. */
struct node {
    void (*done)(void *owner, bool ok);
    void *probe_owner;
};

void node_get_health(struct node *node, struct health *out)
{
    (void)node;
    *out = (struct health){.has_leader = true, .name = "m1"};
}

struct health_probe *node_probe(struct node *node, void (*done)(void *owner, bool ok),
                                void *owner)
{
    CHECK(node->done == NULL);
    node->done = done;
    node->probe_owner = owner;
    return (struct health_probe *)node;
}

void node_probe_cancel(struct health_probe *probe)
{
    ((struct node *)probe)->done = NULL;
}

static void on_ready(void *owner)
{
    (void)owner;
}

static void end_probe(struct node *node, bool ok)
{
    void (*done)(void *owner, bool ok) = node->done;

    if (done != NULL) {
        node->done = NULL;
        done(node->probe_owner, ok);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct fuzz in = fuzz_of(bytes, len);
    size_t piece = 1 + (size_t)fuzz_byte(&in) * 4;
    uint8_t how = fuzz_byte(&in);
    struct node node = {0};
    struct metrics metrics = {0};
    struct buf out = BUF_INIT(64 * MIB);
    struct http1 *http1 = http1_open(&node, &metrics, on_ready, NULL, 1);
    uint64_t now_ms = 1;

    while (fuzz_more(&in) && !http1_done(http1)) {
        now_ms += how % 4 == 3 ? 3000 : 1;
        if (http1_wants_input(http1)) {
            http1_feed(http1, fuzz_bytes(&in, piece), now_ms);
        }
        http1_tick(http1, now_ms);
        if (how % 4 != 2) {
            end_probe(&node, how % 4 == 0);
        }
        http1_collect(http1, &out, 64 * KIB, now_ms);
        buf_clear(&out);
        if (!http1_wants_input(http1) && !fuzz_more(&in)) {
            break;
        }
        if (node.done != NULL && how % 4 == 2 && !http1_wants_input(http1)) {
            end_probe(&node, false);
        }
    }
    http1_finish(http1);
    end_probe(&node, true);
    while (http1_collect(http1, &out, 64 * KIB, now_ms)) {
        buf_clear(&out);
    }
    CHECK(http1_done(http1));
    http1_close(http1);
    buf_close(&out);
    return 0;
}
