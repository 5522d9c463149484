/* TLS: a net (base/env.h) on top of another one. Streams that ask for it are encrypted,
 * the others pass through; who uses a stream does not notice which it is.
 *
 * Happy path: tls_open reads the files, tls_net takes the place of the net below, and
 * tls_tick is called before each turn. What can fail: a file, at the start; later only
 * single connections: a handshake that does not come to an end is the time limit of
 * whoever owns the stream. */
#ifndef KVD_NODE_TLS_H
#define KVD_NODE_TLS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/env.h"
#include "node/config.h"
#include "node/metrics.h"

struct tls;

/* Some URL of the config is https; otherwise tls_open is not needed. */
bool tls_wanted(const struct config *config);

/* Reads the files that the config needs, as tls_open would, and keeps nothing. */
int tls_check(const struct config *config, struct err *err);

/* On top of env->net. config and env must outlive it. err names the file. */
int tls_open(struct tls **out, const struct config *config, struct env *env,
             struct err *err);
struct net *tls_net(struct tls *tls);

/* Where to count from here on; before the first stream. */
void tls_measure(struct tls *tls, struct metrics *metrics);

/* Before each turn: tells what could not be told from inside a call, and looks at the
 * files. */
void tls_tick(struct tls *tls, uint64_t now_ms);
uint64_t tls_deadline_ms(const struct tls *tls);

/* Reads the files again, changed or not. */
void tls_reload(struct tls *tls);

/* No worker reads files. All streams and listeners must be closed before tls_close, too.
 * NULL is fine for both. */
bool tls_idle(const struct tls *tls);
void tls_close(struct tls *tls);

#endif
