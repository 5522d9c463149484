#include "node/waits.h"

#include "base/check.h"
#include "base/limits.h"

void waits_init(struct waits *waits, uint64_t now_ms)
{
    *waits = (struct waits){0};
    list_init(&waits->woken);
    wheel_init(&waits->deadlines, now_ms);
}

void waits_close(struct waits *waits)
{
    CHECK(waits->all.n == 0);
    map_close(&waits->all);
}

static uint64_t hash_of(const struct waits *waits, struct slice what, int64_t token)
{
    return map_hash_bytes(&waits->all, what) ^
           map_hash_number(&waits->all, (uint64_t)token);
}

static void add(struct waits *waits, struct wait *wait, struct slice what, int64_t token)
{
    CHECK(!wait->waiting);
    wait->waiting = true;
    wait->what = what;
    wait->token = token;
    list_init(&wait->place);
    map_add(&waits->all, &wait->link, hash_of(waits, what, token));
}

void waits_for_hold(struct waits *waits, struct wait *wait, struct slice key,
                    int64_t token, uint64_t due_ms)
{
    CHECK(token != 0);
    add(waits, wait, key, token);
    if (due_ms != UINT64_MAX) {
        wheel_add(&waits->deadlines, &wait->timer, due_ms);
    }
}

void waits_for_line(struct waits *waits, struct wait *wait, struct slice name)
{
    add(waits, wait, name, 0);
}

void waits_end(struct waits *waits, struct wait *wait)
{
    if (!wait->waiting) {
        return;
    }
    wait->waiting = false;
    wheel_remove(&waits->deadlines, &wait->timer);
    list_del(&wait->place);
    map_remove(&waits->all, &wait->link);
}

static void wake_all(struct waits *waits, struct slice what, int64_t token)
{
    struct map_link *link = map_first(&waits->all, hash_of(waits, what, token));

    for (; link != NULL; link = map_next(link)) {
        struct wait *wait = container_of(link, struct wait, link);

        if (wait->token == token && slice_eq(wait->what, what)) {
            list_del(&wait->place);
            list_add_tail(&waits->woken, &wait->place);
        }
    }
}

void waits_note(struct waits *waits, struct slice name, struct slice key, int64_t token)
{
    if (waits->all.n > 0) {
        wake_all(waits, key, token);
        wake_all(waits, name, 0);
    }
}

void waits_note_all(struct waits *waits)
{
    struct map_link *link = map_walk(&waits->all, NULL);

    for (; link != NULL; link = map_walk(&waits->all, link)) {
        struct wait *wait = container_of(link, struct wait, link);

        list_del(&wait->place);
        list_add_tail(&waits->woken, &wait->place);
    }
}

bool waits_continue(struct waits *waits, uint64_t now_ms)
{
    struct wheel_timer *timer;

    for (int i = 0; i < LIMIT_LOCK_WAKES && !list_empty(&waits->woken); i++) {
        struct wait *wait = container_of(waits->woken.next, struct wait, place);

        list_del(&wait->place);
        wait->woken(wait); /* wait may be gone now */
    }
    while ((timer = wheel_take(&waits->deadlines, now_ms)) != NULL) {
        struct wait *wait = container_of(timer, struct wait, timer);

        waits_end(waits, wait);
        wait->late(wait);
    }
    return !list_empty(&waits->woken);
}

uint64_t waits_deadline_ms(const struct waits *waits)
{
    return wheel_deadline_ms(&waits->deadlines);
}
