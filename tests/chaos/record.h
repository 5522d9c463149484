/* What one client did and heard, as it goes into its file: one JSON object a line.
 *
 * Every line has "time" (ns of the machine's monotonic clock), "process" (the client),
 * "type" ("invoke", "ok", "fail": surely without effect, "info": perhaps with one) and
 * "f" (the function); what else there is depends on the function, see the clients. A line
 * is written by one call before record_end returns, the line of a question before the
 * question is sent: a workload that is killed loses nothing that it did. */
#ifndef KVD_CHAOS_RECORD_H
#define KVD_CHAOS_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct record {
    int fd;
    uint32_t process;
    struct buf line;
    bool first; /* nothing is in the innermost object or array yet */
};

/* Creates DIR/client-<process>.jsonl, or DIR/<name>.jsonl. */
int record_open(struct record *record, const char *dir, const char *name,
                uint32_t process, struct err *err);
void record_close(struct record *record);

uint64_t record_now(void);

/* A line; time: of the event. The name of a field is NULL inside of an array. */
void record_begin(struct record *record, uint64_t time, const char *type,
                  const char *function);
void record_text(struct record *record, const char *field, const char *text);
void record_number(struct record *record, const char *field, int64_t number);
void record_bool(struct record *record, const char *field, bool yes);
void record_null(struct record *record, const char *field);

/* Printable bytes as they are, others as "0x" and their hex digits. */
void record_bytes(struct record *record, const char *field, struct slice bytes);
void record_array(struct record *record, const char *field);
void record_array_end(struct record *record);
void record_object(struct record *record, const char *field);
void record_object_end(struct record *record);

/* Writes the line; when that fails, a history is worth nothing and the process ends. */
void record_end(struct record *record);

#endif
