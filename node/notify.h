/* Telling systemd how the daemon is doing (Type=notify, WatchdogSec). Does nothing when
 * systemd did not start it. */
#ifndef KVD_NODE_NOTIFY_H
#define KVD_NODE_NOTIFY_H

#include <stdint.h>

struct notify {
    uint64_t period_ms; /* between two signs of life; 0: no watchdog */
    uint64_t next_ms;
};

void notify_init(struct notify *notify);
void notify_ready(void);
void notify_stopping(void);

/* A sign of life when it is due: called from the loop, so that a hung loop is noticed. */
void notify_tick(struct notify *notify, uint64_t now_ms);

/* When the next one is due; UINT64_MAX: never. */
uint64_t notify_deadline_ms(const struct notify *notify);

#endif
