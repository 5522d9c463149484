/* What store_open does: reads and verifies everything, then repairs. */
#ifndef KVD_RAFTLOG_RECOVER_H
#define KVD_RAFTLOG_RECOVER_H

#include "base/env.h"
#include "base/err.h"
#include "raftlog/files.h"
#include "raftlog/layout.h"
#include "raftlog/vote.h"
#include "raftlog/writer.h"

/* Fills vote, layout and writer from the files under dir, or makes them. All that is read
 * is durable on return. On failure the caller closes the three all the
 * same, and nothing on disk was changed unless the disk itself failed. */
int recover(struct env *env, const char *dir, uint64_t segment_bytes, struct vote *vote,
            struct layout *layout, struct writer *writer, struct files_tally *tally,
            struct err *err);

#endif
