/* The common way of lock and elect. Signals are taken before the library starts its
 * threads, and given back when nothing is held any more. */
#include "cli/tenure_options.h"

#include "cli/command.h"
#include "cli/hold.h"

enum exit_code tenure_flags_read(const struct tenure_flags *flags,
                                 struct tenure_options *tenure, struct err *err)
{
    if (flags->ttl_ms <= 0) {
        return command_fail(err, EXIT_ARGUMENTS,
                            "--ttl 0 leaves no time to hold anything; try 10s");
    }
    if (flags->grace_ms > flags->ttl_ms / 2) {
        return command_fail(err, EXIT_ARGUMENTS,
                            "--grace must be at most half of --ttl, or there would be "
                            "no time to keep the lease alive");
    }
    tenure->ttl_s = (flags->ttl_ms + 999) / 1000;
    return EXIT_OK;
}

enum exit_code tenure_print(struct session *session, const struct tenure *tenure,
                            struct err *err)
{
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    Etcdserverpb__RangeResponse *res;
    int rc;

    request.key = binary_of(tenure_key(tenure));
    rc = session_call(session, &client_range, &request.base, &res, err);
    if (rc != 0) {
        return exit_code_of(rc);
    }
    print_range_begin(&session->printer, res->header);
    print_range_kvs(&session->printer, res->kvs, res->n_kvs);
    print_range_end(&session->printer, res->more, res->count);
    fflush(session->printer.out);
    return EXIT_OK;
}

static enum exit_code hold(struct session *session, struct signals *signals,
                           const struct tenure_flags *flags, struct tenure *tenure,
                           bool election, const char *const *command, tenure_show_cb show,
                           struct err *err)
{
    int64_t grace_ms =
        flags->grace_ms >= 0 ? flags->grace_ms : hold_grace_ms(tenure_ttl_ms(tenure));
    enum exit_code code;

    if (command != NULL) {
        code =
            hold_run(tenure, signals, command,
                     hold_environment(tenure, election, &session->arena), grace_ms, err);
    } else {
        code = show(session, tenure, err);
        code = code == EXIT_OK ? hold_wait(tenure, signals, err) : code;
    }
    return hold_end(tenure, signals, code, err);
}

enum exit_code tenure_and_hold(struct session *session, const struct tenure_flags *flags,
                               const struct tenure_options *wanted,
                               const char *const *command, tenure_show_cb show,
                               struct err *err)
{
    struct signals signals;
    struct tenure *tenure;
    enum exit_code code;
    int ended_by;
    int rc = signals_open(&signals, err);

    if (rc != 0) {
        return exit_code_of(rc);
    }
    code = tenure_take(session, &signals, wanted, &tenure, &ended_by, err);
    if (code == EXIT_OK) {
        code =
            hold(session, &signals, flags, tenure, wanted->election, command, show, err);
    }
    signals_close(&signals);
    return code;
}
