/* kvctl cert init, member and client: an authority for one cluster in a folder, and what
 * it signs. Nothing here talks to a server. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/limits.h"
#include "base/mem.h"
#include "cli/cert_dir.h"
#include "cli/command.h"

#define CA_NAME   "ca"
#define ROOT_NAME "root"
#define CA_TITLE  "kvd cluster CA"
#define DAY_S     86400
#define DAYS_MAX  3650 /* also the life of the CA */
#define SKEW_S    3600 /* valid so long before now: clocks differ */

struct cert_options {
    const char *hosts;
    const char *members;
    int64_t days;
};

#define FIELD(name) offsetof(struct cert_options, name)

static const struct cert_options defaults = {.members = "m1,m2,m3", .days = 365};

/* Everything that a server on this machine is reached by. */
static const char *const local_hosts[] = {"localhost", "127.0.0.1", "::1"};

/* What is asked for, checked. */
struct plan {
    const char *hosts[ARRAY_LEN(local_hosts) + LIMIT_CERT_HOSTS];
    size_t n_hosts;
    const char *members[LIMIT_MEMBERS];
    size_t n_members;
    int64_t days;
};

/* ---- the command line ---- */

/* The items of a comma separated list behind the n that are there. */
static enum exit_code split(const char *list, struct arena *arena, const char **items,
                            size_t *n, size_t max, struct err *err)
{
    char *rest = (char *)arena_dup(arena, slice_of(list, strlen(list) + 1)).ptr;
    char *item;

    while ((item = strsep(&rest, ",")) != NULL) {
        item += strspn(item, " ");
        item[strcspn(item, " ")] = '\0';
        if (*item == '\0') {
            continue;
        }
        if (*n == max) {
            return command_fail(err, EXIT_ARGUMENTS, "\"%s\": more than %zu are given",
                                list, max);
        }
        items[(*n)++] = item;
    }
    return EXIT_OK;
}

static enum exit_code plan_hosts(struct plan *plan, const char *list, struct arena *arena,
                                 struct err *err)
{
    enum exit_code code;

    for (size_t i = 0; i < ARRAY_LEN(local_hosts); i++) {
        plan->hosts[plan->n_hosts++] = local_hosts[i];
    }
    code = split(list != NULL ? list : "", arena, plan->hosts, &plan->n_hosts,
                 ARRAY_LEN(plan->hosts), err);
    for (size_t i = 0; code == EXIT_OK && i < plan->n_hosts; i++) {
        if (!cert_host_valid(plan->hosts[i])) {
            return command_fail(err, EXIT_ARGUMENTS,
                                "--hosts: \"%s\" is neither an address nor a host name; "
                                "leave schemes and ports out",
                                plan->hosts[i]);
        }
    }
    return code;
}

static enum exit_code check_name(const char *name, struct err *err)
{
    if (!cert_name_valid(name)) {
        return command_fail(err, EXIT_ARGUMENTS,
                            "\"%s\" cannot be the name of a certificate: up to %d "
                            "letters, digits, and behind the first . _ - @ +",
                            name, CERT_NAME_MAX);
    }
    return EXIT_OK;
}

static enum exit_code plan_members(struct plan *plan, const char *list,
                                   struct arena *arena, struct err *err)
{
    enum exit_code code =
        split(list, arena, plan->members, &plan->n_members, LIMIT_MEMBERS, err);

    for (size_t i = 0; code == EXIT_OK && i < plan->n_members; i++) {
        const char *name = plan->members[i];

        code = check_name(name, err);
        for (size_t k = 0; code == EXIT_OK && k < i; k++) {
            if (strcmp(plan->members[k], name) == 0) {
                code = command_fail(err, EXIT_ARGUMENTS, "--members: %s is there twice",
                                    name);
            }
        }
        if (code == EXIT_OK &&
            (strcmp(name, CA_NAME) == 0 || strcmp(name, ROOT_NAME) == 0)) {
            code = command_fail(err, EXIT_ARGUMENTS,
                                "--members: the files of \"%s\" are those of another "
                                "certificate; name the member differently",
                                name);
        }
    }
    return code;
}

static enum exit_code plan_all(struct plan *plan, const struct cert_options *options,
                               struct arena *arena, struct err *err)
{
    enum exit_code code;

    *plan = (struct plan){.days = options->days};
    if (options->days < 1 || options->days > DAYS_MAX) {
        return command_fail(err, EXIT_ARGUMENTS, "--days must be from 1 to %d", DAYS_MAX);
    }
    code = plan_hosts(plan, options->hosts, arena, err);
    return code == EXIT_OK && options->members != NULL
               ? plan_members(plan, options->members, arena, err)
               : code;
}

/* ---- making ---- */

/* Makes and writes one; a certificate ends with its CA at the latest. */
static int issue(struct cert_dir *dir, enum cert_use use, const char *name,
                 const struct plan *plan, const struct cert *ca, struct err *err)
{
    int64_t now_s = time(NULL);
    struct cert_order order = {.use = use,
                               .name = name,
                               .from_s = now_s - SKEW_S,
                               .until_s = now_s + plan->days * DAY_S};
    struct cert *cert;
    int rc;

    if (order.until_s > cert_until_s(ca)) {
        order.until_s = cert_until_s(ca);
    }
    if (order.until_s <= now_s) {
        return err_set(err, ERR_INVALID, "the CA in %s has expired: make a new one",
                       dir->path);
    }
    if (use == CERT_MEMBER) {
        order.hosts = plan->hosts;
        order.n_hosts = plan->n_hosts;
    }
    rc = cert_make(&order, ca, &cert, err);
    if (rc == 0) {
        rc = cert_dir_add(dir, name, cert, err);
        cert_free(cert);
    }
    return rc;
}

static int make_ca(struct cert_dir *dir, struct cert **out, struct err *err)
{
    int64_t now_s = time(NULL);
    struct cert_order order = {.use = CERT_CA,
                               .name = CA_TITLE,
                               .from_s = now_s - SKEW_S,
                               .until_s = now_s + (int64_t)DAYS_MAX * DAY_S};
    int rc = cert_make(&order, NULL, out, err);

    if (rc != 0) {
        return rc;
    }
    rc = cert_dir_add(dir, CA_NAME, *out, err);
    if (rc != 0) {
        cert_free(*out);
    }
    return rc;
}

static int check_all_free(const struct cert_dir *dir, const struct plan *plan,
                          struct err *err)
{
    int rc = cert_dir_check_free(dir, CA_NAME, err);

    rc = rc == 0 ? cert_dir_check_free(dir, ROOT_NAME, err) : rc;
    for (size_t i = 0; rc == 0 && i < plan->n_members; i++) {
        rc = cert_dir_check_free(dir, plan->members[i], err);
    }
    return rc;
}

static int make_all(struct cert_dir *dir, const struct plan *plan, struct err *err)
{
    struct cert *ca;
    int rc = check_all_free(dir, plan, err);

    rc = rc == 0 ? make_ca(dir, &ca, err) : rc;
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; rc == 0 && i < plan->n_members; i++) {
        rc = issue(dir, CERT_MEMBER, plan->members[i], plan, ca, err);
    }
    rc = rc == 0 ? issue(dir, CERT_CLIENT, ROOT_NAME, plan, ca, err) : rc;
    cert_free(ca);
    return rc;
}

/* One more certificate of the CA in the folder. */
static enum exit_code make_one(const char *path, enum cert_use use, const char *name,
                               const struct plan *plan, struct err *err)
{
    enum exit_code code = check_name(name, err);
    struct cert_dir dir;
    struct cert *ca = NULL;
    int rc;

    if (code != EXIT_OK) {
        return code;
    }
    rc = cert_dir_open(&dir, path, false, err);
    if (rc != 0) {
        return exit_code_of(rc);
    }
    rc = cert_dir_load(&dir, CA_NAME, &ca, err);
    if (rc == ERR_NOT_FOUND) {
        err_prefix(err, rc, "kvctl cert init %s makes a CA; there is none", path);
    } else if (rc == 0 && !cert_is_ca(ca)) {
        rc = err_set(err, ERR_INVALID, "%s/" CA_NAME ".crt is not of a CA", path);
    }
    rc = rc == 0 ? issue(&dir, use, name, plan, ca, err) : rc;
    cert_free(ca);
    cert_dir_close(&dir, rc == 0);
    return exit_code_of(rc);
}

/* ---- what to do with them ---- */

static void say_member(FILE *out, const char *path, const char *name)
{
    fprintf(out,
            "  kvd --name %s \\\n"
            "    --cert-file %s/%s.crt --key-file %s/%s.key \\\n"
            "    --client-cert-auth --trusted-ca-file %s/ca.crt \\\n"
            "    --peer-cert-file %s/%s.crt --peer-key-file %s/%s.key \\\n"
            "    --peer-client-cert-auth --peer-trusted-ca-file %s/ca.crt ...\n",
            name, path, name, path, name, path, path, name, path, name, path);
}

static void say_client(FILE *out, const char *path, const char *name)
{
    fprintf(out,
            "  export KVCTL_CACERT=%s/ca.crt KVCTL_CERT=%s/%s.crt KVCTL_KEY=%s/%s.key\n",
            path, path, name, path, name);
}

static void say_all(FILE *out, const char *path, const struct plan *plan)
{
    fprintf(out, "%s: a CA, and certificates for %lld days of", path,
            (long long)plan->days);
    for (size_t i = 0; i < plan->n_members; i++) {
        fprintf(out, " %s,", plan->members[i]);
    }
    fprintf(out, " and of a client, " ROOT_NAME "\nhosts:");
    for (size_t i = 0; i < plan->n_hosts; i++) {
        fprintf(out, " %s", plan->hosts[i]);
    }
    fprintf(out,
            "\n\nEach member, all its URLs with https:// (NAME.crt, NAME.key, ca.crt "
            "are what it needs):\n");
    if (plan->n_members > 0) {
        say_member(out, path, plan->members[0]);
    }
    fprintf(out, "\nClients:\n");
    say_client(out, path, ROOT_NAME);
    fprintf(
        out,
        "\nWho has ca.key can make certificates of anybody: keep it off the members.\n"
        "More: kvctl cert client %s NAME, kvctl cert member %s NAME --hosts LIST\n",
        path, path);
}

/* ---- the commands ---- */

static enum exit_code run_init(struct session *session, const void *values,
                               const char **args, size_t n_args, struct err *err)
{
    struct cert_dir dir;
    struct plan plan;
    enum exit_code code = plan_all(&plan, values, &session->arena, err);
    int rc;

    (void)n_args;
    if (code != EXIT_OK) {
        return code;
    }
    rc = cert_dir_open(&dir, args[0], true, err);
    if (rc != 0) {
        return exit_code_of(rc);
    }
    rc = make_all(&dir, &plan, err);
    cert_dir_close(&dir, rc == 0);
    if (rc == 0) {
        say_all(session->printer.out, args[0], &plan);
    }
    return exit_code_of(rc);
}

static enum exit_code run_member(struct session *session, const void *values,
                                 const char **args, size_t n_args, struct err *err)
{
    struct plan plan;
    enum exit_code code = plan_all(&plan, values, &session->arena, err);

    (void)n_args;
    if (code == EXIT_OK) {
        code = make_one(args[0], CERT_MEMBER, args[1], &plan, err);
    }
    if (code == EXIT_OK) {
        say_member(session->printer.out, args[0], args[1]);
    }
    return code;
}

static enum exit_code run_client(struct session *session, const void *values,
                                 const char **args, size_t n_args, struct err *err)
{
    struct plan plan;
    enum exit_code code = plan_all(&plan, values, &session->arena, err);

    (void)n_args;
    if (code == EXIT_OK) {
        code = make_one(args[0], CERT_CLIENT, args[1], &plan, err);
    }
    if (code == EXIT_OK) {
        say_client(session->printer.out, args[0], args[1]);
    }
    return code;
}

#define DAYS_ROW                                                                         \
    {                                                                                    \
        "days", 0, OPTION_NUMBER, FIELD(days), "N",                                      \
            "how long they are valid; default 365"                                       \
    }
#define HOSTS_ROW                                                                        \
    {                                                                                    \
        "hosts", 0, OPTION_TEXT, FIELD(hosts), "LIST",                                   \
            "addresses and names besides localhost, 127.0.0.1 and ::1"                   \
    }

static const struct option_spec init_specs[] = {
    HOSTS_ROW,
    {"members", 0, OPTION_TEXT, FIELD(members), "LIST",
     "names of the members; default m1,m2,m3"},
    DAYS_ROW,
};
static const struct option_spec member_specs[] = {HOSTS_ROW, DAYS_ROW};
static const struct option_spec client_specs[] = {DAYS_ROW};
static const struct cert_options defaults_of_one = {.days = 365};

const struct command command_cert_init = {
    .name = "cert init",
    .args = "DIR",
    .summary = "make a CA and certificates for a cluster",
    .details =
        "DIR gets ca.crt and ca.key (valid for ten years), NAME.crt and NAME.key for "
        "each "
        "member,\nand root.crt and root.key for a client whose common name is root. "
        "Members' certificates\nserve both of their ports, as server and as client. "
        "Files "
        "that exist are never overwritten.\n"
        "\n"
        "All members get all of --hosts. Where that is too much, make them one by one:\n"
        "kvctl cert init DIR --members m1 --hosts 10.0.0.1, then kvctl cert member DIR "
        "m2\n"
        "--hosts 10.0.0.2.\n"
        "\n"
        "Example:\n"
        "  kvctl cert init certs --hosts 10.0.0.1,10.0.0.2,10.0.0.3,kvd.example.com\n",
    .specs = init_specs,
    .n_specs = ARRAY_LEN(init_specs),
    .defaults = &defaults,
    .options_size = sizeof(struct cert_options),
    .args_min = 1,
    .args_max = 1,
    .run = run_init,
};

const struct command command_cert_member = {
    .name = "cert member",
    .args = "DIR NAME",
    .summary = "make a certificate of one more member",
    .details = "Signed by the CA that kvctl cert init put into DIR.\n"
               "\n"
               "Example:\n"
               "  kvctl cert member certs m4 --hosts 10.0.0.4\n",
    .specs = member_specs,
    .n_specs = ARRAY_LEN(member_specs),
    .defaults = &defaults_of_one,
    .options_size = sizeof(struct cert_options),
    .args_min = 2,
    .args_max = 2,
    .run = run_member,
};

const struct command command_cert_client = {
    .name = "cert client",
    .args = "DIR NAME",
    .summary = "make a certificate of one more client",
    .details = "Signed by the CA that kvctl cert init put into DIR. NAME is its common "
               "name: the user that\nit stands for, where the cluster has users.\n"
               "\n"
               "Example:\n"
               "  kvctl cert client certs backup --days 90\n",
    .specs = client_specs,
    .n_specs = ARRAY_LEN(client_specs),
    .defaults = &defaults_of_one,
    .options_size = sizeof(struct cert_options),
    .args_min = 2,
    .args_max = 2,
    .run = run_client,
};
