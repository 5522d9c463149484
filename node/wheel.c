#include "node/wheel.h"

#include "base/check.h"

void wheel_init(struct wheel *wheel, uint64_t now_ms)
{
    *wheel = (struct wheel){.tick = now_ms / WHEEL_TICK_MS};
    for (size_t i = 0; i < WHEEL_SLOTS; i++) {
        list_init(&wheel->slots[i]);
    }
}

void wheel_add(struct wheel *wheel, struct wheel_timer *timer, uint64_t due_ms)
{
    uint64_t tick = due_ms / WHEEL_TICK_MS;

    CHECK(timer->link.next == NULL || list_empty(&timer->link));
    timer->due_ms = due_ms;
    tick = tick < wheel->tick ? wheel->tick : tick; /* overdue: found at once */
    list_add_tail(&wheel->slots[tick % WHEEL_SLOTS], &timer->link);
    wheel->n++;
}

void wheel_remove(struct wheel *wheel, struct wheel_timer *timer)
{
    if (timer->link.next != NULL && !list_empty(&timer->link)) {
        list_del(&timer->link);
        CHECK(wheel->n > 0);
        wheel->n--;
    }
}

struct wheel_timer *wheel_take(struct wheel *wheel, uint64_t now_ms)
{
    uint64_t now = now_ms / WHEEL_TICK_MS;

    if (wheel->n == 0) {
        wheel->tick = now > wheel->tick ? now : wheel->tick;
        return NULL;
    }
    if (now > wheel->tick + WHEEL_SLOTS) {
        wheel->tick = now - WHEEL_SLOTS; /* one round sees every slot */
    }
    for (;;) {
        LIST_FOREACH (pos, &wheel->slots[wheel->tick % WHEEL_SLOTS]) {
            struct wheel_timer *timer = container_of(pos, struct wheel_timer, link);

            if (timer->due_ms <= now_ms) {
                wheel_remove(wheel, timer);
                return timer;
            }
        }
        if (wheel->tick >= now) {
            return NULL;
        }
        wheel->tick++;
    }
}

uint64_t wheel_deadline_ms(const struct wheel *wheel)
{
    if (wheel->n == 0) {
        return UINT64_MAX;
    }
    for (uint64_t i = 0; i < WHEEL_SLOTS; i++) {
        uint64_t deadline = UINT64_MAX;

        LIST_FOREACH (pos, &wheel->slots[(wheel->tick + i) % WHEEL_SLOTS]) {
            uint64_t due = container_of(pos, struct wheel_timer, link)->due_ms;

            deadline = due < deadline ? due : deadline;
        }
        if (deadline < (wheel->tick + i + 1) * WHEEL_TICK_MS) {
            return deadline;
        }
    }
    return (wheel->tick + WHEEL_SLOTS) * WHEEL_TICK_MS;
}
