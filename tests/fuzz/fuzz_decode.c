/* Protobuf bytes of a stranger into every request that there is: refused with a sentence,
 * or decoded into a message that packs to bytes which decode to the same again. */
#include <stdlib.h>

#include "api/decode.h"
#include "base/limits.h"
#include "base/mem.h"
#include "node/rpc.h"
#include "tests/fuzz/fuzz.h"

static uint8_t *pack(const ProtobufCMessage *message, size_t *size)
{
    uint8_t *packed;

    *size = protobuf_c_message_get_packed_size(message);
    packed = mem_alloc(*size + 1);
    CHECK(protobuf_c_message_pack(message, packed) == *size);
    return packed;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct fuzz in = fuzz_of(bytes, len);
    const ProtobufCMessageDescriptor *type =
        rpc_request_type((enum rpc_id)(fuzz_byte(&in) % RPC_NMETHODS));
    struct arena arena;
    struct err err = {0};
    ProtobufCMessage *message;

    arena_init(&arena, LIMIT_CALL_ARENA);
    message = api_decode(type, fuzz_rest(&in), &arena, &err);
    if (message == NULL) {
        CHECK(err.code != 0 && err.text[0] != '\0');
    } else {
        size_t size;
        size_t size_again;
        uint8_t *packed = pack(message, &size);
        uint8_t *again;

        message = api_decode(type, slice_of(packed, size), &arena, &err);
        CHECK(message != NULL);
        again = pack(message, &size_again);
        CHECK(slice_eq(slice_of(packed, size), slice_of(again, size_again)));
        free(packed);
        free(again);
    }
    arena_close(&arena);
    return 0;
}
