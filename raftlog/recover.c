/* Reading the log back at start.
 *
 * First only looking: the names in log/, the vote file with the anchor, then every
 * segment that has entries above the anchor, record by record. Then repairing: an
 * unfinished end is cut off, files without use are removed, the last group and the vote
 * are written anew.
 *
 * What can fail: damage, missing files, a newer format: refused with file, offset and
 * remedy, and nothing touched. */
#include "raftlog/recover.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "raftlog/record.h"

struct names {
    uint64_t *firsts; /* of segments, ascending */
    size_t n;
    char **spares;
    size_t n_spares;
};

struct recovery {
    struct env *env;
    const char *dir;
    char *log_dir;
    struct vote *vote;
    struct layout *layout;
    struct writer *writer;
    struct files_tally *tally;
    struct names names;
    size_t n_stale; /* of the oldest segments: wholly below the anchor */
    bool drop_last; /* the last segment is what a snapshot never finished */
    bool torn;      /* the last one ends in an unfinished write */
    uint8_t *group; /* records of the last group */
    size_t group_len;
    uint64_t group_offset;
};

static int compare_firsts(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static bool each_name(void *owner, const char *name)
{
    struct names *names = owner;
    uint64_t first;

    if (segment_parse_name(name, &first)) {
        names->firsts = mem_grow(names->firsts, (names->n + 1) * sizeof(*names->firsts));
        names->firsts[names->n++] = first;
    } else if (strncmp(name, "spare.", 6) == 0) {
        names->spares =
            mem_grow(names->spares, (names->n_spares + 1) * sizeof(*names->spares));
        names->spares[names->n_spares++] = mem_strdup(name);
    }
    return true;
}

static int list_names(struct recovery *r, struct err *err)
{
    struct disk *disk = r->env->disk;
    int rc = disk->ops->list(disk, r->log_dir, each_name, &r->names);

    if (rc < 0 && rc != -ENOENT) {
        return files_fail(err, rc, "list", r->log_dir);
    }
    if (r->names.n > 0) {
        qsort(r->names.firsts, r->names.n, sizeof(*r->names.firsts), compare_firsts);
    }
    return 0;
}

/* Keeps the bytes of the last group of the segment just walked. */
static void keep_group(struct recovery *r, const struct segment_walk *walk)
{
    free(r->group);
    r->group_offset = walk->group_offset;
    r->group_len = walk->offset - walk->group_offset;
    r->group = mem_dup(walk->image->bytes + walk->group_offset, r->group_len);
}

/* A segment that must continue the log and does not. */
static int judge_gap(struct recovery *r, const struct segment_walk *walk, bool is_last,
                     struct err *err)
{
    const struct segment_header *header = &walk->image->header;

    if (is_last && header->after_anchor && segment_end(walk, NULL) == SEGMENT_BLANK &&
        walk->next == header->first) {
        r->drop_last = true;
        return 0;
    }
    return err_set(err, ERR_CORRUPT,
                   "%s: entries %" PRIu64 " to %" PRIu64
                   " are missing before this file; " FILES_REMEDY,
                   r->log_dir, layout_last(r->layout) + 1, header->first - 1);
}

/* The records of one image into the layout. */
static int walk_image(struct recovery *r, const struct segment_image *image, bool is_last,
                      uint64_t *term, struct err *err)
{
    struct segment_walk walk = segment_walk(image, *term);
    struct raftlog_entry entry;
    int rc;

    if (r->layout->n_segments > 0 && image->header.first != layout_last(r->layout) + 1) {
        while (segment_next(&walk, &entry)) {
        }
        return judge_gap(r, &walk, is_last, err);
    }
    layout_roll(r->layout, &image->header);
    while (segment_next(&walk, &entry)) {
        layout_add(r->layout, entry.term, record_size(entry.payload.len));
    }
    *term = walk.term;
    keep_group(r, &walk);
    rc = segment_end(&walk, err);
    if (rc == SEGMENT_TORN && !is_last) {
        return err_set(err, ERR_CORRUPT,
                       "%s: the record at offset %zu (index %" PRIu64
                       ") is damaged though a later file follows; " FILES_REMEDY,
                       image->path, walk.offset, walk.next);
    }
    r->torn = rc == SEGMENT_TORN;
    return rc < 0 ? rc : 0;
}

static int read_segments(struct recovery *r, struct err *err)
{
    const struct names *names = &r->names;
    uint64_t anchor = r->vote->state.anchor_index;
    uint64_t term = 0;

    while (r->n_stale + 1 < names->n && names->firsts[r->n_stale + 1] <= anchor + 1) {
        r->n_stale++;
    }
    if (names->firsts[r->n_stale] > anchor + 1) {
        return err_set(err, ERR_CORRUPT,
                       "%s: entries %" PRIu64 " to %" PRIu64
                       " are missing; " FILES_REMEDY,
                       r->log_dir, anchor + 1, names->firsts[r->n_stale] - 1);
    }
    for (size_t i = r->n_stale; i < names->n; i++) {
        struct segment_image image;
        int rc = segment_load(&image, r->env->disk, r->log_dir, names->firsts[i], err);

        if (rc == 0) {
            rc = walk_image(r, &image, i + 1 == names->n, &term, err);
            segment_unload(&image);
        }
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

/* The anchor is made durable only when the log reaches up to it. */
static int check_anchor(struct recovery *r, struct err *err)
{
    const struct vote_state *state = &r->vote->state;
    uint64_t last = layout_last(r->layout);
    uint64_t term = layout_term(r->layout, state->anchor_index);

    if (last < state->anchor_index) {
        return err_set(err, ERR_CORRUPT,
                       "%s: the log ends at entry %" PRIu64
                       ", but %s says that it went on "
                       "to %" PRIu64 " at least; " FILES_REMEDY,
                       r->log_dir, last, r->vote->path, state->anchor_index);
    }
    if (term != 0 && term != state->anchor_term) {
        return err_set(err, ERR_CORRUPT,
                       "%s: entry %" PRIu64 " has term %" PRIu64 ", but %s says %" PRIu64
                       "; " FILES_REMEDY,
                       r->log_dir, state->anchor_index, term, r->vote->path,
                       state->anchor_term);
    }
    return 0;
}

/* The vote file is made last: with it there must be segments, without it only the empty
 * first one of a start that did not finish. */
static int look(struct recovery *r, bool *found, struct err *err)
{
    int rc = list_names(r, err);

    if (rc == 0) {
        rc = vote_load(r->vote, r->env, r->dir, found, err);
    }
    if (rc < 0) {
        return rc;
    }
    if (*found && r->names.n == 0) {
        return err_set(err, ERR_CORRUPT,
                       "%s: no segment is there, but %s exists; " FILES_REMEDY,
                       r->log_dir, r->vote->path);
    }
    if (r->names.n == 0) {
        return 0;
    }
    rc = read_segments(r, err);
    if (rc == 0) {
        rc = check_anchor(r, err);
    }
    if (rc == 0 && !*found && layout_last(r->layout) > 0) {
        return err_set(err, ERR_CORRUPT,
                       "%s is missing, but %s has entries; a member that forgot its vote "
                       "could vote twice: " FILES_REMEDY,
                       r->vote->path, r->log_dir);
    }
    return rc;
}

static int remove_file(struct recovery *r, char *path, struct err *err)
{
    struct disk *disk = r->env->disk;
    int rc = disk->ops->unlink(disk, path);

    rc = rc < 0 ? files_fail(err, rc, "unlink", path) : 0;
    free(path);
    return rc;
}

static int remove_useless(struct recovery *r, struct err *err)
{
    const struct names *names = &r->names;
    int rc = 0;

    for (size_t i = 0; i < names->n_spares && rc == 0; i++) {
        rc = remove_file(r, mem_printf("%s/%s", r->log_dir, names->spares[i]), err);
    }
    for (size_t i = 0; i < r->n_stale && rc == 0; i++) {
        rc = remove_file(r, segment_path(r->log_dir, names->firsts[i]), err);
    }
    if (rc == 0 && r->drop_last) {
        rc = remove_file(r, segment_path(r->log_dir, names->firsts[names->n - 1]), err);
    }
    return rc;
}

static int make_first(struct recovery *r, uint64_t segment_bytes, struct err *err)
{
    struct step step = {.kind = STEP_ROLL,
                        .roll = {.header = {.first = r->vote->state.anchor_index + 1},
                                 .size = segment_bytes}};
    size_t done = 0;
    uint32_t salt;

    env_random(r->env, &salt, sizeof(salt));
    step.roll.header.salt = salt;
    layout_roll(r->layout, &step.roll.header);
    return writer_run(r->writer, &step, 1, &done, r->tally, err);
}

static int repair(struct recovery *r, bool found, uint64_t segment_bytes, struct err *err)
{
    struct disk *disk = r->env->disk;
    int rc = disk->ops->mkdir(disk, r->log_dir);

    if (rc < 0 && rc != -EEXIST) {
        return files_fail(err, rc, "mkdir", r->log_dir);
    }
    rc = files_sync_dir(disk, r->dir, err);
    if (rc == 0) {
        rc = remove_useless(r, err);
    }
    if (rc == 0) {
        rc = files_sync_dir(disk, r->log_dir, err);
    }
    if (rc < 0) {
        return rc;
    }
    writer_init(r->writer, r->env, r->vote, r->log_dir);
    if (r->layout->n_segments == 0) {
        rc = make_first(r, segment_bytes, err);
    } else {
        rc = writer_open(r->writer, layout_tail(r->layout)->header.first, r->torn,
                         segment_bytes, r->group, r->group_len, r->group_offset, r->tally,
                         err);
    }
    if (rc == 0) {
        rc = vote_start(r->vote, found, r->tally, err);
    }
    return rc;
}

int recover(struct env *env, const char *dir, uint64_t segment_bytes, struct vote *vote,
            struct layout *layout, struct writer *writer, struct files_tally *tally,
            struct err *err)
{
    struct recovery r = {
        .env = env,
        .dir = dir,
        .log_dir = mem_printf("%s/log", dir),
        .vote = vote,
        .layout = layout,
        .writer = writer,
        .tally = tally,
    };
    bool found;
    int rc = look(&r, &found, err);

    if (rc == 0) {
        rc = repair(&r, found, segment_bytes, err);
    }
    for (size_t i = 0; i < r.names.n_spares; i++) {
        free(r.names.spares[i]);
    }
    free(r.names.spares);
    free(r.names.firsts);
    free(r.group);
    free(r.log_dir);
    return rc;
}
