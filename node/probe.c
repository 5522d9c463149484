#include "node/probe.h"

#include <stdlib.h>

#include "base/mem.h"
#include "node/node_parts.h"

struct health_probe {
    struct node *node;
    struct raftlog_read read;
    bool reading; /* raftlog has it */
    bool ok;
    uint64_t due_ms;
    void (*done)(void *owner, bool ok);
    void *owner;
    struct list place;
};

static struct health_probe *probe_at(const struct list *place)
{
    return container_of(place, struct health_probe, place);
}

/* Recorded here, called back in the turn. */
static void on_read(struct raftlog_read *read, int rc)
{
    struct health_probe *probe = container_of(read, struct health_probe, read);

    probe->reading = false;
    probe->ok = rc == 0;
    list_del(&probe->place);
    list_add_tail(&probe->node->probes.opened, &probe->place);
}

struct health_probe *node_probe(struct node *node, void (*done)(void *owner, bool ok),
                                void *owner)
{
    struct health_probe *probe = mem_zero(sizeof(*probe));

    *probe = (struct health_probe){
        .node = node,
        .read = {.done = on_read},
        .reading = true,
        .due_ms = env_mono_ms(node->env) + machine_timeout_ms(node->machine),
        .done = done,
        .owner = owner,
    };
    list_add_tail(&node->probes.waiting, &probe->place);
    raftlog_read(node->log, &probe->read);
    return probe;
}

void node_probe_cancel(struct health_probe *probe)
{
    if (probe->reading) {
        raftlog_read_cancel(probe->node->log, &probe->read);
    }
    list_del(&probe->place);
    free(probe);
}

static void finish(struct health_probe *probe, bool ok)
{
    void (*done)(void *owner, bool ok) = probe->done;
    void *owner = probe->owner;

    node_probe_cancel(probe);
    done(owner, ok);
}

void probes_init(struct probes *probes)
{
    list_init(&probes->waiting);
    list_init(&probes->opened);
}

void probes_continue(struct probes *probes, uint64_t now_ms)
{
    while (!list_empty(&probes->opened)) {
        struct health_probe *probe = probe_at(probes->opened.next);

        finish(probe, probe->ok);
    }
    while (probes_deadline_ms(probes) <= now_ms) {
        finish(probe_at(probes->waiting.next), false);
    }
}

uint64_t probes_deadline_ms(const struct probes *probes)
{
    return list_empty(&probes->waiting) ? UINT64_MAX
                                        : probe_at(probes->waiting.next)->due_ms;
}

void probes_close(struct probes *probes)
{
    list_splice_tail(&probes->waiting, &probes->opened);
    while (!list_empty(&probes->waiting)) {
        finish(probe_at(probes->waiting.next), false);
    }
}
