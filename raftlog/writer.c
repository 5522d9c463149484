/* The log lane's side of the store: one function per kind of step.
 *
 * What can fail: the disk. Errors name the file. */
#include "raftlog/writer.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/failpoint.h"
#include "base/mem.h"

#define BLOCK_SIZE 4096 /* of the file system, at most */

char *writer_spare_path(const char *log_dir, uint64_t number)
{
    return mem_printf("%s/spare.%llu", log_dir, (unsigned long long)number);
}

void writer_init(struct writer *writer, struct env *env, struct vote *vote,
                 const char *log_dir)
{
    *writer = (struct writer){.env = env, .vote = vote, .log_dir = mem_strdup(log_dir)};
}

/* Lets go of the open segment and takes another one. */
static void take(struct writer *writer, struct disk_file *file, uint64_t segment)
{
    if (writer->file != NULL) {
        writer->env->disk->ops->close(writer->file);
    }
    free(writer->path);
    writer->file = file;
    writer->segment = segment;
    writer->path = segment_path(writer->log_dir, segment);
    writer->dirty = false;
}

static int open_segment(struct writer *writer, uint64_t segment, struct err *err)
{
    struct disk *disk = writer->env->disk;
    struct disk_file *file = NULL;
    char *path = segment_path(writer->log_dir, segment);
    int rc = disk->ops->open(disk, path, 0, &file);

    if (rc < 0) {
        rc = files_fail(err, rc, "open", path);
    } else {
        take(writer, file, segment);
    }
    free(path);
    return rc;
}

static int sync_file(struct writer *writer, struct files_tally *tally, struct err *err)
{
    int rc = FAILPOINT_RC(LOG_SYNC);

    writer->dirty = false;
    if (rc < 0) {
        return err_set(err, ERR_IO, "fdatasync %s: %s", writer->path, strerror(-rc));
    }
    rc = files_sync(writer->env, writer->file, writer->path, tally, err);
    FAILPOINT(LOG_SYNCED);
    return rc;
}

/* Has the file at least this big, durably: a record written behind the durable end could
 * be on disk and yet not in the file after a crash, and come to light when the file grows
 * again. For the same reason the rest of the last block is overwritten: what a file
 * system shows there is not always zeros. A file that could grow only in part is as
 * before, so that the next try finds the same last block. */
static int grow(struct writer *writer, uint64_t size, struct files_tally *tally,
                struct err *err)
{
    static const uint8_t zeros[BLOCK_SIZE];
    struct disk *disk = writer->env->disk;
    int64_t now = disk->ops->size(writer->file);
    uint64_t rest;
    int rc;

    if (now < 0) {
        return files_fail(err, (int)now, "stat", writer->path);
    }
    if ((uint64_t)now >= size) {
        return 0;
    }
    rc = FAILPOINT_RC(LOG_GROW);
    rc = rc < 0 ? rc : disk->ops->allocate(writer->file, size);
    if (rc < 0) {
        int back = disk->ops->truncate(writer->file, (uint64_t)now);

        return files_fail(err, back < 0 ? back : rc, "allocate", writer->path);
    }
    rest = BLOCK_SIZE - (uint64_t)now % BLOCK_SIZE;
    rest = rest < size - (uint64_t)now ? rest : size - (uint64_t)now;
    rc = files_write(disk, writer->file, writer->path, zeros, rest, (uint64_t)now, err);
    return rc < 0 ? rc : sync_file(writer, tally, err);
}

static int run_write(struct writer *writer, const struct step *step, struct err *err)
{
    int rc = FAILPOINT_RC(LOG_WRITE);

    if (rc < 0) {
        return files_fail(err, rc, "write", writer->path);
    }
    writer->dirty = true;
    rc = files_write(writer->env->disk, writer->file, writer->path, step->write.bytes,
                     step->write.len, step->write.offset, err);
    FAILPOINT(LOG_WRITTEN);
    return rc;
}

/* A file with a header, durable under its spare name. Where there is no room for it, what
 * there is of it goes. */
static int make_segment(struct writer *writer, const struct step *step, const char *path,
                        struct disk_file **out, struct files_tally *tally,
                        struct err *err)
{
    struct disk *disk = writer->env->disk;
    struct disk_file *file = NULL;
    uint8_t header[SEGMENT_HEADER_SIZE];
    int rc = disk->ops->open(disk, path, step->roll.made_ahead ? 0 : DISK_CREATE, &file);

    if (rc < 0) {
        return files_fail(err, rc, "open", path);
    }
    rc = FAILPOINT_RC(LOG_ROLL);
    rc = rc < 0 ? rc : disk->ops->allocate(file, step->roll.size);
    rc = rc < 0 ? files_fail(err, rc, "allocate", path) : 0;
    segment_encode_header(header, &step->roll.header);
    if (rc == 0) {
        rc = files_write(disk, file, path, header, sizeof(header), 0, err);
    }
    if (rc == 0) {
        rc = files_sync(writer->env, file, path, tally, err);
    }
    if (rc < 0) {
        disk->ops->close(file);
        if (rc == ERR_FULL && !step->roll.made_ahead) {
            disk->ops->unlink(disk, path);
        }
        return rc;
    }
    *out = file;
    return 0;
}

static int run_roll(struct writer *writer, const struct step *step,
                    struct files_tally *tally, struct err *err)
{
    struct disk *disk = writer->env->disk;
    struct disk_file *file = NULL;
    char *from = writer_spare_path(writer->log_dir, step->roll.spare);
    char *to = segment_path(writer->log_dir, step->roll.header.first);
    int rc = 0;

    if (writer->dirty) {
        rc = sync_file(writer, tally, err);
    }
    if (rc == 0) {
        rc = make_segment(writer, step, from, &file, tally, err);
    }
    if (rc == 0) {
        FAILPOINT(LOG_ROLL_MADE);
        take(writer, file, step->roll.header.first);
        rc = disk->ops->rename(disk, from, to);
        rc = rc < 0 ? files_fail(err, rc, "rename", from) : 0;
    }
    if (rc == 0) {
        FAILPOINT(LOG_ROLL_NAMED);
        rc = files_sync_dir(disk, writer->log_dir, err);
    }
    free(from);
    free(to);
    return rc;
}

static int run_cut(struct writer *writer, const struct step *step,
                   struct files_tally *tally, struct err *err)
{
    int rc = 0;

    if (writer->segment != step->cut.segment) {
        rc = open_segment(writer, step->cut.segment, err);
    }
    if (rc == 0) {
        rc = FAILPOINT_RC(LOG_CUT);
        rc = rc < 0 ? rc
                    : writer->env->disk->ops->truncate(writer->file, step->cut.offset);
        rc = rc < 0 ? files_fail(err, rc, "truncate", writer->path) : 0;
    }
    if (rc == 0) {
        FAILPOINT(LOG_CUT_DONE);
        rc = sync_file(writer, tally, err);
    }
    if (rc == 0) {
        rc = grow(writer, step->cut.size, tally, err);
    }
    return rc;
}

/* The anchor may be of an entry that this batch writes, so that one comes first. The vote
 * file has its room: for it a full disk is an error like any other. */
static int run_anchor(struct writer *writer, const struct step *step,
                      struct files_tally *tally, struct err *err)
{
    int rc = writer->dirty ? sync_file(writer, tally, err) : 0;

    if (rc == 0) {
        rc = FAILPOINT_RC(LOG_ANCHOR);
        rc = rc < 0 ? files_fail(err, rc, "write", writer->vote->path)
                    : vote_set_anchor(writer->vote, step->anchor, tally, err);
    }
    FAILPOINT(LOG_ANCHORED);
    return rc == ERR_FULL ? ERR_IO : rc;
}

static int run_unlink(struct writer *writer, const struct step *step, struct err *err)
{
    struct disk *disk = writer->env->disk;
    char *path = segment_path(writer->log_dir, step->segment);
    int rc =
        step->kind == STEP_UNLINK ? FAILPOINT_RC(LOG_UNLINK) : FAILPOINT_RC(LOG_REMOVE);

    rc = rc < 0 ? rc : disk->ops->unlink(disk, path);
    if (rc < 0) {
        rc = files_fail(err, rc, "unlink", path);
    }
    if (rc == 0 && step->kind == STEP_UNLINK) {
        rc = files_sync_dir(disk, writer->log_dir, err);
    }
    free(path);
    return rc;
}

static int run_step(struct writer *writer, const struct step *step,
                    struct files_tally *tally, struct err *err)
{
    switch (step->kind) {
    case STEP_WRITE:
        return run_write(writer, step, err);
    case STEP_ROLL:
        return run_roll(writer, step, tally, err);
    case STEP_GROW:
        return grow(writer, step->size, tally, err);
    case STEP_CUT:
        return run_cut(writer, step, tally, err);
    case STEP_ANCHOR:
        return run_anchor(writer, step, tally, err);
    case STEP_UNLINK:
    case STEP_REMOVE:
        return run_unlink(writer, step, err);
    }
    UNREACHABLE();
}

int writer_run(struct writer *writer, const struct step *steps, size_t n, size_t *done,
               struct files_tally *tally, struct err *err)
{
    int rc = 0;

    while (*done < n && rc == 0) {
        rc = run_step(writer, &steps[*done], tally, err);
        *done += rc == 0;
    }
    if (rc == 0 && writer->dirty) {
        rc = sync_file(writer, tally, err);
    }
    return rc;
}

int writer_open(struct writer *writer, uint64_t segment, bool cut, uint64_t size,
                const uint8_t *group, size_t group_len, uint64_t group_offset,
                struct files_tally *tally, struct err *err)
{
    struct disk *disk = writer->env->disk;
    int rc = open_segment(writer, segment, err);

    if (rc == 0 && cut) {
        rc = disk->ops->truncate(writer->file, group_offset + group_len);
        rc = rc < 0 ? files_fail(err, rc, "truncate", writer->path) : 0;
        if (rc == 0) {
            rc = sync_file(writer, tally, err);
        }
    }
    if (rc == 0) {
        rc = grow(writer, size, tally, err);
    }
    if (rc == 0) {
        rc = files_write(disk, writer->file, writer->path, group, group_len, group_offset,
                         err);
    }
    if (rc == 0) {
        rc = sync_file(writer, tally, err);
    }
    return rc;
}

void writer_close(struct writer *writer)
{
    if (writer->file != NULL) {
        writer->env->disk->ops->close(writer->file);
    }
    free(writer->path);
    free(writer->log_dir);
    *writer = (struct writer){0};
}
