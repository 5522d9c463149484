/* A state from another member takes the place of what the log lacks.
 *
 * Happy path: this member learns that it needs a state, because its own state ends below
 * where its log begins, or because the leader says so; the caller fetches one and says
 * raftlog_install. If the log holds the state's entry, only the commit index moves.
 * Otherwise libraft is told that the leader of now sent a snapshot: the log is emptied,
 * its new anchor becomes durable on the log lane, and libraft acknowledges it to the
 * leader, which sends what follows. What can fail: the state contradicts what was
 * committed here, which ends the member.
 *
 * Until then the member votes and stores entries, for a quorum may depend on it, but does
 * not campaign: it could serve nobody. Its election timer still tells it when the leader
 * is to be forgotten.
 *
 * Why only the leader of now: an acknowledgement counts in the term in which it is given.
 * A leader of an earlier term than that of the state's source may have another entry in
 * its place (raftlog_enter_term). */
#ifndef KVD_RAFTLOG_INSTALL_H
#define KVD_RAFTLOG_INSTALL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct raftlog;
struct raftlog_options;

/* Zero is valid: nothing is needed, nothing is installed. */
struct install {
    uint64_t needed;     /* a leader said: as of this entry or later; 0: none did */
    uint64_t index;      /* of the state that the log does not know yet, 0: none */
    uint64_t term;       /* of that entry */
    uint64_t writing;    /* the anchor that is being made durable, 0: none */
    uint64_t heard_term; /* the last term whose leader was heard of */
};

/* Before libraft starts: installs what a crash has kept from the log. ERR_CORRUPT when
 * state and log do not belong together. */
int install_open(struct raftlog *log, const struct raftlog_options *options,
                 struct err *err);

/* The leader of the current term was heard of: it sent entries or a heartbeat, which
 * perhaps showed that the log is sound. */
void install_heard(struct raftlog *log);

/* That leader says that it has truncated what this log lacks. */
void install_told(struct raftlog *log, uint64_t at_least);

/* Once a turn: what is to be installed takes its next step. */
void install_turn(struct raftlog *log);

/* The index from which on a state is needed, 0: none is. */
uint64_t install_needs(const struct raftlog *log);

/* The log gives nothing to the state machine now. */
bool install_pauses(const struct raftlog *log);

/* This member does not campaign. */
bool install_bars(const struct raftlog *log);

#endif
