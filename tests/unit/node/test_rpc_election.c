/* Etcd's Election service on whole members. */
#include "tests/unit/node/lockers.h"

static void one(void)
{
    open_lockers(1, 1);
    grant_leases(4);
}

TestSuite(rpc_election, .init = one, .fini = close_lockers);

static void campaign_begin(int i, int64_t lease, const char *value)
{
    V3electionpb__CampaignRequest req = V3ELECTIONPB__CAMPAIGN_REQUEST__INIT;

    req.name = bytes_of("e");
    req.lease = lease;
    req.value = bytes_of(value);
    locker_begin(i, "/v3electionpb.Election/Campaign", &req,
                 &v3electionpb__campaign_response__descriptor, 600000);
}

static const V3electionpb__CampaignResponse *elected(int i)
{
    cr_assert(lockers[i].done && lockers[i].code == GRPC_OK, "locker %d: %s", i,
              lockers[i].done ? lockers[i].text : "waits");
    return (const V3electionpb__CampaignResponse *)lockers[i].reply;
}

static int proclaim(const V3electionpb__LeaderKey *leader, const char *value)
{
    V3electionpb__ProclaimRequest req = V3ELECTIONPB__PROCLAIM_REQUEST__INIT;

    req.leader = (V3electionpb__LeaderKey *)leader;
    req.value = bytes_of(value);
    return ask("/v3electionpb.Election/Proclaim", &req,
               &v3electionpb__proclaim_response__descriptor);
}

static int resign(const V3electionpb__LeaderKey *leader)
{
    V3electionpb__ResignRequest req = V3ELECTIONPB__RESIGN_REQUEST__INIT;

    req.leader = (V3electionpb__LeaderKey *)leader;
    return ask("/v3electionpb.Election/Resign", &req,
               &v3electionpb__resign_response__descriptor);
}

/* The value of the leader, or NULL. */
static const char *leader_value(void)
{
    static char value[64];
    V3electionpb__LeaderRequest req = V3ELECTIONPB__LEADER_REQUEST__INIT;
    const Mvccpb__KeyValue *kv;

    req.name = bytes_of("e");
    if (ask("/v3electionpb.Election/Leader", &req,
            &v3electionpb__leader_response__descriptor) != GRPC_OK) {
        cr_assert_eq(answer_code, GRPC_UNKNOWN);
        cr_assert_str_eq(answer_text, "election: no leader");
        return NULL;
    }
    kv = ((const V3electionpb__LeaderResponse *)answer_reply)->kv;
    snprintf(value, sizeof(value), "%.*s", (int)kv->value.len, (char *)kv->value.data);
    return value;
}

static void observe_begin(int i)
{
    V3electionpb__LeaderRequest req = V3ELECTIONPB__LEADER_REQUEST__INIT;

    req.name = bytes_of("e");
    locker_begin(i, "/v3electionpb.Election/Observe", &req,
                 &v3electionpb__leader_response__descriptor, 600000);
}

/* What was heard, as "value value ...". */
static const char *heard(int i)
{
    static char text[1024];

    text[0] = '\0';
    for (size_t n = 0; n < lockers[i].n_heard; n++) {
        const V3electionpb__LeaderResponse *reply =
            (const V3electionpb__LeaderResponse *)lockers[i].heard[n];

        cr_assert_geq(reply->header->revision, reply->kv->mod_revision);
        sprintf(text + strlen(text), "%s%.*s", n > 0 ? " " : "",
                (int)reply->kv->value.len, (char *)reply->kv->value.data);
    }
    return text;
}

Test(rpc_election, candidates_lead_in_their_order)
{
    cr_assert_null(leader_value());
    campaign_begin(0, 1, "one");
    campaign_begin(1, 2, "two");

    cr_assert(bytes_are(elected(0)->leader->key, "e/1"));
    cr_assert(bytes_are(elected(0)->leader->name, "e"));
    cr_assert_eq(elected(0)->leader->rev, 2);
    cr_assert_eq(elected(0)->leader->lease, 1);
    cr_assert_eq(elected(0)->header->revision, 2);
    cr_assert_not(lockers[1].done);
    cr_assert_str_eq(leader_value(), "one");
    cr_assert_eq(resign(elected(0)->leader), GRPC_OK);
    run_ms(5);
    cr_assert_eq(elected(1)->leader->rev, 3);
    cr_assert_eq(elected(1)->header->revision, 3, "of the first txn, not of winning");
    cr_assert_str_eq(leader_value(), "two");
}

Test(rpc_election, only_the_holder_of_the_key_proclaims)
{
    V3electionpb__LeaderKey other;

    campaign_begin(0, 1, "one");
    cr_assert_eq(proclaim(elected(0)->leader, "new"), GRPC_OK, "%s", answer_text);
    cr_assert_str_eq(leader_value(), "new");

    other = *elected(0)->leader;
    other.rev++;
    cr_assert_eq(proclaim(&other, "no"), GRPC_UNKNOWN);
    cr_assert_str_eq(answer_text, "election: not leader");
    cr_assert_eq(proclaim(NULL, "no"), GRPC_UNKNOWN);
    cr_assert_str_eq(answer_text, "\"leader\" field must be provided");
    other.key.len = 0;
    cr_assert_eq(proclaim(&other, "no"), GRPC_UNKNOWN);
    cr_assert_str_eq(answer_text, "etcdserver: key is not provided");
    cr_assert_str_eq(leader_value(), "new");
}

Test(rpc_election, without_a_lease_the_proclaimed_key_keeps_the_one_it_has)
{
    V3electionpb__LeaderKey leader;

    campaign_begin(0, 1, "one");
    leader = *elected(0)->leader;
    leader.lease = 0;
    cr_assert_eq(proclaim(&leader, "new"), GRPC_OK);
    revoke(1);
    cr_assert_null(leader_value());
}

Test(rpc_election, who_does_not_lead_resigns_all_the_same)
{
    V3electionpb__LeaderKey other;

    campaign_begin(0, 1, "one");
    other = *elected(0)->leader;
    other.rev++;
    cr_assert_eq(resign(&other), GRPC_OK);
    cr_assert_str_eq(leader_value(), "one");
    cr_assert_eq(resign(NULL), GRPC_UNKNOWN);
}

Test(rpc_election, to_campaign_again_proclaims_the_new_value)
{
    campaign_begin(0, 1, "one");
    campaign_begin(1, 2, "two");
    campaign_begin(2, 1, "uno");
    cr_assert_eq(elected(2)->leader->rev, 2);
    cr_assert_str_eq(leader_value(), "uno");

    campaign_begin(3, 2, "due");
    cr_assert_not(lockers[3].done);
    resign(elected(0)->leader);
    run_ms(5);
    cr_assert_eq(elected(1)->leader->rev, elected(3)->leader->rev);
    cr_assert_str_eq(leader_value(), "due");
}

Test(rpc_election, a_candidate_whose_lease_ends_is_not_elected)
{
    campaign_begin(0, 1, "one");
    campaign_begin(1, 2, "two");
    revoke(2);
    run_ms(5);

    cr_assert(lockers[1].done);
    cr_assert_eq(lockers[1].code, GRPC_UNKNOWN);
    cr_assert_str_eq(lockers[1].text, "election: not leader");
}

Test(rpc_election, a_candidate_that_leaves_takes_its_key_along)
{
    campaign_begin(0, 1, "one");
    campaign_begin(1, 2, "two");
    sim_rpc_cancel(&lockers[1].rpc);
    run_ms(SETTLE_MS);
    cr_assert_not(exists("e/2"));
}

Test(rpc_election, observers_hear_each_leader_and_each_value)
{
    observe_begin(3);
    cr_assert_eq(lockers[3].n_heard, 0, "nobody leads");
    campaign_begin(0, 1, "one");
    campaign_begin(1, 2, "two");
    proclaim(elected(0)->leader, "uno");
    proclaim(elected(0)->leader, "uno");
    resign(elected(0)->leader);
    run_ms(SETTLE_MS);
    cr_assert_str_eq(heard(3), "one uno uno two");

    resign(elected(1)->leader);
    run_ms(SETTLE_MS);
    cr_assert_str_eq(heard(3), "one uno uno two", "nobody leads, nothing is said");
    campaign_begin(0, 3, "three");
    run_ms(SETTLE_MS);
    cr_assert_str_eq(heard(3), "one uno uno two three");
    cr_assert_not(lockers[3].done);
}

Test(rpc_election, observers_hear_first_who_leads_now)
{
    campaign_begin(0, 1, "one");
    observe_begin(3);
    cr_assert_str_eq(heard(3), "one");
    sim_rpc_cancel(&lockers[3].rpc);
    run_ms(SETTLE_MS);
    cr_assert_eq(members[1].node->waits.all.n, 0);
}

/* Its own stream holds nothing back, so nobody tells when that one has drained. */
Test(rpc_election, observers_wait_for_their_connection_and_are_not_forgotten)
{
    put_big();
    observe_begin(3);
    sim_rpc_pause(&lockers[3].rpc, true);
    ask_for_big(&lockers[3].rpc);
    run_ms(500);
    campaign_begin(0, 1, "one");
    run_ms(SETTLE_MS);
    cr_assert_eq(lockers[3].n_heard, 0);

    sim_rpc_pause(&lockers[3].rpc, false);
    run_ms(2000);
    cr_expect_str_eq(heard(3), "one");
}

Test(rpc_election, the_service_and_the_lock_service_share_a_line)
{
    lock_begin(0, "e", 1);
    campaign_begin(1, 2, "two");
    cr_assert_not(lockers[1].done);
    delete_key("e/1");
    run_ms(5);
    elected(1);
}
