/* The answers of /health, /livez and /readyz.
 *
 * /health is etcd's older page: one JSON object with the first reason found. /livez and
 * /readyz run the checks of a table; each failure names its check. Nothing here fails. */
#include "node/health.h"

#include <string.h>

#include "base/mem.h"
#include "node/text.h"

enum { ON_LIVEZ = 1 << HEALTH_PAGE_LIVEZ, ON_READYZ = 1 << HEALTH_PAGE_READYZ };

/* A check returns NULL when it passes, else the reason. */

static const char *check_corruption(const struct health *health, bool read_ok)
{
    (void)read_ok;
    return health->diverged ? "alarm activated: CORRUPT" : NULL;
}

/* The loop that answers is the one that reads: whoever gets this answer could have read.
 */
static const char *check_local_read(const struct health *health, bool read_ok)
{
    (void)health;
    (void)read_ok;
    return NULL;
}

static const char *check_agreed_read(const struct health *health, bool read_ok)
{
    if (health->stopping) {
        return "etcdserver: server stopped";
    }
    if (health->needs_state) {
        return health->state_text;
    }
    if (!health->has_leader) {
        return "etcdserver: no leader";
    }
    return read_ok ? NULL : "etcdserver: request timed out";
}

static const char *check_disk(const struct health *health, bool read_ok)
{
    (void)read_ok;
    if (health->disk_full) {
        return "the disk is full";
    }
    return health->disk_stalled ? "the disk does not answer" : NULL;
}

/* Members of this version always vote. */
static const char *check_voter(const struct health *health, bool read_ok)
{
    (void)health;
    (void)read_ok;
    return NULL;
}

static const struct check {
    const char *name;
    unsigned pages;
    bool probes;
    const char *(*run)(const struct health *health, bool read_ok);
} checks[] = {
    {"data_corruption", ON_READYZ, false, check_corruption},
    {"serializable_read", ON_LIVEZ | ON_READYZ, false, check_local_read},
    {"linearizable_read", ON_READYZ, true, check_agreed_read},
    {"disk", ON_READYZ, false, check_disk},
    {"non_learner", ON_READYZ, false, check_voter},
};

static bool is_excluded(const struct health_query *query, const char *name)
{
    for (size_t i = 0; i < query->n_excluded; i++) {
        if (slice_eq(query->excluded[i], slice_str(name))) {
            return true;
        }
    }
    return false;
}

/* Exclusions hold for the page of all checks only. */
static bool is_asked(const struct check *check, enum health_page page,
                     const struct health_query *query)
{
    if (!(check->pages & 1u << page)) {
        return false;
    }
    if (query->check.len > 0) {
        return slice_eq(query->check, slice_str(check->name));
    }
    return !is_excluded(query, check->name);
}

static bool render_checks(enum health_page page, const struct health_query *query,
                          const struct health *health, bool read_ok, struct buf *out)
{
    bool well = true;

    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        if (is_asked(&checks[i], page, query) && checks[i].run(health, read_ok) != NULL) {
            well = false;
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        const char *why = checks[i].run(health, read_ok);

        if (!is_asked(&checks[i], page, query) || (well && !query->verbose)) {
            continue;
        }
        if (why == NULL) {
            text_add(out, "[+]%s ok\n", checks[i].name);
        } else {
            text_add(out, "[-]%s failed: %s\n", checks[i].name, why);
        }
    }
    text_add(out, well ? "ok\n" : "\n");
    return well;
}

static const char *unhealthy_reason(const struct health_query *query,
                                    const struct health *health, bool read_ok)
{
    if (health->diverged && !is_excluded(query, "CORRUPT")) {
        return "ALARM CORRUPT";
    }
    if (health->no_state && health->needs_state) {
        return health->state_text;
    }
    if (query->serializable) {
        return NULL;
    }
    if (!health->has_leader) {
        return "RAFT NO LEADER";
    }
    if (health->stopping) {
        return "RANGE ERROR:etcdserver: server stopped";
    }
    return read_ok ? NULL : "RANGE ERROR:etcdserver: request timed out";
}

static bool render_json(const struct health_query *query, const struct health *health,
                        bool read_ok, struct buf *out)
{
    const char *reason = unhealthy_reason(query, health, read_ok);

    if (reason == NULL) {
        text_add(out, "{\"health\":\"true\",\"reason\":\"\"}");
        return true;
    }
    text_add(out, "{\"health\":\"false\",\"reason\":\"%s\"}\n", reason);
    return false;
}

bool health_has_check(enum health_page page, struct slice check)
{
    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        if ((checks[i].pages & 1u << page) &&
            slice_eq(check, slice_str(checks[i].name))) {
            return true;
        }
    }
    return false;
}

bool health_needs_probe(enum health_page page, const struct health_query *query,
                        const struct health *health)
{
    if (!health->has_leader || health->stopping || health->needs_state) {
        return false; /* the answer is known */
    }
    if (page == HEALTH_PAGE_HEALTH) {
        return unhealthy_reason(query, health, false) != NULL &&
               unhealthy_reason(query, health, true) == NULL;
    }
    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        if (checks[i].probes && is_asked(&checks[i], page, query)) {
            return true;
        }
    }
    return false;
}

bool health_render(enum health_page page, const struct health_query *query,
                   const struct health *health, bool read_ok, struct buf *out)
{
    if (page == HEALTH_PAGE_HEALTH) {
        return render_json(query, health, read_ok, out);
    }
    return render_checks(page, query, health, read_ok, out);
}
