#include "tests/sim/sim_net.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"
#include "tests/sim/sim_world.h"

/* One side of a conversation; it notes what it is told. */
struct side {
    struct net *net;
    struct stream *stream;
    struct buf heard;
    int opened; /* -1: not yet; 0: yes; 1: failed; 2: refused */
    int ended;  /* -1: not yet; 0: end; 1: reset */
};

static void on_opened(void *owner, int rc, bool refused)
{
    ((struct side *)owner)->opened = rc == 0 ? 0 : refused ? 2 : 1;
}

static void on_received(void *owner, struct slice bytes)
{
    buf_append(&((struct side *)owner)->heard, bytes.ptr, bytes.len);
}

static void on_ended(void *owner, bool reset)
{
    ((struct side *)owner)->ended = reset;
}

static void on_drained(void *owner)
{
    (void)owner;
}

static const struct stream_events events = {on_opened, on_received, on_ended, on_drained};

static void on_accept(void *owner, struct stream *stream)
{
    struct side *side = owner;

    side->stream = stream;
    side->net->ops->attach(stream, &events, side);
}

struct pairing {
    struct sim_world *world;
    struct side client;
    struct side server;
    struct listener *listener;
};

static void setup(struct pairing *p, bool listening)
{
    struct err err;

    *p = (struct pairing){.world = sim_world_new(1)};
    p->client = (struct side){.opened = -1, .ended = -1, .heard = BUF_INIT(MIB)};
    p->server = p->client;
    p->client.net = sim_host_env(sim_host_new(p->world, 1, NULL))->net;
    p->server.net = sim_host_env(sim_host_new(p->world, 2, NULL))->net;
    if (listening) {
        cr_assert_eq(p->server.net->ops->listen(p->server.net, "10.0.0.2:2380", NET_PLAIN,
                                                on_accept, &p->server, &p->listener,
                                                &err),
                     0);
    }
}

static void dial(struct pairing *p)
{
    p->client.stream = p->client.net->ops->connect(p->client.net, "10.0.0.2:2380",
                                                   NET_PLAIN, &events, &p->client);
}

static void run(struct pairing *p, uint64_t ns)
{
    uint64_t limit = sim_world_now(p->world) + ns;

    while (sim_world_step(p->world, limit)) {
    }
}

static void teardown(struct pairing *p)
{
    struct side *sides[] = {&p->client, &p->server};

    for (int i = 0; i < 2; i++) {
        if (sides[i]->stream != NULL) {
            sides[i]->net->ops->close(sides[i]->stream, true);
        }
        buf_close(&sides[i]->heard);
    }
    if (p->listener != NULL) {
        p->server.net->ops->unlisten(p->listener);
    }
    sim_world_free(p->world);
}

static void say(struct side *side, const char *text)
{
    side->net->ops->write(side->stream, slice_str(text));
}

static bool heard(const struct side *side, const char *text)
{
    return slice_eq(buf_slice(&side->heard), slice_str(text));
}

Test(net, bytes_arrive_in_order_both_ways)
{
    struct pairing p;

    setup(&p, true);
    dial(&p);
    run(&p, 10 * SIM_MS);
    say(&p.client, "one ");
    say(&p.client, "two");
    say(&p.server, "back");
    run(&p, 10 * SIM_MS);

    cr_assert_eq(p.client.opened, 0);
    cr_assert(heard(&p.server, "one two"));
    cr_assert(heard(&p.client, "back"));
    teardown(&p);
}

Test(net, connect_without_listener_is_refused)
{
    struct pairing p;

    setup(&p, false);
    dial(&p);
    run(&p, 10 * SIM_MS);

    cr_assert_eq(p.client.opened, 2);
    teardown(&p);
}

Test(net, connect_across_a_cut_fails_late_and_is_not_refused)
{
    struct pairing p;

    setup(&p, true);
    sim_net_cut(sim_world_net(p.world), 1, 2, true);
    dial(&p);
    run(&p, SIM_S);
    cr_assert_eq(p.client.opened, -1);
    run(&p, 5 * SIM_S);

    cr_assert_eq(p.client.opened, 1);
    teardown(&p);
}

Test(net, bytes_wait_for_a_cut_to_heal)
{
    struct pairing p;

    setup(&p, true);
    dial(&p);
    run(&p, 10 * SIM_MS);
    sim_net_cut(sim_world_net(p.world), 1, 2, true);
    say(&p.client, "late");
    say(&p.server, "other way");
    run(&p, SIM_S);
    cr_assert(heard(&p.server, ""));
    cr_assert(heard(&p.client, "other way"));
    sim_net_heal(sim_world_net(p.world));
    run(&p, SIM_S);

    cr_assert(heard(&p.server, "late"));
    teardown(&p);
}

Test(net, killed_host_resets_and_a_lost_one_is_silent_until_written_to)
{
    struct pairing p;

    setup(&p, true);
    dial(&p);
    run(&p, 10 * SIM_MS);
    sim_net_break_host(sim_world_net(p.world), 2, true);
    run(&p, SIM_S);
    cr_assert_eq(p.client.ended, -1);
    say(&p.client, "anyone?");
    run(&p, SIM_S);

    cr_assert_eq(p.client.ended, 1);
    teardown(&p);

    setup(&p, true);
    dial(&p);
    run(&p, 10 * SIM_MS);
    sim_net_break_host(sim_world_net(p.world), 2, false);
    run(&p, SIM_S);
    cr_assert_eq(p.client.ended, 1);
    teardown(&p);
}

Test(net, graceful_close_delivers_what_was_written_first)
{
    struct pairing p;

    setup(&p, true);
    dial(&p);
    run(&p, 10 * SIM_MS);
    say(&p.server, "goodbye");
    p.server.net->ops->close(p.server.stream, false);
    p.server.stream = NULL;
    run(&p, 10 * SIM_MS);

    cr_assert(heard(&p.client, "goodbye"));
    cr_assert_eq(p.client.ended, 0);
    teardown(&p);
}

Test(net, equal_seeds_give_equal_traces)
{
    uint64_t traces[2];

    for (int i = 0; i < 2; i++) {
        struct pairing p;

        setup(&p, true);
        dial(&p);
        run(&p, 10 * SIM_MS);
        say(&p.client, "x");
        run(&p, 10 * SIM_MS);
        traces[i] = sim_world_trace(p.world);
        teardown(&p);
    }

    cr_assert_eq(traces[0], traces[1]);
}
