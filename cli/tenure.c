/* Happy path: on its own thread open a lease, and with it acquire the lock or win the
 * election; meanwhile the caller waits for the thread or for a signal. A signal revokes
 * the lease, which takes us out of the line and ends the thread's call.
 *
 * What can fail: no contact; others hold it for longer than we want to wait; the lease is
 * lost while we wait or, told by the library's thread, while we hold. */
#include "cli/tenure.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/command.h"
#include "cli/lib/socket.h"

/* The loss counts as long before the lease can end: time to kill. */
#define MARGIN_PART   20
#define MARGIN_MIN_MS 100
#define MARGIN_MAX_MS 1000
#define RECIPE_TRY_MS 3000 /* for a try by etcd's recipe, of a lock that looks free */

struct tenure {
    struct session *session;
    struct kvd_client *client;
    struct tenure_options options;
    pthread_t thread;
    int done_fd; /* the thread is done */
    int lost_fd;
    int rc; /* of the thread: 0 or an enum kvd_code */
    struct kvd_error error;
    struct kvd_lock *lock; /* one of the two is held */
    struct kvd_candidate *candidate;

    pthread_mutex_t mutex; /* of what follows */
    struct kvd_lease *lease;
    bool canceled;
    bool lost;
    struct kvd_error why_lost;
};

static void signal_fd(int fd)
{
    uint64_t one = 1;
    ssize_t n = write(fd, &one, sizeof(one));

    (void)n; /* a counter that is set already will do */
}

/* On a thread of the library. */
static void on_lost(void *owner, const struct kvd_error *why)
{
    struct tenure *tenure = owner;

    pthread_mutex_lock(&tenure->mutex);
    if (!tenure->lost) {
        tenure->lost = true;
        tenure->why_lost = *why;
    }
    pthread_mutex_unlock(&tenure->mutex);
    signal_fd(tenure->lost_fd);
}

/* ---- taking it, on the tenure's thread ---- */

static int64_t margin_ms(int64_t ttl_s)
{
    int64_t margin = ttl_s * 1000 / MARGIN_PART;

    margin = margin < MARGIN_MIN_MS ? MARGIN_MIN_MS : margin;
    return margin > MARGIN_MAX_MS ? MARGIN_MAX_MS : margin;
}

static int open_lease(struct tenure *tenure)
{
    struct kvd_lease_options options = {
        .ttl_s = tenure->options.ttl_s,
        .margin_ms = margin_ms(tenure->options.ttl_s),
        .lost = on_lost,
        .owner = tenure,
    };
    struct kvd_lease *lease;
    int rc = kvd_lease_open(tenure->client, &options, &lease, &tenure->error);

    if (rc == 0) {
        pthread_mutex_lock(&tenure->mutex);
        tenure->lease = lease;
        rc = tenure->canceled ? KVD_CANCELED : 0;
        pthread_mutex_unlock(&tenure->mutex);
    }
    return rc;
}

static int campaign(struct tenure *tenure, int64_t wait_ms)
{
    struct kvd_campaign_options options = {
        .wait_ms = wait_ms == TENURE_WAIT_FOREVER ? 0 : wait_ms,
        .lease = tenure->lease,
        .lost = on_lost,
        .lost_owner = tenure,
    };

    return kvd_campaign(tenure->client, kvd_str(tenure->options.name),
                        kvd_str(tenure->options.value), &options, &tenure->candidate,
                        &tenure->error);
}

/* Looks first: a campaign that fails has stood in the line for a moment. */
static int try_recipe(struct tenure *tenure)
{
    char *prefix = mem_printf("%s/", tenure->options.name);
    struct kvd_get_options one = {.limit = 1, .keys_only = true};
    struct kvd_result *found;
    int rc = kvd_get(tenure->client, kvd_prefix(prefix), &one, &found, &tenure->error);
    bool free_now = rc == 0 && found->n_kvs == 0;

    free(prefix);
    if (rc != 0) {
        return rc;
    }
    kvd_result_free(found);
    if (free_now) {
        return campaign(tenure, RECIPE_TRY_MS);
    }
    tenure->error.code = KVD_BUSY;
    snprintf(tenure->error.text, sizeof(tenure->error.text), "another has it");
    return KVD_BUSY;
}

static int recipe_lock(struct tenure *tenure)
{
    if (tenure->options.mode != KVD_EXCLUSIVE) {
        snprintf(tenure->error.text, sizeof(tenure->error.text),
                 "--shared and --slots need a kvd server: this one knows exclusive locks "
                 "only");
        return KVD_UNSUPPORTED;
    }
    fprintf(stderr, "This server has no lock service of kvd: the lock is made by etcd's "
                    "recipe,\nand writes are not fenced (--fence needs kvd).\n");
    return tenure->options.wait_ms == 0 ? try_recipe(tenure)
                                        : campaign(tenure, tenure->options.wait_ms);
}

static int acquire(struct tenure *tenure)
{
    int64_t wait_ms = tenure->options.wait_ms;
    struct kvd_lock_options options = {
        .mode = tenure->options.mode,
        .slots = tenure->options.slots,
        .wait_ms = wait_ms == 0                     ? KVD_TRY
                   : wait_ms == TENURE_WAIT_FOREVER ? 0
                                                    : wait_ms,
        .lease = tenure->lease,
        .owner = tenure->options.owner,
        .lost = on_lost,
        .lost_owner = tenure,
    };
    int rc = kvd_lock_acquire(tenure->client, kvd_str(tenure->options.name), &options,
                              &tenure->lock, &tenure->error);

    return rc == KVD_UNSUPPORTED ? recipe_lock(tenure) : rc;
}

static void *take(void *owner)
{
    struct tenure *tenure = owner;

    tenure->rc = open_lease(tenure);
    if (tenure->rc == 0) {
        tenure->rc = tenure->options.election ? campaign(tenure, tenure->options.wait_ms)
                                              : acquire(tenure);
    }
    signal_fd(tenure->done_fd);
    return NULL;
}

/* ---- the caller's side ---- */

static void tenure_free(struct tenure *tenure)
{
    kvd_lease_close(tenure->lease, NULL);
    close(tenure->done_fd);
    close(tenure->lost_fd);
    pthread_mutex_destroy(&tenure->mutex);
    free(tenure);
}

/* Takes us out of the line; the thread's call then fails. */
static void give_up(struct tenure *tenure)
{
    int64_t id = 0;

    pthread_mutex_lock(&tenure->mutex);
    tenure->canceled = true;
    if (tenure->lease != NULL) {
        id = kvd_lease_id(tenure->lease);
    }
    pthread_mutex_unlock(&tenure->mutex);
    if (id != 0) {
        kvd_lease_revoke(tenure->client, id, NULL);
    }
}

/* Until the thread is done. The first signal to end gives up, another one ends us. */
static int await_thread(struct tenure *tenure, struct signals *signals)
{
    struct pollfd wait[] = {{.fd = tenure->done_fd, .events = POLLIN},
                            {.fd = signals->fd, .events = POLLIN}};
    int ended_by = 0;

    for (;;) {
        int number;

        poll(wait, ARRAY_LEN(wait), -1);
        while ((number = signals_next(signals)) != 0) {
            if (number == SIGTSTP) {
                raise(SIGSTOP);
            } else if (signals_ends(number) && ended_by != 0) {
                signals_die(signals, number);
            } else if (signals_ends(number)) {
                ended_by = number;
                give_up(tenure);
            }
        }
        if (wait[0].revents != 0) {
            pthread_join(tenure->thread, NULL);
            return ended_by;
        }
    }
}

static enum exit_code explain(const struct tenure *tenure, struct err *err)
{
    const struct tenure_options *options = &tenure->options;

    if (tenure->rc == KVD_BUSY) {
        return command_fail(
            err, EXIT_NOT_ACQUIRED, "%s \"%s\" %s%s%s",
            options->election ? "election" : "lock", options->name,
            options->wait_ms == 0 ? "is not free" : "was not acquired in time",
            tenure->error.text[0] != '\0' ? ": " : "", tenure->error.text);
    }
    return command_fail(err, session_kvd_exit_code(tenure->rc), "%s", tenure->error.text);
}

/* After the thread: what it took is not wanted any more. */
static void drop(struct tenure *tenure)
{
    kvd_lock_release(tenure->lock, NULL);
    kvd_candidate_resign(tenure->candidate, NULL);
}

enum exit_code tenure_take(struct session *session, struct signals *signals,
                           const struct tenure_options *options, struct tenure **out,
                           int *signal, struct err *err)
{
    struct tenure *tenure = mem_zero(sizeof(*tenure));
    enum exit_code code = EXIT_OK;

    *signal = 0;
    tenure->session = session;
    tenure->options = *options;
    tenure->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    tenure->lost_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&tenure->mutex, NULL);
    code = session_kvd(session, &tenure->client, err);
    if (code != EXIT_OK) {
        tenure_free(tenure);
        return code;
    }
    if (tenure->done_fd < 0 || tenure->lost_fd < 0 ||
        pthread_create(&tenure->thread, NULL, take, tenure) != 0) {
        tenure_free(tenure);
        return command_fail(err, EXIT_ERROR, "no thread: %s", strerror(errno));
    }
    *signal = await_thread(tenure, signals);
    if (*signal == 0 && tenure->rc == 0) {
        *out = tenure;
        return EXIT_OK;
    }
    code = *signal != 0 ? (enum exit_code)(128 + *signal) : explain(tenure, err);
    if (tenure->rc == 0) {
        drop(tenure);
    }
    tenure_free(tenure);
    return code;
}

int64_t tenure_token(const struct tenure *tenure)
{
    return tenure->lock != NULL ? kvd_lock_token(tenure->lock)
                                : kvd_candidate_fence(tenure->candidate).token;
}

int64_t tenure_revision(const struct tenure *tenure)
{
    return tenure->lock != NULL ? kvd_lock_revision(tenure->lock) : tenure_token(tenure);
}

int64_t tenure_lease(const struct tenure *tenure)
{
    return kvd_lease_id(tenure->lease);
}

struct slice tenure_key(const struct tenure *tenure)
{
    struct kvd_bytes key = tenure->lock != NULL ? kvd_lock_key(tenure->lock)
                                                : kvd_candidate_key(tenure->candidate);

    return slice_of(key.ptr, key.len);
}

const char *tenure_name(const struct tenure *tenure)
{
    return tenure->options.name;
}

int64_t tenure_ttl_ms(const struct tenure *tenure)
{
    return kvd_lease_ttl_s(tenure->lease) * 1000;
}

int64_t tenure_left_ms(struct tenure *tenure)
{
    bool lost;

    pthread_mutex_lock(&tenure->mutex);
    lost = tenure->lost;
    pthread_mutex_unlock(&tenure->mutex);
    return lost ? 0 : kvd_lease_left_ms(tenure->lease);
}

void tenure_why(struct tenure *tenure, struct err *err)
{
    /* With the lease the key goes, which by itself looks like a release by others. */
    bool expired = kvd_lease_left_ms(tenure->lease) == 0;

    pthread_mutex_lock(&tenure->mutex);
    err_set(err, ERR_NETWORK, "%s",
            tenure->lost && !expired ? tenure->why_lost.text
                                     : "its lease was not kept alive in time");
    pthread_mutex_unlock(&tenure->mutex);
}

int tenure_lost_fd(const struct tenure *tenure)
{
    return tenure->lost_fd;
}

/* On the tenure's thread, again. */
static void *give_back(void *owner)
{
    struct tenure *tenure = owner;

    tenure->rc = tenure->lock != NULL
                     ? kvd_lock_release(tenure->lock, &tenure->error)
                     : kvd_candidate_resign(tenure->candidate, &tenure->error);
    kvd_lease_close(tenure->lease, NULL);
    tenure->lease = NULL;
    signal_fd(tenure->done_fd);
    return NULL;
}

/* False: not done in time, or a signal came. */
static bool await_given_back(struct tenure *tenure, struct signals *signals,
                             int64_t limit_ms)
{
    struct pollfd wait[] = {{.fd = tenure->done_fd, .events = POLLIN},
                            {.fd = signals->fd, .events = POLLIN}};
    int64_t until_ms = clock_ms() + limit_ms;

    for (;;) {
        int64_t left_ms = until_ms - clock_ms();
        int number;

        poll(wait, ARRAY_LEN(wait), left_ms > 0 ? (int)left_ms : 0);
        if (wait[0].revents != 0) {
            pthread_join(tenure->thread, NULL);
            return true;
        }
        while ((number = signals_next(signals)) != 0) {
            if (signals_ends(number)) {
                return false;
            }
        }
        if (left_ms <= 0) {
            return false;
        }
    }
}

int tenure_release(struct tenure *tenure, struct signals *signals, int64_t limit_ms,
                   struct err *err)
{
    uint64_t count;
    ssize_t n = read(tenure->done_fd, &count, sizeof(count)); /* of the taking */
    int rc;

    (void)n;
    if (pthread_create(&tenure->thread, NULL, give_back, tenure) != 0 ||
        !await_given_back(tenure, signals, limit_ms)) {
        tenure->session->kvd = NULL; /* in use until the process ends */
        return err_set(err, ERR_TIMEOUT, "no answer in time");
    }
    rc = tenure->rc;
    if (rc == KVD_LOST) {
        rc = err_set(err, ERR_EXISTS, "%s", tenure->error.text);
    } else if (rc != 0) {
        rc = err_set(err, ERR_NETWORK, "%s", tenure->error.text);
    }
    tenure_free(tenure);
    return rc;
}
