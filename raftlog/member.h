/* Who takes part: the configuration of the cluster as entry 1 of the log, and the
 * hand-over of leadership. The members are fixed when the cluster is made. */
#ifndef KVD_RAFTLOG_MEMBER_H
#define KVD_RAFTLOG_MEMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <raft.h>

#include "base/err.h"
#include "base/slice.h"

struct raftlog_voter;

#define MEMBER_ADDRESS_SIZE 17 /* 16 hex digits and a zero */

/* libraft wants an address for each member: its id in hexadecimal. */
void member_address(uint64_t id, char address[MEMBER_ADDRESS_SIZE]);

/* ERR_INVALID unless the voters are 1 to LIMIT_MEMBERS, sorted, distinct, none 0, and
 * include id. */
int member_check_voters(const struct raftlog_voter *voters, size_t n, uint64_t id,
                        struct err *err);

/* The bytes of a configuration entry: the same on every member. Free with raft_free. */
struct raft_buffer member_encode(const struct raftlog_voter *voters, size_t n);

/* False when the bytes are not a configuration; libraft's own decoding does not look at
 * their end. On success *out is to be closed with raft_configuration_close. */
bool member_decode(struct slice bytes, struct raft_configuration *out);

#endif
