/* Sessions whose bytes are damaged on the way: whatever arrives, nothing may crash, leak,
 * grow without bound or end a call twice. */
#include "tests/unit/wire/pair.h"

#include <time.h>

#define SECONDS 4

static double cpu_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool chance(int percent)
{
    return rand() % 100 < percent;
}

/* Damages some of what waits in out. */
static void damage(struct buf *out, int percent)
{
    struct slice bytes = buf_slice(out);
    uint8_t *copy;
    size_t len = bytes.len;

    if (len == 0 || !chance(percent)) {
        return;
    }
    copy = mem_dup(bytes.ptr, len);
    for (int n = 1 + rand() % 4; n > 0; n--) {
        size_t at = (size_t)rand() % len;
        size_t run = 1 + (size_t)rand() % 20;

        run = run < len - at ? run : len - at;
        switch (rand() % 4) {
        case 0:
            copy[at] ^= (uint8_t)(1 << rand() % 8);
            break;
        case 1:
            copy[at] = (uint8_t)rand();
            break;
        case 2: /* a run is lost */
            if (len > run) {
                memmove(copy + at, copy + at + run, len - at - run);
                len -= run;
            }
            break;
        default: /* a run is written over another place */
            memmove(copy + (size_t)rand() % (len - run + 1), copy + at, run);
            break;
        }
    }
    buf_clear(out);
    cr_assert_eq(buf_append(out, copy, len), 0);
    free(copy);
}

static void move_damaged(struct pair *pair, struct side *from, struct side *to,
                         int percent)
{
    while (wire_collect(from->wire, &from->out, 64 * KIB)) {
    }
    cr_assert_leq(buf_len(&from->out), 8 * MIB);
    damage(&from->out, percent);
    pair_move(pair, from, to);
}

static void server_message(struct pair *pair, struct wire_call *call, struct slice bytes)
{
    (void)pair;
    if (chance(70)) {
        wire_send(call, bytes);
    }
    if (chance(60)) {
        wire_finish(call, rand() % 17, chance(50) ? "a %text\n" : NULL);
    }
    if (chance(5)) {
        wire_reset(call);
    }
}

static void server_half_closed(struct pair *pair, struct wire_call *call)
{
    (void)pair;
    if (chance(90)) {
        wire_finish(call, GRPC_OK, NULL);
    }
}

static void client_acts(struct pair *pair)
{
    static const char *const metadata[] = {"token", "abc", "hasleader", "true", NULL};
    static uint8_t zeros[100000];
    struct wire_call *call =
        wire_call(pair->client.wire, "/a.B/C", "localhost", chance(50) ? -1 : rand(),
                  chance(50) ? NULL : metadata);

    if (call == NULL) {
        return; /* going away, or what looks like it */
    }
    for (int n = rand() % 3; n > 0; n--) {
        size_t len = chance(10) ? (size_t)rand() % sizeof(zeros) : (size_t)rand() % 300;

        wire_send(call, slice_of(zeros, len));
    }
    if (chance(80)) {
        wire_half_close(call);
    } else if (chance(20)) {
        wire_reset(call);
    }
}

static void one_session(int percent)
{
    struct pair *pair = pair_open();

    pair->on_message = server_message;
    pair->on_half_closed = server_half_closed;
    pair->piece_max = chance(50) ? 65536 : 100;
    for (int turn = 0; turn < 12; turn++) {
        pair->now_ms += (uint64_t)rand() % 100;
        for (int n = rand() % 5; n > 0 && pair->client.rc == 0; n--) {
            client_acts(pair);
        }
        if (chance(10)) {
            wire_ping(pair->client.wire);
        }
        if (chance(3)) {
            wire_go_away(pair->server.wire);
        }
        move_damaged(pair, &pair->client, &pair->server, percent);
        move_damaged(pair, &pair->server, &pair->client, percent / 2);
    }
    pair_close(pair); /* checks that each call that was announced was closed */
}

Test(mutation, damaged_sessions_never_crash, .timeout = 120)
{
    double end = cpu_seconds() + SECONDS;
    int n = 0;

    srand(1);
    while (cpu_seconds() < end) {
        one_session(n % 3 == 0 ? 0 : 20);
        n++;
    }
    cr_assert_gt(n, 50);
}

Test(mutation, noise_after_the_preface_never_crashes, .timeout = 120)
{
    double end = cpu_seconds() + SECONDS / 2;

    srand(2);
    while (cpu_seconds() < end) {
        struct pair *pair = pair_open();
        uint8_t noise[2000];
        size_t len = 0;

        pair_run(pair);
        while (len + 9 + 256 < sizeof(noise)) { /* frames of known types, random inside */
            size_t body = (size_t)rand() % 100;
            uint8_t head[9] = {
                0, 0, (uint8_t)body,        (uint8_t)(rand() % 11), (uint8_t)rand(), 0,
                0, 0, (uint8_t)(rand() % 8)};

            memcpy(noise + len, head, sizeof(head));
            len += sizeof(head);
            for (; body > 0; body--) {
                noise[len++] = (uint8_t)rand();
            }
        }
        wire_feed(pair->server.wire, slice_of(noise, len), pair->now_ms, NULL);
        while (wire_collect(pair->server.wire, &pair->server.out, 64 * KIB)) {
        }
        pair_close(pair);
    }
}
