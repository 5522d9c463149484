#include <criterion/criterion.h>

#include "base/limits.h"
#include "base/mem.h"
#include "node/batch.h"

static struct batch batch;

static void set_up(void)
{
    batch_init(&batch);
}

static void tear_down(void)
{
    batch_close(&batch);
}

TestSuite(batch, .init = set_up, .fini = tear_down);

static void add(uint64_t sequence, size_t value_len)
{
    Kvd__Command__Command command = KVD__COMMAND__COMMAND__INIT;
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;

    put.value.len = value_len;
    put.value.data = mem_zero(value_len + 1);
    command.sequence = sequence;
    command.request_case = KVD__COMMAND__COMMAND__REQUEST_PUT;
    command.put = &put;
    batch_add(&batch, NULL, &command, kvd__command__command__get_packed_size(&command));
    free(put.value.data);
}

Test(batch, its_bytes_are_those_of_the_message)
{
    static const size_t sizes[] = {0, 1, 50, 120, 128, 16000, 16384, 300000, 2100000};
    const size_t n = sizeof(sizes) / sizeof(sizes[0]);
    struct slice bytes;
    Kvd__Command__Batch *read;

    for (size_t i = 0; i < n; i++) {
        add(i + 1, sizes[i]);
    }
    bytes = buf_slice(&batch.bytes);
    read = kvd__command__batch__unpack(NULL, bytes.len, bytes.ptr);

    cr_assert_not_null(read);
    cr_assert_eq(read->n_commands, n);
    for (size_t i = 0; i < n; i++) {
        cr_assert_eq(read->commands[i]->sequence, i + 1);
        cr_assert_eq(read->commands[i]->put->value.len, sizes[i]);
        cr_assert_eq(batch.items[i].sequence, i + 1);
    }
    kvd__command__batch__free_unpacked(read, NULL);
}

Test(batch, an_item_tells_the_place_of_its_command)
{
    Kvd__Command__Command *second;

    add(7, 1000);
    add(8, 20);
    second = kvd__command__command__unpack(
        NULL, batch.items[1].size, buf_slice(&batch.bytes).ptr + batch.items[1].at);

    cr_assert_not_null(second);
    cr_assert_eq(second->sequence, 8);
    kvd__command__command__free_unpacked(second, NULL);
}

Test(batch, an_empty_one_takes_any_command_a_full_one_none)
{
    cr_assert_not(batch_is_full(&batch, LIMIT_BATCH_BYTES * 2));
    add(1, LIMIT_BATCH_BYTES / 2);
    cr_assert_not(batch_is_full(&batch, 1000));
    cr_assert(batch_is_full(&batch, LIMIT_BATCH_BYTES / 2));
    batch_clear(&batch);
    cr_assert_not(batch_is_full(&batch, LIMIT_BATCH_BYTES * 2));
    cr_assert_eq(batch.n, 0);
}
