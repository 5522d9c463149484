/* A folder of certificates: NAME.crt (0644) and NAME.key (0600) for each, the folder
 * itself 0700 when it is made here. What is there is never overwritten; what a run that
 * fails has written is removed. */
#ifndef KVD_CLI_CERT_DIR_H
#define KVD_CLI_CERT_DIR_H

#include <stdbool.h>

#include "base/err.h"
#include "base/limits.h"
#include "cli/cert.h"

#define CERT_NAME_MAX 64 /* of a common name; RFC 5280, appendix A.1 */

struct cert_dir {
    const char *path;
    int fd;
    bool made; /* private, as what follows */
    char written[2 * (LIMIT_MEMBERS + 2)][CERT_NAME_MAX + sizeof(".crt")];
    size_t n_written;
};

/* A name for files and for a subject: letters, digits, and . _ - @ + behind the first. */
bool cert_name_valid(const char *name);

/* make: it may be missing, and is made. ERR_INVALID: it is no folder, or others may write
 * to it. ERR_NOT_FOUND, ERR_IO. */
int cert_dir_open(struct cert_dir *dir, const char *path, bool make, struct err *err);

/* keep false: removes what was written since it was opened. */
void cert_dir_close(struct cert_dir *dir, bool keep);

/* ERR_EXISTS names the file that is there already. */
int cert_dir_check_free(const struct cert_dir *dir, const char *name, struct err *err);

/* Writes both files. ERR_EXISTS, ERR_IO. */
int cert_dir_add(struct cert_dir *dir, const char *name, const struct cert *cert,
                 struct err *err);

/* Reads both. ERR_NOT_FOUND, ERR_INVALID, ERR_IO. */
int cert_dir_load(const struct cert_dir *dir, const char *name, struct cert **out,
                  struct err *err);

#endif
