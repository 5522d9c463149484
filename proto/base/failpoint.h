/* Failpoints: named places where a test can have the process die, wait or be told of an
 * error. They exist in the build flavour `fail` only (build/fail/kvd); elsewhere the
 * macros are nothing.
 *
 * Happy path: failpoint_open arms what KVD_FAILPOINTS says and, if there is one, the file
 * that KVD_FAILPOINT_FILE names; failpoint_poll, once a turn, takes over that file
 * whenever it changed. What can fail: a text that makes no sense; at the start it is told
 * and the process must not go on, later it is logged and what was armed stays.
 *
 * The text is a list of items, separated by semicolons or line ends:
 *
 *     log-sync=crash@3        the process kills itself at the third passing
 *     vote-sync=exit          it leaves with code 1
 *     log-sync=delay:200@5+   each passing from the fifth on takes 200 ms more
 *     log-write=error:EIO@2   told of an error instead (also ENOSPC)
 *     disk-write=short%0.1    every tenth write, by chance, does only a part
 *     seed=7                  of that chance; 1 when not given
 *
 * Passings count from when the item was armed; an item that a changed file repeats as it
 * was goes on counting. Each time that an item acts, it is logged. */
#ifndef KVD_BASE_FAILPOINT_H
#define KVD_BASE_FAILPOINT_H

#ifdef KVD_FAILPOINTS

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum failpoint {
#define FAILPOINT_ROW(NAME, CAN, MEANING) FAILPOINT_##NAME,
#include "base/failpoint.def"
#undef FAILPOINT_ROW
    FAILPOINT_N
};

/* A statement: what is armed there happens. */
#define FAILPOINT(NAME) ((void)failpoint_pass(FAILPOINT_##NAME))

/* An int: 0, or the negative errno that the operation must end with. */
#define FAILPOINT_RC(NAME) failpoint_pass(FAILPOINT_##NAME)

/* The length that the operation shall have: less than len, at least 1, where armed. */
#define FAILPOINT_CUT(NAME, len) failpoint_cut(FAILPOINT_##NAME, (len))

/* Any thread. */
int failpoint_pass(enum failpoint point);
size_t failpoint_cut(enum failpoint point, size_t len);

/* Replaces what is armed by what the text says; on failure nothing changes. */
int failpoint_arm(const char *text, struct err *err);

/* From the environment, before the first thread starts. */
int failpoint_open(struct err *err);

/* Loop thread, once a turn. */
void failpoint_poll(void);

/* Whether the command line is only --failpoints; then they were listed on stdout. */
bool failpoint_listed(int argc, char **argv);

#else

#define failpoint_open(err)          0
#define failpoint_poll()             ((void)0)
#define failpoint_listed(argc, argv) false

#define FAILPOINT(NAME)          ((void)0)
#define FAILPOINT_RC(NAME)       0
#define FAILPOINT_CUT(NAME, len) (len)

#endif
#endif
