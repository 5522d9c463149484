/* Was a watcher told what happened? All that it was told, from its creation on one stream
 * to the end of that stream, is compared with the chronicle.
 *
 * Checked: every change of its range that its filters let pass, from its start on, in
 * order of (revision, sub-revision), each once, none missing between; a response ends at
 * the end of a revision unless it is a fragment; pairs and previous pairs are right, a
 * previous pair is missing only where a compaction may have taken it; no revision is
 * promised before all its events were told; ended by compaction only when something that
 * it needed is gone. */
#ifndef KVD_CHECKERS_WATCH_CHECK_H
#define KVD_CHECKERS_WATCH_CHECK_H

#include "tests/checkers/chronicle.h"

enum watch_word {
    WATCH_CREATED,
    WATCH_EVENT,
    WATCH_BATCH,     /* the end of a response with events */
    WATCH_FRAGMENT,  /* the same, and more of it follows */
    WATCH_PROGRESS,  /* a response without any */
    WATCH_COMPACTED, /* canceled: what it needs is gone */
};

struct watch_heard {
    enum watch_word word;
    uint64_t time; /* ns */
    int64_t
        revision; /* event: its own; compacted: the compact revision; else the header's */
    uint32_t key; /* event, as all below */
    bool deleted;
    uint64_t digest;      /* see chronicle_digest */
    uint64_t prev_digest; /* 0: there was none */
};

struct watch_want {
    struct slice key; /* as in a request */
    struct slice range_end;
    int64_t start; /* 0: from now on */
    bool no_put;
    bool no_delete;
    bool prev_kv;
    bool fragment;
};

struct watch_stretch {
    struct watch_want want;
    uint32_t client;
    uint32_t member;
    struct watch_heard *heard;
    size_t n_heard;
    size_t room; /* private */
};

void watch_stretch_add(struct watch_stretch *stretch, const struct watch_heard *heard);
void watch_stretch_close(struct watch_stretch *stretch);

/* 0, or ERR_CORRUPT with the reason. */
int watch_check(const struct chronicle *chronicle, const struct watch_stretch *stretch,
                struct err *err);

#endif
