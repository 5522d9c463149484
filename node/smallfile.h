/* Small files of the data directory that are read whole and replaced whole: IDENTITY,
 * PEERS, CURRENT. A replacement is durable or has not happened: temporary file,
 * fdatasync, rename, sync of the directory. */
#ifndef KVD_NODE_SMALLFILE_H
#define KVD_NODE_SMALLFILE_H

#include "base/env.h"
#include "base/err.h"

#define SMALLFILE_MAX 4096 /* bytes, with the closing zero */

/* Text and length of DIR/name; a longer file or one with zero bytes is ERR_CORRUPT. */
int smallfile_read(struct disk *disk, const char *dir, const char *name,
                   char text[SMALLFILE_MAX], struct err *err);
/* Adds a last line, with a checksum of the lines above. */
void smallfile_seal(char text[SMALLFILE_MAX]);
int smallfile_replace(struct disk *disk, const char *dir, const char *name,
                      const char *text, struct err *err);

/* Turns a negative errno of a disk call into a code and a sentence with what to do. */
int smallfile_error(struct err *err, int rc, const char *verb, const char *path);

#endif
