#include "wire/timeout.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"

#define DIGITS_MAX 8
#define VALUE_MAX  99999999

/* Finest first. */
static const struct unit {
    char letter;
    int64_t ns;
} units[] = {
    {'n', 1},          {'u', 1000},        {'m', 1000000},
    {'S', 1000000000}, {'M', 60000000000}, {'H', 3600000000000},
};

bool timeout_parse(struct slice text, int64_t *out_ns)
{
    int64_t value = 0;

    if (text.len < 2 || text.len > DIGITS_MAX + 1) {
        return false;
    }
    for (size_t i = 0; i < text.len - 1; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
        value = value * 10 + (text.ptr[i] - '0');
    }
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (text.ptr[text.len - 1] == units[i].letter) {
            *out_ns = value > INT64_MAX / units[i].ns ? INT64_MAX : value * units[i].ns;
            return true;
        }
    }
    return false;
}

void timeout_format(int64_t timeout_ns, char out[TIMEOUT_TEXT_MAX])
{
    size_t i = 0;
    int64_t value = timeout_ns;

    CHECK(timeout_ns >= 0);
    while (value > VALUE_MAX && i + 1 < ARRAY_LEN(units)) {
        i++;
        value = timeout_ns / units[i].ns + (timeout_ns % units[i].ns != 0);
    }
    snprintf(out, TIMEOUT_TEXT_MAX, "%" PRId64 "%c", value, units[i].letter);
}
