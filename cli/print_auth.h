/* Users, roles and permissions, in the formats of -w. simple is etcdctl's, word for word;
 * table and fields print the same; json has etcdctl's structure. */
#ifndef KVD_CLI_PRINT_AUTH_H
#define KVD_CLI_PRINT_AUTH_H

#include "cli/print.h"

/* What was done, as a sentence. */
void print_auth_done(struct printer *p, const Etcdserverpb__ResponseHeader *header,
                     const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Names, under what they are: "users" or "roles". */
void print_auth_names(struct printer *p, const Etcdserverpb__ResponseHeader *header,
                      const char *what, char *const *names, size_t n);

void print_auth_user(struct printer *p, const char *name,
                     const Etcdserverpb__AuthUserGetResponse *res);
void print_auth_role(struct printer *p, const char *name,
                     const Etcdserverpb__AuthRoleGetResponse *res);
void print_auth_status(struct printer *p, const Etcdserverpb__AuthStatusResponse *res);

/* "[/app/, /app0) (prefix /app/)", or the key alone. */
void print_auth_range(FILE *out, ProtobufCBinaryData key, ProtobufCBinaryData range_end);

#endif
