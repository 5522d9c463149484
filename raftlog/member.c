#include "raftlog/member.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "raftlog/core.h"

/* libraft's format of a configuration: u8 1, u64 count, then for each member u64 id,
 * address with its zero, u8 role; zeros to a multiple of 8. Little endian. */
#define CONFIGURATION_FORMAT 1

void member_address(uint64_t id, char address[MEMBER_ADDRESS_SIZE])
{
    (void)snprintf(address, MEMBER_ADDRESS_SIZE, "%016" PRIx64, id);
}

int member_check_voters(const struct raftlog_voter *voters, size_t n, uint64_t id,
                        struct err *err)
{
    bool found = false;

    if (n == 0 || n > LIMIT_MEMBERS) {
        return err_set(err, ERR_INVALID, "a cluster has 1 to %d members, not %zu",
                       LIMIT_MEMBERS, n);
    }
    for (size_t i = 0; i < n; i++) {
        if (voters[i].id == 0) {
            return err_set(err, ERR_INVALID, "a member id must not be 0");
        }
        if (i > 0 && voters[i].id <= voters[i - 1].id) {
            return err_set(err, ERR_INVALID,
                           "member ids must be distinct and sorted: %016" PRIx64
                           " follows %016" PRIx64,
                           voters[i].id, voters[i - 1].id);
        }
        found = found || voters[i].id == id;
    }
    if (!found) {
        return err_set(err, ERR_INVALID,
                       "member %016" PRIx64 " is not among the cluster's members", id);
    }
    return 0;
}

struct raft_buffer member_encode(const struct raftlog_voter *voters, size_t n)
{
    struct raft_configuration configuration;
    struct raft_buffer buf;
    int rc;

    raft_configuration_init(&configuration);
    for (size_t i = 0; i < n; i++) {
        char address[MEMBER_ADDRESS_SIZE];

        member_address(voters[i].id, address);
        rc = raft_configuration_add(&configuration, voters[i].id, address, RAFT_VOTER);
        CHECK(rc == 0);
    }
    rc = raft_configuration_encode(&configuration, &buf);
    CHECK(rc == 0);
    raft_configuration_close(&configuration);
    return buf;
}

/* Whether the bytes have the shape of a configuration from front to end. */
static bool well_formed(struct slice bytes)
{
    const uint8_t *at = bytes.ptr;
    const uint8_t *end = bytes.ptr + bytes.len;
    uint64_t n = 0;

    if (bytes.len < 9 || at[0] != CONFIGURATION_FORMAT) {
        return false;
    }
    for (int i = 0; i < 8; i++) {
        n |= (uint64_t)at[1 + i] << (8 * i);
    }
    at += 9;
    if (n == 0 || n > LIMIT_MEMBERS) {
        return false;
    }
    for (uint64_t i = 0; i < n; i++) {
        static const uint8_t no_id[8];
        const uint8_t *zero;

        if (end - at < 8 || memcmp(at, no_id, 8) == 0) {
            return false;
        }
        at += 8;
        zero = memchr(at, 0, (size_t)(end - at));
        if (zero == NULL || end - zero < 2) {
            return false;
        }
        at = zero + 2;
    }
    return true;
}

bool member_decode(struct slice bytes, struct raft_configuration *out)
{
    struct raft_buffer buf = {.base = (void *)bytes.ptr, .len = bytes.len};

    return well_formed(bytes) && raft_configuration_decode(&buf, out) == 0;
}

/* The voter, other than this member, that has acknowledged most. */
static uint64_t furthest_along(const struct raftlog *log)
{
    uint64_t best = 0;
    uint64_t best_match = 0;

    for (size_t i = 0; i < log->n_peers; i++) {
        uint64_t match = raftlog_match(log, log->peers[i].id);

        if (best == 0 || match > best_match) {
            best = log->peers[i].id;
            best_match = match;
        }
    }
    return best;
}

int raftlog_transfer(struct raftlog *log, uint64_t to)
{
    if (log->raft.state != RAFT_LEADER) {
        return ERR_NOT_LEADER;
    }
    if (log->n_peers == 0) {
        return ERR_UNSUPPORTED;
    }
    if (raft_transferee(&log->raft) != 0) {
        return ERR_BUSY;
    }
    if (to == 0) {
        to = furthest_along(log);
    }
    if (core_find_peer(log, to) == NULL) {
        return ERR_NOT_FOUND;
    }
    core_transfer(log, to);
    return 0;
}
