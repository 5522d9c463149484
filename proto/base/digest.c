#include "base/digest.h"

#include <xxhash.h>

#include "base/check.h"

static XXH3_state_t *state_of(const struct digest *digest)
{
    return (XXH3_state_t *)digest;
}

struct digest *digest_new(void)
{
    struct digest *digest = (struct digest *)XXH3_createState();

    CHECK(digest != NULL);
    digest_restart(digest);
    return digest;
}

void digest_free(struct digest *digest)
{
    if (digest != NULL) {
        XXH3_freeState(state_of(digest));
    }
}

void digest_restart(struct digest *digest)
{
    XXH3_64bits_reset(state_of(digest));
}

void digest_add(struct digest *digest, const void *bytes, size_t len)
{
    XXH3_64bits_update(state_of(digest), bytes, len);
}

uint64_t digest_value(const struct digest *digest)
{
    return XXH3_64bits_digest(state_of(digest));
}
