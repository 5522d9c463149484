/* Which option has which text, and who said so: flags, then the environment (KVD_<FLAG>,
 * then ETCD_<FLAG>), then the configuration file. Nothing is parsed here. */
#ifndef KVD_NODE_SETTINGS_H
#define KVD_NODE_SETTINGS_H

#include "base/err.h"
#include "node/options.h"

#define SETTINGS_UNKNOWN_MAX 16
#define SETTINGS_FILE_MAX    65536 /* bytes of the configuration file */

struct setting {
    char *text;  /* NULL: nobody set it */
    char *where; /* "--name", "KVD_NAME" or "kvd.conf:3: name" */
};

struct settings {
    struct setting items[OPTIONS_MAX];   /* by the option's place in the table */
    char *unknown[SETTINGS_UNKNOWN_MAX]; /* variables that look like ours */
    size_t n_unknown;
};

/* Gathers everything; a meta option's text is in its setting. err names flag or line. The
 * caller closes in any case. */
int settings_gather(struct settings *out, int argc, char **argv, char **environment,
                    struct err *err);
void settings_close(struct settings *settings);

const struct setting *settings_meta(const struct settings *settings,
                                    enum option_meta meta);

/* Sets an option that nobody has set yet; true when it was taken. Copies both texts. */
bool settings_put(struct settings *settings, size_t option, const char *where,
                  const char *text);

/* settings_file.c: the lines of a configuration file. */
int settings_read_file(struct settings *settings, const char *path, struct err *err);

#endif
