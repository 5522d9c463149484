#include "node/identity.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/failpoint.h"
#include "base/mem.h"
#include "node/smallfile.h"

/* ---- ids ---- */

static uint64_t sha1_id(const void *bytes, size_t len)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_len = 0;
    uint64_t id = 0;

    CHECK(EVP_Digest(bytes, len, digest, &digest_len, EVP_sha1(), NULL) == 1);
    CHECK(digest_len >= sizeof(id));
    for (size_t i = 0; i < sizeof(id); i++) {
        id = id << 8 | digest[i];
    }
    return id != 0 ? id : 1;
}

uint64_t identity_member_id(const struct config_urls *urls, const char *token)
{
    struct buf text = BUF_INIT(MIB);
    uint64_t id;

    for (size_t i = 0; i < urls->n; i++) {
        const char *address = urls->items[i].address;

        CHECK(i == 0 || strcmp(urls->items[i - 1].address, address) <= 0);
        CHECK(buf_append(&text, "http://", strlen("http://")) == 0);
        CHECK(buf_append(&text, address, strlen(address)) == 0);
    }
    CHECK(buf_append(&text, token, strlen(token)) == 0);
    id = sha1_id(buf_slice(&text).ptr, buf_len(&text));
    buf_close(&text);
    return id;
}

uint64_t identity_cluster_id(const uint64_t *members, size_t n)
{
    unsigned char bytes[LIMIT_MEMBERS * sizeof(uint64_t)];

    CHECK(n > 0 && n <= LIMIT_MEMBERS);
    for (size_t i = 0; i < n; i++) {
        CHECK(i == 0 || members[i - 1] < members[i]);
        for (size_t k = 0; k < sizeof(uint64_t); k++) {
            bytes[i * sizeof(uint64_t) + k] = (unsigned char)(members[i] >> (56 - 8 * k));
        }
    }
    return sha1_id(bytes, n * sizeof(uint64_t));
}

/* ---- files: sealed lines of text ---- */

static void render_identity(const struct identity *id, char text[SMALLFILE_MAX])
{
    snprintf(text, SMALLFILE_MAX,
             "kvd-identity %d\ncluster %016" PRIx64 "\nmember %016" PRIx64
             "\nstore %016" PRIx64 "\ncomplete %d\n",
             IDENTITY_FORMAT, id->cluster_id, id->member_id, id->store_id, id->complete);
    smallfile_seal(text);
}

static void render_pins(const struct identity *id, char text[SMALLFILE_MAX])
{
    int len = snprintf(text, SMALLFILE_MAX, "kvd-peers %d\n", IDENTITY_FORMAT);

    for (size_t i = 0; i < id->n_pins; i++) {
        len += snprintf(text + len, SMALLFILE_MAX - (size_t)len,
                        "%016" PRIx64 " %016" PRIx64 "\n", id->pins[i].member,
                        id->pins[i].store);
    }
    smallfile_seal(text);
}

/* What was read is right if it renders to the same bytes, checksum included. */
static int damaged(const char *dir, const char *name, const char *text, const char *again,
                   struct err *err)
{
    size_t at = 0;

    while (text[at] != '\0' && text[at] == again[at]) {
        at++;
    }
    return err_set(
        err, ERR_CORRUPT,
        "%s/%s is damaged, seen at offset %zu; restore the file from a copy or re-seed "
        "this member with an empty data directory under a new member id",
        dir, name, at);
}

static int parse_identity(struct identity *out, const char *text, const char *dir,
                          struct err *err)
{
    char again[SMALLFILE_MAX];
    int format;
    int complete;

    if (sscanf(text, "kvd-identity %d", &format) != 1) {
        return damaged(dir, "IDENTITY", text, "", err);
    }
    if (format > IDENTITY_FORMAT) {
        return err_set(err, ERR_VERSION,
                       "%s was written by a newer kvd (format %d, this one knows %d): "
                       "start it with that version; or IDENTITY is damaged, see offset "
                       "13: restore the file from a copy",
                       dir, format, IDENTITY_FORMAT);
    }
    if (sscanf(text,
               "kvd-identity %*d cluster %" SCNx64 " member %" SCNx64 " store %" SCNx64
               " complete %d",
               &out->cluster_id, &out->member_id, &out->store_id, &complete) != 4) {
        return damaged(dir, "IDENTITY", text, "", err);
    }
    out->complete = complete != 0;
    render_identity(out, again);
    return strcmp(text, again) == 0 ? 0 : damaged(dir, "IDENTITY", text, again, err);
}

static int parse_pins(struct identity *out, const char *text, const char *dir,
                      struct err *err)
{
    const char *line = strchr(text, '\n');
    char again[SMALLFILE_MAX];

    out->n_pins = 0;
    while (line != NULL && out->n_pins < LIMIT_MEMBERS) {
        struct identity_pin *pin = &out->pins[out->n_pins];

        if (sscanf(line, "\n%" SCNx64 " %" SCNx64, &pin->member, &pin->store) != 2) {
            break;
        }
        out->n_pins++;
        line = strchr(line + 1, '\n');
    }
    render_pins(out, again);
    return strcmp(text, again) == 0 ? 0 : damaged(dir, "PEERS", text, again, err);
}

int identity_load(struct identity *out, struct disk *disk, const char *dir,
                  struct err *err)
{
    struct identity id = {0};
    char text[SMALLFILE_MAX];
    int rc;

    rc = smallfile_read(disk, dir, "IDENTITY", text, err);
    if (rc == 0) {
        rc = parse_identity(&id, text, dir, err);
    }
    if (rc != 0) {
        return rc;
    }
    rc = smallfile_read(disk, dir, "PEERS", text, err);
    if (rc == 0) {
        rc = parse_pins(&id, text, dir, err);
    } else if (rc == ERR_NOT_FOUND) {
        rc = 0; /* nobody met yet */
    }
    if (rc == 0) {
        *out = id;
    }
    return rc;
}

int identity_save(const struct identity *id, struct disk *disk, const char *dir,
                  struct err *err)
{
    char text[SMALLFILE_MAX];

    FAILPOINT(IDENTITY);
    render_identity(id, text);
    return smallfile_replace(disk, dir, "IDENTITY", text, err);
}

int identity_meet(struct identity *id, struct disk *disk, const char *dir,
                  uint64_t member, uint64_t store, struct err *err)
{
    char text[SMALLFILE_MAX];
    int rc;

    for (size_t i = 0; i < id->n_pins; i++) {
        if (id->pins[i].member != member) {
            continue;
        }
        if (id->pins[i].store == store) {
            return 0;
        }
        return err_set(err, ERR_INVALID,
                       "member %016" PRIx64 " came back with another store (%016" PRIx64
                       ", known is %016" PRIx64 "): its data directory was lost or "
                       "swapped; remove it from the cluster and add it anew",
                       member, store, id->pins[i].store);
    }
    if (id->n_pins == LIMIT_MEMBERS) {
        return err_set(err, ERR_FULL, "%s/PEERS already names %d members", dir,
                       LIMIT_MEMBERS);
    }
    id->pins[id->n_pins++] = (struct identity_pin){.member = member, .store = store};
    render_pins(id, text);
    rc = smallfile_replace(disk, dir, "PEERS", text, err);
    if (rc != 0) {
        id->n_pins--;
    }
    return rc;
}
