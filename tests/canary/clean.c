/* Must stay green, so that a red canary is red for its own reason. */
#include <criterion/criterion.h>
#include <stdlib.h>

Test(canary, clean)
{
    void *block = malloc(64);

    cr_expect(block != NULL);
    free(block);
}
