/* The operations of keys and values in the formats of other checkers, as a second
 * opinion. An operation on several keys becomes one for each, which claims less. */
#ifndef KVD_CHAOS_EXPORT_H
#define KVD_CHAOS_EXPORT_H

#include "tests/chaos/story.h"

/* The log format of Porcupine's key-value tests, which knows get and put: what deletes
 * puts "", a swap that succeeded puts, one that failed gets. ERR_IO. */
int export_porcupine(const struct story *story, const char *path, struct err *err);

/* A history of Jepsen in EDN: reads, writes and cas of a register for each key, values as
 * [key value] (jepsen.independent); nil is absent. ERR_IO. */
int export_jepsen(const struct story *story, const char *path, struct err *err);

#endif
