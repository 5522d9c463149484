#include "api/status.h"

#include <criterion/criterion.h>
#include <string.h>

Test(status, codes_are_those_of_grpc)
{
    cr_assert_eq(api_status_code(API_OK), 0);
    cr_assert_eq(api_status_code(API_EMPTY_KEY), 3);
    cr_assert_eq(api_status_code(API_LEASE_NOT_FOUND), 5);
    cr_assert_eq(api_status_code(API_NO_SPACE), 8);
    cr_assert_eq(api_status_code(API_NOT_LEADER), 9);
    cr_assert_eq(api_status_code(API_COMPACTED), 11);
    cr_assert_eq(api_status_code(API_TIMEOUT), 14);
}

Test(status, clients_tell_errors_apart_by_text)
{
    for (int i = 0; i < API_NSTATUS; i++) {
        const char *text = api_status_text((enum api_status)i);

        cr_assert_eq(text[0] == '\0', i == API_OK);
        for (int j = 0; j < i; j++) {
            cr_assert_str_neq(text, api_status_text((enum api_status)j));
        }
    }
}
