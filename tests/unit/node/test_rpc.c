#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "health.pb-c.h"
#include "lock.pb-c.h"
#include "node/rpc.h"
#include "rpc.pb-c.h"
#include "v3election.pb-c.h"
#include "v3lock.pb-c.h"

static const ProtobufCServiceDescriptor *const services[] = {
    &etcdserverpb__kv__descriptor,
    &etcdserverpb__watch__descriptor,
    &etcdserverpb__lease__descriptor,
    &etcdserverpb__cluster__descriptor,
    &etcdserverpb__maintenance__descriptor,
    &etcdserverpb__auth__descriptor,
    &v3lockpb__lock__descriptor,
    &v3electionpb__election__descriptor,
    &kvd__v1__lock__descriptor,
    &grpc__health__v1__health__descriptor,
};

/* Two services are called Lock; a row says KvdLock for ours. */
static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text);

    return len >= strlen(end) && strcmp(text + len - strlen(end), end) == 0;
}

Test(rpc, every_method_of_every_service_has_its_row)
{
    size_t n = 0;

    for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++) {
        for (unsigned k = 0; k < services[i]->n_methods; k++) {
            const ProtobufCMethodDescriptor *method = &services[i]->methods[k];
            char path[128];
            char text[128];
            enum rpc_id id;

            snprintf(path, sizeof(path), "/%s/%s", services[i]->name, method->name);
            id = rpc_find(path, text, sizeof(text));

            cr_assert_neq(id, RPC_NMETHODS, "%s: %s", path, text);
            cr_assert_str_eq(rpc_get(id)->name, method->name);
            cr_assert_str_eq(rpc_service_name(id), services[i]->name);
            cr_assert(
                ends_with(rpc_get(id)->service, strrchr(services[i]->name, '.') + 1));
            cr_assert_eq(rpc_request_type(id), method->input);
            cr_assert_eq(rpc_reply_type(id), method->output);
            n++;
        }
    }
    cr_assert_eq(n, RPC_NMETHODS);
}

/* Deny by default: what is open while auth is on is written here, too. */
Test(rpc, every_row_says_what_its_callers_need)
{
    static const enum rpc_id open[] = {RPC_Auth_AuthStatus, RPC_Auth_Authenticate,
                                       RPC_Health_Check, RPC_Health_Watch};

    for (enum rpc_id id = 0; id < RPC_NMETHODS; id++) {
        const struct rpc_method *row = rpc_get(id);
        bool is_open = false;

        for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
            is_open |= open[i] == id;
        }
        cr_assert(row->needs >= RPC_NEEDS_NOTHING && row->needs <= RPC_NEEDS_EACH, "%s",
                  row->name);
        cr_assert_eq(row->needs == RPC_NEEDS_NOTHING, is_open, "%s", row->name);
        cr_assert_eq(row->needs == RPC_NEEDS_EACH, row->kind == RPC_BIDI, "%s",
                     row->name);
    }
}

Test(rpc, a_reply_has_a_header_unless_its_row_says_no)
{
    for (enum rpc_id id = 0; id < RPC_NMETHODS; id++) {
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field(rpc_reply_type(id), 1);
        bool has_header = field != NULL &&
                          field->descriptor == &etcdserverpb__response_header__descriptor;

        if (rpc_get(id)->start != NULL && (rpc_get(id)->flags & RPC_NO_HEADER) == 0) {
            cr_assert(has_header, "%s", rpc_get(id)->name);
        }
    }
}

static void assert_unknown(const char *path, const char *sentence)
{
    char text[256];

    cr_assert_eq(rpc_find(path, text, sizeof(text)), RPC_NMETHODS, "%s", path);
    cr_assert_str_eq(text, sentence);
}

Test(rpc, unknown_paths_are_named_as_grpc_does)
{
    assert_unknown("/etcdserverpb.KV/Fly",
                   "unknown method Fly for service etcdserverpb.KV");
    assert_unknown("/etcdserverpb.KV/", "unknown method  for service etcdserverpb.KV");
    assert_unknown("/etcdserverpb.KVX/Range", "unknown service etcdserverpb.KVX");
    assert_unknown("/etcdserverpb.K/Range", "unknown service etcdserverpb.K");
    assert_unknown("//Range", "unknown service ");
    assert_unknown("/Range", "malformed method name: \"/Range\"");
    assert_unknown("Range", "malformed method name: \"Range\"");
    assert_unknown("", "malformed method name: \"\"");
}

Test(rpc, a_method_that_is_not_there_is_named)
{
    char text[128];

    rpc_unknown_method(RPC_Watch_Watch, text, sizeof(text));
    cr_assert_str_eq(text, "unknown method Watch for service etcdserverpb.Watch");
}
