/* Bytes of a stream become a file.
 *
 * Happy path: frames are taken one by one, each checked by its CRC; a chunk must begin
 * where the one before ended, is added to the checksum of the whole and written; every
 * LIMIT_STATE_UNSYNCED bytes we wait until the disk has them, so that syncs of the log,
 * here or of another member on the same disk, never wait for much; the end brings the
 * sender's checksum, and when that is ours, the file is synced and whole. What can fail:
 * bytes that are not a frame, chunks that overlap or leave a gap, too many, too few,
 * another checksum; the disk. */
#include "node/state_sink.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/failpoint.h"
#include "base/limits.h"
#include "base/mem.h"
#include "node/datadir.h"
#include "node/smallfile.h"
#include "peer.pb-c.h"
#include "raftlog/link.h"

int state_sink_open(struct state_sink *sink, struct disk *disk, const char *dir,
                    const char *path, uint64_t size, struct err *err)
{
    struct disk_file *file;
    int rc = datadir_room(disk, dir, "the state", size, err);

    if (rc != 0) {
        return rc;
    }
    rc = disk->ops->open(disk, path, DISK_CREATE | DISK_EXCLUSIVE, &file);
    if (rc < 0) {
        return smallfile_error(err, rc, "create", path);
    }
    *sink = (struct state_sink){
        .disk = disk,
        .path = mem_strdup(path),
        .file = file,
        .digest = digest_new(),
        .in = BUF_INIT(LIMIT_PEER_FRAME + 4 * LIMIT_STATE_INPUT),
        .size = size,
    };
    arena_init(&sink->arena, 4 * LIMIT_PEER_FRAME);
    return 0;
}

void state_sink_resume(struct state_sink *sink)
{
    buf_clear(&sink->in);
}

static int sink_write_out(struct state_sink *sink, struct err *err)
{
    int rc = sink->disk->ops->write_out(sink->file, sink->written_out,
                                        (size_t)(sink->offset - sink->written_out));

    sink->written_out = sink->offset;
    return rc < 0 ? smallfile_error(err, rc, "write", sink->path) : 0;
}

static int sink_sync(struct state_sink *sink, struct err *err)
{
    int rc = FAILPOINT_RC(STATE_FETCH_SYNC);

    rc = rc < 0 ? rc : sink->disk->ops->sync(sink->file);
    return rc < 0 ? smallfile_error(err, rc, "sync", sink->path) : 0;
}

static int take_chunk(struct state_sink *sink, const Kvd__Peer__StateChunk *chunk,
                      struct err *err)
{
    int rc;

    if (chunk->offset != sink->offset || chunk->data.len == 0 ||
        chunk->data.len > sink->size - sink->offset) {
        return err_set(err, ERR_CORRUPT,
                       "stream of the state: %zu bytes at offset %" PRIu64
                       " came, where those at %" PRIu64 " of %" PRIu64 " were due",
                       chunk->data.len, chunk->offset, sink->offset, sink->size);
    }
    rc = FAILPOINT_RC(STATE_TAKE);
    rc = rc < 0 ? rc
                : disk_write_all(sink->disk, sink->file, chunk->data.data,
                                 chunk->data.len, sink->offset);
    if (rc < 0) {
        return smallfile_error(err, rc, "write", sink->path);
    }
    digest_add(sink->digest, chunk->data.data, chunk->data.len);
    sink->offset += chunk->data.len;
    return sink->offset - sink->written_out >= LIMIT_STATE_UNSYNCED
               ? sink_write_out(sink, err)
               : 0;
}

static int take_end(struct state_sink *sink, const Kvd__Peer__StateEnd *end,
                    struct err *err)
{
    uint64_t found = digest_value(sink->digest);
    int rc;

    if (sink->offset != sink->size) {
        return err_set(err, ERR_CORRUPT,
                       "stream of the state ends after %" PRIu64 " of %" PRIu64 " bytes",
                       sink->offset, sink->size);
    }
    if (end->checksum != found) {
        sink->spoiled = true;
        return err_set(err, ERR_CORRUPT,
                       "stream of the state: the checksum of its %" PRIu64
                       " bytes is %016" PRIx64 ", the sender's is %016" PRIx64
                       "; it is fetched anew",
                       sink->size, found, end->checksum);
    }
    rc = sink_sync(sink, err);
    sink->whole = rc == 0;
    return rc;
}

static int take_frame(struct state_sink *sink, const struct link_frame *frame,
                      struct err *err)
{
    if (frame->type == LINK_STATE_CHUNK && !sink->whole) {
        return take_chunk(sink, (const Kvd__Peer__StateChunk *)frame->message, err);
    }
    if (frame->type == LINK_STATE_END && !sink->whole) {
        return take_end(sink, (const Kvd__Peer__StateEnd *)frame->message, err);
    }
    return err_set(err, ERR_CORRUPT, "stream of the state: type %d at this place",
                   (int)frame->type);
}

int state_sink_take(struct state_sink *sink, struct buf *bytes, struct err *err)
{
    struct slice all = buf_slice(bytes);
    struct link_frame frame;
    int rc;

    if (buf_append(&sink->in, all.ptr, all.len) != 0) {
        return err_set(err, ERR_CORRUPT, "stream of the state: a frame without end");
    }
    buf_clear(bytes);
    do {
        rc = link_next(&sink->in, &sink->arena, &frame, err);
        if (rc > 0) {
            int taken = take_frame(sink, &frame, err);

            rc = taken != 0 ? taken : rc;
        }
        arena_reset(&sink->arena);
    } while (rc > 0);
    return rc;
}

void state_sink_close(struct state_sink *sink)
{
    if (sink->file != NULL) {
        sink->disk->ops->close(sink->file);
    }
    digest_free(sink->digest);
    buf_close(&sink->in);
    arena_close(&sink->arena);
    free(sink->path);
    *sink = (struct state_sink){0};
}
