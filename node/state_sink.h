/* The file that a fetched state is written to, and the checks on its way there. No
 * network: bytes of a stream go in. One thread at a time. */
#ifndef KVD_NODE_STATE_SINK_H
#define KVD_NODE_STATE_SINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/env.h"
#include "base/err.h"

struct state_sink {
    struct disk *disk; /* private, as all below */
    char *path;
    struct disk_file *file;
    struct digest *digest;
    struct buf in; /* of the stream: the begin of a frame that is not complete */
    struct arena arena;
    uint64_t size;        /* of the file when it is whole */
    uint64_t offset;      /* written */
    uint64_t written_out; /* of them, to the disk itself */
    bool whole;           /* the end came, the checksum is right, all is on disk */
    bool spoiled;         /* what was written is not what was sent */
};

/* Makes the file anew. ERR_FULL: the disk has no room for it; ERR_IO. dir: where it is.
 */
int state_sink_open(struct state_sink *sink, struct disk *disk, const char *dir,
                    const char *path, uint64_t size, struct err *err);

/* The stream broke and will go on with the byte that is due: what was not complete is
 * forgotten. */
void state_sink_resume(struct state_sink *sink);

/* More bytes of the stream (StateChunks and StateEnd), which are taken. ERR_CORRUPT: they
 * are not what was sent; ERR_FULL and ERR_IO as above. */
int state_sink_take(struct state_sink *sink, struct buf *bytes, struct err *err);

/* Bytes of the file that are written. */
static inline uint64_t state_sink_offset(const struct state_sink *sink)
{
    return sink->offset;
}

/* All is there, checked, and on disk. */
static inline bool state_sink_whole(const struct state_sink *sink)
{
    return sink->whole;
}

/* The whole has another checksum than the sender's: resuming would not help. */
static inline bool state_sink_spoiled(const struct state_sink *sink)
{
    return sink->spoiled;
}

/* The file stays. Zeroed and closed ones are fine. */
void state_sink_close(struct state_sink *sink);

#endif
