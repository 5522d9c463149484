#include "tests/sim/bulk_writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "rpc.pb-c.h"
#include "tests/sim/sim_caller.h"

#define TIMEOUT_MS 3000
#define PUTS_MAX   4 /* of one transaction */
#define DIGITS     12

struct bulk_writer {
    struct bulk_writer_options o;
    struct sim_caller caller;
    uint64_t due_ms;
    bool stopping;
    char keys[PUTS_MAX + 2][32];
    uint8_t *values[PUTS_MAX];
};

size_t bulk_key(uint32_t number, char *text, size_t size)
{
    return (size_t)snprintf(text, size, BULK_PREFIX "%02" PRIu32, number);
}

static ProtobufCBinaryData key_of(struct bulk_writer *writer, size_t place,
                                  uint32_t number)
{
    char *text = writer->keys[place];

    return (ProtobufCBinaryData){bulk_key(number, text, sizeof(writer->keys[place])),
                                 (uint8_t *)text};
}

/* Numbers of as many digits: their order is that of the bytes. */
static ProtobufCBinaryData value_of(struct bulk_writer *writer, size_t place)
{
    uint8_t *bytes = writer->values[place];
    uint64_t len =
        DIGITS + sim_rng_between(&writer->o.place.rng, 0, writer->o.value_bytes_max);

    memset(bytes, '.', DIGITS + writer->o.value_bytes_max + 1);
    snprintf((char *)bytes, DIGITS + 1, "%0*" PRIu64, DIGITS, ++*writer->o.next_value);
    bytes[DIGITS] = '.';
    return (ProtobufCBinaryData){len, bytes};
}

static uint32_t some_key(struct bulk_writer *writer)
{
    return (uint32_t)sim_rng_between(&writer->o.place.rng, 0, writer->o.n_keys - 1);
}

static void put(struct bulk_writer *writer)
{
    Etcdserverpb__PutRequest request = ETCDSERVERPB__PUT_REQUEST__INIT;

    request.key = key_of(writer, 0, some_key(writer));
    request.value = value_of(writer, 0);
    sim_caller_call(&writer->caller, "/etcdserverpb.KV/Put", &request.base, TIMEOUT_MS);
}

static void delete_some(struct bulk_writer *writer, bool range)
{
    Etcdserverpb__DeleteRangeRequest request = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    uint32_t from = some_key(writer);

    request.key = key_of(writer, 0, from);
    if (range) {
        request.range_end = key_of(
            writer, 1,
            (uint32_t)sim_rng_between(&writer->o.place.rng, from, writer->o.n_keys) + 1);
    }
    sim_caller_call(&writer->caller, "/etcdserverpb.KV/DeleteRange", &request.base,
                    TIMEOUT_MS);
}

/* A delete first, then puts of other keys. */
static void transact(struct bulk_writer *writer)
{
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
    Etcdserverpb__RequestOp ops[PUTS_MAX + 1];
    Etcdserverpb__RequestOp *list[PUTS_MAX + 1];
    Etcdserverpb__PutRequest puts[PUTS_MAX];
    Etcdserverpb__DeleteRangeRequest gone = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    uint32_t at = some_key(writer);
    uint64_t n_puts = sim_rng_between(&writer->o.place.rng, 1, PUTS_MAX);
    size_t n = 0;

    if (sim_rng_chance(&writer->o.place.rng, 500000)) {
        gone.key = key_of(writer, PUTS_MAX, at);
        etcdserverpb__request_op__init(&ops[n]);
        ops[n].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
        ops[n].request_delete_range = &gone;
        n++;
    }
    for (uint32_t i = 0; i < n_puts && i + 1 < writer->o.n_keys; i++) {
        etcdserverpb__put_request__init(&puts[i]);
        puts[i].key = key_of(writer, i, (at + i + 1) % writer->o.n_keys);
        puts[i].value = value_of(writer, i);
        etcdserverpb__request_op__init(&ops[n]);
        ops[n].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
        ops[n].request_put = &puts[i];
        n++;
    }
    for (size_t i = 0; i < n; i++) {
        list[i] = &ops[i];
    }
    txn.n_success = n;
    txn.success = list;
    sim_caller_call(&writer->caller, "/etcdserverpb.KV/Txn", &txn.base, TIMEOUT_MS);
}

static void on_answered(void *owner, int code, const char *text, struct slice reply)
{
    struct bulk_writer *writer = owner;

    (void)code;
    (void)text;
    (void)reply;
    writer->due_ms = env_mono_ms(writer->o.place.env) +
                     sim_rng_between(&writer->o.place.rng, 0, writer->o.think_ms_max);
}

struct bulk_writer *bulk_writer_open(const struct bulk_writer_options *options)
{
    struct bulk_writer *writer = mem_zero(sizeof(*writer));

    CHECK(options->n_keys > 0 && options->n_keys < 99);
    writer->o = *options;
    for (size_t i = 0; i < PUTS_MAX; i++) {
        writer->values[i] = mem_zero(DIGITS + options->value_bytes_max + 1);
    }
    sim_caller_open(&writer->caller, &writer->o.place, on_answered, writer);
    return writer;
}

static void writer_close(void *owner)
{
    struct bulk_writer *writer = owner;

    sim_caller_close(&writer->caller);
    for (size_t i = 0; i < PUTS_MAX; i++) {
        free(writer->values[i]);
    }
    free(writer);
}

static void writer_turn(void *owner)
{
    struct bulk_writer *writer = owner;
    uint64_t dice;

    sim_caller_step(&writer->caller);
    if (writer->stopping || !sim_caller_ready(&writer->caller) ||
        env_mono_ms(writer->o.place.env) < writer->due_ms) {
        return;
    }
    dice = sim_rng_between(&writer->o.place.rng, 0, 99);
    if (dice < 55) {
        put(writer);
    } else if (dice < 80) {
        transact(writer);
    } else {
        delete_some(writer, dice >= 90);
    }
}

static uint64_t writer_due_ms(void *owner)
{
    const struct bulk_writer *writer = owner;
    uint64_t due = sim_caller_due_ms(&writer->caller);

    if (due != UINT64_MAX || writer->stopping) {
        return due;
    }
    return writer->due_ms;
}

static void writer_stop(void *owner)
{
    ((struct bulk_writer *)owner)->stopping = true;
}

static bool writer_idle(const void *owner)
{
    return !((const struct bulk_writer *)owner)->caller.busy;
}

const struct sim_actor bulk_writer_actor = {
    .program = {.turn = writer_turn, .deadline_ms = writer_due_ms},
    .stop = writer_stop,
    .idle = writer_idle,
    .close = writer_close,
};
