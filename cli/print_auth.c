#include "cli/print_auth.h"

#include <inttypes.h>
#include <stdarg.h>

#include "base/arena.h"
#include "base/limits.h"
#include "cli/key_range.h"
#include "cli/print_ops.h"

static bool is_json(const struct printer *p)
{
    return p->format == PRINT_JSON || p->format == PRINT_JSON_BASE64;
}

/* ---- json ---- */

static void open_document(struct printer *p, const Etcdserverpb__ResponseHeader *header)
{
    p->json.out = p->out;
    json_open_object(&p->json);
    print_json_header(&p->json, header);
}

static void close_document(struct printer *p)
{
    json_close_object(&p->json);
    fputc('\n', p->out);
    p->json.comma = false;
}

static void json_names(struct json *j, const char *what, char *const *names, size_t n)
{
    if (n == 0) {
        return;
    }
    json_name(j, what);
    json_open_array(j);
    for (size_t i = 0; i < n; i++) {
        json_text(j, slice_str(names[i]));
    }
    json_close_array(j);
}

static void json_permission(struct printer *p, const Authpb__Permission *perm)
{
    struct json *j = &p->json;

    json_open_object(j);
    if (perm->permtype != AUTHPB__PERMISSION__TYPE__READ) {
        json_name(j, "permType");
        json_int(j, perm->permtype);
    }
    print_json_bytes(p, "key", "key_base64", perm->key);
    print_json_bytes(p, "range_end", "range_end_base64", perm->range_end);
    json_close_object(j);
}

/* ---- text ---- */

static bool is_open(ProtobufCBinaryData range_end)
{
    return range_end.len == 1 && range_end.data[0] == 0;
}

static bool is_prefix(ProtobufCBinaryData key, ProtobufCBinaryData range_end)
{
    struct arena arena = {.max = 4 * LIMIT_AUTH_GRANT_KEY};
    struct key_range range;
    bool yes = false;

    if (key.len > 0 && key.len <= LIMIT_AUTH_GRANT_KEY) {
        range = key_range_of_prefix(slice_of_binary(key), &arena);
        yes = slice_eq(slice_of_binary(range.range_end), slice_of_binary(range_end));
    }
    arena_close(&arena);
    return yes;
}

void print_auth_range(FILE *out, ProtobufCBinaryData key, ProtobufCBinaryData range_end)
{
    if (range_end.len == 0) {
        write_bytes(out, key);
        return;
    }
    fputc('[', out);
    write_bytes(out, key);
    if (is_open(range_end)) {
        fputs(", <open ended>", out);
    } else {
        fputs(", ", out);
        write_bytes(out, range_end);
        fputc(')', out);
    }
    if (is_prefix(key, range_end)) {
        fputs(" (prefix ", out);
        write_bytes(out, key);
        fputc(')', out);
    }
}

static void text_permissions(struct printer *p, const char *title,
                             const Etcdserverpb__AuthRoleGetResponse *res,
                             Authpb__Permission__Type without)
{
    fprintf(p->out, "%s\n", title);
    for (size_t i = 0; i < res->n_perm; i++) {
        if (res->perm[i]->permtype != without) {
            fputc('\t', p->out);
            print_auth_range(p->out, res->perm[i]->key, res->perm[i]->range_end);
            fputc('\n', p->out);
        }
    }
}

/* ---- what commands print ---- */

void print_auth_done(struct printer *p, const Etcdserverpb__ResponseHeader *header,
                     const char *format, ...)
{
    va_list args;

    if (is_json(p)) {
        open_document(p, header);
        close_document(p);
        return;
    }
    va_start(args, format);
    vfprintf(p->out, format, args);
    va_end(args);
    fputc('\n', p->out);
}

void print_auth_names(struct printer *p, const Etcdserverpb__ResponseHeader *header,
                      const char *what, char *const *names, size_t n)
{
    if (is_json(p)) {
        open_document(p, header);
        json_names(&p->json, what, names, n);
        close_document(p);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        fprintf(p->out, "%s\n", names[i]);
    }
}

void print_auth_user(struct printer *p, const char *name,
                     const Etcdserverpb__AuthUserGetResponse *res)
{
    if (is_json(p)) {
        print_auth_names(p, res->header, "roles", res->roles, res->n_roles);
        return;
    }
    fprintf(p->out, "User: %s\nRoles:", name);
    for (size_t i = 0; i < res->n_roles; i++) {
        fprintf(p->out, " %s", res->roles[i]);
    }
    fputc('\n', p->out);
}

void print_auth_role(struct printer *p, const char *name,
                     const Etcdserverpb__AuthRoleGetResponse *res)
{
    if (is_json(p)) {
        open_document(p, res->header);
        if (res->n_perm > 0) {
            json_name(&p->json, "perm");
            json_open_array(&p->json);
            for (size_t i = 0; i < res->n_perm; i++) {
                json_permission(p, res->perm[i]);
            }
            json_close_array(&p->json);
        }
        close_document(p);
        return;
    }
    fprintf(p->out, "Role %s\n", name);
    text_permissions(p, "KV Read:", res, AUTHPB__PERMISSION__TYPE__WRITE);
    text_permissions(p, "KV Write:", res, AUTHPB__PERMISSION__TYPE__READ);
}

void print_auth_status(struct printer *p, const Etcdserverpb__AuthStatusResponse *res)
{
    if (is_json(p)) {
        open_document(p, res->header);
        if (res->enabled) {
            json_name(&p->json, "enabled");
            json_bool(&p->json, true);
        }
        json_name(&p->json, "authRevision");
        json_uint(&p->json, res->authrevision);
        close_document(p);
        return;
    }
    fprintf(p->out, "Authentication Status: %s\nAuthRevision: %" PRIu64 "\n",
            res->enabled ? "true" : "false", res->authrevision);
}
