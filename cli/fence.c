/* A name may hold colons, a token does not: the last one divides them. */
#include "cli/fence.h"

#include <string.h>

#include "api/status.h"
#include "cli/lock_calls.h"
#include "cli/option.h"

int fence_parse(const char *text, struct arena *arena, Kvd__V1__Fence **out,
                struct err *err)
{
    static const struct option_spec spec = {.name = "TOKEN", .type = OPTION_NUMBER};
    const char *colon = text != NULL ? strrchr(text, ':') : NULL;
    Kvd__V1__Fence *fence;

    if (text == NULL) {
        *out = NULL;
        return 0;
    }
    fence = arena_alloc(arena, sizeof(*fence));
    kvd__v1__fence__init(fence);
    if (colon == NULL || colon == text ||
        option_set(&spec, &fence->token, colon + 1, NULL, NULL) != 0 ||
        fence->token <= 0) {
        return err_set(err, ERR_INVALID,
                       "--fence \"%s\": NAME:TOKEN, the lock's name and the number that "
                       "came with it (KVD_LOCK_TOKEN)",
                       text);
    }
    fence->name = binary_of(slice_of(text, (size_t)(colon - text)));
    *out = fence;
    return 0;
}

int fence_check_server(struct session *session, const Kvd__V1__Fence *fence,
                       struct err *err)
{
    Kvd__V1__LockInspectRequest request = KVD__V1__LOCK_INSPECT_REQUEST__INIT;
    Kvd__V1__LockInspectResponse *res;
    int rc;

    if (fence == NULL) {
        return 0;
    }
    request.name = fence->name;
    rc = session_call(session, &client_lock_inspect, &request.base, &res, err);
    return rc == ERR_REFUSED ? lock_call_refused(session, "--fence", err) : rc;
}

enum exit_code fence_exit_code(int rc, const struct err *err)
{
    bool fenced =
        rc == ERR_REFUSED && strstr(err->text, api_status_text(API_FENCED)) != NULL;

    return fenced ? EXIT_FENCED : exit_code_of(rc);
}
