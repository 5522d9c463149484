#include "tests/sim/node_services.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "tests/sim/bulk_writer.h"
#include "tests/sim/chronicler.h"
#include "tests/sim/lease_client.h"
#include "tests/sim/lock_client.h"
#include "tests/sim/lock_hand.h"
#include "tests/sim/lock_observer.h"
#include "tests/sim/lock_reader.h"
#include "tests/sim/watch_client.h"

#define CHRONICLER_HOST 45
#define FIRST_HOST      46
#define BULK_KEYS_MAX   12

static struct sim_place new_place(struct services *services, uint32_t number,
                                  struct services_actor *actor)
{
    actor->host = sim_host_new(services->world, number, NULL);
    sim_host_keep_true_time(actor->host);
    return (struct sim_place){.env = sim_host_env(actor->host),
                              .addresses = services->addresses,
                              .n_addresses = services->cluster->n_members,
                              .rng = sim_rng_split(&services->rng)};
}

static struct services_actor *add_actor(struct services *services,
                                        struct sim_place *place)
{
    struct services_actor *actor = &services->actors[services->n_actors];

    CHECK(services->n_actors < SERVICES_ACTORS_MAX);
    *place = new_place(services, FIRST_HOST + (uint32_t)services->n_actors, actor);
    services->n_actors++;
    return actor;
}

static void run_actor(struct services_actor *actor, const struct sim_actor *kind,
                      void *owner)
{
    actor->kind = kind;
    actor->owner = owner;
    sim_host_run(actor->host, &kind->program, owner);
}

static void start_chronicler(struct services *services)
{
    struct chronicler_options options = {
        .place = new_place(services, CHRONICLER_HOST, &services->chronicler),
        .chronicle = &services->chronicle,
        .poll_ms = sim_rng_between(&services->rng, 100, 2000),
    };

    if (sim_rng_chance(&services->rng, 600000)) {
        options.compact_ms = sim_rng_between(&services->rng, 200, 4000);
    }
    run_actor(&services->chronicler, &chronicler_actor, chronicler_open(&options));
}

static void start_writers(struct services *services)
{
    static const uint32_t sizes[] = {6000, 100, 10};
    bool favoured = services->mix == MIX_WATCHES; /* many and long values */
    uint64_t n = favoured ? 2 : sim_rng_between(&services->rng, 0, 2);
    uint32_t n_keys = (uint32_t)sim_rng_between(&services->rng, 1, BULK_KEYS_MAX);

    for (uint64_t i = 0; i < n; i++) {
        struct bulk_writer_options options = {
            .next_value = services->next_value,
            .n_keys = n_keys,
            .value_bytes_max =
                sizes[favoured ? 0 : sim_rng_between(&services->rng, 0, 2)],
            .think_ms_max = sim_rng_between(&services->rng, 10, 600),
        };
        struct services_actor *actor = add_actor(services, &options.place);

        run_actor(actor, &bulk_writer_actor, bulk_writer_open(&options));
    }
}

static void start_leases(struct services *services)
{
    uint64_t n = services->mix <= MIX_LAGS ? sim_rng_between(&services->rng, 0, 3) : 0;

    for (uint64_t i = 0; i < n; i++) {
        struct lease_client_options options = {
            .number = (uint32_t)i,
            .chronicle = &services->chronicle,
            .act_ms_max = sim_rng_between(&services->rng, 100, 1500),
            .hold_ms_max = sim_rng_between(&services->rng, 100, 15000),
        };
        struct services_actor *actor = add_actor(services, &options.place);

        run_actor(actor, &lease_client_actor, lease_client_open(&options));
    }
}

/* Those around the clients of locks. */
static void start_lookers(struct services *services, uint32_t n_names)
{
    uint64_t n_hands =
        services->mix == MIX_CIRCLES ? 2 : sim_rng_between(&services->rng, 0, 2);

    for (uint64_t i = 0; i < n_hands; i++) {
        struct lock_hand_options options = {
            .number = (uint32_t)i,
            .chronicle = &services->chronicle,
            .log = &services->locks,
            .next_value = services->next_value,
            .n_names = n_names,
            .act_ms_max = sim_rng_between(&services->rng, 50, 1000),
        };
        struct services_actor *actor = add_actor(services, &options.place);

        run_actor(actor, &lock_hand_actor, lock_hand_open(&options));
    }
    if (sim_rng_chance(&services->rng, 500000)) {
        struct lock_reader_options options = {
            .chronicle = &services->chronicle,
            .log = &services->locks,
            .n_names = n_names,
            .act_ms_max = sim_rng_between(&services->rng, 50, 1000),
        };
        struct services_actor *actor = add_actor(services, &options.place);

        run_actor(actor, &lock_reader_actor, lock_reader_open(&options));
    }
    if (sim_rng_chance(&services->rng, 500000)) {
        struct lock_observer_options options = {
            .chronicle = &services->chronicle,
            .log = &services->locks,
            .n_names = n_names,
            .stay_ms_max = sim_rng_between(&services->rng, 100, 6000),
        };
        struct services_actor *actor = add_actor(services, &options.place);

        run_actor(actor, &lock_observer_actor, lock_observer_open(&options));
    }
}

static void start_locks(struct services *services)
{
    static const uint32_t chances[] = {
        [MIX_ANY] = 500000, [MIX_LOCKS] = 1000000, [MIX_CIRCLES] = 1000000};
    bool circles = services->mix == MIX_CIRCLES; /* long, through many locks */
    uint64_t n = sim_rng_chance(&services->rng, chances[services->mix])
                     ? sim_rng_between(&services->rng, 2, 5)
                     : 0;
    uint32_t n_names = (uint32_t)sim_rng_between(&services->rng, circles ? 3 : 1, 3);
    bool greedy = circles || sim_rng_chance(&services->rng, 500000);

    if (n > 0) {
        start_lookers(services, n_names);
    }
    for (uint64_t i = 0; i < n; i++) {
        struct lock_client_options options = {
            .number = (uint32_t)i,
            .chronicle = &services->chronicle,
            .log = &services->locks,
            .next_value = services->next_value,
            .n_names = n_names,
            .act_ms_max = sim_rng_between(&services->rng, 50, 1000),
            .greedy = greedy,
        };
        struct services_actor *actor = add_actor(services, &options.place);

        run_actor(actor, &lock_client_actor, lock_client_open(&options));
    }
}

static void start_watchers(struct services *services)
{
    uint64_t n = services->mix == MIX_WATCHES ? 3
                 : services->mix == MIX_ANY   ? sim_rng_between(&services->rng, 0, 3)
                                              : 0;

    for (uint64_t i = 0; i < n; i++) {
        struct watch_client_options options = {
            .number = (uint32_t)i,
            .chronicle = &services->chronicle,
            .n_keys = services->n_keys,
            .n_bulk_keys = BULK_KEYS_MAX,
            .act_ms_max = sim_rng_between(&services->rng, 50, 3000),
        };
        struct services_actor *actor = add_actor(services, &options.place);

        run_actor(actor, &watch_client_actor, watch_client_open(&options));
    }
}

void services_open(struct services *services)
{
    chronicle_init(&services->chronicle);
    start_chronicler(services);
    start_writers(services);
    start_leases(services);
    start_locks(services);
    start_watchers(services);
}

static void close_actor(struct services_actor *actor)
{
    if (actor->kind != NULL) {
        sim_host_run(actor->host, NULL, NULL);
        actor->kind->close(actor->owner);
    }
}

void services_close(struct services *services)
{
    for (size_t i = 0; i < services->n_actors; i++) {
        close_actor(&services->actors[i]);
    }
    close_actor(&services->chronicler);
    lock_log_close(&services->locks);
    chronicle_close(&services->chronicle);
}

static const char *complaint_of(const struct services_actor *actor)
{
    return actor->kind->complaint != NULL ? actor->kind->complaint(actor->owner) : NULL;
}

const char *services_complaint(const struct services *services)
{
    const char *text = complaint_of(&services->chronicler);

    for (size_t i = 0; i < services->n_actors && text == NULL; i++) {
        text = complaint_of(&services->actors[i]);
    }
    return text;
}

static void stop_actor(const struct services_actor *actor)
{
    actor->kind->stop(actor->owner);
    sim_host_wake(actor->host);
}

static bool watches(const struct services_actor *actor)
{
    return actor->kind == &watch_client_actor;
}

/* Those who watch, or those who do not. */
static void stop_actors(struct services *services, bool who_watch)
{
    for (size_t i = 0; i < services->n_actors; i++) {
        if (watches(&services->actors[i]) == who_watch) {
            stop_actor(&services->actors[i]);
        }
    }
}

static bool actors_idle(const struct services *services, bool who_watch)
{
    for (size_t i = 0; i < services->n_actors; i++) {
        const struct services_actor *actor = &services->actors[i];

        if (watches(actor) == who_watch && !actor->kind->idle(actor->owner)) {
            return false;
        }
    }
    return true;
}

void services_stop(struct services *services)
{
    stop_actors(services, false);
}

bool services_idle(const struct services *services)
{
    return actors_idle(services, false);
}

void services_read(struct services *services)
{
    stop_actor(&services->chronicler);
}

bool services_have_read(const struct services *services)
{
    return services->chronicler.kind->idle(services->chronicler.owner);
}

void services_watch_all(struct services *services)
{
    stop_actors(services, true);
}

bool services_have_watched(const struct services *services)
{
    return actors_idle(services, true);
}

void services_count(const struct services *services, uint64_t *events, uint64_t *grants)
{
    *events = 0;
    *grants = 0;
    for (size_t i = 0; i < services->n_actors; i++) {
        if (watches(&services->actors[i])) {
            *events += watch_client_events(services->actors[i].owner);
        }
    }
    for (size_t i = 0; i < services->locks.n; i++) {
        const struct lock_ask *ask = &services->locks.asks[i];

        *grants += ask->outcome == LOCK_DONE && ask->verb <= LOCK_ETCD_CAMPAIGN;
    }
}

void services_freeze(struct services *services, uint64_t until)
{
    if (services->n_actors > 0) {
        size_t i = sim_rng_between(&services->rng, 0, services->n_actors - 1);

        sim_host_freeze(services->actors[i].host, until);
    }
}

void services_thaw(struct services *services)
{
    for (size_t i = 0; i < services->n_actors; i++) {
        sim_host_freeze(services->actors[i].host, 0);
    }
}

static int check_actor(const struct services *services,
                       const struct services_actor *actor, struct err *err)
{
    struct lease_bounds bounds = {.chronicle = &services->chronicle,
                                  .track = &services->cluster->track,
                                  .drift_ppm = services->cluster->drift_ppm,
                                  .end = sim_world_now(services->world)};

    if (actor->kind == &lease_client_actor) {
        return lease_client_check(actor->owner, &bounds, err);
    }
    if (actor->kind == &lock_client_actor) {
        return lock_client_check(actor->owner, &bounds, err);
    }
    if (actor->kind == &lock_hand_actor) {
        return lock_hand_check(actor->owner, &bounds, err);
    }
    return watches(actor) ? watch_client_check(actor->owner, err) : 0;
}

int services_check(struct services *services, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; i < services->n_actors && rc == 0; i++) {
        rc = check_actor(services, &services->actors[i], err);
    }
    if (rc == 0) {
        rc = lock_check(&services->chronicle, &services->cluster->track, &services->locks,
                        err);
    }
    return rc;
}
