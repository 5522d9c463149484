/* Status codes of gRPC and the errors that kvd sends with them (status.def). */
#ifndef KVD_API_STATUS_H
#define KVD_API_STATUS_H

enum grpc_code {
    GRPC_OK = 0,
    GRPC_CANCELLED = 1,
    GRPC_UNKNOWN = 2,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_NOT_FOUND = 5,
    GRPC_ALREADY_EXISTS = 6,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_FAILED_PRECONDITION = 9,
    GRPC_ABORTED = 10,
    GRPC_OUT_OF_RANGE = 11,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_DATA_LOSS = 15,
    GRPC_UNAUTHENTICATED = 16,
};

#define GRPC_NCODES 17

/* "NotFound" and so on, as gRPC libraries and their metrics write them. */
const char *grpc_code_name(int code);

enum api_status {
#define API_STATUS(name, code, text) API_##name,
#include "api/status.def"
#undef API_STATUS
    API_NSTATUS,
};

enum grpc_code api_status_code(enum api_status status);
const char *api_status_text(enum api_status status);

#endif
