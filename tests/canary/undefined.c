/* Must turn a Criterion run red: overflows a signed integer. */
#include <criterion/criterion.h>
#include <limits.h>

Test(canary, undefined_behaviour)
{
    volatile int most = INT_MAX;
    volatile int one = 1;
    volatile int sum = most + one;

    cr_expect(sum < most);
}
