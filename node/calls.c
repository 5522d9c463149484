#include "node/calls.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/limits.h"

void calls_init(struct calls *calls, uint64_t rate_limit, uint64_t now_ms)
{
    *calls = (struct calls){0};
    list_init(&calls->ready);
    list_init(&calls->talking);
    list_init(&calls->opened);
    list_init(&calls->scans);
    list_init(&calls->waiting);
    list_init(&calls->all);
    list_init(&calls->idle);
    wheel_init(&calls->deadlines, now_ms);
    rate_init(&calls->rate, rate_limit);
}

static struct call *call_at(struct list *place)
{
    return container_of(place, struct call, place);
}

/* ---- ended calls, kept for reuse ---- */

struct call *calls_take_idle(struct calls *calls)
{
    struct call *call;

    if (list_empty(&calls->idle)) {
        return NULL;
    }
    call = call_at(calls->idle.next);
    list_del(&call->place);
    calls->n_idle--;
    return call;
}

void calls_give_idle(struct calls *calls, struct call *call)
{
    if (calls->n_idle >= LIMIT_IDLE_CALLS) {
        arena_close(&call->arena);
        free(call);
        return;
    }
    list_add_head(&calls->idle, &call->place);
    calls->n_idle++;
}

/* ---- the turn ---- */

void calls_start(struct calls *calls)
{
    struct list talking;

    while (!list_empty(&calls->ready)) {
        call_start(call_at(calls->ready.next));
    }
    list_init(&talking);
    list_splice_tail(&talking, &calls->talking);
    while (!list_empty(&talking)) {
        call_hear(container_of(talking.next, struct call, talking));
    }
}

/* Long reads go one after the other, so that one reply at a time is being built, and wait
 * while too much that was built is not sent. */
static bool may_scan(const struct calls *calls)
{
    return !list_empty(&calls->scans) && calls->unsent <= LIMIT_UNSENT_BYTES;
}

bool calls_continue(struct calls *calls, uint64_t now_ms)
{
    struct wheel_timer *timer;

    while (!list_empty(&calls->opened)) {
        call_go_on(call_at(calls->opened.next));
    }
    for (int i = 0; i < LIMIT_SCAN_STEPS && may_scan(calls); i++) {
        call_read_page(call_at(calls->scans.next));
    }
    LIST_FOREACH_SAFE (pos, &calls->waiting) {
        call_at(pos)->poll(call_at(pos));
    }
    while ((timer = wheel_take(&calls->deadlines, now_ms)) != NULL) {
        call_late(container_of(timer, struct call, timer), now_ms);
    }
    return may_scan(calls);
}

uint64_t calls_deadline_ms(const struct calls *calls)
{
    return wheel_deadline_ms(&calls->deadlines);
}

/* ---- the end ---- */

void calls_fail_all(struct calls *calls, enum api_status status)
{
    struct list *const lists[] = {&calls->ready, &calls->opened, &calls->scans,
                                  &calls->waiting, &calls->all};

    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        struct list open;

        list_init(&open);
        list_splice_tail(&open, lists[i]);
        while (!list_empty(&open)) {
            struct call *call = call_at(open.next);

            call_place(call, &calls->all);
            if (call->state != CALL_ENDED) {
                call_fail(call, status);
            }
        }
    }
}

/* Those that wait for something and that the condition holds for. */
static void fail_those(struct calls *calls, bool (*condition)(const struct call *call),
                       enum api_status status)
{
    struct list *const lists[] = {&calls->opened, &calls->scans, &calls->waiting,
                                  &calls->all};

    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        LIST_FOREACH_SAFE (pos, lists[i]) {
            struct call *call = call_at(pos);

            if (call->state == CALL_WORKING && condition(call)) {
                call_fail(call, status);
            }
        }
    }
}

static bool lingers(const struct call *call)
{
    return call->lingers;
}

static bool wants_leader(const struct call *call)
{
    return call->lingers && call->has_leader;
}

void calls_fail_streams(struct calls *calls, enum api_status status)
{
    fail_those(calls, lingers, status);
}

void calls_fail_leaderless(struct calls *calls)
{
    fail_those(calls, wants_leader, API_NO_LEADER);
}

void calls_close(struct calls *calls)
{
    struct call *call;

    CHECK(calls->n == 0);
    rate_close(&calls->rate);
    while ((call = calls_take_idle(calls)) != NULL) {
        arena_close(&call->arena);
        free(call);
    }
}
