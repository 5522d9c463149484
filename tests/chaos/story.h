/* All that the files of a run tell, in the shape that the checkers take: the story of a
 * cluster as its clients know it.
 *
 * Happy path: story_open, story_read_log (the whole log, from the scribes and from
 * collect.c), story_read (everything), then the checkers. What can fail: files that are
 * not there or not histories, and a log with a gap. */
#ifndef KVD_CHAOS_STORY_H
#define KVD_CHAOS_STORY_H

#include "tests/chaos/json_line.h"
#include "tests/checkers/chronicle.h"
#include "tests/checkers/cluster_track.h"
#include "tests/checkers/history.h"
#include "tests/checkers/lease_check.h"
#include "tests/checkers/lock_check.h"
#include "tests/checkers/watch_check.h"

#define STORY_FILES_MAX     512
#define STORY_PROCESSES_MAX 4096
#define STORY_MEMBERS_MAX   32

/* What an answer shows of its time: the store was at that revision between the two. */
struct sign {
    uint64_t invoked;
    uint64_t answered;
    int64_t revision;
    uint64_t term;
    bool fresh; /* the answer was not stale: it was there when it was asked for */
    bool wrote; /* an entry was applied for it */
};

/* What a process asked last and was not told yet. */
struct story_process {
    uint64_t invoked;  /* 0: nothing is open */
    size_t first;      /* place of its ops, or of its ask, as the function has it */
    size_t n;          /* ops; 0: nothing is open */
    int64_t life;      /* id of the lease asked about; 0: nothing is open */
    size_t *stretches; /* by "watch": place among all */
    size_t n_stretches;
};

struct story {
    char *files[STORY_FILES_MAX];
    size_t n_files;
    bool is_log[STORY_FILES_MAX]; /* it watches everything, from the first revision */
    struct chronicle chronicle;
    struct history history; /* of keys and values; keys as the chronicle counts them */
    struct watch_stretch *stretches;
    size_t n_stretches;
    size_t stretch_room;
    struct lease_life *lives;
    size_t n_lives;
    size_t life_room;
    struct lock_log locks;
    struct sign *signs;
    size_t n_signs;
    size_t sign_room;
    struct cluster_track track;
    struct slice members[STORY_MEMBERS_MAX]; /* names, by number */
    uint16_t n_members;
    struct story_process *processes;
    uint32_t n_groups;
    uint64_t begin;    /* of the machine's clock, ns; all other times count from here */
    uint64_t end;      /* the last line */
    uint64_t n_events; /* that watchers were told */
    size_t *lease_places; /* private: see story_lease.c */
    size_t lease_room;
    char complaint[400]; /* what no healthy member may say; "": nothing */
};

/* ERR_IO: there is no such directory, or nothing in it. */
int story_open(struct story *story, const char *dir, struct err *err);
void story_close(struct story *story);
int story_read_log(struct story *story, struct err *err);
int story_read(struct story *story, struct err *err);

/* When all was read: fills in the track. */
void story_know_times(struct story *story);

const char *story_member(const struct story *story, uint16_t member);

/* ---- for those who read lines of one kind ---- */

struct story_line {
    struct story *story;
    const struct json_line *json;
    uint64_t time;
    uint32_t number; /* of the process */
    struct story_process *process;
    enum op_outcome outcome; /* OP_PENDING: a question */
};

uint16_t story_member_number(struct story *story, struct slice name);
void story_sign(struct story *story, const struct sign *sign);
void story_complain(struct story_line *line, const char *what);

/* A key's or value's bytes, whether they are text or hex; dup: in the chronicle's arena.
 */
struct slice story_bytes(struct story *story, struct slice text);

void story_take_kv(struct story_line *line);
void story_take_watch(struct story_line *line);
void story_take_log(struct story_line *line);
void story_take_compact(struct story_line *line);
void story_take_lease(struct story_line *line);
void story_take_lock(struct story_line *line);

#endif
