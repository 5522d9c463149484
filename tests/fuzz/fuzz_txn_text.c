/* Any text as a transaction for kvctl: read, or refused with a sentence. */
#include <stdio.h>

#include "base/limits.h"
#include "cli/txn_text.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    Etcdserverpb__TxnRequest req = ETCDSERVERPB__TXN_REQUEST__INIT;
    struct arena arena;
    struct err err = {0};
    FILE *file;

    if (len == 0) {
        return 0;
    }
    file = fmemopen((void *)bytes, len, "r");
    CHECK(file != NULL);
    arena_init(&arena, 64 * MIB);
    if (txn_text_read(file, NULL, &arena, &req, &err) == 0) {
        CHECK(etcdserverpb__txn_request__get_packed_size(&req) <= 8 * len + 64);
    } else {
        CHECK(err.text[0] != '\0');
    }
    arena_close(&arena);
    fclose(file);
    return 0;
}
