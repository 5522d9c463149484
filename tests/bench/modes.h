/* The modes, by the file that has them. */
#ifndef KVD_TESTS_BENCH_MODES_H
#define KVD_TESTS_BENCH_MODES_H

#include "tests/bench/load.h"

extern const struct mode mode_fill; /* requests.c */
extern const struct mode mode_put;
extern const struct mode mode_range;
extern const struct mode mode_mixed;
extern const struct mode mode_txn;
extern const struct mode mode_watch;      /* watching.c */
extern const struct mode mode_grant;      /* granting.c */
extern const struct mode mode_keep_alive; /* renewing.c */
extern const struct mode mode_expire;     /* expiring.c */
extern const struct mode mode_lock;       /* locking.c */
extern const struct mode mode_acquire;

#endif
