/* The table against what it should hold. */
#include "cli/lib/table.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#define KEYS 300

static struct kvd_kv pair(const char *key, const char *value, int64_t revision)
{
    return (struct kvd_kv){
        .key = kvd_str(key), .value = kvd_str(value), .mod_revision = revision};
}

static void put(struct table *table, const char *key, int64_t revision)
{
    struct kvd_kv kv = pair(key, "v", revision);

    free(table_put(table, &kv));
}

Test(table, keeps_keys_in_order_through_puts_and_removals)
{
    bool present[KEYS] = {false};
    struct table table = {0};
    unsigned random = 1;
    char key[16];

    for (int i = 0; i < 5000; i++) {
        random = random * 1103515245 + 12345;
        snprintf(key, sizeof(key), "%03u", random / 65536 % KEYS);
        if (i % 3 == 0) {
            free(table_remove(&table, kvd_str(key)));
            present[atoi(key)] = false;
        } else {
            put(&table, key, i);
            present[atoi(key)] = true;
        }
    }

    for (size_t at = 0, k = 0; k < KEYS; k++) {
        snprintf(key, sizeof(key), "%03zu", k);
        cr_assert_eq(table_seek(&table, kvd_str(key)), at);
        if (present[k]) {
            cr_assert_eq(memcmp(table_at(&table, at)->key.ptr, key, 3), 0);
            at++;
        }
    }
    table_close(&table);
    cr_assert_eq(table.bytes, 0);
}

Test(table, counts_the_bytes_that_it_holds)
{
    struct table table = {0};
    size_t one;

    put(&table, "a", 1);
    one = table.bytes;
    put(&table, "b", 1);
    cr_assert_eq(table.bytes, 2 * one);
    put(&table, "b", 2);
    cr_assert_eq(table.bytes, 2 * one);
    free(table_remove(&table, kvd_str("a")));
    free(table_remove(&table, kvd_str("none")));
    cr_assert_eq(table.bytes, one);
    table_close(&table);
}

struct differences {
    char text[200];
};

static void note(void *owner, const struct kvd_kv *now, struct entry *old)
{
    struct differences *differences = owner;
    struct kvd_bytes key = now != NULL ? now->key : old->kv.key;
    size_t len = strlen(differences->text);

    snprintf(differences->text + len, sizeof(differences->text) - len, "%s%.*s ",
             now == NULL   ? "-"
             : old == NULL ? "+"
                           : "~",
             (int)key.len, (const char *)key.ptr);
    free(old);
}

Test(table, compares_two_states)
{
    struct differences differences = {""};
    struct table old = {0};
    struct table now = {0};

    put(&old, "a", 1);
    put(&old, "c", 1);
    put(&old, "d", 1);
    put(&old, "z", 1);
    put(&now, "b", 2);
    put(&now, "c", 1);
    put(&now, "d", 3);

    table_compare(&old, &now, note, &differences);

    cr_assert_str_eq(differences.text, "-a +b ~d -z ");
    cr_assert_eq(old.n, 0);
    table_close(&now);
}
