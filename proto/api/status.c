#include "api/status.h"

#include "base/check.h"

static const struct {
    enum grpc_code code;
    const char *text;
} statuses[] = {
#define API_STATUS(name, code, text) [API_##name] = {code, text},
#include "api/status.def"
#undef API_STATUS
};

const char *grpc_code_name(int code)
{
    static const char *const names[GRPC_NCODES] = {
        [GRPC_OK] = "OK",
        [GRPC_CANCELLED] = "Canceled",
        [GRPC_UNKNOWN] = "Unknown",
        [GRPC_INVALID_ARGUMENT] = "InvalidArgument",
        [GRPC_DEADLINE_EXCEEDED] = "DeadlineExceeded",
        [GRPC_NOT_FOUND] = "NotFound",
        [GRPC_ALREADY_EXISTS] = "AlreadyExists",
        [GRPC_PERMISSION_DENIED] = "PermissionDenied",
        [GRPC_RESOURCE_EXHAUSTED] = "ResourceExhausted",
        [GRPC_FAILED_PRECONDITION] = "FailedPrecondition",
        [GRPC_ABORTED] = "Aborted",
        [GRPC_OUT_OF_RANGE] = "OutOfRange",
        [GRPC_UNIMPLEMENTED] = "Unimplemented",
        [GRPC_INTERNAL] = "Internal",
        [GRPC_UNAVAILABLE] = "Unavailable",
        [GRPC_DATA_LOSS] = "DataLoss",
        [GRPC_UNAUTHENTICATED] = "Unauthenticated",
    };

    return code >= 0 && code < GRPC_NCODES ? names[code] : "unknown code";
}

enum grpc_code api_status_code(enum api_status status)
{
    CHECK(status < API_NSTATUS);
    return statuses[status].code;
}

const char *api_status_text(enum api_status status)
{
    CHECK(status < API_NSTATUS);
    return statuses[status].text;
}
