/* Clients of keys and values: gets, puts, deletes, and transactions over one or several
 * keys. Groups of at most 8 clients share a few keys; a key is left for a new one after
 * some hundred operations, so that the search for an order of each stays small.
 *
 * In the history: "f" is get, put, delete or txn; "ops" are the parts of the question,
 * one for each key ({"op","key"} and what belongs to it), "parts" those of the answer in
 * the same order ({"seen":pair or null} where a pair was told). */
#include "tests/chaos/kv_client.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "rpc.pb-c.h"
#include "tests/chaos/client.h"
#include "tests/chaos/kv_request.h"

#define SLOTS       3
#define GROUP_SIZE  8
#define KEY_OPS_MIN 200
#define KEY_OPS_MAX 1000

/* A place for keys: the key in use, and for how long it will be. */
struct slot {
    uint32_t serial;
    uint32_t left;
};

struct kv_group {
    pthread_mutex_t lock;
    struct slot slots[SLOTS];
};

/* What a client last learned of a key. */
struct known {
    uint32_t serial;
    uint64_t value;
    int64_t mod; /* -1: nothing is known */
};

struct kv_client {
    struct client *client;
    struct kv_group *group;
    uint32_t group_number;
    struct known known[SLOTS];
    size_t slot_of[KV_PARTS_MAX]; /* of the parts of the request */
    struct kv_request request;
    uint64_t n_values;
};

struct kv_group *kv_groups_new(uint32_t n_clients)
{
    uint32_t n = (n_clients + GROUP_SIZE - 1) / GROUP_SIZE;
    struct kv_group *groups = mem_zero((n + 1) * sizeof(*groups));

    for (uint32_t i = 0; i < n; i++) {
        CHECK(pthread_mutex_init(&groups[i].lock, NULL) == 0);
    }
    return groups;
}

/* ---- what to ask ---- */

/* The key in use at a place; one more operation on it. */
static uint32_t use_key(struct kv_client *kv, size_t slot)
{
    struct slot *place = &kv->group->slots[slot];
    uint32_t serial;

    pthread_mutex_lock(&kv->group->lock);
    if (place->left == 0) {
        place->serial++;
        place->left = (uint32_t)client_between(kv->client, KEY_OPS_MIN, KEY_OPS_MAX);
    }
    place->left--;
    serial = place->serial;
    pthread_mutex_unlock(&kv->group->lock);
    if (kv->known[slot].serial != serial) {
        kv->known[slot] = (struct known){.serial = serial, .mod = -1};
    }
    return serial;
}

static uint64_t new_value(struct kv_client *kv)
{
    return kv->client->number * KV_VALUES_EACH + ++kv->n_values;
}

static struct kv_part *add_part(struct kv_client *kv, enum op_kind kind, size_t slot)
{
    struct kv_part *part = &kv->request.parts[kv->request.n];

    *part = (struct kv_part){.kind = kind};
    snprintf(part->key, sizeof(part->key), KV_PREFIX "%" PRIu32 "/%zu/%05" PRIu32,
             kv->group_number, slot, use_key(kv, slot));
    if (kind == OP_WRITE || kind == OP_CAS) {
        part->value = new_value(kv);
    }
    kv->slot_of[kv->request.n++] = slot;
    return part;
}

/* A condition that holds, if nobody was faster. */
static void expect_known(struct kv_client *kv, struct kv_part *part, size_t slot)
{
    const struct known *known = &kv->known[slot];

    part->expected = known->mod > 0 ? known->value : 0;
    part->expected_mod = known->mod > 0 ? known->mod : 0;
    part->by_mod = part->expected == 0 || client_chance(kv->client, 50);
}

static void pick_read(struct kv_client *kv, size_t slot)
{
    struct kv_part *part = add_part(kv, OP_READ, slot);
    uint64_t dice = client_between(kv->client, 0, 99);

    part->serializable = dice < 20;
    if (dice >= 90 && kv->known[slot].mod > 0) {
        part->at = kv->known[slot].mod;
    }
}

/* Over two keys or three. */
static void pick_transaction(struct kv_client *kv, size_t slot)
{
    size_t second = (slot + 1) % SLOTS;
    uint64_t dice = client_between(kv->client, 0, 99);

    kv->request.is_txn = true;
    if (dice < 25) {
        add_part(kv, OP_READ, slot);
        add_part(kv, OP_READ, second);
        return;
    }
    if (dice < 45) {
        for (size_t i = 0; i < SLOTS; i++) {
            add_part(kv, OP_WRITE, i);
        }
        return;
    }
    if (dice < 75) {
        expect_known(kv, add_part(kv, OP_CAS, slot), slot);
        expect_known(kv, add_part(kv, OP_CAS, second), second);
        if (dice < 55 && kv->request.parts[0].expected != 0) {
            kv->request.parts[0].value = 0; /* moved from one key to the other */
        }
        return;
    }
    expect_known(kv, add_part(kv, OP_GUARD, slot), slot);
    add_part(kv, OP_CAS, second)->unconditional = true;
}

static void pick(struct kv_client *kv)
{
    uint64_t dice = client_between(kv->client, 0, 99);
    size_t slot = client_between(kv->client, 0, SLOTS - 1);

    kv->request.n = 0;
    kv->request.is_txn = false;
    if (dice < 34) {
        pick_read(kv, slot);
    } else if (dice < 60) {
        add_part(kv, OP_WRITE, slot)->tell_before = client_chance(kv->client, 30);
    } else if (dice < 76) {
        kv->request.is_txn = true;
        expect_known(kv, add_part(kv, OP_CAS, slot), slot);
    } else if (dice < 84) {
        add_part(kv, OP_DELETE, slot)->tell_before = true;
    } else {
        pick_transaction(kv, slot);
    }
}

/* ---- what was answered ---- */

static void learn(struct kv_client *kv)
{
    for (size_t i = 0; i < kv->request.n; i++) {
        const struct kv_part *part = &kv->request.parts[i];
        struct known *known = &kv->known[kv->slot_of[i]];
        bool wrote = part->kind == OP_WRITE ||
                     (part->kind == OP_CAS && kv->request.succeeded && part->value != 0);

        if (wrote) {
            known->value = part->value;
            known->mod = kv->request.revision;
        } else if (part->kind == OP_DELETE ||
                   (part->kind == OP_CAS && part->value == 0 && kv->request.succeeded)) {
            known->mod = 0;
        } else if (part->saw && part->at == 0) {
            known->value = part->seen;
            known->mod = part->seen != 0 ? part->seen_mod : 0;
        }
    }
}

static void operate(struct kv_client *kv)
{
    struct client *client = kv->client;
    enum call_outcome outcome;

    pick(kv);
    outcome = kv_request_run(&kv->request, client);
    if (outcome == CALL_OK) {
        learn(kv);
    }
    client_wander(client, outcome);
}

static void run(struct client *client)
{
    struct kv_client kv = {.client = client, .group_number = client->nth / GROUP_SIZE};
    uint32_t n_clients = client->workload->n_kv_clients;
    uint64_t pause_ns = 1000000000ull * n_clients / client->workload->rate;
    uint64_t due = record_now();

    kv.group = &client->workload->groups[kv.group_number];
    while (!client_stopping(client)) {
        uint64_t now = record_now();

        if (now < due) {
            client_sleep(client, (due - now) / 1000000 + 1);
            continue;
        }
        /* From half to one and a half of its share; what was missed is not made up. */
        due = now + client_between(client, pause_ns / 2, pause_ns * 3 / 2);
        if (client_connect(client)) {
            operate(&kv);
        }
    }
}

const struct client_kind kv_clients = {.name = "kv", .run = run};
