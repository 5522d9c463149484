/* Locks for people, and the words that all formats use of them. */
#ifndef KVD_CLI_PRINT_LOCK_H
#define KVD_CLI_PRINT_LOCK_H

#include "cli/print.h"

/* "exclusive", "shared", "slots" */
const char *lock_mode_name(Kvd__V1__LockMode mode);

#define LOCK_TEXT_MAX 256

/* "slots 3" */
void lock_mode_text(const Kvd__V1__LockHold *hold, char out[LOCK_TEXT_MAX]);

/* "alice on build7" */
void lock_owner_text(const Kvd__V1__LockHold *hold, char out[LOCK_TEXT_MAX]);

/* How long ago, by our clock and that of the leader of then: "3m12s". */
void lock_age_text(int64_t since_ms, char out[LOCK_TEXT_MAX]);

/* What is left of a lease: "7.3s". */
void lock_left_text(int64_t ttl_ms, char out[LOCK_TEXT_MAX]);

/* The simple format. */
void lock_text_list(struct printer *p, const Kvd__V1__LockListResponse *res);
void lock_text_line(struct printer *p, const char *name,
                    const Kvd__V1__LockInspectResponse *res);

/* The last forced release, if one is known. */
void lock_text_forced(struct printer *p, const Kvd__V1__LockInspectResponse *res);

#endif
