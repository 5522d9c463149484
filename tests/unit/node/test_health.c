/* /health, /livez, /readyz: what they check and how they say it. */
#include "node/health.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "node/pages.h"

static struct health health;
static struct metrics metrics;
static struct page page;
static char body[64 * KIB];

static void open_all(void)
{
    health = (struct health){.has_leader = true};
    buf_init(&page.body, PAGE_BYTES_MAX);
}

static void close_all(void)
{
    buf_close(&page.body);
}

TestSuite(health, .init = open_all, .fini = close_all);

static int get(const char *target, bool read_ok)
{
    struct page_request request = {.is_get = true, .target = slice_str(target)};

    buf_clear(&page.body);
    page_render(&request, &health, &metrics, read_ok, &page);
    cr_assert_lt(buf_len(&page.body), sizeof(body));
    memcpy(body, buf_slice(&page.body).ptr, buf_len(&page.body));
    body[buf_len(&page.body)] = '\0';
    return page.status;
}

static bool probes(const char *target)
{
    struct page_request request = {.is_get = true, .target = slice_str(target)};

    return page_needs_probe(&request, &health);
}

Test(health, probes_are_made_only_where_they_matter)
{
    cr_assert(probes("/health"));
    cr_assert(probes("/readyz"));
    cr_assert(probes("/readyz/linearizable_read"));
    cr_assert(!probes("/health?serializable=true"));
    cr_assert(!probes("/readyz?exclude=linearizable_read"));
    cr_assert(!probes("/readyz/data_corruption"));
    cr_assert(!probes("/livez"));
    cr_assert(!probes("/version"));
    cr_assert(!probes("/nothing"));
    health.has_leader = false;
    cr_assert(!probes("/health"));
    health = (struct health){.has_leader = true, .diverged = true};
    cr_assert(!probes("/health"));
    cr_assert(probes("/health?exclude=CORRUPT"));
}

Test(health, health_tells_the_first_reason)
{
    cr_assert_eq(get("/health", true), 200);
    cr_assert_str_eq(body, "{\"health\":\"true\",\"reason\":\"\"}");
    cr_assert_eq(get("/health", false), 503);
    health.has_leader = false;
    cr_assert_eq(get("/health", false), 503);
    cr_assert_str_eq(body, "{\"health\":\"false\",\"reason\":\"RAFT NO LEADER\"}\n");
    cr_assert_eq(get("/health?serializable=true", false), 200);
    health.diverged = true;
    cr_assert_eq(get("/health?serializable=true", false), 503);
    cr_assert_str_eq(body, "{\"health\":\"false\",\"reason\":\"ALARM CORRUPT\"}\n");
    cr_assert_eq(get("/health?exclude=NOSPACE&exclude=CORRUPT&serializable=true", false),
                 200);
}

Test(health, readyz_names_what_failed)
{
    cr_assert_eq(get("/readyz", true), 200);
    cr_assert_str_eq(body, "ok\n");
    cr_assert_eq(get("/readyz?verbose", true), 200);
    cr_assert_str_eq(body,
                     "[+]data_corruption ok\n[+]serializable_read ok\n"
                     "[+]linearizable_read ok\n[+]disk ok\n[+]non_learner ok\nok\n");
    cr_assert_eq(get("/readyz", false), 503);
    cr_assert_not_null(strstr(body, "[-]linearizable_read failed: etcdserver: request "
                                    "timed out\n"));
    cr_assert_not_null(strstr(body, "[+]data_corruption ok\n"));
    cr_assert_eq(get("/readyz?exclude=linearizable_read", false), 200);
    cr_assert_eq(get("/readyz/linearizable_read", false), 503);
    cr_assert_eq(get("/readyz/serializable_read", false), 200);
    cr_assert_eq(get("/readyz/nonsense", true), 404);
}

Test(health, a_diverged_or_stopping_member_is_alive_but_not_ready)
{
    health.diverged = true;
    cr_assert_eq(get("/readyz", true), 503);
    cr_assert_not_null(
        strstr(body, "[-]data_corruption failed: alarm activated: CORRUPT"));
    cr_assert_eq(get("/livez", true), 200);
    health = (struct health){.has_leader = true, .stopping = true};
    cr_assert_eq(get("/readyz", true), 503);
    cr_assert_eq(get("/livez", true), 200);
}

Test(health, a_member_that_fetches_the_state_says_so)
{
    health.needs_state = true;
    health.no_state = true;
    snprintf(health.state_text, sizeof(health.state_text), "fetching the state: 34%%");
    cr_assert_eq(get("/readyz", false), 503);
    cr_assert_not_null(
        strstr(body, "[-]linearizable_read failed: fetching the state: 34%\n"));
    cr_assert_eq(get("/livez", false), 200, "it must not be restarted for that");
    cr_assert_eq(get("/health?serializable=true", false), 503);
    cr_assert_not_null(strstr(body, "fetching the state: 34%"));
    health.no_state = false;
    cr_assert_eq(get("/health?serializable=true", false), 200, "it has an older one");
}

Test(health, trouble_with_the_disk_is_named_and_no_reason_for_a_restart)
{
    health.disk_full = true;
    cr_assert_eq(get("/readyz", true), 503);
    cr_assert_not_null(strstr(body, "[-]disk failed: the disk is full\n"));
    cr_assert_eq(get("/livez", true), 200);
    health = (struct health){.has_leader = true, .disk_stalled = true};
    cr_assert_eq(get("/readyz", true), 503);
    cr_assert_not_null(strstr(body, "[-]disk failed: the disk does not answer\n"));
    cr_assert_eq(get("/livez", true), 200);
}

Test(health, livez_has_its_own_checks)
{
    cr_assert_eq(get("/livez?verbose", false), 200);
    cr_assert_str_eq(body, "[+]serializable_read ok\nok\n");
    cr_assert_eq(get("/livez/serializable_read", false), 200);
    cr_assert_eq(get("/livez/linearizable_read", false), 404);
}

Test(health, odd_queries_do_no_harm)
{
    cr_assert_eq(get("/livez?", true), 200);
    cr_assert_eq(get("/livez?&&=&exclude=&exclude", true), 200);
    cr_assert_eq(get("/livez?exclude=a&exclude=a&exclude=a&exclude=a&exclude=a&exclude=a"
                     "&exclude=a&exclude=a&exclude=serializable_read&verbose=1",
                     true),
                 200);
    cr_assert_not_null(strstr(body, "serializable_read"));
    cr_assert_eq(get("", true), 404);
}
