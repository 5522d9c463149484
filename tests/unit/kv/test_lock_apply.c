/* Commands of kvd's own lock service. */
#include "kv/lock_apply.h"

#include "tests/unit/kv/locks.h"

static struct fixture fx;

static void open_store(void)
{
    fixture_open(&fx);
    grant_leases(&fx, 9);
}

static void close_store(void)
{
    fixture_close(&fx);
}

TestSuite(lock_apply, .init = open_store, .fini = close_store);

/* ---- acquire ---- */

Test(lock_apply, a_free_lock_is_granted_with_the_create_revision_as_token)
{
    cr_assert(acquire(&fx, "a", 1, "h", EXCLUSIVE, 0));

    cr_expect_eq(acquired(&fx)->token, kv_revision(fx.kv));
    cr_expect_eq(acquired(&fx)->holds, 1);
    cr_expect_eq(acquired(&fx)->header->revision, kv_revision(fx.kv));
    cr_expect_eq(memcmp(acquired(&fx)->key.data, "a/1", 3), 0);
}

Test(lock_apply, a_try_leaves_no_trace_and_says_who_holds)
{
    Kvd__V1__AcquireRequest *req = acquire_new(&fx, "a", 1, "h", EXCLUSIVE, 0);
    Kvd__V1__LockOwner *owner = message_new(&fx, &kvd__v1__lock_owner__descriptor);
    int64_t rev;

    owner->owner = (char *)"worker-7";
    owner->host = (char *)"box";
    owner->pid = 42;
    req->owner = owner;
    cr_assert_eq(run_acquire(&fx, req), API_OK);
    rev = kv_revision(fx.kv);
    cr_assert_not(acquire(&fx, "a", 2, "h", EXCLUSIVE, 0));

    cr_expect_eq(kv_revision(fx.kv), rev);
    cr_expect_eq(acquired(&fx)->place, 1);
    cr_expect_eq(acquired(&fx)->token, 0);
    cr_expect_eq(acquired(&fx)->holder->token, rev);
    cr_expect_str_eq(acquired(&fx)->holder->owner->owner, "worker-7");
    cr_expect_eq(acquired(&fx)->holder->owner->pid, 42);
    cr_expect_gt(acquired(&fx)->holder->ttl_ms, 0);
}

Test(lock_apply, the_same_hold_again_changes_nothing)
{
    int64_t rev;

    cr_assert(acquire(&fx, "a", 1, "h", EXCLUSIVE, 0));
    cr_assert_not(acquire(&fx, "a", 2, "h", EXCLUSIVE, FOR_EVER));
    rev = kv_revision(fx.kv);

    cr_expect(acquire(&fx, "a", 1, "h", EXCLUSIVE, 0));
    cr_expect_eq(acquired(&fx)->holds, 1);
    cr_expect_eq(acquired(&fx)->token, rev - 1);
    cr_expect_not(acquire(&fx, "a", 2, "h", EXCLUSIVE, FOR_EVER));
    cr_expect_eq(acquired(&fx)->place, 1);
    cr_expect_eq(kv_revision(fx.kv), rev);
    cr_assert_eq(acquire_slots(&fx, "s", 1, "h", 2, 0), API_OK);
    rev = acquired(&fx)->token;
    cr_assert_eq(acquire_slots(&fx, "s", 1, "h", 2, 0), API_OK);
    cr_expect_eq(acquired(&fx)->token, rev);
    cr_expect_eq(release(&fx, "a", 1, "h"), 0);
    cr_expect_eq(release(&fx, "a", 1, "h"), -1, "released before");
}

Test(lock_apply, a_lease_may_acquire_again_and_holds_until_the_last_release)
{
    int64_t token;

    cr_assert(acquire(&fx, "a", 1, "one", EXCLUSIVE, 0));
    token = acquired(&fx)->token;
    cr_assert(acquire(&fx, "a", 1, "two", EXCLUSIVE, 0));
    cr_expect_eq(acquired(&fx)->holds, 2);
    cr_assert(acquire(&fx, "a", 1, "three", SHARED, 0), "exclusive includes shared");
    cr_expect_eq(acquired(&fx)->holds, 3);
    cr_expect_eq(acquired(&fx)->token, token);

    cr_expect_eq(release(&fx, "a", 1, "one"), 2);
    cr_expect_eq(release(&fx, "a", 1, "one"), -1);
    cr_expect_eq(release(&fx, "a", 1, "three"), 1);
    cr_expect_not(acquire(&fx, "a", 2, "h", EXCLUSIVE, 0));
    cr_expect_eq(release(&fx, "a", 1, "two"), 0);
    cr_expect(acquire(&fx, "a", 2, "h", EXCLUSIVE, 0));
}

Test(lock_apply, shared_holds_of_a_lease_are_counted_and_cannot_become_exclusive)
{
    cr_assert(acquire(&fx, "a", 1, "one", SHARED, 0));
    cr_assert(acquire(&fx, "a", 1, "two", SHARED, 0));
    cr_expect_eq(acquired(&fx)->holds, 2);

    cr_expect_eq(run_acquire(&fx, acquire_new(&fx, "a", 1, "three", EXCLUSIVE, FOR_EVER)),
                 API_LOCK_UPGRADE);
    cr_expect_str_eq(line_of(&fx, "a"), "1.shared+");
}

Test(lock_apply, there_are_as_many_slots_as_said)
{
    cr_assert_eq(acquire_slots(&fx, "a", 1, "one", 2, 0), API_OK);
    cr_expect(acquired(&fx)->acquired);
    cr_assert_eq(acquire_slots(&fx, "a", 1, "two", 2, 0), API_OK);
    cr_expect(acquired(&fx)->acquired, "each hold takes a slot");
    cr_assert_eq(acquire_slots(&fx, "a", 2, "one", 2, FOR_EVER), API_OK);
    cr_expect_not(acquired(&fx)->acquired);

    cr_expect_eq(release(&fx, "a", 1, "one"), 0);
    cr_expect_str_eq(line_of(&fx, "a"), "1.slots-2.two+ 2.slots-2.one+");
}

Test(lock_apply, a_hold_of_slots_is_found_beside_one_of_another_number)
{
    hand_put(&fx, "a/3.slots-5.h", 0);
    cr_assert_eq(acquire_slots(&fx, "a", 1, "h", 2, 0), API_OK);
    hand_put(&fx, "a/3.slots-5.h", 3); /* made before, attached later: comes in first */
    cr_assert_str_eq(line_of(&fx, "a"), "3.slots-5.h+ 1.slots-2.h-");

    cr_expect_eq(release(&fx, "a", 1, "h"), 0);
    cr_expect_eq(release(&fx, "a", 3, "h"), 0);
    cr_expect_eq(release(&fx, "a", 3, "h"), -1);
}

Test(lock_apply, whoever_waits_is_told_how_many_are_before)
{
    for (int64_t lease = 1; lease <= 5; lease++) {
        acquire(&fx, "a", lease, "h", EXCLUSIVE, FOR_EVER);
        cr_expect_eq(acquired(&fx)->place, lease - 1);
    }
    for (int64_t lease = 2; lease <= 5; lease++) {
        acquire(&fx, "a", lease, "h", EXCLUSIVE, FOR_EVER);
        cr_expect_eq(acquired(&fx)->place, lease - 1, "asked again");
    }
}

Test(lock_apply, a_lock_is_used_in_one_way_at_a_time)
{
    cr_assert_eq(acquire_slots(&fx, "a", 1, "h", 2, 0), API_OK);
    cr_expect_eq(acquire_slots(&fx, "a", 2, "h", 3, 0), API_LOCK_KIND);
    cr_expect_eq(acquire_slots(&fx, "a", 1, "h", 3, 0), API_LOCK_KIND);
    cr_expect_eq(run_acquire(&fx, acquire_new(&fx, "a", 2, "h", SHARED, 0)),
                 API_LOCK_KIND);
    cr_assert(acquire(&fx, "b", 1, "h", EXCLUSIVE, 0));
    cr_expect_eq(acquire_slots(&fx, "b", 2, "h", 2, 0), API_LOCK_KIND);
}

Test(lock_apply, a_hold_of_etcds_service_is_not_joined)
{
    hand_put(&fx, "a/1", 1);

    cr_expect_eq(run_acquire(&fx, acquire_new(&fx, "a", 1, "h", EXCLUSIVE, 0)),
                 API_LOCK_FOREIGN);
    cr_expect_eq(release(&fx, "a", 1, "h"), -1);
    cr_expect_not(acquire(&fx, "a", 2, "h", EXCLUSIVE, FOR_EVER), "but in one line");
    hand_delete(&fx, "a/1");
    cr_expect(acquire(&fx, "a", 2, "h", EXCLUSIVE, 0));
}

Test(lock_apply, a_key_in_the_way_is_named)
{
    hand_put(&fx, "a/1", 0);
    cr_expect_eq(run_acquire(&fx, acquire_new(&fx, "a", 1, "h", EXCLUSIVE, 0)),
                 API_LOCK_KEY_TAKEN);
}

Test(lock_apply, a_lease_has_a_bounded_number_of_holds)
{
    char hold[16];

    for (int i = 0; i < LIMIT_LOCK_HOLDS; i++) {
        snprintf(hold, sizeof(hold), "h%d", i);
        cr_assert(acquire(&fx, "a", 1,
                          (const char *)arena_dup(&fx.arena, slice_of(hold, 16)).ptr,
                          EXCLUSIVE, 0));
    }
    cr_expect_eq(run_acquire(&fx, acquire_new(&fx, "a", 1, "more", EXCLUSIVE, 0)),
                 API_LOCK_HOLDS);
}

Test(lock_apply, bad_requests_are_refused)
{
    char *text = arena_zero(&fx.arena, LIMIT_LOCK_NAME + 2);
    Kvd__V1__AcquireRequest *req;

    memset(text, 'x', LIMIT_LOCK_NAME + 1);
#define EXPECT(status, ...)                                                              \
    cr_expect_eq(run_acquire(&fx, acquire_new(&fx, __VA_ARGS__)), API_##status)
    EXPECT(LOCK_NAME, "", 1, "h", EXCLUSIVE, 0);
    EXPECT(LOCK_NAME, "a/", 1, "h", EXCLUSIVE, 0);
    EXPECT(LOCK_NAME, text, 1, "h", EXCLUSIVE, 0);
    EXPECT(LOCK_NAME_OWN, "_kvd/x", 1, "h", EXCLUSIVE, 0);
    EXPECT(LOCK_LEASE, "a", 0, "h", EXCLUSIVE, 0);
    EXPECT(LEASE_NOT_FOUND, "a", 77, "h", EXCLUSIVE, 0);
    EXPECT(LOCK_HOLD, "a", 1, "", EXCLUSIVE, 0);
    EXPECT(LOCK_HOLD, "a", 1, "a.b", EXCLUSIVE, 0);
    EXPECT(LOCK_HOLD, "a", 1, text, EXCLUSIVE, 0);
    EXPECT(LOCK_MODE, "a", 1, "h", 3, 0);
    EXPECT(LOCK_SLOTS, "a", 1, "h", SLOTS, 0);
    EXPECT(LOCK_WAIT, "a", 1, "h", EXCLUSIVE, -2);
#undef EXPECT
    cr_expect_eq(acquire_slots(&fx, "a", 1, "h", LIMIT_LOCK_SLOTS + 1, 0),
                 API_LOCK_SLOTS);
    req = acquire_new(&fx, "a", 1, "h", EXCLUSIVE, 0);
    req->slots = 1;
    cr_expect_eq(run_acquire(&fx, req), API_LOCK_SLOTS);
    req = acquire_new(&fx, "a", 1, "h", EXCLUSIVE, 0);
    req->owner = message_new(&fx, &kvd__v1__lock_owner__descriptor);
    req->owner->host = text;
    cr_expect_eq(run_acquire(&fx, req), API_LOCK_OWNER);
}

/* ---- leave ---- */

static enum api_status leave(const char *name, int64_t lease, const char *hold)
{
    Kvd__Command__LockLeave *req =
        message_new(&fx, &kvd__command__lock_leave__descriptor);

    req->name = bytes_of(&fx, name);
    req->lease = lease;
    req->hold = (char *)hold;
    fixture_run(&fx, KVD__COMMAND__COMMAND__REQUEST_LOCK_LEAVE, req);
    if (fx.status == API_OK) {
        fx.response =
            (ProtobufCMessage *)((Kvd__Command__LockOutcome *)fx.response)->answer;
    }
    return fx.status;
}

Test(lock_apply, whoever_waits_can_leave_and_whoever_holds_stays)
{
    cr_assert(acquire(&fx, "a", 1, "h", EXCLUSIVE, 0));
    cr_assert_not(acquire(&fx, "a", 2, "h", EXCLUSIVE, 1000));
    cr_assert_not(acquire(&fx, "a", 2, "again", EXCLUSIVE, 1000));

    cr_assert_eq(leave("a", 2, "h"), API_OK);
    cr_expect_not(acquired(&fx)->acquired);
    cr_expect_eq(acquired(&fx)->place, 1);
    cr_expect_eq(acquired(&fx)->holder->lease, 1);
    cr_expect_str_eq(line_of(&fx, "a"), "1+ 2-", "the other hold is still there");
    cr_assert_eq(leave("a", 2, "again"), API_OK);
    cr_expect_str_eq(line_of(&fx, "a"), "1+");
    cr_assert_eq(leave("a", 1, "h"), API_OK);
    cr_expect(acquired(&fx)->acquired, "it was granted before");
    cr_expect_eq(leave("a", 2, "h"), API_LOCK_LEFT);
}

/* ---- by force ---- */

static enum api_status force(const char *name, int64_t token, const char *reason)
{
    Kvd__V1__ForceReleaseRequest *req =
        message_new(&fx, &kvd__v1__force_release_request__descriptor);
    Kvd__Command__Command *command =
        command_new(&fx, KVD__COMMAND__COMMAND__REQUEST_LOCK_FORCE_RELEASE, req);

    req->name = bytes_of(&fx, name);
    req->token = token;
    req->reason = (char *)reason;
    command->client = message_new(&fx, &kvd__command__client__descriptor);
    command->client->address = (char *)"10.0.0.9:1";
    kv_begin(fx.kv);
    fixture_entry(&fx, batch_of(&fx, &command, 1));
    kv_commit(fx.kv);
    return fx.status;
}

Test(lock_apply, a_forced_release_passes_the_lock_on_and_is_recorded)
{
    const Kvd__V1__ForcedRelease *forced;
    int64_t token;

    cr_assert(acquire(&fx, "a", 1, "h", EXCLUSIVE, 0));
    token = acquired(&fx)->token;
    cr_assert_not(acquire(&fx, "a", 2, "h", EXCLUSIVE, FOR_EVER));
    cr_assert_eq(force("a", token, "the host is gone"), API_OK);

    cr_expect_eq(((Kvd__V1__ForceReleaseResponse *)fx.response)->released->lease, 1);
    cr_expect_str_eq(line_of(&fx, "a"), "2+");
    forced = inspect(&fx, "a")->last_forced;
    cr_assert_not_null(forced);
    cr_expect_eq(forced->token, token);
    cr_expect_str_eq(forced->reason, "the host is gone");
    cr_expect_str_eq(forced->by, "10.0.0.9:1");
    cr_expect_eq(forced->hold->lease, 1);
    cr_expect(forced->hold->granted);
    cr_expect_eq(force("a", token, "again"), API_LOCK_NO_HOLD);
}

Test(lock_apply, a_forced_release_needs_a_token_and_a_reason)
{
    cr_expect_eq(force("a", 0, "why"), API_LOCK_TOKEN);
    cr_expect_eq(force("a", 5, ""), API_LOCK_REASON);
    cr_expect_eq(force("", 5, "why"), API_LOCK_NAME);
    cr_expect_eq(force("a", 5, "why"), API_LOCK_NO_HOLD);
}

/* ---- list and inspect ---- */

static const Kvd__V1__LockListResponse *list(const char *prefix, int64_t limit,
                                             const char *after)
{
    Kvd__V1__LockListRequest *req =
        message_new(&fx, &kvd__v1__lock_list_request__descriptor);
    Kvd__V1__LockListResponse *res = NULL;

    req->prefix = bytes_of(&fx, prefix);
    req->after = bytes_of(&fx, after);
    req->limit = limit;
    cr_assert_eq(kv_lock_list(fx.kv, req, &fx.arena, &res), API_OK);
    return res;
}

Test(lock_apply, list_shows_locks_in_order_of_their_names_in_pages)
{
    const Kvd__V1__LockListResponse *res;

    acquire(&fx, "b", 1, "h", EXCLUSIVE, 0);
    acquire(&fx, "b", 2, "h", EXCLUSIVE, FOR_EVER);
    acquire(&fx, "a/x", 1, "h", SHARED, 0);
    acquire(&fx, "a/y", 1, "h", SHARED, 0);
    acquire(&fx, "c", 1, "h", EXCLUSIVE, 0);

    res = list("", 0, NULL);
    cr_assert_eq(res->n_locks, 4);
    cr_expect_eq(res->locks[0]->name.data[2], 'x');
    cr_expect_eq(res->locks[2]->holders, 1);
    cr_expect_eq(res->locks[2]->waiting, 1);
    cr_expect_eq(res->locks[2]->first->lease, 1);
    cr_expect_not(res->more);
    cr_expect_eq(list("a/", 0, NULL)->n_locks, 2);
    cr_expect_eq(list("d", 0, NULL)->n_locks, 0);
    res = list("", 3, NULL);
    cr_expect_eq(res->n_locks, 3);
    cr_expect(res->more);
    cr_expect_eq(list("", 3, "b")->n_locks, 1);
    cr_expect_eq(list("a/", 3, "a/x")->n_locks, 1);
}

static void put_long_record(const char *key, int64_t lease)
{
    enum { LONG = 1400 * 1024 };
    Kvd__V1__LockRecord record = KVD__V1__LOCK_RECORD__INIT;
    Kvd__V1__LockOwner owner = KVD__V1__LOCK_OWNER__INIT;
    Etcdserverpb__PutRequest *put = put_new(&fx, key, "");

    owner.owner = arena_zero(&fx.arena, LONG + 1);
    memset(owner.owner, 'o', LONG);
    record.owner = &owner;
    record.mark = 0x6b6c6f63;
    put->value.len = kvd__v1__lock_record__get_packed_size(&record);
    put->value.data = arena_alloc(&fx.arena, put->value.len);
    kvd__v1__lock_record__pack(&record, put->value.data);
    put->lease = lease;
    cr_assert_eq(run_put(&fx, put), API_OK);
}

Test(lock_apply, long_values_come_in_more_pages)
{
    Kvd__V1__LockListRequest *req =
        message_new(&fx, &kvd__v1__lock_list_request__descriptor);
    Kvd__V1__LockListResponse *res = NULL;

    for (int64_t lease = 1; lease <= 3; lease++) {
        char key[48];

        snprintf(key, sizeof(key), "e%" PRId64 "/%" PRId64, lease, lease);
        put_long_record(key, lease);
        snprintf(key, sizeof(key), "e/%" PRId64, lease);
        put_long_record(key, lease);
    }
    req->prefix = bytes_of(&fx, "e");
    req->after = bytes_of(&fx, "e");
    cr_assert_eq(kv_lock_list(fx.kv, req, &fx.arena, &res), API_OK);
    cr_expect_eq(res->n_locks, 2);
    cr_expect(res->more);

    cr_expect_eq(inspect(&fx, "e")->n_line, 2);
    cr_expect_eq(inspect(&fx, "e")->holders + inspect(&fx, "e")->waiting, 3);
}

Test(lock_apply, inspect_shows_the_line_with_etcds_holds_and_candidates)
{
    const Kvd__V1__LockInspectResponse *res;
    Etcdserverpb__PutRequest *candidate = put_new(&fx, "a/3", "me");

    acquire(&fx, "a", 1, "h", EXCLUSIVE, 0);
    hand_put(&fx, "a/2", 2);
    candidate->lease = 3;
    run_put(&fx, candidate);

    res = inspect(&fx, "a");
    cr_assert_eq(res->n_line, 3);
    cr_expect_eq(res->holders, 1);
    cr_expect_eq(res->waiting, 2);
    cr_expect_str_eq(res->line[0]->holds[0], "h");
    cr_expect_eq(res->line[1]->n_holds, 0);
    cr_expect_not(res->line[1]->election);
    cr_expect(res->line[2]->election);
    cr_expect_eq(memcmp(res->line[2]->value.data, "me", 2), 0);
    cr_expect_null(res->last_forced);
}

/* ---- deadlocks ---- */

static bool waits(const char *name, int64_t lease, int mode)
{
    return !acquire(&fx, name, lease, "h", mode, FOR_EVER);
}

static bool is_refused(const char *name, int64_t lease, int mode)
{
    run_acquire(&fx, acquire_new(&fx, name, lease, "h", mode, FOR_EVER));
    return fx.status == API_OK && refused[0] != '\0';
}

Test(lock_apply, a_circle_of_two_is_refused_in_words)
{
    Kvd__V1__AcquireRequest *req = acquire_new(&fx, "b", 2, "h", EXCLUSIVE, 0);
    int64_t token;

    req->owner = message_new(&fx, &kvd__v1__lock_owner__descriptor);
    req->owner->owner = (char *)"worker";
    req->owner->host = (char *)"box";
    cr_assert(acquire(&fx, "a", 1, "h", EXCLUSIVE, 0));
    token = acquired(&fx)->token;
    cr_assert_eq(run_acquire(&fx, req), API_OK);
    cr_assert(waits("a", 2, EXCLUSIVE));

    cr_assert(is_refused("b", 1, EXCLUSIVE));
    cr_expect_eq(token, 2);
    cr_expect_str_eq(
        refused,
        "kvd: this would be a deadlock: the lock \"b\", which worker on box (lease 2) "
        "holds"
        " with token 3, who waits for the lock \"a\", which this lease has with token 2;"
        " release that one first, and take locks in the same order everywhere");
    cr_expect_str_eq(line_of(&fx, "b"), "2+", "nothing is written");
    cr_expect_not(acquire(&fx, "b", 1, "h", EXCLUSIVE, 0), "to try is no deadlock");
}

Test(lock_apply, a_circle_of_three_is_found)
{
    cr_assert(acquire(&fx, "a", 1, "h", EXCLUSIVE, 0));
    cr_assert(acquire(&fx, "b", 2, "h", EXCLUSIVE, 0));
    cr_assert(acquire(&fx, "c", 3, "h", SHARED, 0));
    cr_assert(waits("b", 1, EXCLUSIVE));
    cr_assert(waits("c", 2, EXCLUSIVE));

    cr_expect(is_refused("a", 3, SHARED));
    cr_expect_not_null(strstr(refused, "the lock \"b\""));
    cr_expect_not_null(strstr(refused, "\"c\", which this lease has"));
}

Test(lock_apply, who_only_waits_before_is_part_of_a_circle)
{
    cr_assert(acquire(&fx, "a", 1, "h", SHARED, 0));
    cr_assert(waits("a", 2, EXCLUSIVE));
    cr_assert(acquire(&fx, "b", 3, "h", EXCLUSIVE, 0));
    cr_assert(waits("b", 1, EXCLUSIVE), "behind 3");

    /* 3 may not overtake 2, who waits for 1, who waits for 3. */
    cr_expect(is_refused("a", 3, SHARED));
    cr_expect_not_null(strstr(refused, "(lease 1) holds"), "%s", refused);
}

Test(lock_apply, readers_wait_for_readers_before_one_who_writes)
{
    cr_assert(acquire(&fx, "a", 1, "h", SHARED, 0));
    hand_put(&fx, "a/2", 2); /* as etcd's clients do: does not count as waiting itself */
    cr_assert(acquire(&fx, "b", 3, "h", EXCLUSIVE, 0));
    cr_assert(waits("b", 1, EXCLUSIVE), "behind 3");

    cr_expect(is_refused("a", 3, SHARED));
}

Test(lock_apply, readers_do_not_wait_for_readers)
{
    cr_assert(acquire(&fx, "a", 1, "h", SHARED, 0));
    cr_assert(acquire(&fx, "b", 2, "h", SHARED, 0));
    cr_assert(acquire(&fx, "a", 2, "h", SHARED, 0));
    cr_assert(acquire(&fx, "b", 1, "h", SHARED, 0));
    cr_assert(waits("a", 3, EXCLUSIVE));
    cr_expect(waits("b", 3, EXCLUSIVE), "3 holds nothing that the others want");
}

Test(lock_apply, a_candidate_of_an_election_does_not_count_as_waiting)
{
    hand_put(&fx, "e/1", 1);
    hand_put(&fx, "e/2", 2);
    cr_assert(acquire(&fx, "a", 2, "h", EXCLUSIVE, 0));
    cr_expect(waits("a", 1, EXCLUSIVE), "1 leads, 2 is a candidate and has the lock");
}

Test(lock_apply, slots_are_no_deadlock)
{
    cr_assert_eq(acquire_slots(&fx, "a", 1, "h", 1, 0), API_OK);
    cr_assert_eq(acquire_slots(&fx, "b", 2, "h", 1, 0), API_OK);
    cr_assert_eq(acquire_slots(&fx, "a", 2, "h", 1, FOR_EVER), API_OK);
    cr_assert_eq(acquire_slots(&fx, "b", 1, "h", 1, FOR_EVER), API_OK);
    cr_expect_str_eq(refused, "");
}

Test(lock_apply, a_search_that_is_too_long_is_given_up)
{
    char *name;

    cr_assert(acquire(&fx, "a", 1, "h", EXCLUSIVE, 0));
    cr_assert(acquire(&fx, "z", 2, "h", EXCLUSIVE, 0));
    for (int i = 0; i < LIMIT_LOCK_STEPS; i++) {
        name = arena_alloc(&fx.arena, 16);
        snprintf(name, 16, "k%d", i);
        hand_put(&fx, name, 2);
    }
    cr_expect(waits("a", 2, EXCLUSIVE), "its own holds are not found within the limit");
    cr_expect(waits("z", 1, EXCLUSIVE));
}

/* The order of a lease's keys in memory is another one after a restart. */
Test(lock_apply, a_search_ends_the_same_after_a_restart)
{
    bool before;

    cr_assert(acquire(&fx, "b", 1, "h", EXCLUSIVE, 0));
    cr_assert(acquire(&fx, "z", 2, "h", EXCLUSIVE, 0));
    for (int i = 0; i < LIMIT_LOCK_STEPS - 12; i++) {
        char *name = arena_alloc(&fx.arena, 16);

        snprintf(name, 16, "k%d", i);
        hand_put(&fx, name, 2);
    }
    cr_assert(waits("b", 2, EXCLUSIVE));
    before = is_refused("z", 1, EXCLUSIVE);
    cr_assert_geq(release(&fx, "z", 1, "h"), before ? -1 : 0);

    fixture_reopen(&fx);
    cr_expect_eq(is_refused("z", 1, EXCLUSIVE), before);
}

/* Whoever puts values that say that they are records can make them long. */
Test(lock_apply, long_records_count_more)
{
    char name[16];
    char key[24];

    cr_assert(acquire(&fx, "b", 1, "h", EXCLUSIVE, 0));
    cr_assert(acquire(&fx, "z", 2, "h", EXCLUSIVE, 0));
    for (int i = 0; i < 10; i++) {
        snprintf(name, sizeof(name), "a%d", i);
        snprintf(key, sizeof(key), "a%d/2", i);
        cr_assert(acquire(&fx, name, 3, "h", EXCLUSIVE, 0));
        cr_assert(waits(name, 2, EXCLUSIVE));
        put_long_record(key, 2);
    }
    cr_assert(waits("b", 2, EXCLUSIVE));

    cr_expect_not(is_refused("z", 1, EXCLUSIVE), "the last one was not reached");
}

/* ---- restarts ---- */

Test(lock_apply, holds_and_records_survive_a_restart)
{
    cr_assert(acquire(&fx, "a", 1, "one", EXCLUSIVE, 0));
    cr_assert(acquire(&fx, "a", 1, "two", EXCLUSIVE, 0));
    cr_assert_not(acquire(&fx, "a", 2, "h", EXCLUSIVE, FOR_EVER));
    fixture_reopen(&fx);

    cr_expect_str_eq(line_of(&fx, "a"), "1+ 2-");
    cr_expect(acquire(&fx, "a", 1, "two", EXCLUSIVE, 0));
    cr_expect_eq(acquired(&fx)->holds, 2);
    cr_expect_eq(release(&fx, "a", 1, "one"), 1);
    cr_expect_eq(release(&fx, "a", 1, "two"), 0);
    cr_expect_str_eq(line_of(&fx, "a"), "2+");
}

Test(lock_apply, there_is_no_lock_without_a_name)
{
    const Kvd__V1__LockInspectResponse *res = inspect(&fx, "");

    cr_expect_eq(res->n_line, 0);
    cr_expect_null(res->last_forced);
}
