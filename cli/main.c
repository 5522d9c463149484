/* kvctl: reads the command line, finds the command, runs it, and turns what it says into
 * an exit code and one sentence on stderr. Data go to stdout, everything else to stderr.
 */
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <string.h>

#include "base/mem.h"
#include "cli/help.h"
#include "cli/words.h"

/* kvctl help [COMMAND | TOPIC] */
static enum exit_code run_help(const char **words, size_t n, struct err *err)
{
    const char *unknown;
    const struct command *command = words_take_command(words, &n, &unknown);

    if (command != NULL) {
        help_command(stdout, command);
    } else if (unknown == NULL) {
        help_overview(stdout);
    } else if (!help_topic(stdout, unknown)) {
        return words_unknown(words, n, unknown, err);
    }
    return EXIT_OK;
}

static enum exit_code run_command(struct session *session, const struct command *command,
                                  const char **words, size_t n, struct err *err)
{
    static const char *const prefixes[] = {"KVCTL", "ETCDCTL"};
    struct option_group global = {
        .specs = settings_specs, .n = settings_n_specs, .values = &session->settings};
    void *options;
    const char **args;
    size_t n_args;

    if (command->takes_child &&
        command_take_child(words, &n, &session->arena, &session->child, err) != 0) {
        return EXIT_ARGUMENTS;
    }
    if (option_read_env(&global, prefixes, ARRAY_LEN(prefixes), &session->arena, err) !=
            0 ||
        command_parse(command, &global, words, n, &session->arena, &options, &args,
                      &n_args, err) != 0) {
        return EXIT_ARGUMENTS;
    }
    if (session->settings.help) {
        help_command(stdout, command);
        return EXIT_OK;
    }
    if (session_configure(session, err) != 0 ||
        command_check_args(command, n_args, err) != 0) {
        return EXIT_ARGUMENTS;
    }
    return command->run(session, options, args, n_args, err);
}

static enum exit_code run(struct session *session, const char **words, size_t n,
                          struct err *err)
{
    const struct command *command;
    const char *unknown;

    if (n > 0 && strcmp(words[0], "help") == 0) {
        return run_help(words + 1, n - 1, err);
    }
    command = words_take_command(words, &n, &unknown);
    if (command != NULL) {
        return run_command(session, command, words, n, err);
    }
    for (size_t i = 0; i < n; i++) {
        if (strcmp(words[i], "--help") == 0 || strcmp(words[i], "-h") == 0) {
            return run_help(words, 0, err);
        }
    }
    if (unknown != NULL) {
        return words_unknown(words, n, unknown, err);
    }
    help_overview(stderr);
    return command_fail(err, EXIT_ARGUMENTS, "no command given");
}

int main(int argc, char **argv)
{
    struct session session;
    struct err err = {0};
    enum exit_code code;

    setlocale(LC_CTYPE, "");
    signal(SIGPIPE, SIG_DFL);
    session_open(&session);
    code = run(&session, (const char **)argv + 1, (size_t)argc - 1, &err);
    session_close(&session);
    if (fflush(stdout) != 0 || ferror(stdout) != 0) {
        err_set(&err, ERR_IO, "stdout: %s", strerror(errno));
        code = code == EXIT_OK ? EXIT_ERROR : code;
    }
    if (code != EXIT_OK && err.text[0] != '\0') { /* a child's code has no sentence */
        exit_explain(err.text);
    }
    return (int)code;
}

const struct command *const commands[] = {
    &command_get,
    &command_put,
    &command_del,
    &command_txn,
    &command_watch,
    &command_lease_grant,
    &command_lease_revoke,
    &command_lease_timetolive,
    &command_lease_list,
    &command_lease_keep_alive,
    &command_lock,
    &command_lock_list,
    &command_lock_show,
    &command_lock_release,
    &command_elect,
    &command_compaction,
    &command_endpoint_status,
    &command_endpoint_health,
    &command_member_list,
    &command_auth_enable,
    &command_auth_disable,
    &command_auth_status,
    &command_auth_check,
    &command_user_add,
    &command_user_delete,
    &command_user_get,
    &command_user_list,
    &command_user_passwd,
    &command_user_grant_role,
    &command_user_revoke_role,
    &command_role_add,
    &command_role_delete,
    &command_role_get,
    &command_role_list,
    &command_role_grant_permission,
    &command_role_revoke_permission,
    &command_import,
    &command_export,
    &command_reload,
    &command_cert_init,
    &command_cert_member,
    &command_cert_client,
    &command_version,
    NULL,
};
