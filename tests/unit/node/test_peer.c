#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/log.h"
#include "node/peer.h"
#include "tests/sim/sim_net.h"
#include "tests/sim/sim_world.h"

/* Two members on simulated hosts, whose programs are nothing but their links. */
#define N 2

static struct sim_world *world;
static char seen[65536]; /* log lines */

struct side {
    struct sim_host *host;
    struct peers *peers;
    struct membership members;
    struct metrics metrics;
    uint64_t pinned;   /* store id of the other */
    uint64_t last;     /* applied index of the last state hash received */
    uint64_t received; /* frames */
    bool up;
    int changes;
    int refusals;
};

static struct side sides[N + 1]; /* from 1 */
static struct config_urls urls[N + 1];
static char addresses[N + 1][32];

static void keep_line(void *owner, const char *line)
{
    if (strlen(seen) + strlen(line) + 2 < sizeof(seen)) {
        strcat(seen, line);
        strcat(seen, "\n");
    }
}

static void on_received(void *owner, uint64_t from, const struct link_frame *frame)
{
    struct side *side = owner;
    const Kvd__Peer__StateHash *hash = (const Kvd__Peer__StateHash *)frame->message;

    cr_assert_eq(frame->type, LINK_STATE_HASH);
    cr_assert_eq(hash->applied_index, side->last + 1, "in order, none lost");
    side->last = hash->applied_index;
    side->received++;
}

static void on_changed(void *owner, uint64_t member, bool up)
{
    struct side *side = owner;

    cr_assert_neq(side->up, up);
    side->up = up;
    side->changes++;
}

static int on_meet(void *owner, uint64_t member, uint64_t store, struct err *err)
{
    struct side *side = owner;

    if (side->pinned != 0 && side->pinned != store) {
        return err_set(err, ERR_INVALID, "another store");
    }
    side->pinned = store;
    return 0;
}

static void on_refused(void *owner, uint64_t member)
{
    struct side *side = owner;

    cr_assert_neq(member, side->members.self);
    side->refusals++;
}

static const struct peers_events events = {on_received, on_changed, on_meet, on_refused};

static void turn(void *owner)
{
    struct side *side = owner;
    uint64_t now_ms = env_mono_ms(sim_host_env(side->host));

    peers_receive(side->peers, now_ms);
    peers_flush(side->peers, now_ms);
}

static uint64_t deadline_ms(void *owner)
{
    struct side *side = owner;

    return peers_deadline_ms(side->peers);
}

static void fatal(void *owner, const char *text)
{
    cr_assert_fail("%s", text);
}

static const struct sim_program program = {turn, deadline_ms, fatal};

/* Cluster id and store id are arguments: some tests want wrong ones. */
static void start(uint32_t number, uint64_t cluster, uint64_t store)
{
    struct side *side = &sides[number];
    struct err err;
    struct peers_options options = {
        .env = sim_host_env(side->host),
        .self = {.members = &side->members, .store_id = store, .epoch = store + 7},
        .metrics = &side->metrics,
        .events = &events,
        .owner = side,
    };

    side->members = (struct membership){.n = N, .cluster_id = cluster, .self = number};
    for (uint32_t i = 1; i <= N; i++) {
        side->members.items[i - 1] =
            (struct member){.id = i, .name = "m", .peer_urls = &urls[i]};
    }
    side->peers = peers_open(&options);
    cr_assert_eq(peers_listen(side->peers, addresses[number], NET_PLAIN, &err), 0, "%s",
                 err.text);
    peers_start(side->peers);
    sim_host_run(side->host, &program, side);
    sim_host_wake(side->host);
}

static void stop(uint32_t number)
{
    struct side *side = &sides[number];

    sim_host_run(side->host, NULL, NULL);
    peers_close(side->peers);
    side->peers = NULL;
    side->up = false;
}

static void run_for(uint64_t ms)
{
    uint64_t limit = sim_world_now(world) + ms * SIM_MS;

    while (sim_world_step(world, limit)) {
    }
}

static void set_up(void)
{
    seen[0] = '\0';
    log_redirect(keep_line, NULL);
    world = sim_world_new(1);
    for (uint32_t i = 1; i <= N; i++) {
        snprintf(addresses[i], sizeof(addresses[i]), "10.0.0.%u:2380", i);
        urls[i] = (struct config_urls){.n = 1};
        urls[i].items[0].text = addresses[i];
        urls[i].items[0].address = addresses[i];
        sides[i] = (struct side){.host = sim_host_new(world, i, NULL)};
    }
}

static void tear_down(void)
{
    for (uint32_t i = 1; i <= N; i++) {
        if (sides[i].peers != NULL) {
            stop(i);
        }
    }
    sim_world_free(world);
}

TestSuite(peer, .init = set_up, .fini = tear_down);

static bool send_hash(uint32_t from, uint32_t to, uint64_t index)
{
    Kvd__Peer__StateHash hash = KVD__PEER__STATE_HASH__INIT;
    bool sent;

    hash.applied_index = index;
    sent = peers_send_message(sides[from].peers, to, LINK_STATE_HASH, &hash.base);
    sim_host_wake(sides[from].host);
    return sent;
}

Test(peer, two_members_find_each_other_and_talk)
{
    start(1, 0xc, 0x11);
    start(2, 0xc, 0x22);
    run_for(300);

    cr_assert(sides[1].up);
    cr_assert(sides[2].up);
    cr_assert_eq(sides[1].pinned, 0x22);
    cr_assert_eq(sides[2].pinned, 0x11);
    cr_assert_gt(peers_up_since(sides[1].peers, 2), 0);
    cr_assert_eq(peers_backlog(sides[1].peers, 2), 0);
    for (uint64_t i = 1; i <= 1000; i++) {
        cr_assert(send_hash(1, 2, i));
    }
    cr_assert_gt(peers_backlog(sides[1].peers, 2), 0);
    run_for(100);
    cr_assert_eq(sides[2].received, 1000);
}

Test(peer, a_member_that_comes_later_is_found_within_a_second)
{
    start(1, 0xc, 0x11);
    run_for(20000);
    cr_assert_not(sides[1].up);
    cr_assert_not(send_hash(1, 2, 1));
    cr_assert_eq(peers_backlog(sides[1].peers, 2), SIZE_MAX);

    start(2, 0xc, 0x22);
    run_for(1200);
    cr_assert(sides[1].up);
}

Test(peer, a_restart_is_noticed_on_both_sides)
{
    start(1, 0xc, 0x11);
    start(2, 0xc, 0x22);
    run_for(300);

    stop(2);
    run_for(300);
    cr_assert_not(sides[1].up);
    start(2, 0xc, 0x22);
    run_for(1200);

    cr_assert(sides[1].up);
    cr_assert(sides[2].up);
    cr_assert_eq(sides[1].changes, 3);
}

Test(peer, a_process_that_died_is_told_once_and_soon)
{
    start(1, 0xc, 0x11);
    start(2, 0xc, 0x22);
    run_for(2000);

    stop(2);
    run_for(15);
    cr_assert_eq(sides[1].refusals, 1);
    run_for(5000);
    cr_assert_eq(sides[1].refusals, 1);

    start(2, 0xc, 0x22);
    run_for(2500);
    stop(2);
    run_for(15);
    cr_assert_eq(sides[1].refusals, 2);
}

Test(peer, a_reset_is_no_refusal_and_mended_at_once)
{
    start(1, 0xc, 0x11);
    start(2, 0xc, 0x22);
    run_for(2000);

    for (int i = 0; i < 100; i++) {
        sim_net_reset(sim_world_net(world), 1, 2);
        run_for(1100);
        cr_assert(sides[1].up);
        cr_assert(sides[2].up);
    }
    sim_net_reset(sim_world_net(world), 1, 2);
    run_for(15);

    cr_assert(sides[1].up);
    cr_assert_eq(sides[1].refusals, 0);
    cr_assert_eq(sides[2].refusals, 0);
}

Test(peer, a_cut_network_is_no_refusal)
{
    start(1, 0xc, 0x11);
    start(2, 0xc, 0x22);
    run_for(2000);
    sim_net_cut(sim_world_net(world), 2, 1, true);
    sim_net_cut(sim_world_net(world), 1, 2, true);
    run_for(20000);

    cr_assert_not(sides[1].up);
    cr_assert_eq(sides[1].refusals, 0);
}

Test(peer, another_store_under_a_known_id_is_refused)
{
    start(1, 0xc, 0x11);
    start(2, 0xc, 0x22);
    run_for(300);
    stop(2);
    start(2, 0xc, 0x99);
    run_for(3000);

    cr_assert_not(sides[1].up);
    cr_assert_not(sides[2].up);
    cr_assert_not_null(strstr(seen, "another store"));
}

Test(peer, another_cluster_is_refused_with_a_sentence)
{
    start(1, 0xc, 0x11);
    start(2, 0xd, 0x22);
    run_for(3000);

    cr_assert_not(sides[1].up);
    cr_assert_not_null(strstr(seen, "--initial-cluster-token must be the same"));
}

Test(peer, silence_ends_a_link_that_nobody_closed)
{
    start(1, 0xc, 0x11);
    start(2, 0xc, 0x22);
    run_for(300);
    sim_net_cut(sim_world_net(world), 2, 1, true);
    run_for(3500);
    cr_assert_not(sides[1].up);

    sim_net_heal(sim_world_net(world));
    run_for(6000);
    cr_assert(sides[1].changes >= 3, "up, down, up");
}

/* What a net with TLS says of the certificates of accepted streams. */
static const char *certified_host;

static bool is_certified(struct stream *stream, const char *host)
{
    return strcmp(host, certified_host) == 0;
}

static const char *certified_name(struct stream *stream)
{
    return "someone";
}

/* From here on member 1 sees certificates made out for this host. */
static void see_certificates_for(const char *host)
{
    static struct net_ops ops;
    struct net *net = sim_host_env(sides[1].host)->net;

    certified_host = host;
    ops = *net->ops;
    ops.peer_is = is_certified;
    ops.peer_name = certified_name;
    net->ops = &ops;
}

Test(peer, a_certificate_for_the_members_host_lets_it_in)
{
    see_certificates_for("10.0.0.2");
    start(1, 0xc, 0x11);
    start(2, 0xc, 0x22);
    run_for(300);

    cr_assert(sides[1].up);
    cr_assert(sides[2].up);
}

Test(peer, a_certificate_for_another_members_host_is_refused_before_anything_is_kept)
{
    see_certificates_for("10.0.0.3");
    start(1, 0xc, 0x11);
    start(2, 0xc, 0x22);
    run_for(3000);

    cr_assert_not(sides[1].up);
    cr_assert_not(sides[2].up);
    cr_assert_not_null(
        strstr(seen, "(common name someone) is not made out for 10.0.0.2"));
    cr_assert_gt(sides[1].metrics.counters[METRIC_PEER_REFUSED], 0);
}

/* A stranger who speaks, and what he sends. */
struct stranger {
    struct stream *stream;
    bool opened;
    bool ended;
};

static void stranger_opened(void *owner, int rc, bool refused)
{
    ((struct stranger *)owner)->opened = rc == 0;
}

static void stranger_received(void *owner, struct slice bytes)
{
}

static void stranger_ended(void *owner, bool reset)
{
    ((struct stranger *)owner)->ended = true;
}

static void stranger_drained(void *owner)
{
}

static const struct stream_events stranger_events = {stranger_opened, stranger_received,
                                                     stranger_ended, stranger_drained};

static void idle_turn(void *owner)
{
}

static uint64_t no_deadline(void *owner)
{
    return UINT64_MAX;
}

Test(peer, bytes_that_are_no_frames_end_the_connection)
{
    static const struct sim_program idle = {idle_turn, no_deadline, fatal};
    struct stranger stranger = {0};
    struct net *net = sim_host_env(sides[2].host)->net;

    start(1, 0xc, 0x11);
    sim_host_run(sides[2].host, &idle, NULL);
    stranger.stream =
        net->ops->connect(net, addresses[1], NET_PLAIN, &stranger_events, &stranger);
    run_for(50);
    cr_assert(stranger.opened);
    net->ops->write(stranger.stream,
                    slice_str("GET / HTTP/1.1\r\nHost: example\r\n\r\n"));
    run_for(50);

    cr_assert(stranger.ended);
    net->ops->close(stranger.stream, true);
}

/* The header of a frame that would be as large as frames can be, and some of its body. */
Test(peer, who_speaks_tls_to_a_port_that_does_not_is_named_in_the_log)
{
    static const struct sim_program idle = {idle_turn, no_deadline, fatal};
    static const uint8_t hello[16] = {0x16, 0x03, 0x01, 0x02, 0x00, 0x01};
    struct stranger stranger = {0};
    struct net *net = sim_host_env(sides[2].host)->net;

    start(1, 0xc, 0x11);
    sim_host_run(sides[2].host, &idle, NULL);
    stranger.stream =
        net->ops->connect(net, addresses[1], NET_PLAIN, &stranger_events, &stranger);
    run_for(50);
    net->ops->write(stranger.stream, slice_of(hello, sizeof(hello)));
    run_for(50);

    cr_assert(stranger.ended);
    cr_assert_not_null(strstr(seen, "it speaks TLS to a port that does not"));
    net->ops->close(stranger.stream, true);
}

Test(peer, a_stranger_cannot_fill_memory_with_a_hello_that_never_ends)
{
    static const struct sim_program idle = {idle_turn, no_deadline, fatal};
    static const uint8_t header[LINK_HEADER_SIZE] = {0, 0, 0x70, 0, LINK_HELLO};
    static const uint8_t body[LIMIT_PEER_HELLO];
    struct stranger stranger = {0};
    struct net *net = sim_host_env(sides[2].host)->net;

    start(1, 0xc, 0x11);
    sim_host_run(sides[2].host, &idle, NULL);
    stranger.stream =
        net->ops->connect(net, addresses[1], NET_PLAIN, &stranger_events, &stranger);
    run_for(50);
    net->ops->write(stranger.stream, slice_of(header, sizeof(header)));
    run_for(50);
    cr_assert_not(stranger.ended);
    net->ops->write(stranger.stream, slice_of(body, sizeof(body)));
    run_for(50);

    cr_assert(stranger.ended);
    net->ops->close(stranger.stream, true);
}

static size_t count_lines(const char *text)
{
    size_t n = 0;

    for (const char *at = strstr(seen, text); at != NULL; at = strstr(at + 1, text)) {
        n++;
    }
    return n;
}

/* The other side tries again each second, for ever. */
Test(peer, refusals_are_said_a_few_times_a_minute_only)
{
    start(1, 0xc, 0x11);
    start(2, 0xd, 0x22);
    run_for(55000);
    cr_assert_eq(count_lines("refused a peer"), 2 * 10);
    run_for(60000);

    cr_assert_eq(count_lines("refused a peer"), 2 * 2 * 10);
}

/* Somebody holds all places and takes each that becomes free. */
Test(peer, a_member_gets_in_past_strangers_that_say_nothing)
{
    struct stranger strangers[4 * LIMIT_PEER_STRANGERS] = {0};
    struct net *net = sim_host_env(sides[2].host)->net;

    start(1, 0xc, 0x11);
    for (size_t i = 0; i < ARRAY_LEN(strangers); i++) {
        strangers[i].stream = net->ops->connect(net, addresses[1], NET_PLAIN,
                                                &stranger_events, &strangers[i]);
        run_for(20);
        if (i == LIMIT_PEER_STRANGERS) {
            start(2, 0xc, 0x22);
        }
    }

    cr_assert(sides[1].up);
    cr_assert(sides[2].up);
    for (size_t i = 0; i < ARRAY_LEN(strangers); i++) {
        net->ops->close(strangers[i].stream, true);
    }
}

Test(peer, who_says_nothing_is_shown_the_door)
{
    static const struct sim_program idle = {idle_turn, no_deadline, fatal};
    struct stranger strangers[LIMIT_PEER_STRANGERS + 1] = {0};
    struct net *net = sim_host_env(sides[2].host)->net;

    start(1, 0xc, 0x11);
    sim_host_run(sides[2].host, &idle, NULL);
    for (size_t i = 0; i < LIMIT_PEER_STRANGERS + 1; i++) {
        strangers[i].stream = net->ops->connect(net, addresses[1], NET_PLAIN,
                                                &stranger_events, &strangers[i]);
        run_for(5);
    }
    run_for(100);
    cr_assert(strangers[0].ended, "one too many");
    cr_assert_not(strangers[1].ended);
    cr_assert_not(strangers[LIMIT_PEER_STRANGERS].ended);
    run_for(LIMIT_HANDSHAKE_MS);

    for (size_t i = 0; i < LIMIT_PEER_STRANGERS + 1; i++) {
        cr_assert(strangers[i].ended);
        net->ops->close(strangers[i].stream, true);
    }
}
