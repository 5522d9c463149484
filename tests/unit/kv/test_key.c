/* The versions of one key: what is derived must be what was put. */
#include "kv/key.h"

#include <criterion/criterion.h>

static size_t bytes;

static struct version version_of(int64_t seq, int64_t rev, int64_t created,
                                 int64_t number)
{
    return (struct version){.seq = seq, .rev = rev, .created = created, .number = number};
}

static void add(struct key *key, int64_t seq, int64_t rev, int64_t created,
                int64_t number)
{
    struct version version = version_of(seq, rev, created, number);

    key_add(key, &version, &bytes);
}

/* Two lives, 2 to 4 and 6 to 7, then gone, and a third from 9. */
static struct key *three_lives(void)
{
    struct version first = version_of(1, 2, 2, 1);
    struct key *key = key_new(slice_str("k"), &first, &bytes);

    add(key, 2, 3, 2, 2);
    add(key, 3, 4, 2, 3);
    add(key, 4, 5, 0, 0);
    add(key, 5, 6, 6, 1);
    add(key, 6, 7, 6, 2);
    add(key, 7, 8, 0, 0);
    add(key, 8, 9, 9, 1);
    return key;
}

static void expect_at(const struct key *key, int64_t rev, int64_t seq, int64_t created,
                      int64_t number)
{
    struct version version = {0};

    cr_assert(key_at(key, rev, &version));
    cr_expect_eq(version.seq, seq);
    cr_expect_eq(version.created, created);
    cr_expect_eq(version.number, number);
    cr_expect_eq(key_is_live_at(key, rev), number != 0);
}

Test(key, tells_each_version_as_it_was)
{
    struct key *key = three_lives();
    struct version version;

    cr_expect_not(key_at(key, 1, &version));
    expect_at(key, 2, 1, 2, 1);
    expect_at(key, 3, 2, 2, 2);
    expect_at(key, 4, 3, 2, 3);
    expect_at(key, 5, 4, 0, 0);
    expect_at(key, 6, 5, 6, 1);
    expect_at(key, 7, 6, 6, 2);
    expect_at(key, 8, 7, 0, 0);
    expect_at(key, 9, 8, 9, 1);
    expect_at(key, 100, 8, 9, 1);
    key_free(key, &bytes);
    cr_expect_eq(bytes, 0);
}

Test(key, keeps_numbers_after_any_trim)
{
    static const struct {
        int64_t rev;
        int64_t seq;
        int64_t created;
        int64_t number;
    } want[] = {{2, 1, 2, 1}, {3, 2, 2, 2}, {4, 3, 2, 3}, {5, 4, 0, 0},
                {6, 5, 6, 1}, {7, 6, 6, 2}, {8, 7, 0, 0}, {9, 8, 9, 1}};

    for (int64_t compact = 0; compact <= 12; compact++) {
        struct key *key = three_lives();

        cr_assert(key_trim(key, compact, &bytes));
        for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
            if (want[i].rev >= compact) {
                expect_at(key, want[i].rev, want[i].seq, want[i].created, want[i].number);
            }
        }
        key_free(key, &bytes);
    }
    cr_expect_eq(bytes, 0);
}

Test(key, tombstone_below_the_compaction_goes_and_one_at_it_stays)
{
    struct version first = version_of(1, 2, 2, 1);
    struct key *key = key_new(slice_str("k"), &first, &bytes);

    add(key, 2, 3, 0, 0);
    cr_expect(key_trim(key, 3, &bytes));
    cr_expect_eq(key_n_versions(key), 1);
    expect_at(key, 3, 2, 0, 0);
    cr_expect_not(key_trim(key, 4, &bytes));
    key_free(key, &bytes);
}

Test(key, accepts_only_what_continues_it)
{
    struct version first = version_of(5, 5, 3, 2);
    struct key *key = key_new(slice_str("k"), &first, &bytes);
    struct version good = version_of(6, 6, 3, 3);
    struct version bad[] = {
        version_of(5, 6, 3, 3), version_of(6, 4, 3, 3), version_of(6, 6, 3, 4),
        version_of(6, 6, 4, 3), version_of(6, 6, 6, 1), version_of(6, 6, 3, 0),
    };

    cr_expect(key_accepts(key, &good));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_expect_not(key_accepts(key, &bad[i]), "case %zu", i);
    }
    add(key, 6, 6, 0, 0);
    cr_expect_not(key_accepts(key, &(struct version){.seq = 7, .rev = 7}));
    key_free(key, &bytes);
}
