/* The names on a simulated disk: as seen, as durable, and the changes that lie between
 * the two, in order. Files are counted by their names and handles and go with the last
 * one. */
#ifndef KVD_SIM_NAMES_H
#define KVD_SIM_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/sim/sim_rng.h"

struct sim_file;

/* A file, or a directory. */
struct sim_inode {
    unsigned refs;
    bool locked;
    struct sim_file *content; /* NULL: a directory */
};

struct sim_name {
    char *path;
    struct sim_inode *inode;
};

struct sim_name_table {
    struct sim_name *items;
    size_t n;
    size_t room;
};

struct sim_names {
    struct sim_name_table seen;
    struct sim_name_table durable;
    struct sim_change *changes;
    size_t n_changes;
    size_t changes_room;
    uint64_t *used; /* bytes of all files, kept up to date when one goes */
};

/* NULL when there is none, as seen. Directories are without a slash at the end. */
struct sim_inode *sim_names_find(const struct sim_names *names, const char *path);
bool sim_names_is_dir(const struct sim_names *names, const char *path);
bool sim_names_has_parent(const struct sim_names *names, const char *path);

/* Whether the path is directly in the directory. */
bool sim_names_is_in(const char *path, const char *dir);

/* Makes a change that is seen at once and durable some time: path gets the inode (NULL:
 * it goes), and from, unless NULL, goes. */
void sim_names_change(struct sim_names *names, const char *from, const char *path,
                      struct sim_inode *inode);

void sim_inode_drop(struct sim_names *names, struct sim_inode *inode);

/* Makes the changes in one directory durable, but for those of a path that is durable
 * already; except: NULL for none. */
void sim_names_sync(struct sim_names *names, const char *dir, const char *except);

/* Of each directory the first few changes are kept; what is seen is then what is durable.
 */
void sim_names_crash(struct sim_names *names, struct sim_rng *rng);

void sim_names_close(struct sim_names *names);

#endif
