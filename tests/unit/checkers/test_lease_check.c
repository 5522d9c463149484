#include "tests/checkers/lease_check.h"

#include <criterion/criterion.h>
#include <string.h>

#include "tests/checkers/times.h"

/* A lease of 4 s; its key is put in revision 2. */
static struct chronicle chronicle;
static struct cluster_track track;
static struct lease_life life;
static struct lease_bounds bounds;
static uint32_t key;

static void begin(void)
{
    struct change put = {.create_revision = 2, .version = 1, .lease = 7};

    chronicle_init(&chronicle);
    key = chronicle_key(&chronicle, slice_str("k"));
    put.key = key;
    put.value = slice_str("v");
    chronicle_add(&chronicle, &put);
    cr_assert_eq(chronicle_end_revision(&chronicle, NULL), 0);
    track = (struct cluster_track){0};
    life = (struct lease_life){.id = 7, .ttl = 4};
    bounds = (struct lease_bounds){
        .chronicle = &chronicle, .track = &track, .drift_ppm = 200, .end = 100 * TIME_S};
}

static void end(void)
{
    lease_life_close(&life);
    cluster_track_close(&track);
    chronicle_close(&chronicle);
}

TestSuite(lease_check, .init = begin, .fini = end);

/* Asked at a time, answered 1 ms later. Times are in ms. */
static struct lease_ask *ask(enum lease_verb verb, uint64_t at,
                             enum lease_outcome outcome)
{
    size_t place = lease_life_ask(&life, verb, at * TIME_MS);

    lease_life_answer(&life, place, (at + 1) * TIME_MS, outcome);
    life.asks[place].key = key;
    life.asks[place].ttl = 4;
    return &life.asks[place];
}

/* The cluster works until then, an entry every 100 ms. */
static void work_until(uint64_t ms)
{
    for (uint64_t at = track.applied_at / TIME_MS; at <= ms; at += 100) {
        cluster_track_note(&track, at * TIME_MS, track.last > 2 ? track.last : 2,
                           track.applied + 1, track.term > 0 ? track.term : 1);
    }
}

static void key_goes_at(uint64_t ms)
{
    struct change gone = {.key = key, .deleted = true};

    work_until(ms);
    chronicle_add(&chronicle, &gone);
    cr_assert_eq(chronicle_end_revision(&chronicle, NULL), 0);
    cluster_track_note(&track, ms * TIME_MS, 3, track.applied + 1, track.term);
}

static const char *reason(void)
{
    static struct err err;

    return lease_check(&bounds, &life, &err) == 0 ? "" : err.text;
}

Test(lease_check, life_of_its_ttl_passes)
{
    work_until(10000);
    ask(LEASE_GRANT, 10000, LEASE_DONE);
    ask(LEASE_PUT, 10100, LEASE_DONE);
    ask(LEASE_KEEP, 11000, LEASE_DONE);
    key_goes_at(15010);
    ask(LEASE_KEEP, 15100, LEASE_GONE);
    work_until(100000);

    cr_assert_str_eq(reason(), "");
}

Test(lease_check, key_that_goes_early_is_found)
{
    work_until(10000);
    ask(LEASE_GRANT, 10000, LEASE_DONE);
    ask(LEASE_PUT, 10100, LEASE_DONE);
    ask(LEASE_KEEP, 11000, LEASE_DONE);
    key_goes_at(14900);
    work_until(100000);

    cr_assert(strstr(reason(), "gone too early"));
}

Test(lease_check, drift_of_a_clock_is_allowed_for)
{
    bounds.drift_ppm = 10000;
    work_until(10000);
    ask(LEASE_GRANT, 10000, LEASE_DONE);
    ask(LEASE_PUT, 10100, LEASE_DONE);
    key_goes_at(13962);
    work_until(100000);

    cr_assert_str_eq(reason(), "");
}

Test(lease_check, revoked_one_may_go_at_any_time)
{
    work_until(10000);
    ask(LEASE_GRANT, 10000, LEASE_DONE);
    ask(LEASE_PUT, 10100, LEASE_DONE);
    ask(LEASE_REVOKE, 10200, LEASE_DONE);
    key_goes_at(10200);
    work_until(100000);

    cr_assert_str_eq(reason(), "");
}

Test(lease_check, keep_alive_that_was_not_answered_promises_nothing)
{
    work_until(10000);
    ask(LEASE_GRANT, 10000, LEASE_DONE);
    ask(LEASE_PUT, 10100, LEASE_DONE);
    ask(LEASE_KEEP, 11000, LEASE_OPEN);
    key_goes_at(14005);
    work_until(100000);

    cr_assert_str_eq(reason(), "");
}

Test(lease_check, life_after_the_end_is_found)
{
    work_until(10000);
    ask(LEASE_GRANT, 10000, LEASE_DONE);
    ask(LEASE_KEEP, 14500, LEASE_GONE);
    ask(LEASE_READ, 14600, LEASE_DONE)->ttl = 1;
    work_until(100000);

    cr_assert(strstr(reason(), "it was gone before"));
}

Test(lease_check, key_that_stays_is_found)
{
    work_until(10000);
    ask(LEASE_GRANT, 10000, LEASE_DONE);
    ask(LEASE_PUT, 10100, LEASE_DONE);
    key_goes_at(18100);
    work_until(100000);

    cr_assert(strstr(reason(), "its key stayed too long"));
}

Test(lease_check, time_without_a_working_cluster_does_not_count)
{
    work_until(10000);
    ask(LEASE_GRANT, 10000, LEASE_DONE);
    ask(LEASE_PUT, 10100, LEASE_DONE);
    work_until(12000);
    cluster_track_note(&track, 22000 * TIME_MS, 2, track.applied + 1, 1);
    key_goes_at(25000);
    work_until(100000);

    cr_assert_str_eq(reason(), "");
}

Test(lease_check, ttl_that_grows_by_itself_is_found)
{
    work_until(10000);
    life.ttl = 9;
    ask(LEASE_GRANT, 10000, LEASE_DONE);
    ask(LEASE_READ, 15000, LEASE_DONE)->ttl = 4;
    ask(LEASE_READ, 16000, LEASE_DONE)->ttl = 8;
    work_until(100000);
    cr_assert(strstr(reason(), "grew without a keep-alive"));

    ask(LEASE_KEEP, 15500, LEASE_DONE);
    cr_assert_str_eq(reason(), "");
}

Test(lease_check, absurd_ttl_is_found)
{
    work_until(10000);
    ask(LEASE_GRANT, 10000, LEASE_DONE);
    ask(LEASE_READ, 10100, LEASE_DONE)->ttl = 5;
    work_until(100000);

    cr_assert(strstr(reason(), "not between 0 and what was granted"));
}

Test(lease_check, ttl_that_is_too_little_after_a_keep_alive_is_found)
{
    work_until(10000);
    ask(LEASE_GRANT, 10000, LEASE_DONE);
    ask(LEASE_READ, 10100, LEASE_DONE)->ttl = 1;
    work_until(100000);

    cr_assert(strstr(reason(), "too little"));
}

Test(lease_check, missing_keys_of_a_lease_are_found)
{
    struct lease_ask *read;

    work_until(10000);
    ask(LEASE_GRANT, 10000, LEASE_DONE);
    ask(LEASE_PUT, 10100, LEASE_DONE);
    read = ask(LEASE_READ, 10200, LEASE_DONE);
    read->ttl = 3;
    read->n_keys = 0;
    key_goes_at(14200);
    work_until(100000);
    cr_assert(strstr(reason(), "wrong number of keys"));

    life.asks[2].n_keys = 1;
    cr_assert_str_eq(reason(), "");
}

Test(lease_check, freed_key_stays)
{
    struct change put = {.key = key, .create_revision = 2, .version = 2};

    work_until(10000);
    ask(LEASE_GRANT, 10000, LEASE_DONE);
    ask(LEASE_PUT, 10100, LEASE_DONE);
    ask(LEASE_FREE, 10200, LEASE_DONE);
    chronicle_add(&chronicle, &put);
    cr_assert_eq(chronicle_end_revision(&chronicle, NULL), 0);
    work_until(100000);
    cr_assert_str_eq(reason(), "");

    key_goes_at(100000);
    cr_assert(strstr(reason(), "although it was freed"));
}
