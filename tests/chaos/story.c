#include "tests/chaos/story.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "tests/checkers/times.h"

#define FIRST TIME_MS /* when the first line was written: 0 is no time */

/* Who reads the lines of which function. */
static const struct {
    const char *function;
    void (*take)(struct story_line *line);
} takers[] = {
    {"get", story_take_kv},
    {"put", story_take_kv},
    {"delete", story_take_kv},
    {"txn", story_take_kv},
    {"watch", story_take_watch},
    {"compact", story_take_compact},
    {"grant", story_take_lease},
    {"keep_alive", story_take_lease},
    {"time_to_live", story_take_lease},
    {"lease_put", story_take_lease},
    {"revoke", story_take_lease},
    {"acquire", story_take_lock},
    {"release", story_take_lock},
    {"fenced_write", story_take_lock},
};

/* ---- files ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_history(const char *name)
{
    size_t len = strlen(name);

    return len > 6 && strcmp(name + len - 6, ".jsonl") == 0;
}

static int list_files(struct story *story, const char *dir, struct err *err)
{
    DIR *listing = opendir(dir);
    struct dirent *entry;

    if (listing == NULL) {
        return err_set(err, ERR_IO, "open %s: %s", dir, strerror(errno));
    }
    while ((entry = readdir(listing)) != NULL && story->n_files < STORY_FILES_MAX) {
        size_t size = strlen(dir) + strlen(entry->d_name) + 2;

        if (is_history(entry->d_name)) {
            char *path = mem_alloc(size);

            snprintf(path, size, "%s/%s", dir, entry->d_name);
            story->files[story->n_files++] = path;
        }
    }
    closedir(listing);
    qsort(story->files, story->n_files, sizeof(char *), by_name);
    return story->n_files > 0
               ? 0
               : err_set(err, ERR_IO, "%s holds no history (*.jsonl)", dir);
}

/* The whole file, to be given back with munmap; an empty one is an empty slice. */
static int map_file(const char *path, struct slice *out, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat stat;
    void *bytes = NULL;
    int rc = 0;

    if (fd < 0 || fstat(fd, &stat) != 0) {
        rc = err_set(err, ERR_IO, "open %s: %s", path, strerror(errno));
    } else if (stat.st_size > 0) {
        bytes = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (bytes == MAP_FAILED) {
            rc = err_set(err, ERR_IO, "map %s: %s", path, strerror(errno));
        }
    }
    if (fd >= 0) {
        close(fd);
    }
    if (rc == 0) {
        *out = slice_of(bytes, bytes != NULL ? (size_t)stat.st_size : 0);
    }
    return rc;
}

/* The next whole line of a file, which gets shorter; what a killed writer left torn at
 * its end is none. */
static bool next_line(struct slice *file, struct slice *line)
{
    const uint8_t *end = file->len > 0 ? memchr(file->ptr, '\n', file->len) : NULL;

    if (end == NULL) {
        return false;
    }
    *line = slice_of(file->ptr, (size_t)(end - file->ptr));
    *file = slice_of(end + 1, file->len - line->len - 1);
    return true;
}

/* Its first line tells whether it is a log, and when it began. */
static void look_at(struct story *story, size_t number, struct slice file)
{
    struct json_line json = {0};
    struct slice line;

    if (next_line(&file, &line) && json_line_parse(&json, line, NULL) == 0) {
        uint64_t time = (uint64_t)json_number(&json, "time");

        story->is_log[number] =
            json_is(&json, "f", "watch") && json_text(&json, "key").len == 0;
        story->begin = time < story->begin ? time : story->begin;
    }
    json_line_close(&json);
}

int story_open(struct story *story, const char *dir, struct err *err)
{
    int rc;

    *story = (struct story){.begin = UINT64_MAX};
    chronicle_init(&story->chronicle);
    story->processes = mem_zero(STORY_PROCESSES_MAX * sizeof(*story->processes));
    rc = list_files(story, dir, err);
    for (size_t i = 0; i < story->n_files && rc == 0; i++) {
        struct slice file;

        rc = map_file(story->files[i], &file, err);
        if (rc == 0 && file.len > 0) {
            look_at(story, i, file);
            munmap((void *)file.ptr, file.len);
        }
    }
    return rc;
}

void story_close(struct story *story)
{
    for (size_t i = 0; i < story->n_files; i++) {
        free(story->files[i]);
    }
    for (size_t i = 0; i < story->n_stretches; i++) {
        watch_stretch_close(&story->stretches[i]);
    }
    for (size_t i = 0; i < story->n_lives; i++) {
        lease_life_close(&story->lives[i]);
    }
    for (size_t i = 0; story->processes != NULL && i < STORY_PROCESSES_MAX; i++) {
        free(story->processes[i].stretches);
    }
    free(story->processes);
    free(story->stretches);
    free(story->lives);
    free(story->lease_places);
    free(story->signs);
    lock_log_close(&story->locks);
    history_close(&story->history);
    cluster_track_close(&story->track);
    chronicle_close(&story->chronicle);
    *story = (struct story){0};
}

/* ---- lines ---- */

static const char *const outcome_names[] = {[OP_PENDING] = "invoke",
                                            [OP_DONE] = "ok",
                                            [OP_REFUSED] = "fail",
                                            [OP_UNKNOWN] = "info"};

static int begin_line(struct story *story, const struct json_line *json,
                      struct story_line *out)
{
    int64_t number = json_number(json, "process");

    *out = (struct story_line){.story = story,
                               .json = json,
                               .time = (uint64_t)json_number(json, "time") -
                                       story->begin + FIRST,
                               .number = (uint32_t)number};
    if (number <= 0 || number >= STORY_PROCESSES_MAX) {
        return ERR_INVALID;
    }
    out->process = &story->processes[number];
    for (size_t i = 0; i < ARRAY_LEN(outcome_names); i++) {
        if (json_is(json, "type", outcome_names[i])) {
            out->outcome = (enum op_outcome)i;
            return 0;
        }
    }
    return ERR_INVALID;
}

static void note_time(struct story_line *line)
{
    struct story *story = line->story;

    story->end = line->time > story->end ? line->time : story->end;
    if (line->outcome == OP_PENDING) {
        line->process->invoked = line->time;
    }
}

static void take_line(struct story_line *line)
{
    note_time(line);
    for (size_t i = 0; i < ARRAY_LEN(takers); i++) {
        if (json_is(line->json, "f", takers[i].function)) {
            takers[i].take(line);
            return;
        }
    }
}

static int read_file(struct story *story, const char *path,
                     void (*take)(struct story_line *line), struct err *err)
{
    struct json_line json = {0};
    struct slice file;
    struct slice left;
    struct slice bytes;
    int rc = map_file(path, &file, err);

    if (rc != 0 || file.len == 0) {
        return rc;
    }
    left = file;
    for (size_t n = 1; rc == 0 && next_line(&left, &bytes); n++) {
        struct story_line line;

        rc = json_line_parse(&json, bytes, err);
        if (rc == 0 && begin_line(story, &json, &line) != 0) {
            rc = err_set(err, ERR_INVALID, "no process, or no type");
        }
        if (rc == 0) {
            take(&line);
        } else {
            rc = err_set(err, rc, "%s:%zu: %.200s", path, n, err->text);
        }
    }
    munmap((void *)file.ptr, file.len);
    json_line_close(&json);
    return rc;
}

/* ---- reading ---- */

/* From whichever scribe goes on where the others ended. */
int story_read_log(struct story *story, struct err *err)
{
    int64_t before;

    do {
        before = story->chronicle.last;
        for (size_t i = 0; i < story->n_files; i++) {
            int rc = story->is_log[i]
                         ? read_file(story, story->files[i], story_take_log, err)
                         : 0;

            if (rc != 0) {
                return rc;
            }
            chronicle_abandon_revision(&story->chronicle);
        }
    } while (story->chronicle.last > before);
    return 0;
}

int story_read(struct story *story, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; i < story->n_files && rc == 0; i++) {
        rc = read_file(story, story->files[i], take_line, err);
    }
    return rc;
}

const char *story_member(const struct story *story, uint16_t member)
{
    static _Thread_local char name[80];
    struct slice text = story->members[member];

    snprintf(name, sizeof(name), "%.*s", (int)text.len, (const char *)text.ptr);
    return name;
}

/* ---- help ---- */

uint16_t story_member_number(struct story *story, struct slice name)
{
    for (uint16_t i = 0; i < story->n_members; i++) {
        if (slice_eq(story->members[i], name)) {
            return i;
        }
    }
    if (story->n_members == STORY_MEMBERS_MAX) {
        return 0;
    }
    story->members[story->n_members] = arena_dup(&story->chronicle.arena, name);
    return story->n_members++;
}

void story_sign(struct story *story, const struct sign *sign)
{
    if (story->n_signs == story->sign_room) {
        story->sign_room = story->sign_room > 0 ? story->sign_room * 2 : 4096;
        story->signs = mem_grow(story->signs, story->sign_room * sizeof(*story->signs));
    }
    story->signs[story->n_signs++] = *sign;
}

void story_complain(struct story_line *line, const char *what)
{
    struct story *story = line->story;

    if (story->complaint[0] == '\0') {
        snprintf(story->complaint, sizeof(story->complaint),
                 "process %u at %.3f s: %.300s", line->number, (double)line->time / 1e9,
                 what);
    }
}

static int digit(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct slice story_bytes(struct story *story, struct slice text)
{
    uint8_t *bytes;

    if (text.len < 2 || text.len % 2 != 0 || memcmp(text.ptr, "0x", 2) != 0) {
        return text;
    }
    bytes = arena_alloc(&story->chronicle.arena, text.len / 2);
    for (size_t i = 2; i < text.len; i += 2) {
        if (digit(text.ptr[i]) < 0 || digit(text.ptr[i + 1]) < 0) {
            return text;
        }
        bytes[i / 2 - 1] = (uint8_t)(digit(text.ptr[i]) << 4 | digit(text.ptr[i + 1]));
    }
    return slice_of(bytes, text.len / 2 - 1);
}
