#include "node/diverge.h"

#include <inttypes.h>

#include "base/check.h"
#include "base/log.h"

void diverge_init(struct diverge *d, const struct membership *members)
{
    *d = (struct diverge){.members = members};
}

static const char remedy[] =
    "find out which members agree; on one that does not: stop it, remove state-*.db from "
    "its data directory and start it: it fetches the state from another member";

static void judge(struct diverge *d, size_t place, struct diverge_point theirs)
{
    const struct diverge_point *own = &d->ring[theirs.index % DIVERGE_RING];
    enum diverge_verdict before = d->verdicts[place];

    if (own->index != theirs.index) {
        return; /* too old to be known here */
    }
    d->verdicts[place] = own->hash == theirs.hash ? DIVERGE_AGREES : DIVERGE_DIFFERS;
    if (d->verdicts[place] == DIVERGE_DIFFERS && before != DIVERGE_DIFFERS) {
        log_error("state differs from another member's at the same index",
                  LOG_HEX("member", d->members->items[place].id),
                  LOG_UINT("index", theirs.index), LOG_HEX("own_hash", own->hash),
                  LOG_HEX("its_hash", theirs.hash),
                  LOG_TEXT("serving", diverge_stops(d) ? "stopped" : "goes on"),
                  LOG_TEXT("remedy", diverge_stops(d) ? remedy : ""));
    }
}

void diverge_record(struct diverge *d, uint64_t index, uint64_t hash)
{
    CHECK(index > d->applied);
    d->ring[index % DIVERGE_RING] = (struct diverge_point){.index = index, .hash = hash};
    d->applied = index;
    for (size_t i = 0; i < d->members->n; i++) {
        if (d->ahead[i].index == index) {
            struct diverge_point theirs = d->ahead[i];

            d->ahead[i] = (struct diverge_point){0};
            judge(d, i, theirs);
        }
    }
}

void diverge_receive(struct diverge *d, uint64_t from, uint64_t index, uint64_t hash)
{
    for (size_t i = 0; i < d->members->n; i++) {
        struct diverge_point theirs = {.index = index, .hash = hash};

        if (d->members->items[i].id != from || index == 0) {
            continue;
        }
        if (index <= d->applied) {
            judge(d, i, theirs);
        } else if (d->ahead[i].index == 0) {
            /* An earlier one stays, else a member that lags would never compare. */
            d->ahead[i] = theirs;
        }
    }
}

void diverge_rotten(struct diverge *d)
{
    if (!d->rotten) {
        log_error("the rows on disk do not add up to the state hash: the database is "
                  "damaged",
                  LOG_UINT("index", d->applied),
                  LOG_TEXT("remedy", d->members->n > 1
                                         ? "the state is fetched from another member"
                                         : "restore the data directory from a copy"));
    }
    d->rotten = true;
}

bool diverge_is_rotten(const struct diverge *d)
{
    return d->rotten;
}

void diverge_restart(struct diverge *d, uint64_t index, uint64_t hash)
{
    diverge_init(d, d->members);
    diverge_record(d, index, hash);
}

bool diverge_stops(const struct diverge *d)
{
    size_t agree = 1;
    size_t differ = 0;

    for (size_t i = 0; i < d->members->n; i++) {
        agree += d->verdicts[i] == DIVERGE_AGREES;
        differ += d->verdicts[i] == DIVERGE_DIFFERS;
    }
    return d->rotten || (differ > 0 && agree < membership_quorum(d->members));
}
