#include "tests/bench/modes.h"

#include "base/mem.h"

const struct mode *const modes[] = {
    &mode_fill,  &mode_put,    &mode_range,      &mode_mixed, &mode_txn,     &mode_watch,
    &mode_grant, &mode_expire, &mode_keep_alive, &mode_lock,  &mode_acquire,
};

const size_t n_modes = ARRAY_LEN(modes);
