/* Reads what a member holds in the end, through its client port: the whole sequence of
 * events, revision by revision, and the final state. */
#ifndef KVD_SIM_NODE_AUDIT_H
#define KVD_SIM_NODE_AUDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/env.h"
#include "tests/sim/revision_order.h"

struct node_audit;

/* Events from revision 2 on are read when with_events is set, else the final state only.
 */
struct node_audit *node_audit_open(struct env *env, const char *address, uint32_t n_keys,
                                   bool with_events);
void node_audit_close(struct node_audit *audit);

/* As a host's program: does the next step. */
void node_audit_step(struct node_audit *audit);
uint64_t node_audit_deadline_ms(const struct node_audit *audit);

bool node_audit_done(const struct node_audit *audit);
const struct event *node_audit_events(const struct node_audit *audit, size_t *n);
int64_t node_audit_revision(const struct node_audit *audit);

/* Of the final state: equal for equal keys, values, revisions and versions. */
uint64_t node_audit_digest(const struct node_audit *audit);

#endif
