/* A whole member of three and somebody at its peer port: any bytes, or a proper greeting
 * and then frames whose checksums are right and whose messages may make no sense. Nothing
 * ends the member: a link at most. */
#include "base/crc.h"
#include "raftlog/link.h"
#include "raftlog/little.h"
#include "tests/fuzz/fuzz_node.h"

#define STEPS_MAX 100

static struct fuzz_node node;

static void write_frame(uint8_t type, struct slice body)
{
    static const uint8_t zeros[4];
    uint8_t header[LINK_HEADER_SIZE] = {0};
    uint32_t crc;

    little_put32(header, (uint32_t)body.len);
    header[4] = type;
    crc = crc32c(0, header, 8);
    crc = crc32c(crc, zeros, sizeof(zeros));
    little_put32(header + 8, crc32c(crc, body.ptr, body.len));
    fuzz_node_write(&node, slice_of(header, sizeof(header)));
    fuzz_node_write(&node, body);
}

/* As the second member. */
static void greet(uint32_t purpose)
{
    const struct membership *members = &node.cluster.members[0].node->members;
    Kvd__Peer__Hello hello = KVD__PEER__HELLO__INIT;
    struct buf out = BUF_INIT(LIMIT_PEER_HELLO);

    hello.magic = LINK_MAGIC;
    hello.version_min = LINK_VERSION_MIN;
    hello.version_max = LINK_VERSION_MAX;
    hello.cluster_id = members->cluster_id;
    for (size_t i = 0; i < members->n; i++) {
        if (members->items[i].id != members->self) {
            hello.from = members->items[i].id;
        }
    }
    hello.to = members->self;
    hello.store_id = 77;
    hello.epoch = 5;
    hello.purpose = purpose;
    CHECK(link_encode(&out, LINK_HELLO, &hello.base) == 0);
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
