/* Announces this member to the cluster: a command with its name, URLs and store id, tried
 * until it is applied here. That also proves that the member has a leader and has caught
 * up. */
#ifndef KVD_NODE_PUBLISH_H
#define KVD_NODE_PUBLISH_H

#include "node/config.h"
#include "node/machine.h"

struct publisher {
    struct machine *machine; /* private, as all below */
    struct env *env;
    const struct config *config;
    struct arena arena;
    Kvd__Command__Command command;
    Kvd__Command__Publish publish;
    struct machine_op op;
    bool under_way;
    bool done;
    uint64_t retry_ms;
};

void publisher_init(struct publisher *p, struct machine *machine, struct env *env,
                    const struct config *config, uint64_t member_id, uint64_t store_id);

/* Submits the announcement when it is due. */
void publisher_continue(struct publisher *p, uint64_t now_ms);

/* It was applied here. */
bool publisher_done(const struct publisher *p);
uint64_t publisher_deadline_ms(const struct publisher *p);

/* The machine must be closed. */
void publisher_close(struct publisher *p);

#endif
