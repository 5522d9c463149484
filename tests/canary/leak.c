/* Must turn a Criterion run red: the last pointer to a heap block is overwritten. */
#include <criterion/criterion.h>
#include <stdlib.h>

static void *volatile block;

Test(canary, leak)
{
    block = malloc(64);
    cr_expect(block != NULL);
    block = NULL;
}
