#include "node/quiet.h"

#include "base/log.h"

#define LINES_MAX 10
#define SPAN_MS   60000

bool quiet_allows(struct quiet *quiet, const char *about, uint64_t now_ms)
{
    if (quiet->lines == 0 || now_ms - quiet->since_ms >= SPAN_MS) {
        if (quiet->left_out > 0) {
            log_warn("lines were left out", LOG_TEXT("about", about),
                     LOG_UINT("lines", quiet->left_out));
        }
        *quiet = (struct quiet){.since_ms = now_ms};
    }
    if (quiet->lines >= LINES_MAX) {
        quiet->left_out++;
        return false;
    }
    quiet->lines++;
    return true;
}
