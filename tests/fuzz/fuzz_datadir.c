/* Any bytes as IDENTITY, PEERS and CURRENT of a data directory: refused with a sentence
 * that names the directory, or taken: then the state is a file of that directory and the
 * store id stays what it was. A file may get the checksum line that fits it. */
#include <inttypes.h>
#include <stdio.h>

#include "base/crc.h"
#include "node/datadir.h"
#include "node/smallfile.h"
#include "tests/fuzz/fuzz_world.h"

#define CLUSTER 0xc
#define MEMBER  0x1

static void write_file(struct fuzz_world *w, struct fuzz *in, const char *name)
{
    char text[2 * SMALLFILE_MAX];
    char path[64];
    uint8_t what = fuzz_byte(in);
    struct slice part = fuzz_part(in);
    size_t len = part.len < sizeof(text) - 16 ? part.len : sizeof(text) - 16;

    if ((what & 1) != 0) {
        return; /* it is missing */
    }
    if (len > 0) {
        memcpy(text, part.ptr, len);
    }
    if ((what & 2) != 0) {
        len += (size_t)snprintf(text + len, 16, "crc %08" PRIx32 "\n",
                                crc32c(0, (const uint8_t *)text, len));
    }
    snprintf(path, sizeof(path), "%s/%s", FUZZ_DIR, name);
    fuzz_world_put(w, path, slice_of(text, len));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct fuzz in = fuzz_of(bytes, len);
    struct fuzz_world w;
    struct datadir dir = {0};
    struct datadir_options options = {
        .path = FUZZ_DIR, .cluster_id = CLUSTER, .member_id = MEMBER, .may_create = true};
    struct err err = {0};
    int rc;

    fuzz_world_open(&w);
    options.env = w.env;
    sim_disk_set_capacity(w.sim, 1ull << 30);
    write_file(&w, &in, "IDENTITY");
    write_file(&w, &in, "PEERS");
    write_file(&w, &in, "CURRENT");
    fuzz_world_put(&w, FUZZ_DIR "/vote", slice_str(""));
    fuzz_world_put(&w, FUZZ_DIR "/state-1.db", slice_str(""));
    rc = datadir_open(&dir, &options, &err);
    if (rc != 0) {
        CHECK(strstr(err.text, FUZZ_DIR) != NULL);
    } else {
        uint64_t store = dir.identity.store_id;

        CHECK(strncmp(dir.state_path, FUZZ_DIR "/state-", 9) == 0);
        CHECK(strchr(dir.state_path + sizeof(FUZZ_DIR), '/') == NULL);
        datadir_close(&dir);
        CHECK(datadir_open(&dir, &options, &err) == 0);
        CHECK(dir.identity.store_id == store);
        datadir_close(&dir);
    }
    fuzz_world_close(&w);
    return 0;
}
