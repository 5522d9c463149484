/* How kvctl ends: the exit codes, which scripts rely on and `kvctl help` lists, and the
 * sentence that goes with them. */
#ifndef KVD_CLI_EXIT_H
#define KVD_CLI_EXIT_H

enum exit_code {
    EXIT_OK = 0,
    EXIT_ERROR = 1,      /* the server refused, or the system did */
    EXIT_CONNECTION = 2, /* no endpoint could be used, or none answered in time */
    EXIT_INPUT = 3,      /* stdin, a file or a folder cannot be used as it is */
    EXIT_CONDITION = 4,  /* not found, or a condition (--if-rev ...) does not hold */
    EXIT_OUTCOME = 5,    /* a write was sent, but it is not known whether it took place */
    EXIT_COMPACTED = 6,  /* watch: events were compacted away before they were read */
    EXIT_FENCED = 7,     /* --fence: the lock is not held with this token any more */
    EXIT_NOT_ACQUIRED = 121, /* lock, elect: not within --wait */
    EXIT_LOST = 122,         /* lock, elect: held, and lost before the end */
    EXIT_ARGUMENTS = 128,    /* the command line is wrong */
    /* Others are those of a command that was run. */
};

/* One sentence on stderr, in red on a terminal. */
void exit_explain(const char *text);

/* Of an error code of base/err.h. */
enum exit_code exit_code_of(int rc);

#endif
