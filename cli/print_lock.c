/* Sentences about locks. What clients said of themselves is shown as text, so control
 * characters in it are left out. */
#include "cli/print_lock.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "cli/print_ops.h"
#include "cli/quote.h"

const char *lock_mode_name(Kvd__V1__LockMode mode)
{
    switch (mode) {
    case KVD__V1__LOCK_MODE__SHARED:
        return "shared";
    case KVD__V1__LOCK_MODE__SLOTS:
        return "slots";
    case KVD__V1__LOCK_MODE__EXCLUSIVE:
    case _KVD__V1__LOCK_MODE_IS_INT_SIZE:
        break;
    }
    return "exclusive";
}

void lock_mode_text(const Kvd__V1__LockHold *hold, char out[LOCK_TEXT_MAX])
{
    if (hold->election) {
        snprintf(out, LOCK_TEXT_MAX, "election");
    } else if (hold->mode == KVD__V1__LOCK_MODE__SLOTS) {
        snprintf(out, LOCK_TEXT_MAX, "slots %" PRIu32, hold->slots);
    } else {
        snprintf(out, LOCK_TEXT_MAX, "%s", lock_mode_name(hold->mode));
    }
}

/* Text of a stranger for a terminal. */
static void make_printable(char *text)
{
    char *to = text;

    for (const char *from = text; *from != '\0'; from++) {
        if ((unsigned char)*from >= ' ' && *from != 0x7f) {
            *to++ = *from;
        }
    }
    *to = '\0';
}

void lock_owner_text(const Kvd__V1__LockHold *hold, char out[LOCK_TEXT_MAX])
{
    const Kvd__V1__LockOwner *owner = hold->owner;

    if (hold->election && hold->value.len > 0) {
        snprintf(out, LOCK_TEXT_MAX, "%.*s", (int)hold->value.len,
                 (const char *)hold->value.data);
    } else if (owner == NULL || (*owner->owner == '\0' && *owner->host == '\0')) {
        snprintf(out, LOCK_TEXT_MAX, "unknown");
    } else if (*owner->host == '\0' || *owner->owner == '\0') {
        snprintf(out, LOCK_TEXT_MAX, "%s%s", owner->owner, owner->host);
    } else {
        snprintf(out, LOCK_TEXT_MAX, "%s on %s", owner->owner, owner->host);
    }
    make_printable(out);
}

/* Whole seconds, the two largest units: "2d3h", "3m12s", "5s". */
static void span_text(int64_t seconds, char out[LOCK_TEXT_MAX])
{
    if (seconds < 60) {
        snprintf(out, LOCK_TEXT_MAX, "%" PRId64 "s", seconds);
    } else if (seconds < 3600) {
        snprintf(out, LOCK_TEXT_MAX, "%" PRId64 "m%" PRId64 "s", seconds / 60,
                 seconds % 60);
    } else if (seconds < 86400) {
        snprintf(out, LOCK_TEXT_MAX, "%" PRId64 "h%" PRId64 "m", seconds / 3600,
                 seconds % 3600 / 60);
    } else {
        snprintf(out, LOCK_TEXT_MAX, "%" PRId64 "d%" PRId64 "h", seconds / 86400,
                 seconds % 86400 / 3600);
    }
}

void lock_age_text(int64_t since_ms, char out[LOCK_TEXT_MAX])
{
    struct timespec now;
    int64_t age_ms;

    clock_gettime(CLOCK_REALTIME, &now);
    age_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 - since_ms;
    if (since_ms == 0) {
        snprintf(out, LOCK_TEXT_MAX, "unknown");
    } else {
        span_text(age_ms > 0 ? age_ms / 1000 : 0, out);
    }
}

void lock_left_text(int64_t ttl_ms, char out[LOCK_TEXT_MAX])
{
    if (ttl_ms >= 60000) {
        span_text(ttl_ms / 1000, out);
    } else {
        snprintf(out, LOCK_TEXT_MAX, "%.1fs", ttl_ms > 0 ? (double)ttl_ms / 1000 : 0);
    }
}

/* ---- sentences ---- */

static bool is_plain(struct slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        if (bytes.ptr[i] < ' ' || bytes.ptr[i] == 0x7f) {
            return false;
        }
    }
    return utf8_valid(bytes);
}

static void print_name(struct printer *p, ProtobufCBinaryData name)
{
    struct slice bytes = slice_of_binary(name);

    if (p->hex) {
        quote_write_hex(p->out, bytes);
    } else if (is_plain(bytes)) {
        write_bytes(p->out, name);
    } else {
        quote_write(p->out, bytes);
    }
}

/* "by alice on build7, pid 4711, for 3m12s, token 42, lease 694d..., 7.3s left" */
static void print_hold(struct printer *p, const Kvd__V1__LockHold *hold)
{
    char text[LOCK_TEXT_MAX];

    lock_owner_text(hold, text);
    fprintf(p->out, "by %s", text);
    if (hold->owner != NULL && hold->owner->pid != 0) {
        fprintf(p->out, ", pid %" PRId64, hold->owner->pid);
    }
    if (hold->since_ms != 0) {
        lock_age_text(hold->since_ms, text);
        fprintf(p->out, ", for %s", text);
    }
    fprintf(p->out, ", token %" PRId64, hold->token);
    if (hold->n_holds > 1) {
        fprintf(p->out, ", held %zu times", hold->n_holds);
    }
    lock_left_text(hold->ttl_ms, text);
    fprintf(p->out, ", lease %" PRIx64 " with %s left\n", (uint64_t)hold->lease, text);
}

void lock_text_list(struct printer *p, const Kvd__V1__LockListResponse *res)
{
    for (size_t i = 0; i < res->n_locks; i++) {
        const Kvd__V1__LockSummary *lock = res->locks[i];
        char mode[LOCK_TEXT_MAX];

        print_name(p, lock->name);
        if (lock->first == NULL) {
            fputs(": free\n", p->out);
            continue;
        }
        lock_mode_text(lock->first, mode);
        fprintf(p->out, ": %s, %" PRIu32 " holding, %" PRIu32 " waiting, first ", mode,
                lock->holders, lock->waiting);
        print_hold(p, lock->first);
    }
    if (res->more) {
        fputs("and more: see --limit\n", p->out);
    }
}

void lock_text_forced(struct printer *p, const Kvd__V1__LockInspectResponse *res)
{
    const Kvd__V1__ForcedRelease *forced = res->last_forced;
    char age[LOCK_TEXT_MAX];
    char *reason;

    if (forced == NULL) {
        return;
    }
    lock_age_text(forced->at_ms, age);
    fprintf(p->out,
            "last forced release: token %" PRId64 ", %s ago, by %s: ", forced->token, age,
            *forced->by != '\0' ? forced->by : "unknown");
    reason = forced->reason;
    make_printable(reason);
    fprintf(p->out, "%s\n", *reason != '\0' ? reason : "no reason given");
}

void lock_text_line(struct printer *p, const char *name,
                    const Kvd__V1__LockInspectResponse *res)
{
    print_name(p, (ProtobufCBinaryData){strlen(name), (uint8_t *)name});
    if (res->n_line == 0) {
        fputs(": free\n", p->out);
    } else {
        fprintf(p->out, ": %" PRIu32 " holding, %" PRIu32 " waiting\n", res->holders,
                res->waiting);
    }
    for (size_t i = 0; i < res->n_line; i++) {
        char mode[LOCK_TEXT_MAX];

        lock_mode_text(res->line[i], mode);
        fprintf(p->out, "%3zu. %s %s, ", i + 1, res->line[i]->granted ? "held" : "waits",
                mode);
        print_hold(p, res->line[i]);
    }
    if (res->n_line < (size_t)res->holders + res->waiting) {
        fprintf(p->out, "     and %zu more\n",
                (size_t)res->holders + res->waiting - res->n_line);
    }
    lock_text_forced(p, res);
}
