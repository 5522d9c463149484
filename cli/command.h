/* A command of kvctl as a row: what it is called, what it takes, how it is explained and
 * the function that does it. cmd_*.c define the rows, main.c lists them. */
#ifndef KVD_CLI_COMMAND_H
#define KVD_CLI_COMMAND_H

#include "cli/exit.h"
#include "cli/session.h"

/* Does the command; options are the command's own struct. On failure err is the sentence
 * for the user. */
typedef enum exit_code (*command_run_cb)(struct session *session, const void *options,
                                         const char **args, size_t n_args,
                                         struct err *err);

struct command {
    const char *name;    /* "get", "endpoint status" */
    const char *args;    /* "KEY [RANGE_END]" */
    const char *summary; /* one line without a full stop */
    const char *details; /* help text after the usage line */
    const struct option_spec *specs;
    size_t n_specs;
    const void *defaults; /* initial values of the options; NULL: none */
    size_t options_size;
    size_t args_min, args_max;
    bool takes_child; /* what follows -- is a command line: session->child */
    command_run_cb run;
};

extern const struct command command_get;
extern const struct command command_put;
extern const struct command command_del;
extern const struct command command_txn;
extern const struct command command_watch;
extern const struct command command_lease_grant;
extern const struct command command_lease_revoke;
extern const struct command command_lease_timetolive;
extern const struct command command_lease_list;
extern const struct command command_lease_keep_alive;
extern const struct command command_lock;
extern const struct command command_lock_list;
extern const struct command command_lock_show;
extern const struct command command_lock_release;
extern const struct command command_elect;
extern const struct command command_compaction;
extern const struct command command_endpoint_status;
extern const struct command command_endpoint_health;
extern const struct command command_member_list;
extern const struct command command_auth_enable;
extern const struct command command_auth_disable;
extern const struct command command_auth_status;
extern const struct command command_auth_check;
extern const struct command command_user_add;
extern const struct command command_user_delete;
extern const struct command command_user_get;
extern const struct command command_user_list;
extern const struct command command_user_passwd;
extern const struct command command_user_grant_role;
extern const struct command command_user_revoke_role;
extern const struct command command_role_add;
extern const struct command command_role_delete;
extern const struct command command_role_get;
extern const struct command command_role_list;
extern const struct command command_role_grant_permission;
extern const struct command command_role_revoke_permission;
extern const struct command command_import;
extern const struct command command_export;
extern const struct command command_reload;
extern const struct command command_cert_init;
extern const struct command command_cert_member;
extern const struct command command_cert_client;
extern const struct command command_version;

/* All commands, in the order of help. NULL-terminated. */
extern const struct command *const commands[];

/* Says why and returns the code. */
enum exit_code command_fail(struct err *err, enum exit_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Cuts the words at the first "--" and gives what follows, NULL-terminated; NULL: there
 * is none. ERR_INVALID: nothing follows. */
int command_take_child(const char **words, size_t *n, struct arena *arena,
                       const char *const **child, struct err *err);

/* Parses a command's words, those of the command's name left out: *options is filled from
 * its defaults and the words. global may be NULL. ERR_INVALID. */
int command_parse(const struct command *command, const struct option_group *global,
                  const char **words, size_t n_words, struct arena *arena, void **options,
                  const char ***args, size_t *n_args, struct err *err);

/* ERR_INVALID when there are too few or too many arguments. */
int command_check_args(const struct command *command, size_t n_args, struct err *err);

#endif
