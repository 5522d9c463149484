/* Must turn a Criterion run red: reads a heap block that was freed. */
#include <criterion/criterion.h>
#include <stdlib.h>

static char *volatile block;

Test(canary, address_error)
{
    block = malloc(8);
    block[0] = 1;
    free(block);

    cr_expect(block[0] == 0 || block[0] != 0);
}
