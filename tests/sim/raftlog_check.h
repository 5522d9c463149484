/* What must hold in every simulated group of logs, whatever happens: checked after each
 * event of each member.
 *
 *   - at most one leader in a term, and no leader returns to a term it led before a
 * restart;
 *   - log matching: entries of equal index and term are equal, and so are those before
 * them;
 *   - a committed entry is on the disks of a majority, and never changes;
 *   - a leader has every entry that was committed in earlier terms;
 *   - entries given out are committed, stored on that member, and equal everywhere;
 *   - cluster time never decreases from entry to entry;
 *   - what a member had stored is there after a restart;
 *   - logs begin behind committed entries only;
 *   - a member that needs a state neither campaigns nor leads. */
#ifndef KVD_SIM_RAFTLOG_CHECK_H
#define KVD_SIM_RAFTLOG_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "raftlog/raftlog.h"

#define RAFTLOG_GROUP_MAX 7

struct raftlog_check;

struct raftlog_check *raftlog_check_new(uint32_t n_members);
void raftlog_check_free(struct raftlog_check *check);

/* Members are numbered from 1. Each returns NULL, or what is wrong: a sentence that lives
 * as long as the checker. */
const char *raftlog_check_opened(struct raftlog_check *check, uint32_t member,
                                 struct raftlog *log);
const char *raftlog_check_state(struct raftlog_check *check, uint32_t member,
                                struct raftlog *log);
const char *raftlog_check_taken(struct raftlog_check *check, uint32_t member,
                                struct raftlog *log, const struct raftlog_entry *entry);

/* The highest index that any member knew to be committed. */
uint64_t raftlog_check_committed(const struct raftlog_check *check);
/* The highest entry that any log ever began behind. */
uint64_t raftlog_check_anchor(const struct raftlog_check *check);
uint64_t raftlog_check_term(const struct raftlog_check *check, uint64_t index);

#endif
