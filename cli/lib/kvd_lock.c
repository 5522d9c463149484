/* Locks by kvd.v1.Lock. A hold has a name that the client chooses, so that acquiring and
 * releasing can be repeated over other endpoints without harm. */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/check.h"
#include "base/limits.h"
#include "cli/lib/claim.h"
#include "lock.pb-c.h"

#define HOLD_MAX 64   /* characters */
#define GRACE_MS 3000 /* for the answer after the server has waited */

struct kvd_lock {
    struct claim claim;
    char hold[HOLD_MAX + 1];
    int64_t revision;
};

/* ---- who we are, for people ---- */

struct identity {
    char owner[128];
    char host[128];
};

/* The name of the user that we run as. */
static void find_user(char *out, size_t size)
{
    const char *user = getenv("USER");
    struct passwd *found = NULL;
    struct passwd entry;
    char strings[1024];

    if (user == NULL &&
        getpwuid_r(geteuid(), &entry, strings, sizeof(strings), &found) == 0 &&
        found != NULL) {
        user = entry.pw_name;
    }
    snprintf(out, size, "%s", user != NULL ? user : "?");
}

static void find_identity(struct identity *out)
{
    if (gethostname(out->host, sizeof(out->host)) != 0) {
        strcpy(out->host, "?");
    }
    out->host[sizeof(out->host) - 1] = '\0';
    find_user(out->owner, sizeof(out->owner));
}

static void random_hold(char *out)
{
    uint8_t bytes[16];

    CHECK(getrandom(bytes, sizeof(bytes), 0) == sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    }
}

/* ---- acquire ---- */

static void free_lock(struct kvd_warning *warning)
{
    free(container_of(container_of(warning, struct claim, warning), struct kvd_lock,
                      claim));
}

static int release_hold(struct kvd_lock *lock, struct kvd_error *err)
{
    Kvd__V1__ReleaseRequest request = KVD__V1__RELEASE_REQUEST__INIT;
    const Kvd__V1__ReleaseResponse *res;
    struct kvd_call call = {.method = &client_lock_release, .message = &request.base};
    struct arena arena = {.max = LIMIT_CALL_ARENA};
    int rc;

    request.name = kvd_binary(lock->claim.name);
    request.lease = kvd_lease_id(lock->claim.lease);
    request.hold = lock->hold;
    rc = kvd_ask(lock->claim.client, &call, &arena, &res, err);
    if (rc == 0 && !res->released) {
        rc = kvd_fail(err, KVD_LOST, "the lock was not held any more");
    }
    arena_close(&arena);
    return rc;
}

/* Frees a lock that was not acquired. What the server may still do about it is undone; if
 * that fails, it ends with the lease. */
static void give_up(struct kvd_lock *lock)
{
    bool outside = claim_disarm(&lock->claim);

    if (!lock->claim.own_lease) {
        release_hold(lock, NULL);
    }
    claim_close(&lock->claim, NULL);
    CHECK(outside); /* no loss was told, as there was nothing to lose */
    free(lock);
}

static int held_by_another(const Kvd__V1__AcquireResponse *res, struct kvd_bytes name,
                           struct kvd_error *err)
{
    const Kvd__V1__LockHold *holder = res->holder;
    int name_len = name.len < 100 ? (int)name.len : 100;

    if (holder == NULL || holder->owner == NULL) {
        return kvd_fail(err, KVD_BUSY, "the lock %.*s is held by another", name_len,
                        (const char *)name.ptr);
    }
    return kvd_fail(err, KVD_BUSY,
                    "the lock %.*s is held by %.100s on %.100s, process %lld, with token "
                    "%lld; %u before in the line",
                    name_len, (const char *)name.ptr, holder->owner->owner,
                    holder->owner->host, (long long)holder->owner->pid,
                    (long long)holder->token, res->place);
}

static int acquire(struct kvd_lock *lock, const struct kvd_lock_options *options,
                   struct kvd_error *err)
{
    Kvd__V1__AcquireRequest request = KVD__V1__ACQUIRE_REQUEST__INIT;
    Kvd__V1__LockOwner owner = KVD__V1__LOCK_OWNER__INIT;
    struct arena arena = {.max = LIMIT_CALL_ARENA};
    const Kvd__V1__AcquireResponse *res;
    struct identity identity;
    int rc;

    find_identity(&identity);
    owner.owner = options->owner != NULL ? (char *)options->owner : identity.owner;
    owner.host = identity.host;
    owner.pid = getpid();
    request.name = kvd_binary(lock->claim.name);
    request.lease = kvd_lease_id(lock->claim.lease);
    request.hold = lock->hold;
    request.mode = (Kvd__V1__LockMode)options->mode;
    request.slots = options->slots;
    request.owner = &owner;
    request.wait_ms = options->wait_ms == KVD_TRY ? 0
                      : options->wait_ms == 0     ? -1
                                                  : options->wait_ms;
    rc = claim_ask(&lock->claim, &client_lock_acquire, &request.base,
                   request.wait_ms > 0 ? request.wait_ms + GRACE_MS : request.wait_ms,
                   &arena, &res, err);
    if (rc == 0 && !res->acquired) {
        rc = held_by_another(res, lock->claim.name, err);
    }
    if (rc == 0) {
        lock->revision = res->header != NULL ? res->header->revision : res->token;
        rc = claim_arm(&lock->claim, kvd_bytes_in(res->key), res->token, err);
    }
    arena_close(&arena);
    return rc;
}

int kvd_lock_acquire(struct kvd_client *client, struct kvd_bytes name,
                     const struct kvd_lock_options *options, struct kvd_lock **out,
                     struct kvd_error *err)
{
    static const struct kvd_lock_options defaults;
    struct claim_options claim = {.free = free_lock};
    struct kvd_lock *lock;
    int rc;

    options = options != NULL ? options : &defaults;
    if (options->hold != NULL && strlen(options->hold) > HOLD_MAX) {
        return kvd_fail(err, KVD_INVALID, "a hold's name has at most %d characters",
                        HOLD_MAX);
    }
    lock = mem_zero(sizeof(*lock));
    if (options->hold != NULL) {
        strcpy(lock->hold, options->hold);
    } else {
        random_hold(lock->hold);
    }
    claim.lease = options->lease;
    claim.ttl_s = options->ttl_s;
    claim.lost = options->lost;
    claim.lost_owner = options->lost_owner;
    rc = claim_open(&lock->claim, client, name, &claim, err);
    if (rc != 0) {
        free(lock);
        return rc;
    }
    rc = acquire(lock, options, err);
    if (rc != 0) {
        give_up(lock);
        return rc;
    }
    *out = lock;
    return 0;
}

/* ---- use ---- */

int64_t kvd_lock_token(const struct kvd_lock *lock)
{
    return lock->claim.token;
}

struct kvd_fence kvd_lock_fence(const struct kvd_lock *lock)
{
    return (struct kvd_fence){.lock = lock->claim.name, .token = lock->claim.token};
}

struct kvd_bytes kvd_lock_key(const struct kvd_lock *lock)
{
    return lock->claim.key;
}

int64_t kvd_lock_lease(const struct kvd_lock *lock)
{
    return kvd_lease_id(lock->claim.lease);
}

int64_t kvd_lock_revision(const struct kvd_lock *lock)
{
    return lock->revision;
}

int64_t kvd_lock_left_ms(const struct kvd_lock *lock)
{
    return claim_left_ms((struct claim *)&lock->claim);
}

int kvd_lock_release(struct kvd_lock *lock, struct kvd_error *err)
{
    bool outside;
    int rc;

    if (lock == NULL) {
        return 0;
    }
    outside = claim_disarm(&lock->claim);
    rc = release_hold(lock, err);
    claim_close(&lock->claim, NULL);
    if (outside) {
        free(lock);
    }
    return rc;
}
