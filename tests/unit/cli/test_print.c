/* The output formats; what is expected of simple, fields and json-base64 was printed by
 * etcdctl. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cli/print.h"
#include "cli/print_ops.h"

static char *text;
static size_t text_len;

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

static Etcdserverpb__ResponseHeader header = ETCDSERVERPB__RESPONSE_HEADER__INIT;
static Mvccpb__KeyValue kv = MVCCPB__KEY_VALUE__INIT;
static Mvccpb__KeyValue binary = MVCCPB__KEY_VALUE__INIT;
static Mvccpb__KeyValue *kvs[] = {&kv, &binary};

static void start(void)
{
    header.cluster_id = 18446744073709551615u;
    header.member_id = 5;
    header.revision = 4;
    header.raft_term = 2;
    kv.key = (ProtobufCBinaryData){1, (uint8_t *)"a"};
    kv.value = (ProtobufCBinaryData){1, (uint8_t *)"2"};
    kv.create_revision = 2;
    kv.mod_revision = 3;
    kv.version = 2;
    kv.lease = 7;
    binary.key = (ProtobufCBinaryData){2, (uint8_t *)"\xff\n"};
}

TestSuite(print, .init = start);

static void print_both(struct printer *p)
{
    print_range_begin(p, &header);
    print_range_kvs(p, kvs, 1);
    print_range_kvs(p, kvs + 1, 1);
    print_range_end(p, true, 9);
}

Test(print, simple_is_keys_and_values_on_lines)
{
    struct printer p = printer_of(PRINT_SIMPLE);

    print_both(&p);

    expect(&p, "a\n2\n\xff\n\n\n");
}

Test(print, simple_knows_hexadecimal_and_values_only)
{
    struct printer p = printer_of(PRINT_SIMPLE);

    p.hex = true;
    print_range_kvs(&p, kvs, 2);
    p.value_only = true;
    print_range_kvs(&p, kvs, 1);

    expect(&p, "\\x61\n\\x32\n\\xff\\x0a\n\n\\x32\n");
}

Test(print, count_only_is_one_number)
{
    struct printer p = printer_of(PRINT_SIMPLE);

    p.count_only = true;
    print_range_begin(&p, &header);
    print_range_end(&p, false, 9);

    expect(&p, "9\n");
}

Test(print, raw_is_nothing_but_the_value)
{
    struct printer p = printer_of(PRINT_RAW);

    print_range_begin(&p, &header);
    print_range_kvs(&p, kvs, 1);
    print_range_end(&p, false, 1);

    expect(&p, "2");
}

Test(print, fields_are_those_of_etcdctl)
{
    struct printer p = printer_of(PRINT_FIELDS);

    print_both(&p);

    expect(&p, "\"ClusterID\" : 18446744073709551615\n\"MemberID\" : 5\n"
               "\"Revision\" : 4\n\"RaftTerm\" : 2\n"
               "\"Key\" : \"a\"\n\"CreateRevision\" : 2\n\"ModRevision\" : 3\n"
               "\"Version\" : 2\n\"Value\" : \"2\"\n\"Lease\" : 7\n"
               "\"Key\" : \"\\xff\\n\"\n\"CreateRevision\" : 0\n\"ModRevision\" : 0\n"
               "\"Version\" : 0\n\"Value\" : \"\"\n\"Lease\" : 0\n"
               "\"More\" : true\n\"Count\" : 9\n");
}

Test(print, json_shows_text_as_text_and_other_bytes_as_base64)
{
    struct printer p = printer_of(PRINT_JSON);

    print_both(&p);

    expect(&p, "{\"header\":{\"cluster_id\":18446744073709551615,\"member_id\":5,"
               "\"revision\":4,\"raft_term\":2},\"kvs\":["
               "{\"key\":\"a\",\"create_revision\":2,\"mod_revision\":3,\"version\":2,"
               "\"value\":\"2\",\"lease\":7},"
               "{\"key_base64\":\"/wo=\"}],\"more\":true,\"count\":9}\n");
}

Test(print, json_base64_is_that_of_etcdctl)
{
    struct printer p = printer_of(PRINT_JSON_BASE64);

    print_range_begin(&p, &header);
    print_range_kvs(&p, kvs, 1);
    print_range_end(&p, false, 1);

    expect(&p,
           "{\"header\":{\"cluster_id\":18446744073709551615,\"member_id\":5,"
           "\"revision\":4,\"raft_term\":2},\"kvs\":[{\"key\":\"YQ==\","
           "\"create_revision\":2,\"mod_revision\":3,\"version\":2,\"value\":\"Mg==\","
           "\"lease\":7}],\"count\":1}\n");
}

Test(print, an_empty_range_has_no_kvs)
{
    struct printer p = printer_of(PRINT_JSON);

    print_range_begin(&p, NULL);
    print_range_kvs(&p, kvs, 0);
    print_range_end(&p, false, 0);
    print_range_begin(&p, NULL);
    print_range_end(&p, false, 0);

    expect(&p, "{}\n{}\n");
}

static Etcdserverpb__PutResponse put = ETCDSERVERPB__PUT_RESPONSE__INIT;
static Etcdserverpb__DeleteRangeResponse del = ETCDSERVERPB__DELETE_RANGE_RESPONSE__INIT;
static Etcdserverpb__RangeResponse range = ETCDSERVERPB__RANGE_RESPONSE__INIT;

static void print_sample_txn(struct printer *p)
{
    Etcdserverpb__ResponseOp ops[3];
    Etcdserverpb__ResponseOp *list[] = {&ops[0], &ops[1], &ops[2]};
    Etcdserverpb__TxnResponse txn = ETCDSERVERPB__TXN_RESPONSE__INIT;

    for (int i = 0; i < 3; i++) {
        etcdserverpb__response_op__init(&ops[i]);
    }
    put.prev_kv = &kv;
    ops[0].response_case = ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_PUT;
    ops[0].response_put = &put;
    del.deleted = 1;
    ops[1].response_case = ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_DELETE_RANGE;
    ops[1].response_delete_range = &del;
    range.n_kvs = 1;
    range.kvs = kvs;
    range.count = 1;
    ops[2].response_case = ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_RANGE;
    ops[2].response_range = &range;
    txn.succeeded = true;
    txn.n_responses = 3;
    txn.responses = list;
    print_txn(p, &txn);
}

Test(print, a_transaction_prints_its_answers_in_order)
{
    struct printer p = printer_of(PRINT_SIMPLE);

    print_sample_txn(&p);

    expect(&p, "SUCCESS\n\nOK\na\n2\n\n1\n\na\n2\n");
}

Test(print, a_transaction_in_json_nests_as_etcdctls_does)
{
    struct printer p = printer_of(PRINT_JSON_BASE64);

    print_sample_txn(&p);

    expect(&p,
           "{\"succeeded\":true,\"responses\":["
           "{\"Response\":{\"ResponsePut\":{\"prev_kv\":{\"key\":\"YQ==\","
           "\"create_revision\":2,\"mod_revision\":3,\"version\":2,\"value\":\"Mg==\","
           "\"lease\":7}}}},"
           "{\"Response\":{\"ResponseDeleteRange\":{\"deleted\":1}}},"
           "{\"Response\":{\"ResponseRange\":{\"kvs\":[{\"key\":\"YQ==\","
           "\"create_revision\":2,\"mod_revision\":3,\"version\":2,\"value\":\"Mg==\","
           "\"lease\":7}],\"count\":1}}}]}\n");
}

/* ---- watches and leases ---- */

static Mvccpb__KeyValue gone = MVCCPB__KEY_VALUE__INIT;
static Mvccpb__Event events[] = {MVCCPB__EVENT__INIT, MVCCPB__EVENT__INIT};
static Mvccpb__Event *event_list[] = {&events[0], &events[1]};
static Etcdserverpb__WatchResponse watch = ETCDSERVERPB__WATCH_RESPONSE__INIT;

/* A put, and a delete with what was there. */
static void make_watch(void)
{
    gone.key = (ProtobufCBinaryData){2, (uint8_t *)"\xff\n"};
    gone.mod_revision = 4;
    events[0].kv = &kv;
    events[1].kv = &gone;
    events[1].prev_kv = &kv;
    events[1].type = MVCCPB__EVENT__EVENT_TYPE__DELETE;
    watch.header = &header;
    watch.events = event_list;
    watch.n_events = 2;
}

Test(print, events_are_printed_as_etcdctl_does)
{
    struct printer p = printer_of(PRINT_SIMPLE);

    make_watch();
    print_watch(&p, &watch);
    expect(&p, "PUT\na\n2\nDELETE\na\n2\n\xff\n\n\n");

    p = printer_of(PRINT_JSON_BASE64);
    print_watch(&p, &watch);
    expect(&p, "{\"Header\":{\"cluster_id\":18446744073709551615,\"member_id\":5,"
               "\"revision\":4,\"raft_term\":2},\"Events\":[{\"kv\":{\"key\":\"YQ==\","
               "\"create_revision\":2,\"mod_revision\":3,\"version\":2,"
               "\"value\":\"Mg==\",\"lease\":7}},{\"type\":1,\"kv\":{\"key\":\"/wo=\","
               "\"mod_revision\":4},\"prev_kv\":{\"key\":\"YQ==\",\"create_revision\":2,"
               "\"mod_revision\":3,\"version\":2,\"value\":\"Mg==\",\"lease\":7}}],"
               "\"CompactRevision\":0,\"Canceled\":false,\"Created\":false}\n");
}

Test(print, events_have_forms_for_people_and_for_bytes)
{
    struct printer p = printer_of(PRINT_TABLE);

    make_watch();
    print_watch(&p, &watch);
    expect(&p, "3         PUT     a  2\n4         DELETE  0xff0a\n");

    p = printer_of(PRINT_RAW);
    print_watch(&p, &watch);
    expect(&p, "2");
}

Test(print, leases_are_printed_as_etcdctl_does)
{
    Etcdserverpb__LeaseGrantResponse grant = ETCDSERVERPB__LEASE_GRANT_RESPONSE__INIT;
    struct printer p = printer_of(PRINT_SIMPLE);

    grant.header = &header;
    grant.id = 0x7a12;
    grant.ttl = 30;
    print_lease_grant(&p, &grant);
    expect(&p, "lease 0000000000007a12 granted with TTL(30s)\n");

    p = printer_of(PRINT_JSON);
    print_lease_grant(&p, &grant);
    expect(&p, "{\"cluster_id\":18446744073709551615,\"member_id\":5,\"revision\":4,"
               "\"raft_term\":2,\"ID\":31250,\"TTL\":30,\"Error\":\"\"}\n");
}

Test(print, time_to_live_tells_keys_that_are_text_from_others)
{
    Etcdserverpb__LeaseTimeToLiveResponse ttl =
        ETCDSERVERPB__LEASE_TIME_TO_LIVE_RESPONSE__INIT;
    ProtobufCBinaryData keys[] = {kv.key, binary.key};
    struct printer p = printer_of(PRINT_SIMPLE);

    ttl.id = 1;
    ttl.ttl = -1;
    print_lease_ttl(&p, &ttl, true);
    expect(&p, "lease 0000000000000001 already expired\n");

    ttl.ttl = 4;
    ttl.grantedttl = 10;
    ttl.keys = keys;
    ttl.n_keys = 2;
    p = printer_of(PRINT_JSON);
    print_lease_ttl(&p, &ttl, true);
    expect(&p, "{\"id\":1,\"ttl\":4,\"granted-ttl\":10,\"keys\":[\"a\"],"
               "\"keys_base64\":[\"/wo=\"]}\n");
    p = printer_of(PRINT_JSON_BASE64);
    print_lease_ttl(&p, &ttl, true);
    expect(&p, "{\"id\":1,\"ttl\":4,\"granted-ttl\":10,\"keys\":[\"YQ==\",\"/wo=\"]}\n");
}

Test(print, tables_show_bytes_that_are_not_text_as_hexadecimal)
{
    struct printer p = printer_of(PRINT_TABLE);

    print_both(&p);
    fclose(p.out);

    cr_assert_not_null(strstr(text, "KEY"));
    cr_assert_not_null(strstr(text, "0xff0a"));
    free(text);
}

Test(print, sizes_are_rounded_as_etcdctl_does)
{
    static const struct {
        int64_t bytes;
        const char *text;
    } sizes[] = {{0, "0 B"},         {999, "999 B"},  {1000, "1.0 kB"},
                 {20480, "20 kB"},   {9960, "10 kB"}, {2147483648, "2.1 GB"},
                 {1572864, "1.6 MB"}};

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        char out[SIZE_TEXT_MAX];

        size_text(sizes[i].bytes, out);
        cr_assert_str_eq(out, sizes[i].text);
    }
}

Test(print, durations_are_written_as_go_does)
{
    static const struct {
        int64_t ns;
        const char *text;
    } durations[] = {{0, "0ns"},
                     {999, "999ns"},
                     {1500, "1.5µs"},
                     {1380754, "1.380754ms"},
                     {5001099202, "5.001099202s"},
                     {2000000000, "2s"}};

    for (size_t i = 0; i < ARRAY_LEN(durations); i++) {
        char out[DURATION_TEXT_MAX];

        duration_text(durations[i].ns, out);
        cr_assert_str_eq(out, durations[i].text);
    }
}

Test(print, formats_are_known_by_name)
{
    enum print_format format;

    cr_assert(print_format_parse("json-base64", &format));
    cr_assert_eq(format, PRINT_JSON_BASE64);
    cr_assert_not(print_format_parse("yaml", &format));
}
