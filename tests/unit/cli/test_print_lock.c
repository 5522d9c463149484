/* Locks for people, and as JSON. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "cli/print_lock.h"

static char *text;
static size_t text_len;
static Kvd__V1__LockOwner owner = KVD__V1__LOCK_OWNER__INIT;
static Kvd__V1__LockHold hold = KVD__V1__LOCK_HOLD__INIT;
static Kvd__V1__LockHold *line[] = {&hold};
static Kvd__V1__LockInspectResponse inspected = KVD__V1__LOCK_INSPECT_RESPONSE__INIT;

static struct printer printer_of(enum print_format format)
{
    return (struct printer){.out = open_memstream(&text, &text_len), .format = format};
}

static void expect(struct printer *p, const char *expected)
{
    fclose(p->out);
    cr_assert_str_eq(text, expected);
    free(text);
}

static void start(void)
{
    owner.owner = (char *)"alice";
    owner.host = (char *)"build7";
    owner.pid = 4711;
    hold.key = (ProtobufCBinaryData){3, (uint8_t *)"a/7"};
    hold.token = 42;
    hold.granted = true;
    hold.lease = 7;
    hold.ttl_ms = 7340;
    hold.owner = &owner;
    inspected.line = line;
    inspected.n_line = 1;
    inspected.holders = 1;
}

TestSuite(print_lock, .init = start);

Test(print_lock, line_says_who_holds_and_how_long)
{
    struct printer p = printer_of(PRINT_SIMPLE);

    print_lock_line(&p, "a", &inspected);

    expect(&p,
           "a: 1 holding, 0 waiting\n"
           "  1. held exclusive, by alice on build7, pid 4711, token 42, lease 7 with "
           "7.3s left\n");
}

Test(print_lock, long_line_says_how_many_are_not_shown)
{
    struct printer p = printer_of(PRINT_SIMPLE);

    inspected.waiting = 3000;
    print_lock_line(&p, "a", &inspected);
    fclose(p.out);

    cr_assert_not_null(strstr(text, "and 3000 more\n"));
    free(text);
}

Test(print_lock, free_lock_is_called_free)
{
    Kvd__V1__LockInspectResponse none = KVD__V1__LOCK_INSPECT_RESPONSE__INIT;
    struct printer p = printer_of(PRINT_SIMPLE);

    print_lock_line(&p, "a", &none);

    expect(&p, "a: free\n");
}

Test(print_lock, what_strangers_say_of_themselves_cannot_drive_a_terminal)
{
    char out[LOCK_TEXT_MAX];

    owner.owner = (char *)"\033[2Jevil\n";
    lock_owner_text(&hold, out);

    cr_assert_str_eq(out, "[2Jevil on build7");
}

Test(print_lock, owner_is_what_is_known_of_it)
{
    char out[LOCK_TEXT_MAX];

    owner.host = (char *)"";
    lock_owner_text(&hold, out);
    cr_assert_str_eq(out, "alice");
    hold.owner = NULL;
    lock_owner_text(&hold, out);
    cr_assert_str_eq(out, "unknown");
    hold.election = true;
    hold.value = (ProtobufCBinaryData){2, (uint8_t *)"me"};
    lock_owner_text(&hold, out);
    cr_assert_str_eq(out, "me");
}

Test(print_lock, modes_have_names)
{
    char out[LOCK_TEXT_MAX];

    hold.mode = KVD__V1__LOCK_MODE__SLOTS;
    hold.slots = 3;
    lock_mode_text(&hold, out);
    cr_assert_str_eq(out, "slots 3");
    cr_assert_str_eq(lock_mode_name(KVD__V1__LOCK_MODE__SHARED), "shared");
    cr_assert_str_eq(lock_mode_name((Kvd__V1__LockMode)9), "exclusive");
}

Test(print_lock, json_has_all_of_it)
{
    struct printer p = printer_of(PRINT_JSON);

    print_lock_line(&p, "a", &inspected);

    expect(&p, "{\"name\":\"a\",\"holders\":1,\"waiting\":0,\"line\":[{\"key\":\"a/7\","
               "\"token\":42,\"granted\":true,\"mode\":\"exclusive\",\"lease\":7,"
               "\"ttl_ms\":7340,\"owner\":\"alice\",\"host\":\"build7\",\"pid\":4711}]}"
               "\n");
}
