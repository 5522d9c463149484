/* The pages: a table of paths, and the query behind them.
 *
 * What can fail: a path that is not there (404) and a method that is not GET or HEAD
 * (405); the page itself always renders. */
#include "node/pages.h"

#include <string.h>

#include "base/mem.h"
#include "node/text.h"
#include "node/version.h"

static const char plain_text[] = "text/plain; charset=utf-8";

/* ---- the target ---- */

/* Cuts off and returns what stands before the separator, or all of it. */
static struct slice cut(struct slice *rest, char separator)
{
    const uint8_t *end = rest->len > 0 ? memchr(rest->ptr, separator, rest->len) : NULL;
    struct slice part = *rest;

    if (end == NULL) {
        *rest = slice_of(NULL, 0);
    } else {
        part.len = (size_t)(end - rest->ptr);
        *rest = slice_of(end + 1, rest->len - part.len - 1);
    }
    return part;
}

static void read_parameter(struct health_query *query, struct slice name,
                           struct slice value)
{
    if (slice_eq(name, slice_str("serializable"))) {
        query->serializable = slice_eq(value, slice_str("true"));
    } else if (slice_eq(name, slice_str("verbose"))) {
        query->verbose = true;
    } else if (slice_eq(name, slice_str("exclude")) && value.len > 0 &&
               query->n_excluded < HEALTH_EXCLUDED_MAX) {
        query->excluded[query->n_excluded++] = value;
    }
}

/* Splits a target into its path and the query that health.h knows. */
static struct slice read_target(struct slice target, struct health_query *query)
{
    struct slice path = cut(&target, '?');

    *query = (struct health_query){0};
    while (target.len > 0) {
        struct slice value = cut(&target, '&');
        struct slice name = cut(&value, '=');

        read_parameter(query, name, value);
    }
    return path;
}

/* ---- the table ---- */

struct page_inputs {
    const struct health_query *query;
    const struct health *health;
    struct metrics *metrics;
    bool read_ok;
};

static void render_checks(enum health_page which, const struct page_inputs *in,
                          struct page *out)
{
    bool well = health_render(which, in->query, in->health, in->read_ok, &out->body);

    out->status = well ? 200 : 503;
    out->type = plain_text;
}

static void render_health(const struct page_inputs *in, struct page *out)
{
    render_checks(HEALTH_PAGE_HEALTH, in, out);
    metrics_add(in->metrics,
                out->status == 200 ? METRIC_HEALTH_SUCCESS : METRIC_HEALTH_FAILURES, 1);
}

static void render_livez(const struct page_inputs *in, struct page *out)
{
    render_checks(HEALTH_PAGE_LIVEZ, in, out);
}

static void render_readyz(const struct page_inputs *in, struct page *out)
{
    render_checks(HEALTH_PAGE_READYZ, in, out);
}

static void render_version(const struct page_inputs *in, struct page *out)
{
    (void)in;
    out->status = 200;
    out->type = "application/json";
    text_add(&out->body,
             "{\"etcdserver\":\"%s\",\"etcdcluster\":\"%s.0\",\"storage\":\"%s.0\","
             "\"kvd\":\"%s\"}",
             VERSION_API, VERSION_API_CLUSTER, VERSION_API_CLUSTER, KVD_VERSION);
}

static void render_metrics(const struct page_inputs *in, struct page *out)
{
    out->status = 200;
    out->type = "text/plain; version=0.0.4; charset=utf-8";
    metrics_render(in->metrics, in->health, &out->body);
}

static const struct route {
    const char *path;
    void (*render)(const struct page_inputs *in, struct page *out);
    bool is_health; /* its checks are pages too */
    enum health_page health;
    bool has_checks;
} routes[] = {
    {"/health", render_health, true, HEALTH_PAGE_HEALTH, false},
    {"/livez", render_livez, true, HEALTH_PAGE_LIVEZ, true},
    {"/readyz", render_readyz, true, HEALTH_PAGE_READYZ, true},
    {"/version", render_version, false, 0, false},
    {"/metrics", render_metrics, false, 0, false},
};

/* NULL: no such page. *check is what follows the route's path. */
static const struct route *find_route(struct slice path, struct slice *check)
{
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        size_t len = strlen(routes[i].path);

        if (path.len < len || memcmp(path.ptr, routes[i].path, len) != 0) {
            continue;
        }
        if (path.len == len) {
            *check = slice_of(NULL, 0);
            return &routes[i];
        }
        *check = slice_of(path.ptr + len + 1, path.len - len - 1);
        if (routes[i].has_checks && path.ptr[len] == '/' &&
            health_has_check(routes[i].health, *check)) {
            return &routes[i];
        }
    }
    return NULL;
}

/* ---- public ---- */

bool page_needs_probe(const struct page_request *request, const struct health *health)
{
    struct health_query query;
    struct slice path = read_target(request->target, &query);
    const struct route *route = find_route(path, &query.check);

    return route != NULL && request->is_get && route->is_health &&
           health_needs_probe(route->health, &query, health);
}

void page_render(const struct page_request *request, const struct health *health,
                 struct metrics *metrics, bool read_ok, struct page *out)
{
    struct health_query query;
    struct slice path = read_target(request->target, &query);
    const struct route *route = find_route(path, &query.check);
    struct page_inputs inputs = {
        .query = &query, .health = health, .metrics = metrics, .read_ok = read_ok};

    if (route == NULL) {
        page_render_error(404, "404 page not found", out);
    } else if (!request->is_get) {
        page_render_error(405, "Method Not Allowed", out);
    } else {
        route->render(&inputs, out);
    }
}

void page_render_error(int status, const char *text, struct page *out)
{
    out->status = status;
    out->type = plain_text;
    text_add(&out->body, "%s\n", text);
}
