#include "base/crc.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

Test(crc, known_values_of_the_rfc)
{
    uint8_t bytes[32];

    memset(bytes, 0, sizeof(bytes));
    cr_assert_eq(crc32c(0, bytes, 32), 0x8a9136aa);
    memset(bytes, 0xff, sizeof(bytes));
    cr_assert_eq(crc32c(0, bytes, 32), 0x62a8ab43);
    for (uint8_t i = 0; i < 32; i++) {
        bytes[i] = i;
    }
    cr_assert_eq(crc32c(0, bytes, 32), 0x46dd794e);
    cr_assert_eq(crc32c(0, "123456789", 9), 0xe3069283);
    cr_assert_eq(crc32c(0, "", 0), 0);
}

Test(crc, pieces_give_the_same_as_the_whole)
{
    uint8_t bytes[1000];

    srand(5);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)rand();
    }
    for (size_t cut = 0; cut <= sizeof(bytes); cut++) {
        uint32_t crc = crc32c(0, bytes, cut);

        cr_assert_eq(crc32c(crc, bytes + cut, sizeof(bytes) - cut),
                     crc32c(0, bytes, sizeof(bytes)));
    }
}

Test(crc, each_single_bit_matters)
{
    uint8_t bytes[64] = {0};
    uint32_t clean = crc32c(0, bytes, sizeof(bytes));

    for (size_t bit = 0; bit < 8 * sizeof(bytes); bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_assert_neq(crc32c(0, bytes, sizeof(bytes)), clean);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}
