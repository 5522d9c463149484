/* A whole member of three and somebody at its peer port: any bytes, or a proper greeting
 * and then frames whose checksums are right and whose messages may make no sense. Nothing
 * ends the member: a link at most. */
#include "raftlog/link.h"
#include "tests/fuzz/frame.h"
#include "tests/fuzz/fuzz_node.h"

#define STEPS_MAX 100

static struct fuzz_node node;

static void write_frame(uint8_t type, struct slice body)
{
    struct buf out = BUF_INIT(MIB);

    fuzz_add_frame(&out, type, body);
    fuzz_node_write(&node, buf_slice(&out));
    buf_close(&out);
}

static void greet(uint32_t purpose)
{
    struct buf out = BUF_INIT(LIMIT_PEER_HELLO);

    fuzz_hello(&node, &out, purpose);
    fuzz_node_write(&node, buf_slice(&out));
    buf_close(&out);
}

static void step(struct fuzz *in)
{
    uint8_t what = fuzz_byte(in);

    switch (what % 8) {
    case 0:
        fuzz_node_run(&node, what);
        break;
    case 1:
        fuzz_node_write(&node, fuzz_part(in));
        break;
    case 2:
        fuzz_node_hang_up(&node);
        fuzz_node_connect(&node, "10.0.0.1:2380");
        greet(what / 8 % 3);
        break;
    default: {
        uint8_t type = fuzz_byte(in);

        write_frame(type, fuzz_part(in));
        break;
    }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct fuzz in = fuzz_of(bytes, len);
    uint8_t how = fuzz_byte(&in);

    fuzz_node_open(&node, 3);
    fuzz_node_run(&node, 50);
    fuzz_node_connect(&node, "10.0.0.1:2380");
    if (how % 8 != 0) {
        greet(how % 8 == 1);
    }
    for (int i = 0; i < STEPS_MAX && fuzz_more(&in); i++) {
        step(&in);
    }
    fuzz_node_run(&node, 50);
    CHECK(node.cluster.members[0].node != NULL);
    fuzz_node_close(&node);
    return 0;
}
