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
