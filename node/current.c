#include "node/current.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/failpoint.h"
#include "node/smallfile.h"

static void render(const struct current *current, char text[SMALLFILE_MAX])
{
    int len = snprintf(text, SMALLFILE_MAX, "state-%u.db\n", current->number);

    if (current->seed_index != 0) {
        snprintf(text + len, SMALLFILE_MAX - (size_t)len,
                 "seed %" PRIu64 " %" PRIu64 "\n", current->seed_index,
                 current->seed_term);
    }
}

/* What was read is right if it renders to the same bytes, checksum included; the line
 * that a hand may have written, without. */
static bool parse(struct current *out, const char *text)
{
    struct current found = {0};
    char again[SMALLFILE_MAX];

    if (sscanf(text, "state-%u.db", &found.number) != 1 || found.number == 0) {
        return false;
    }
    render(&found, again);
    found.sealed = strcmp(text, again) != 0;
    if (found.sealed) {
        sscanf(text, "state-%*u.db seed %" SCNu64 " %" SCNu64, &found.seed_index,
               &found.seed_term);
        render(&found, again);
        smallfile_seal(again);
        if (strcmp(text, again) != 0) {
            return false;
        }
    }
    *out = found;
    return true;
}

int current_load(struct current *out, struct disk *disk, const char *dir, struct err *err)
{
    char text[SMALLFILE_MAX];
    int rc = smallfile_read(disk, dir, "CURRENT", text, err);

    if (rc != 0) {
        return rc;
    }
    if (!parse(out, text)) {
        return err_set(err, ERR_CORRUPT,
                       "%s/CURRENT is damaged; write one line into it, the name of the "
                       "state-<n>.db that is there, with a line end",
                       dir);
    }
    return 0;
}

int current_save(const struct current *current, struct disk *disk, const char *dir,
                 struct err *err)
{
    char text[SMALLFILE_MAX];

    render(current, text);
    smallfile_seal(text);
    FAILPOINT(CURRENT);
    return smallfile_replace(disk, dir, "CURRENT", text, err);
}
