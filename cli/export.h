/* The keys of a prefix, or of the release that its pointer names, as files: what export
 * writes and reload follows. All is read at one revision. */
#ifndef KVD_CLI_EXPORT_H
#define KVD_CLI_EXPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"
#include "cli/lib/client.h"

struct export
{
    struct client *client; /* private */
    struct slice base;     /* prefix of the keys */
    int64_t rev;           /* at which all is read */
    struct slice *paths;   /* of all keys, without base */
    size_t n;
    size_t room;        /* private */
    struct arena arena; /* private: of the paths */
    uint64_t bytes;     /* of all values, once they were written */
};

/* Chooses the release and lists its keys. release_id NULL: the current one; rev 0: now.
 * ERR_NOT_FOUND: there are none. */
int export_open(struct export *ex, struct client *client, const char *prefix,
                const char *release_id, int64_t rev, struct err *err);
void export_close(struct export *ex);

#define EXPORT_DIGEST_BYTES 32

/* A hash of all paths and values: equal when the files would be equal. */
int export_digest(struct export *ex, uint8_t digest[EXPORT_DIGEST_BYTES],
                  struct err *err);

/* Writes the files; those that exist are refused unless overwrite. */
int export_write(struct export *ex, const char *folder, bool overwrite, struct err *err);

#endif
