/* What is armed, and what happens at a passing.
 *
 * A point that nothing is armed at costs one load of a flag. Otherwise the items are
 * looked at under a lock: the first one whose turn it is acts, with the lock released,
 * since it may wait. What can fail: see the header. */
#include "base/failpoint.h"

#ifdef KVD_FAILPOINTS

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"

#define ITEM_MAX 96 /* bytes of its text */

enum { CAN_FAIL = 1, CAN_CUT = 2 };

static const struct {
    const char *name;
    unsigned can;
    const char *meaning;
} points[] = {
#define FAILPOINT_ROW(NAME, CAN, MEANING) {#NAME, CAN, MEANING},
#include "base/failpoint.def"
#undef FAILPOINT_ROW
};

enum action { ACTION_CRASH, ACTION_EXIT, ACTION_DELAY, ACTION_ERROR, ACTION_SHORT };

static const struct {
    const char *name;
    enum action action;
    const char *argument; /* what follows a colon; NULL: nothing */
    unsigned needs;
} actions[] = {
    {"crash", ACTION_CRASH, NULL, 0},
    {"exit", ACTION_EXIT, NULL, 0},
    {"delay", ACTION_DELAY, "milliseconds", 0},
    {"error", ACTION_ERROR, "EIO or ENOSPC", CAN_FAIL},
    {"short", ACTION_SHORT, NULL, CAN_CUT},
};

/* Acts at passing `from` (and later ones, if onward), or by chance. */
struct item {
    char text[ITEM_MAX];
    enum failpoint point;
    enum action action;
    uint64_t delay_ms;
    int error; /* a negative errno */
    uint64_t from;
    bool onward;
    double chance; /* 0: not by chance */
    uint64_t passed;
};

struct items {
    struct item item[LIMIT_FAILPOINTS];
    size_t n;
    uint64_t seed;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* of items */
static struct items items;
static atomic_bool is_armed[FAILPOINT_N];
static const char *file_path; /* loop thread, as is what was seen of it */
static struct stat file_seen;

/* ---- names ---- */

/* LOG_WRITE in the table is log-write for the user. */
static void spell(enum failpoint point, char name[ITEM_MAX])
{
    size_t i = 0;

    for (; points[point].name[i] != '\0'; i++) {
        char c = points[point].name[i];

        name[i] = c == '_' ? '-' : (char)(c - 'A' + 'a');
    }
    name[i] = '\0';
}

static bool find_point(const char *wanted, enum failpoint *out)
{
    char name[ITEM_MAX];

    for (enum failpoint point = 0; point < FAILPOINT_N; point++) {
        spell(point, name);
        if (strcmp(name, wanted) == 0) {
            *out = point;
            return true;
        }
    }
    return false;
}

/* ---- reading an item ---- */

static bool parse_number(const char *text, uint64_t *out)
{
    char *end;

    if (*text < '0' || *text > '9') {
        return false;
    }
    errno = 0;
    *out = strtoull(text, &end, 10);
    return *end == '\0' && errno == 0;
}

/* @n, @n+ or %p, which it cuts off the text. */
static int parse_trigger(char *text, struct item *item, struct err *err)
{
    char *at = strpbrk(text, "@%");
    size_t len;
    char *end;

    item->from = 1;
    item->onward = at == NULL;
    if (at == NULL) {
        return 0;
    }
    if (*at == '%') {
        *at = '\0';
        item->chance = strtod(at + 1, &end);
        if (end == at + 1 || *end != '\0' || !(item->chance > 0 && item->chance <= 1)) {
            return err_set(err, ERR_INVALID,
                           "%s: a chance is above 0 and at most 1, such as %%0.1",
                           item->text);
        }
        return 0;
    }
    *at++ = '\0';
    len = strlen(at);
    if (len > 0 && at[len - 1] == '+') {
        item->onward = true;
        at[len - 1] = '\0';
    }
    if (!parse_number(at, &item->from) || item->from == 0) {
        return err_set(err, ERR_INVALID, "%s: after @ comes a number from 1 on",
                       item->text);
    }
    return 0;
}

static bool parse_argument(const char *argument, struct item *item)
{
    switch (item->action) {
    case ACTION_DELAY:
        return parse_number(argument, &item->delay_ms);
    case ACTION_ERROR:
        item->error = strcmp(argument, "EIO") == 0      ? -EIO
                      : strcmp(argument, "ENOSPC") == 0 ? -ENOSPC
                                                        : 0;
        return item->error != 0;
    case ACTION_CRASH:
    case ACTION_EXIT:
    case ACTION_SHORT:
        break;
    }
    return false;
}

static int parse_action(char *text, struct item *item, struct err *err)
{
    char *argument = strchr(text, ':');

    if (argument != NULL) {
        *argument++ = '\0';
    }
    for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
        if (strcmp(actions[i].name, text) != 0) {
            continue;
        }
        item->action = actions[i].action;
        if ((points[item->point].can & actions[i].needs) != actions[i].needs) {
            return err_set(err, ERR_INVALID, "%s: %s is not possible at this point",
                           item->text, text);
        }
        if ((argument != NULL) != (actions[i].argument != NULL) ||
            (argument != NULL && !parse_argument(argument, item))) {
            return err_set(err, ERR_INVALID, "%s: %s takes %s", item->text, text,
                           actions[i].argument != NULL ? actions[i].argument
                                                       : "no argument");
        }
        return 0;
    }
    return err_set(err, ERR_INVALID,
                   "%s: no action %s; there are crash, exit, delay:MS, error:EIO, "
                   "error:ENOSPC and short",
                   item->text, text);
}

static int parse_item(const char *text, struct items *out, struct err *err)
{
    char copy[ITEM_MAX];
    struct item *item = &out->item[out->n];
    char *equals;
    int rc;

    if (strlen(text) >= ITEM_MAX || out->n == LIMIT_FAILPOINTS) {
        return err_set(err, ERR_TOO_BIG,
                       "%.40s: an item has at most %d bytes, and %d are "
                       "the most that can be armed",
                       text, ITEM_MAX - 1, LIMIT_FAILPOINTS);
    }
    strcpy(copy, text);
    equals = strchr(copy, '=');
    if (equals == NULL) {
        return err_set(err, ERR_INVALID, "%s: not of the form name=action", text);
    }
    *equals = '\0';
    if (strcmp(copy, "seed") == 0) {
        return parse_number(equals + 1, &out->seed)
                   ? 0
                   : err_set(err, ERR_INVALID, "%s: a seed is a number", text);
    }
    *item = (struct item){0};
    strcpy(item->text, text);
    if (!find_point(copy, &item->point)) {
        return err_set(err, ERR_INVALID,
                       "%s: there is no failpoint %s; kvd --failpoints lists them", text,
                       copy);
    }
    rc = parse_trigger(equals + 1, item, err);
    rc = rc == 0 ? parse_action(equals + 1, item, err) : rc;
    out->n += rc == 0;
    return rc;
}

/* ---- arming ---- */

static void keep_counts(struct items *fresh)
{
    for (size_t i = 0; i < fresh->n; i++) {
        for (size_t j = 0; j < items.n; j++) {
            if (strcmp(fresh->item[i].text, items.item[j].text) == 0) {
                fresh->item[i].passed = items.item[j].passed;
            }
        }
    }
}

static void take_over(struct items *fresh)
{
    bool armed[FAILPOINT_N] = {false};

    pthread_mutex_lock(&mutex);
    keep_counts(fresh);
    items = *fresh;
    for (size_t i = 0; i < items.n; i++) {
        armed[items.item[i].point] = true;
    }
    for (enum failpoint point = 0; point < FAILPOINT_N; point++) {
        atomic_store(&is_armed[point], armed[point]);
    }
    pthread_mutex_unlock(&mutex);
}

int failpoint_arm(const char *text, struct err *err)
{
    char *copy = mem_strdup(text);
    struct items *fresh = mem_zero(sizeof(*fresh));
    char *rest = NULL;
    int rc = 0;

    fresh->seed = 1;
    for (char *item = strtok_r(copy, ";\n", &rest); item != NULL && rc == 0;
         item = strtok_r(NULL, ";\n", &rest)) {
        rc = parse_item(item, fresh, err);
    }
    if (rc == 0) {
        take_over(fresh);
    }
    free(fresh);
    free(copy);
    return rc;
}

/* ---- the file ---- */

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* A file that is not there arms nothing. */
static int read_file(struct err *err)
{
    char text[LIMIT_FAILPOINT_TEXT] = "";
    int fd = open(file_path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;

    if (fd >= 0) {
        close(fd);
    }
    if (len < 0) {
        return err_set(err, ERR_IO, "read %s: %s", file_path, strerror(errno));
    }
    return failpoint_arm(text, err);
}

void failpoint_poll(void)
{
    struct stat now = {0};
    struct err err;

    if (file_path == NULL) {
        return;
    }
    (void)stat(file_path, &now);
    if (is_same(&now, &file_seen)) {
        return;
    }
    file_seen = now;
    if (read_file(&err) != 0) {
        log_error("the file of failpoints was not taken", LOG_TEXT("error", err.text));
    } else {
        log_info("took the file of failpoints", LOG_TEXT("file", file_path));
    }
}

int failpoint_open(struct err *err)
{
    const char *text = getenv("KVD_FAILPOINTS");
    int rc = text != NULL ? failpoint_arm(text, err) : 0;

    file_path = getenv("KVD_FAILPOINT_FILE");
    if (rc == 0 && file_path != NULL && stat(file_path, &file_seen) == 0) {
        rc = read_file(err);
    }
    return rc != 0 ? err_prefix(err, rc, "failpoints") : 0;
}

bool failpoint_listed(int argc, char **argv)
{
    char name[ITEM_MAX];

    if (argc != 2 || strcmp(argv[1], "--failpoints") != 0) {
        return false;
    }
    for (enum failpoint point = 0; point < FAILPOINT_N; point++) {
        spell(point, name);
        printf("%-16s %s%s%s\n", name, points[point].meaning,
               points[point].can & CAN_FAIL ? " [error]" : "",
               points[point].can & CAN_CUT ? " [short]" : "");
    }
    return true;
}

/* ---- passing ---- */

/* splitmix64, from "Fast Splittable Pseudorandom Number Generators" (2014). */
static uint64_t next_random(void)
{
    uint64_t z = items.seed += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Counts a passing; true when it is the item's turn. */
static bool is_due(struct item *item)
{
    item->passed++;
    if (item->chance > 0) {
        return (double)(next_random() >> 11) * 0x1p-53 < item->chance;
    }
    return item->passed == item->from || (item->onward && item->passed > item->from);
}

/* Finds the item that acts now, if any, among those that cut lengths or the others. */
static bool find_due(enum failpoint point, bool cuts, struct item *out, uint64_t *chance)
{
    bool found = false;

    if (!atomic_load(&is_armed[point])) {
        return false;
    }
    pthread_mutex_lock(&mutex);
    for (size_t i = 0; i < items.n; i++) {
        struct item *item = &items.item[i];

        if (item->point == point && (item->action == ACTION_SHORT) == cuts &&
            is_due(item) && !found) {
            *out = *item;
            *chance = next_random();
            found = true;
        }
    }
    pthread_mutex_unlock(&mutex);
    if (found) {
        log_warn("failpoint", LOG_TEXT("item", out->text),
                 LOG_UINT("passing", out->passed));
    }
    return found;
}

static void wait_ms(uint64_t ms)
{
    struct timespec left = {.tv_sec = (time_t)(ms / 1000),
                            .tv_nsec = (long)(ms % 1000) * 1000000};

    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

int failpoint_pass(enum failpoint point)
{
    struct item item;
    uint64_t chance;

    if (!find_due(point, false, &item, &chance)) {
        return 0;
    }
    switch (item.action) {
    case ACTION_CRASH:
        raise(SIGKILL);
        break;
    case ACTION_EXIT:
        _exit(EXIT_FAILURE);
    case ACTION_DELAY:
        wait_ms(item.delay_ms);
        break;
    case ACTION_ERROR:
        return item.error;
    case ACTION_SHORT:
        break;
    }
    return 0;
}

size_t failpoint_cut(enum failpoint point, size_t len)
{
    struct item item;
    uint64_t chance;

    if (len > 1 && find_due(point, true, &item, &chance)) {
        return 1 + (size_t)(chance % (len - 1));
    }
    return len;
}

#endif
