#include "base/digest.h"

#include <criterion/criterion.h>
#include <xxhash.h>

Test(digest, pieces_give_the_same_as_the_whole)
{
    uint8_t bytes[3000];
    struct digest *digest = digest_new();

    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(i * 7);
    }
    for (size_t cut = 0; cut <= sizeof(bytes); cut += 100) {
        digest_restart(digest);
        digest_add(digest, bytes, cut);
        digest_add(digest, bytes + cut, sizeof(bytes) - cut);
        cr_assert_eq(digest_value(digest), XXH3_64bits(bytes, sizeof(bytes)));
    }
    digest_free(digest);
    digest_free(NULL);
}
