/* Events as environment variables. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/watch_env.h"

static Mvccpb__KeyValue kv = MVCCPB__KEY_VALUE__INIT;
static Mvccpb__KeyValue prev = MVCCPB__KEY_VALUE__INIT;
static Mvccpb__Event event = MVCCPB__EVENT__INIT;
static struct arena arena;

static void start(void)
{
    arena_init(&arena, 10 << 20);
    event.kv = &kv;
    kv.mod_revision = 7;
    kv.key = (ProtobufCBinaryData){1, (uint8_t *)"k"};
    kv.value = (ProtobufCBinaryData){3, (uint8_t *)"a\"b"};
}

static void stop(void)
{
    arena_close(&arena);
}

TestSuite(watch_env, .init = start, .fini = stop);

/* The value of a variable; NULL when it is not there. */
static const char *find(const char *const *all, const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; all[i] != NULL; i++) {
        if (strncmp(all[i], name, len) == 0 && all[i][len] == '=') {
            return all[i] + len + 1;
        }
    }
    return NULL;
}

Test(watch_env, put_has_etcds_names_quoted_and_ours_as_they_are)
{
    const char *const *all = watch_environment(&event, 9, &arena);

    cr_assert_str_eq(find(all, "ETCD_WATCH_REVISION"), "9");
    cr_assert_str_eq(find(all, "ETCD_WATCH_EVENT_TYPE"), "\"PUT\"");
    cr_assert_str_eq(find(all, "ETCD_WATCH_KEY"), "\"k\"");
    cr_assert_str_eq(find(all, "ETCD_WATCH_VALUE"), "\"a\\\"b\"");
    cr_assert_str_eq(find(all, "KVD_WATCH_REVISION"), "7");
    cr_assert_str_eq(find(all, "KVD_WATCH_EVENT_TYPE"), "PUT");
    cr_assert_str_eq(find(all, "KVD_WATCH_KEY"), "k");
    cr_assert_str_eq(find(all, "KVD_WATCH_VALUE"), "a\"b");
    cr_assert_null(find(all, "KVD_WATCH_PREV_VALUE"));
}

Test(watch_env, delete_has_an_empty_value_and_perhaps_the_one_before)
{
    const char *const *all;

    event.type = MVCCPB__EVENT__EVENT_TYPE__DELETE;
    kv.value = (ProtobufCBinaryData){0, NULL};
    prev.value = (ProtobufCBinaryData){3, (uint8_t *)"old"};
    event.prev_kv = &prev;
    all = watch_environment(&event, 7, &arena);

    cr_assert_str_eq(find(all, "KVD_WATCH_EVENT_TYPE"), "DELETE");
    cr_assert_str_eq(find(all, "KVD_WATCH_VALUE"), "");
    cr_assert_str_eq(find(all, "KVD_WATCH_PREV_VALUE"), "old");
}

Test(watch_env, what_an_environment_cannot_hold_is_left_out)
{
    size_t len = 200 * 1000;
    uint8_t *large = mem_zero(len);
    const char *const *all;

    kv.key = (ProtobufCBinaryData){3, (uint8_t *)"a\0b"};
    memset(large, 'x', len);
    kv.value = (ProtobufCBinaryData){len, large};
    all = watch_environment(&event, 7, &arena);

    cr_assert_null(find(all, "KVD_WATCH_KEY"));
    cr_assert_str_eq(find(all, "ETCD_WATCH_KEY"), "\"a\\x00b\"");
    cr_assert_null(find(all, "KVD_WATCH_VALUE"));
    cr_assert_null(find(all, "ETCD_WATCH_VALUE"));
    free(large);
}
