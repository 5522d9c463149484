/* The allocator keeps what thousands of connections have freed. Trimming costs
 * milliseconds, so it is done only after a lot was freed: the bytes unused now exceed the
 * least seen since the last trim by TRIM_BYTES. Trimmed bytes still count as unused, so
 * one flood is trimmed once. */
#include "node/trim.h"

#include <malloc.h>

#include "base/limits.h"

#define TRIM_BYTES     (16 * MIB)
#define TRIM_PERIOD_MS 10000

bool trim_tick(struct trim *trim, uint64_t now_ms)
{
    size_t unused;

    if (now_ms < trim->next_ms) {
        return false;
    }
    trim->next_ms = now_ms + TRIM_PERIOD_MS;
    unused = mallinfo2().fordblks;
    if (unused < trim->free_low || trim->free_low == 0) {
        trim->free_low = unused;
    }
    if (unused - trim->free_low < TRIM_BYTES) {
        return false;
    }
    malloc_trim(0);
    trim->free_low = unused;
    return true;
}
