/* Reads what a member holds in the end, through its client port. */
#ifndef KVD_SIM_NODE_AUDIT_H
#define KVD_SIM_NODE_AUDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/env.h"

struct node_audit;

struct node_audit *node_audit_open(struct env *env, const char *address);
void node_audit_close(struct node_audit *audit);

/* As a host's program: does the next step. */
void node_audit_step(struct node_audit *audit);
uint64_t node_audit_deadline_ms(const struct node_audit *audit);

bool node_audit_done(const struct node_audit *audit);
int64_t node_audit_revision(const struct node_audit *audit);

/* Equal for equal keys, values, revisions, versions and leases. */
uint64_t node_audit_digest(const struct node_audit *audit);

#endif
