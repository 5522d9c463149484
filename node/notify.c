/* sd_notify(3). A message that does not arrive is systemd's business: nothing fails. */
#include "node/notify.h"

#include <systemd/sd-daemon.h>

void notify_init(struct notify *notify)
{
    uint64_t limit_us = 0;

    *notify = (struct notify){0};
    if (sd_watchdog_enabled(0, &limit_us) > 0) {
        notify->period_ms = limit_us / 1000 / 3 + 1;
    }
}

void notify_ready(void)
{
    sd_notify(0, "READY=1\nSTATUS=serving clients");
}

void notify_stopping(void)
{
    sd_notify(0, "STOPPING=1\nSTATUS=handing over");
}

void notify_tick(struct notify *notify, uint64_t now_ms)
{
    if (notify->period_ms != 0 && now_ms >= notify->next_ms) {
        notify->next_ms = now_ms + notify->period_ms;
        sd_notify(0, "WATCHDOG=1");
    }
}

uint64_t notify_deadline_ms(const struct notify *notify)
{
    return notify->period_ms != 0 ? notify->next_ms : UINT64_MAX;
}
