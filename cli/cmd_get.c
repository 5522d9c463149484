/* kvctl get: one key or a range, read in pages and printed as they come. Finding nothing
 * is not a failure, as in etcdctl, unless --must-exist asks for it. */
#include "base/mem.h"
#include "cli/command.h"
#include "cli/pages.h"
#include "cli/requests.h"

#define FIELD(name) offsetof(struct get_options, name)

static const struct option_spec specs[] = {
    {"prefix", 0, OPTION_FLAG, FIELD(prefix), NULL, "all keys that begin with KEY"},
    {"from-key", 0, OPTION_FLAG, FIELD(from_key), NULL,
     "all keys from KEY on, in the order of bytes"},
    {"rev", 0, OPTION_NUMBER, FIELD(rev), "N", "the state as of revision N"},
    {"limit", 0, OPTION_NUMBER, FIELD(limit), "N", "at most N keys"},
    {"order", 0, OPTION_TEXT, FIELD(order), "ORDER", "ASCEND or DESCEND"},
    {"sort-by", 0, OPTION_TEXT, FIELD(sort_by), "TARGET",
     "CREATE, KEY, MODIFY, VALUE or VERSION"},
    {"keys-only", 0, OPTION_FLAG, FIELD(keys_only), NULL, "without values"},
    {"count-only", 0, OPTION_FLAG, FIELD(count_only), NULL, "how many keys there are"},
    {"consistency", 0, OPTION_TEXT, FIELD(consistency), "LEVEL",
     "l: linearizable (default), s: serializable, what this server has"},
    {"print-value-only", 0, OPTION_FLAG, FIELD(value_only), NULL,
     "in the simple format, values without keys"},
    {"must-exist", 0, OPTION_FLAG, FIELD(must_exist), NULL,
     "exit with 4 when there is no such key"},
};

/* What must hold of the first page before anything is printed. */
static enum exit_code check_first(const struct session *session,
                                  const struct get_options *options, const char *key,
                                  const Etcdserverpb__RangeResponse *page,
                                  struct err *err)
{
    if (options->must_exist && page->count == 0) {
        return command_fail(err, EXIT_CONDITION, "no such key: \"%s\"", key);
    }
    if (session->printer.format == PRINT_RAW && page->count > 1 && !options->count_only) {
        return command_fail(err, EXIT_INPUT,
                            "-w raw prints the value of one key, but %lld match",
                            (long long)page->count);
    }
    return EXIT_OK;
}

static enum exit_code run(struct session *session, const void *values, const char **args,
                          size_t n_args, struct err *err)
{
    const struct get_options *options = values;
    const Etcdserverpb__RangeResponse *page;
    Etcdserverpb__RangeRequest request;
    enum exit_code code = EXIT_OK;
    struct pages pages;
    int64_t count = 0;
    bool more = false;
    bool begun = false;
    int rc;

    if (get_request(options, slices_of_args(&session->arena, args, n_args), n_args,
                    &session->arena, &request, err) != 0) {
        return EXIT_ARGUMENTS;
    }
    session->printer.value_only = options->value_only;
    session->printer.count_only = options->count_only;
    pages_open(&pages, session_client(session), &request);
    while ((rc = pages_next(&pages, &page, err)) == 0 && page != NULL) {
        if (!begun) {
            code = check_first(session, options, args[0], page, err);
            if (code != EXIT_OK) {
                break;
            }
            print_range_begin(&session->printer, page->header);
            begun = true;
        }
        print_range_kvs(&session->printer, page->kvs, page->n_kvs);
        count = page->count;
        more = page->more;
    }
    if (begun && rc == 0) {
        print_range_end(&session->printer, more, count);
    }
    pages_close(&pages);
    return rc != 0 ? exit_code_of(rc) : code;
}

const struct command command_get = {
    .name = "get",
    .args = "KEY [RANGE_END]",
    .summary = "read a key or a range of keys",
    .details = "Prints the key and the value of KEY, or of all keys from KEY up to, but "
               "without,\nRANGE_END. Finding nothing prints nothing and exits with 0 "
               "unless --must-exist is given.\n"
               "A large range is read in pages, all of the same revision.\n"
               "\n"
               "Examples:\n"
               "  kvctl get /app/config\n"
               "  kvctl get --prefix /app/ --keys-only\n"
               "  kvctl get --prefix '' --count-only\n"
               "  kvctl get /app/logo.png -w raw > logo.png\n",
    .specs = specs,
    .n_specs = ARRAY_LEN(specs),
    .options_size = sizeof(struct get_options),
    .args_min = 1,
    .args_max = 2,
    .run = run,
};
