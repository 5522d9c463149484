/* From the library's events to the printers' messages, and to commands. Happy path: print
 * the response, run the command for each event, note in the state file how far we are.
 *
 * What can fail: the command (its code is told, and the event is not noted as handled);
 * the state file; the watch itself. */
#include "cli/watch_run.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "cli/child.h"
#include "cli/command.h"
#include "cli/pages.h"
#include "cli/pair.h"
#include "cli/print_ops.h"
#include "cli/requests.h"
#include "cli/watch_env.h"

/* ---- the command line ---- */

static enum exit_code read_keys(struct watching *w, const struct watch_options *options,
                                const char **args, size_t n_args, struct err *err)
{
    struct key_range range;

    if (key_range_parse(slices_of_args(&w->session->arena, args, n_args), n_args,
                        options->prefix, options->from_key, &w->session->arena, &range,
                        err) != 0) {
        return EXIT_ARGUMENTS;
    }
    w->keys = (struct kvd_keys){.key = kvd_str(args[0])};
    if (options->prefix) {
        w->keys.span = KVD_PREFIX;
    } else if (options->from_key) {
        w->keys.span = KVD_FROM;
    } else if (n_args == 2) {
        w->keys.span = KVD_UNTIL;
        w->keys.end = kvd_str(args[1]);
    }
    return EXIT_OK;
}

enum exit_code watching_open(struct watching *w, struct session *session,
                             const struct watch_options *options, const char **args,
                             size_t n_args, struct err *err)
{
    const char *filter = options->filter != NULL ? options->filter : "";

    *w = (struct watching){
        .session = session,
        .show_progress = options->progress_notify,
        .watch = {.start_revision = options->rev,
                  .prev_kv = options->prev_kv,
                  .no_puts = strcmp(filter, "put") == 0,
                  .no_deletes = strcmp(filter, "delete") == 0,
                  .progress = options->progress_notify || options->state != NULL},
    };
    arena_init(&w->arena, LIMIT_CLIENT_ARENA);
    if (*filter != '\0' && !w->watch.no_puts && !w->watch.no_deletes) {
        return command_fail(err, EXIT_ARGUMENTS,
                            "--filter \"%s\": put or delete, the kind to leave out",
                            filter);
    }
    if (options->rev < 0) {
        return command_fail(err, EXIT_ARGUMENTS, "--rev takes a revision from 1 on");
    }
    return read_keys(w, options, args, n_args, err);
}

void watching_close(struct watching *w)
{
    arena_close(&w->arena);
}

/* ---- the command ---- */

/* The value as a file without a name, from its beginning. */
static int open_value(ProtobufCBinaryData value, struct err *err)
{
    int fd = memfd_create("value", MFD_CLOEXEC);
    size_t written = 0;

    if (fd < 0) {
        return err_set(err, ERR_IO, "memfd_create: %s", strerror(errno));
    }
    while (written < value.len) {
        ssize_t n = write(fd, value.data + written, value.len - written);

        if (n <= 0) {
            close(fd);
            return err_set(err, ERR_IO, "cannot hold a value: %s", strerror(errno));
        }
        written += (size_t)n;
    }
    lseek(fd, 0, SEEK_SET);
    return fd;
}

static enum exit_code run_command(struct watching *w, const Mvccpb__Event *event,
                                  int64_t revision, struct err *err)
{
    struct child_spec spec = {.argv = w->command,
                              .env = watch_environment(event, revision, &w->arena),
                              .mask = w->mask};
    struct child child;
    int rc;

    spec.stdin_fd = open_value(event->kv->value, err);
    if (spec.stdin_fd < 0) {
        return EXIT_ERROR;
    }
    fflush(w->session->printer.out);
    rc = child_start(&child, &spec, err);
    close(spec.stdin_fd);
    if (rc != 0) {
        return child.exit_code != 0 ? (enum exit_code)child.exit_code : EXIT_ERROR;
    }
    child_wait(&child);
    if (child.exit_code != 0) {
        return command_fail(err, EXIT_ERROR,
                            "%s ended with %d, at %s %.*s of revision %" PRId64,
                            w->command[0], child.exit_code, event_type_name(event),
                            (int)event->kv->key.len, (const char *)event->kv->key.data,
                            event->kv->mod_revision);
    }
    return EXIT_OK;
}

/* ---- the state ---- */

static enum exit_code note(struct watching *w, int64_t revision, int64_t events,
                           struct err *err)
{
    if (w->state == NULL) {
        return EXIT_OK;
    }
    w->state->revision = revision;
    w->state->events = events;
    return exit_code_of(watch_state_write(w->state, err));
}

/* After the command for events[i]. */
static enum exit_code note_event(struct watching *w,
                                 const Etcdserverpb__WatchResponse *res, size_t i,
                                 int64_t before, struct err *err)
{
    int64_t revision = res->events[i]->kv->mod_revision;
    int64_t done = 1;

    if (i + 1 < res->n_events && res->events[i + 1]->kv->mod_revision != revision) {
        return note(w, revision, 0, err);
    }
    for (size_t k = i; k > 0 && res->events[k - 1]->kv->mod_revision == revision; k--) {
        done++;
    }
    /* Those that an earlier run had handled were taken out of the first revision. */
    done += done == (int64_t)i + 1 ? before : 0;
    return note(w, revision - 1, done, err);
}

/* ---- news ---- */

static Etcdserverpb__ResponseHeader *header_of(struct watching *w,
                                               const struct kvd_news *news)
{
    Etcdserverpb__ResponseHeader *header = arena_alloc(&w->arena, sizeof(*header));

    etcdserverpb__response_header__init(header);
    header->cluster_id = news->cluster_id;
    header->member_id = news->member_id;
    header->raft_term = news->raft_term;
    header->revision = news->store_revision;
    return header;
}

/* Skips what an earlier run has handled of the first revision: *skipped events. */
static Etcdserverpb__WatchResponse *response_of(struct watching *w,
                                                const struct kvd_news *news,
                                                size_t *skipped)
{
    Etcdserverpb__WatchResponse *res = arena_alloc(&w->arena, sizeof(*res));

    etcdserverpb__watch_response__init(res);
    res->header = header_of(w, news);
    res->events = arena_alloc(&w->arena, (news->n_events + 1) * sizeof(void *));
    *skipped = 0;
    for (size_t i = 0; i < news->n_events; i++) {
        const struct kvd_event *from = &news->events[i];
        Mvccpb__Event *event;

        if (w->state != NULL && w->state->events > (int64_t)*skipped &&
            from->kv.mod_revision == news->events[0].kv.mod_revision) {
            (*skipped)++;
            continue;
        }
        event = arena_alloc(&w->arena, sizeof(*event));
        mvccpb__event__init(event);
        event->type = from->deleted ? MVCCPB__EVENT__EVENT_TYPE__DELETE
                                    : MVCCPB__EVENT__EVENT_TYPE__PUT;
        event->kv = arena_alloc(&w->arena, sizeof(*event->kv));
        pair_of(&from->kv, event->kv);
        if (from->prev != NULL) {
            event->prev_kv = arena_alloc(&w->arena, sizeof(*event->prev_kv));
            pair_of(from->prev, event->prev_kv);
        }
        res->events[res->n_events++] = event;
    }
    return res;
}

static enum exit_code take_events(struct watching *w, const struct kvd_news *news,
                                  struct err *err)
{
    size_t skipped;
    Etcdserverpb__WatchResponse *res = response_of(w, news, &skipped);
    enum exit_code code = EXIT_OK;

    if (res->n_events > 0) {
        print_watch(&w->session->printer, res);
    }
    if (fflush(w->session->printer.out) != 0) {
        return command_fail(err, EXIT_ERROR, "stdout: %s", strerror(errno));
    }
    for (size_t i = 0; w->command != NULL && i < res->n_events; i++) {
        code = run_command(w, res->events[i], res->header->revision, err);
        code = code == EXIT_OK ? note_event(w, res, i, (int64_t)skipped, err) : code;
        if (code != EXIT_OK) {
            return code;
        }
    }
    return note(w, news->revision, 0, err);
}

static enum exit_code take_progress(struct watching *w, const struct kvd_news *news,
                                    struct err *err)
{
    Etcdserverpb__WatchResponse res = ETCDSERVERPB__WATCH_RESPONSE__INIT;

    if (w->show_progress) {
        res.header = header_of(w, news);
        fprintf(w->session->printer.out, "progress notify: %" PRId64 "\n",
                news->revision);
        print_watch(&w->session->printer, &res);
        fflush(w->session->printer.out);
    }
    return note(w, news->revision, 0, err);
}

enum exit_code watching_take(struct watching *w, const struct kvd_news *news,
                             struct err *err)
{
    arena_reset(&w->arena);
    switch (news->kind) {
    case KVD_NEWS_EVENTS:
        return take_events(w, news, err);
    case KVD_NEWS_PROGRESS:
        return take_progress(w, news, err);
    case KVD_NEWS_DISCONNECTED:
        fprintf(stderr, "Contact lost: %s\n", news->error.text);
        return EXIT_OK;
    case KVD_NEWS_RESUMED:
        fprintf(stderr, "Contact is back; no event was missed.\n");
        return EXIT_OK;
    case KVD_NEWS_COMPACTED:
        return command_fail(err, EXIT_COMPACTED,
                            "events before revision %" PRId64
                            " were compacted away before they were read: read the keys "
                            "again and watch from there, or use --on-compacted reread",
                            news->compact_revision);
    case KVD_NEWS_ENDED:
        return command_fail(err, session_kvd_exit_code(news->error.code), "%s",
                            news->error.text);
    }
    UNREACHABLE();
}

/* ---- after a compaction ---- */

static enum exit_code take_page(struct watching *w,
                                const Etcdserverpb__RangeResponse *page, struct err *err)
{
    Etcdserverpb__WatchResponse res = ETCDSERVERPB__WATCH_RESPONSE__INIT;
    enum exit_code code = EXIT_OK;

    arena_reset(&w->arena);
    res.header = page->header;
    res.events = arena_alloc(&w->arena, (page->n_kvs + 1) * sizeof(void *));
    for (size_t i = 0; i < page->n_kvs; i++) {
        Mvccpb__Event *event = arena_alloc(&w->arena, sizeof(*event));

        mvccpb__event__init(event);
        event->kv = page->kvs[i];
        res.events[res.n_events++] = event;
    }
    print_watch(&w->session->printer, &res);
    fflush(w->session->printer.out);
    for (size_t i = 0; code == EXIT_OK && w->command != NULL && i < res.n_events; i++) {
        code = run_command(w, res.events[i], page->header->revision, err);
    }
    return code;
}

static struct key_range range_of(struct watching *w)
{
    struct slice key = slice_of(w->keys.key.ptr, w->keys.key.len);
    struct key_range range = {.key = binary_of(key)};

    switch (w->keys.span) {
    case KVD_PREFIX:
        return key_range_of_prefix(key, &w->session->arena);
    case KVD_FROM:
        range.range_end = key_range_of_prefix(slice_of(NULL, 0), NULL).range_end;
        break;
    case KVD_UNTIL:
        range.range_end = binary_of(slice_of(w->keys.end.ptr, w->keys.end.len));
        break;
    case KVD_ONE:
        break;
    }
    return range;
}

enum exit_code watching_reread(struct watching *w, struct err *err)
{
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    struct key_range range = range_of(w);
    const Etcdserverpb__RangeResponse *page;
    enum exit_code code = EXIT_OK;
    struct pages pages;
    int64_t revision = 0;
    int rc;

    request.key = range.key;
    request.range_end = range.range_end;
    pages_open(&pages, session_client(w->session), &request);
    while ((rc = pages_next(&pages, &page, err)) == 0 && page != NULL &&
           code == EXIT_OK) {
        revision =
            revision == 0 && page->header != NULL ? page->header->revision : revision;
        code = take_page(w, page, err);
    }
    pages_close(&pages);
    code = rc != 0 ? exit_code_of(rc) : code;
    if (code == EXIT_OK) {
        w->watch.start_revision = revision + 1;
        code = note(w, revision, 0, err);
    }
    return code;
}
