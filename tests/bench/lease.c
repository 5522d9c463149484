#include "tests/bench/lease.h"

static struct message request;

struct slice lease_grant_request(uint64_t ttl)
{
    message_begin(&request);
    message_number(&request, 1, ttl);
    return message_end(&request);
}

struct slice lease_keep_alive_request(uint64_t lease)
{
    message_begin(&request);
    message_number(&request, 1, lease);
    return message_end(&request);
}

bool lease_granted(struct slice message, uint64_t ttl, uint64_t *lease)
{
    struct field field;

    if (message_find(message, 4, &field) || !message_find(message, 3, &field) ||
        field.value < ttl || !message_find(message, 2, &field)) {
        return false;
    }
    *lease = field.value;
    return *lease != 0;
}

bool lease_kept(struct slice message, uint64_t lease)
{
    struct field field;

    return message_find(message, 2, &field) && field.value == lease &&
           message_find(message, 3, &field) && field.value > 0;
}
