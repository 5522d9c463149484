/* The simulated network: streams of bytes between hosts, in order as TCP's, with delay,
 * bandwidth, one-way cuts and resets.
 *
 * Bytes that meet a cut link wait and are sent again, as TCP does, until the cut heals or
 * the connection is broken. A connect to a host without a listener is refused; across a
 * cut it fails after a while. */
#ifndef KVD_SIM_NET_H
#define KVD_SIM_NET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/env.h"
#include "tests/sim/sim_world.h"

#define SIM_HOSTS_MAX       64 /* numbers are below this */
#define SIM_NET_NS_PER_BYTE 8  /* at first: 125 MB/s */

struct sim_net;

struct sim_net *sim_net_new(struct sim_world *world);
void sim_net_free(struct sim_net *net);

/* A host's view of the network; the caller frees it after sim_net_detach. */
struct net *sim_net_attach(struct sim_net *net, struct sim_host *host);
void sim_net_detach(struct sim_net *net, uint32_t host);

struct sim_net *sim_world_net(struct sim_world *world);

/* Bytes from one host to another pass or wait. */
void sim_net_cut(struct sim_net *net, uint32_t from, uint32_t to, bool cut);
void sim_net_heal(struct sim_net *net);

/* One-way delay of every byte, uniform between the two. */
void sim_net_set_delay(struct sim_net *net, uint64_t low, uint64_t high);

/* What each byte of a connection takes, besides. */
void sim_net_set_speed(struct sim_net *net, uint64_t ns_per_byte);

/* Resets every connection between two hosts. */
void sim_net_reset(struct sim_net *net, uint32_t a, uint32_t b);

/* All streams of a host are dead: it hears nothing more and only closes them; the other
 * ends hear of it (a killed process) or not (a lost machine) until they write. */
void sim_net_break_host(struct sim_net *net, uint32_t host, bool silent);

/* Used by sim_world.c's hosts. */
struct sim_world *sim_host_world(struct sim_host *host);
bool sim_host_frozen(const struct sim_host *host);
uint64_t sim_host_thaw(const struct sim_host *host);

#endif
