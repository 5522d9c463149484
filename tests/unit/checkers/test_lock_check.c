#include "tests/checkers/lock_check.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "lock.pb-c.h"
#include "tests/checkers/times.h"

/* Every change is a revision of its own, applied at second revision. */
static struct chronicle chronicle;
static struct cluster_track track;
static struct lock_log history;

static void begin(void)
{
    chronicle_init(&chronicle);
    track = (struct cluster_track){0};
    history = (struct lock_log){0};
}

static void end(void)
{
    lock_log_close(&history);
    cluster_track_close(&track);
    chronicle_close(&chronicle);
}

TestSuite(lock_check, .init = begin, .fini = end);

static int64_t end_revision(void)
{
    cr_assert_eq(chronicle_end_revision(&chronicle, NULL), 0);
    cluster_track_note(&track, (uint64_t)chronicle.last * TIME_S, chronicle.last,
                       (uint64_t)chronicle.last, 1);
    return chronicle.last;
}

/* The key of lock 0 and its suffix; the lease is the number in it. */
static uint32_t key_of(int64_t lease, const char *suffix)
{
    char text[64];

    snprintf(text, sizeof(text), LOCK_PREFIX "0/%llx%s", (unsigned long long)lease,
             suffix);
    return chronicle_key(&chronicle, slice_str(text));
}

/* A hold comes into the line, with one id; returns the revision. */
static int64_t come(int64_t lease, const char *suffix)
{
    Kvd__V1__LockRecord record = KVD__V1__LOCK_RECORD__INIT;
    char id[] = "h";
    char *ids[] = {id};
    uint8_t bytes[64];
    struct change put = {.key = key_of(lease, suffix),
                         .create_revision = chronicle.last + 1,
                         .version = 1,
                         .lease = lease};

    record.n_holds = 1;
    record.holds = ids;
    put.value = slice_of(bytes, kvd__v1__lock_record__pack(&record, bytes));
    chronicle_add(&chronicle, &put);
    return end_revision();
}

static int64_t go(int64_t lease, const char *suffix)
{
    struct change gone = {.key = key_of(lease, suffix), .deleted = true};

    chronicle_add(&chronicle, &gone);
    return end_revision();
}

static int64_t write_fenced(int64_t token)
{
    char value[32];
    struct change put = {.key = chronicle_key(&chronicle, slice_str(FENCED_PREFIX "0")),
                         .create_revision = 2,
                         .version = 1};

    snprintf(value, sizeof(value), "%lld 1", (long long)token);
    put.value = slice_str(value);
    chronicle_add(&chronicle, &put);
    return end_revision();
}

/* An exclusive acquire that succeeded, answered right after a revision. */
static struct lock_ask acquired(int64_t lease, int64_t token, int64_t revision)
{
    return (struct lock_ask){.verb = LOCK_ACQUIRE,
                             .outcome = LOCK_DONE,
                             .lease = lease,
                             .key = key_of(lease, ""),
                             .sent = 1,
                             .answered = (uint64_t)revision * TIME_S + 1,
                             .revision = revision,
                             .token = token,
                             .holds = 1};
}

static void add(struct lock_ask ask)
{
    size_t place = lock_log_add(&history, &ask);

    history.asks[place] = ask;
}

static const char *reason(void)
{
    static struct err err;

    return lock_check(&chronicle, &track, &history, &err) == 0 ? "" : err.text;
}

Test(lock_check, grants_in_order_pass)
{
    int64_t a = come(1, "");
    int64_t b = come(2, "");

    add(acquired(1, a, a));
    add(acquired(2, b, go(1, "")));

    cr_assert_str_eq(reason(), "");
}

Test(lock_check, grant_before_its_turn_is_found)
{
    int64_t a = come(1, "");
    int64_t b = come(2, "");

    go(1, "");
    add(acquired(1, a, a));
    add(acquired(2, b, b));

    cr_assert(strstr(reason(), "it was not its turn"));
}

Test(lock_check, grant_to_one_whose_key_is_gone_is_found)
{
    int64_t b;

    come(1, "");
    b = come(2, "");
    go(2, "");
    add(acquired(2, b, go(1, "")));

    cr_assert(strstr(reason(), "it was not its turn"));
}

Test(lock_check, shared_holds_go_together_and_not_past_an_exclusive_one)
{
    int64_t a = come(1, ".shared");
    int64_t b = come(2, ".shared");
    int64_t d;
    struct lock_ask first = acquired(1, a, a);
    struct lock_ask second = acquired(2, b, b);
    struct lock_ask third;

    come(3, "");
    d = come(4, ".shared");
    third = acquired(4, d, d);
    first.key = key_of(1, ".shared");
    second.key = key_of(2, ".shared");
    third.key = key_of(4, ".shared");
    first.mode = second.mode = third.mode = LOCK_SHARED;
    add(first);
    add(second);
    cr_assert_str_eq(reason(), "");

    add(third);
    cr_assert(strstr(reason(), "it was not its turn"));
}

Test(lock_check, slots_are_granted_up_to_their_number)
{
    int64_t a = come(1, ".slots-2.x");
    int64_t b = come(2, ".slots-2.x");
    int64_t c = come(3, ".slots-2.x");
    struct lock_ask ask = acquired(1, a, a);

    ask.mode = LOCK_SLOTS;
    ask.slots = 2;
    ask.key = key_of(1, ".slots-2.x");
    add(ask);
    ask.token = ask.revision = b;
    ask.key = key_of(2, ".slots-2.x");
    ask.answered = (uint64_t)b * TIME_S + 1;
    add(ask);
    cr_assert_str_eq(reason(), "");

    ask.token = ask.revision = c;
    ask.key = key_of(3, ".slots-2.x");
    ask.answered = (uint64_t)c * TIME_S + 1;
    add(ask);
    cr_assert(strstr(reason(), "it was not its turn"));
}

Test(lock_check, wrong_count_of_holds_is_found)
{
    int64_t a = come(1, "");
    struct lock_ask ask = acquired(1, a, a);

    ask.holds = 2;
    add(ask);

    cr_assert(strstr(reason(), "another number of holds"));
}

Test(lock_check, try_that_fails_on_a_free_lock_is_found)
{
    int64_t a = come(1, "");
    struct lock_ask ask = acquired(2, 0, a);

    ask.outcome = LOCK_NOT;
    ask.try = true;
    ask.place = 1;
    add(ask);
    cr_assert_str_eq(reason(), "");

    history.asks[0].revision = go(1, "");
    cr_assert(strstr(reason(), "it was free"));
}

Test(lock_check, try_that_fails_with_a_place_from_before_tells_who_is_before_that)
{
    struct lock_ask ask;
    int64_t c;

    come(1, "");
    come(2, "");
    c = come(3, "");
    ask = acquired(2, 0, c);
    ask.outcome = LOCK_NOT;
    ask.try = true;
    ask.place = 1;
    add(ask);

    cr_assert_str_eq(reason(), "");

    history.asks[0].place = 3;
    cr_assert(strstr(reason(), "another place in the line"));
}

Test(lock_check, write_under_the_holders_token_passes)
{
    int64_t a = come(1, "");

    write_fenced(a);

    cr_assert_str_eq(reason(), "");
}

Test(lock_check, write_under_an_old_token_is_found)
{
    int64_t a = come(1, "");

    go(1, "");
    come(2, "");
    write_fenced(a);

    cr_assert(strstr(reason(), "which did not hold it"));
}

Test(lock_check, write_under_the_token_of_a_waiter_is_found)
{
    come(1, "");
    write_fenced(come(2, ""));

    cr_assert(strstr(reason(), "which did not hold it"));
}

Test(lock_check, answer_to_a_write_without_the_lock_is_found)
{
    int64_t a = come(1, "");
    struct lock_ask ask = {.verb = LOCK_WRITE, .outcome = LOCK_DONE, .token = a};

    ask.revision = a;
    add(ask);
    cr_assert_str_eq(reason(), "");

    history.asks[0].revision = go(1, "");
    cr_assert(strstr(reason(), "let through"));
}

Test(lock_check, refusal_of_a_token_that_holds_is_found)
{
    int64_t a = come(1, "");
    struct lock_ask ask = {.verb = LOCK_WRITE, .outcome = LOCK_NOT, .token = a};

    ask.sent = (uint64_t)a * TIME_S + 1;
    ask.answered = (uint64_t)a * TIME_S + 2;
    go(1, "");
    add(ask);

    cr_assert(strstr(reason(), "refused although the lock was held"));
}

Test(lock_check, circle_that_was_let_in_is_found)
{
    static const char *const names[] = {LOCK_PREFIX "1/1", LOCK_PREFIX "2/2",
                                        LOCK_PREFIX "2/1", LOCK_PREFIX "1/2"};

    for (size_t i = 0; i < 4; i++) {
        struct change put = {.key = chronicle_key(&chronicle, slice_str(names[i])),
                             .create_revision = chronicle.last + 1,
                             .version = 1,
                             .lease = names[i][strlen(names[i]) - 1] - '0'};

        chronicle_add(&chronicle, &put);
        end_revision();
    }

    cr_assert(strstr(reason(), "waits for itself in a circle"));
}

/* Two holds of one lease that one txn made, the later key first; returns the token. */
static int64_t come_together(int64_t lease)
{
    static const char *const suffixes[] = {".shared", ""};

    for (size_t i = 0; i < 2; i++) {
        struct change put = {.key = key_of(lease, suffixes[i]),
                             .create_revision = chronicle.last + 1,
                             .version = 1,
                             .lease = lease,
                             .value = slice_of("ab" + i, 1)};

        chronicle_add(&chronicle, &put);
    }
    return end_revision();
}

static void add_forced(int64_t token, int64_t revision, uint32_t key)
{
    add((struct lock_ask){.verb = LOCK_FORCE,
                          .outcome = LOCK_DONE,
                          .key = key,
                          .answered = (uint64_t)revision * TIME_S + 1,
                          .revision = revision,
                          .token = token});
}

Test(lock_check, forced_release_takes_the_first_of_those_that_share_a_token)
{
    int64_t token = come_together(LOCK_HAND_LEASES);
    int64_t first = go(LOCK_HAND_LEASES, "");

    add_forced(token, first, key_of(LOCK_HAND_LEASES, ""));
    add_forced(token, go(LOCK_HAND_LEASES, ".shared"),
               key_of(LOCK_HAND_LEASES, ".shared"));
    cr_assert_str_eq(reason(), "");
}

Test(lock_check, forced_release_of_another_of_those_that_share_a_token_is_found)
{
    int64_t token = come_together(LOCK_HAND_LEASES);

    add_forced(token, go(LOCK_HAND_LEASES, ".shared"),
               key_of(LOCK_HAND_LEASES, ".shared"));
    cr_assert(strstr(reason(), "not that hold that went away"));
}

static struct lock_ask inspected(int64_t revision, uint32_t holders, uint32_t waiting)
{
    return (struct lock_ask){.verb = LOCK_INSPECT,
                             .outcome = LOCK_DONE,
                             .answered = (uint64_t)revision * TIME_S + 1,
                             .revision = revision,
                             .holds = holders,
                             .place = waiting};
}

Test(lock_check, line_as_it_was_passes_and_in_another_order_is_found)
{
    int64_t a = come(1, "");
    int64_t b = come(2, "");
    struct lock_ask ask = inspected(b, 1, 1);

    ask.seen = lock_seen(lock_seen(0, key_of(1, ""), a, 1), key_of(2, ""), b, 2);
    add(ask);
    cr_assert_str_eq(reason(), "");

    history.asks[0].seen =
        lock_seen(lock_seen(0, key_of(2, ""), b, 2), key_of(1, ""), a, 1);
    cr_assert(strstr(reason(), "the line was another one"));
}

Test(lock_check, line_with_other_holders_is_found)
{
    come(1, "");
    add(inspected(come(2, ""), 2, 0));

    cr_assert(strstr(reason(), "others hold it"));
}

Test(lock_check, leader_is_who_is_first_at_some_time_of_the_question)
{
    int64_t a = come(1, "");
    int64_t b = come(2, "");
    int64_t gone = go(1, "");
    struct lock_ask ask = {.verb = LOCK_LEADER,
                           .outcome = LOCK_DONE,
                           .key = key_of(1, ""),
                           .sent = (uint64_t)b * TIME_S + 1,
                           .answered = (uint64_t)gone * TIME_S + 1,
                           .token = a,
                           .modified = a};

    add(ask);
    cr_assert_str_eq(reason(), "");

    history.asks[0].sent = (uint64_t)(gone + 1) * TIME_S; /* too late for it */
    history.asks[0].answered = history.asks[0].sent + 1;
    cr_assert(strstr(reason(), "that was never so"));
}

Test(lock_check, observed_leader_with_an_old_value_is_found)
{
    int64_t a = come(1, "");
    struct change put = {.key = key_of(1, ""),
                         .create_revision = a,
                         .version = 2,
                         .lease = 1,
                         .value = slice_str("v")};

    chronicle_add(&chronicle, &put);
    add((struct lock_ask){.verb = LOCK_OBSERVED,
                          .outcome = LOCK_DONE,
                          .key = key_of(1, ""),
                          .revision = end_revision(),
                          .token = a,
                          .modified = a});

    cr_assert(strstr(reason(), "or with another value"));
}
