/* Makes cluster time pass while there are leases: only entries carry it to the state
 * machine, and only there leases end.
 *
 * On the leader, while there are leases and no entry is on its way: an entry without
 * commands when a lease is due, and when the last entry is a second old, so that little
 * time is lost with a leader. Entries of clients do as well. A leader that hands over
 * appends none. What can fail: the entry, with its leader; the next one appends its own.
 */
#ifndef KVD_NODE_LESSOR_H
#define KVD_NODE_LESSOR_H

#include <stdint.h>

struct env;
struct kv;
struct raftlog;

/* An id for a lease that no lease here has. Ids are given in a row, from a random one on
 * (*next; 0: not drawn yet): so the rows of leases that were granted together lie in the
 * same pages of the database. */
int64_t lessor_free_id(uint64_t *next, struct env *env, const struct kv *kv);

/* Once a turn, before raftlog_turn and after the turn's commands. */
void lessor_propose(struct raftlog *log, const struct kv *kv);

/* When lessor_propose wants to be called although nothing arrived; now_ms:
 * env_mono_ms. */
uint64_t lessor_deadline_ms(const struct raftlog *log, const struct kv *kv,
                            uint64_t now_ms);

#endif
