/* The value of --auth-token. */
#include "node/config_token.h"

#include <criterion/criterion.h>
#include <string.h>

Test(config_token, simple_tokens_have_no_method)
{
    struct config_token token = {0};

    cr_assert_eq(config_token_parse(&token, "simple", NULL), 0);
    cr_assert_null(token.sign_method);
}

Test(config_token, signed_tokens_are_written_as_etcd_s)
{
    struct config_token token = {0};

    cr_assert_eq(config_token_parse(
                     &token,
                     "jwt,pub-key=a.pub,priv-key=b.key,sign-method=RS256,ttl=1h10m5s",
                     NULL),
                 0);

    cr_assert_str_eq(token.sign_method, "RS256");
    cr_assert_str_eq(token.public_key, "a.pub");
    cr_assert_str_eq(token.private_key, "b.key");
    cr_assert_eq(token.ttl_s, 4205);
    config_token_close(&token);
}

Test(config_token, without_ttl_it_is_five_minutes)
{
    struct config_token token = {0};

    cr_assert_eq(config_token_parse(&token, "jwt,sign-method=HS256,priv-key=k", NULL), 0);
    cr_assert_eq(token.ttl_s, 300);
    config_token_close(&token);
}

Test(config_token, what_is_wrong_is_named)
{
    static const struct {
        const char *text;
        const char *why;
    } rows[] = {
        {"", "must be simple or jwt"},
        {"jwtx", "must be simple or jwt"},
        {"jwt", "needs sign-method"},
        {"jwt,", "\"\" is not name=value"},
        {"jwt,priv-key=k", "needs sign-method"},
        {"jwt,sign-method", "\"sign-method\" is not name=value"},
        {"jwt,sign-method=", "sign-method= needs a value"},
        {"jwt,sign-method=RS256,sign-method=ES256", "sign-method is given twice"},
        {"jwt,key=k", "key is unknown"},
        {"jwt,sign-method=RS256,ttl=0s", "ttl=0s: write 300s"},
        {"jwt,sign-method=RS256,ttl=5", "ttl=5: write 300s"},
        {"jwt,sign-method=RS256,ttl=99999999999999999999h", "a year at most"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct config_token token = {0};
        struct err err = {0};

        cr_assert_eq(config_token_parse(&token, rows[i].text, &err), ERR_INVALID, "%s",
                     rows[i].text);
        cr_assert_not_null(strstr(err.text, rows[i].why), "%s: %s", rows[i].text,
                           err.text);
        config_token_close(&token);
    }
}
