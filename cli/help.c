/* Help on stdout when it was asked for. Options are printed from the tables that parse
 * them, so that the two cannot differ. */
#include "cli/help.h"

#include <string.h>

#include "base/mem.h"

#define OPTION_COLUMN 28

static const struct {
    const char *name;
    const char *summary;
    const char *text;
} topics[] = {
    {"formats", "what -w prints",
     "Formats of -w, --write-out:\n"
     "  simple       keys and values on lines of their own, as etcdctl's (default)\n"
     "  table        aligned columns, for people\n"
     "  json         one JSON object; a key or value that is UTF-8 text is a string "
     "under\n"
     "               \"key\" or \"value\", any other is base64 under \"key_base64\" or\n"
     "               \"value_base64\"\n"
     "  json-base64  etcdctl's JSON, unchanged: \"key\" and \"value\" are always base64\n"
     "  fields       a line per field, as etcdctl's\n"
     "  raw          get: the bytes of one value, without a newline; watch: of each "
     "event\n"},
    {"exit-codes", "what the exit code says",
     "Exit codes:\n"
     "    0  done; get and del also when there was nothing\n"
     "    1  the server refused, or the system did\n"
     "    2  no endpoint could be used, or none answered in time; nothing was changed\n"
     "    3  stdin, a file or a folder cannot be used as it is\n"
     "    4  not found (--must-exist), or a condition (--if-rev ...) does not hold\n"
     "    5  a write was sent, but its outcome is not known: it may have been applied\n"
     "    6  watch: events were compacted away before they were read\n"
     "    7  --fence: the lock is not held with this token any more, nothing was "
     "written\n"
     "  121  lock, elect: not acquired within --wait (or at once, with --try)\n"
     "  122  lock, elect: it was held, and lost before the command or the wait ended\n"
     "  128  the command line is wrong\n"
     "\n"
     "lock, elect and reload with a command exit with the command's code: 128 + the\n"
     "signal's number when it was killed, 126 when it cannot be run, 127 when it is not\n"
     "found. What kvctl itself has to say is on stderr and begins with \"Error:\".\n"},
    {"tls", "connections that are encrypted",
     "An endpoint with https:// speaks TLS, one with http:// does not; one with neither "
     "does\n"
     "when --cacert, --cert or --key is given, or --insecure-transport=false. The server "
     "must\n"
     "have a certificate of one of the CAs in --cacert (default: the system's) for the "
     "host\n"
     "of the endpoint. --cert and --key are for clusters that want certificates of "
     "clients.\n"
     "--insecure-skip-tls-verify believes every server, and whoever poses as one.\n"
     "\n"
     "  kvctl cert init certs                         # a CA and certificates of a "
     "cluster\n"
     "  kvctl --endpoints https://127.0.0.1:2379 --cacert certs/ca.crt \\\n"
     "      --cert certs/root.crt --key certs/root.key get --prefix /app/\n"
     "\n"
     "In the environment: KVCTL_CACERT, KVCTL_CERT, KVCTL_KEY, or ETCDCTL_...\n"},
    {"environment", "settings from the environment",
     "Every global option can be set in the environment: --write-out is "
     "KVCTL_WRITE_OUT,\n"
     "or else ETCDCTL_WRITE_OUT. The command line comes first. NO_COLOR turns colour "
     "off,\n"
     "which is used for messages on a terminal only.\n"},
};

static void print_options(FILE *out, const struct option_spec *specs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char left[64];
        int len = snprintf(left, sizeof(left), "%c%c%s--%s%s%s",
                           specs[i].letter != 0 ? '-' : ' ',
                           specs[i].letter != 0 ? specs[i].letter : ' ',
                           specs[i].letter != 0 ? ", " : "  ", specs[i].name,
                           specs[i].argument != NULL ? " " : "",
                           specs[i].argument != NULL ? specs[i].argument : "");

        fprintf(out, "  %-*s%s%s\n", OPTION_COLUMN, left, len < OPTION_COLUMN ? "" : " ",
                specs[i].help);
    }
}

void help_overview(FILE *out)
{
    fputs("kvctl reads and changes a kvd cluster, or any server of the etcd v3 API.\n\n"
          "Usage: kvctl [OPTIONS] COMMAND [ARGUMENTS]\n\nCommands:\n",
          out);
    for (size_t i = 0; commands[i] != NULL; i++) {
        fprintf(out, "  %-18s%s\n", commands[i]->name, commands[i]->summary);
    }
    fputs("\nOptions of every command:\n", out);
    print_options(out, settings_specs, settings_n_specs);
    fputs("\nMore help: kvctl help COMMAND, and\n", out);
    for (size_t i = 0; i < ARRAY_LEN(topics); i++) {
        fprintf(out, "  kvctl help %-12s %s\n", topics[i].name, topics[i].summary);
    }
}

void help_command(FILE *out, const struct command *command)
{
    fprintf(out, "kvctl %s: %s\n\nUsage: kvctl %s [OPTIONS]%s%s\n\n%s", command->name,
            command->summary, command->name, *command->args != '\0' ? " " : "",
            command->args, command->details);
    if (command->n_specs > 0) {
        fputs("\nOptions:\n", out);
        print_options(out, command->specs, command->n_specs);
    }
    fputs("\nOptions of every command:\n", out);
    print_options(out, settings_specs, settings_n_specs);
}

bool help_topic(FILE *out, const char *topic)
{
    for (size_t i = 0; i < ARRAY_LEN(topics); i++) {
        if (strcmp(topics[i].name, topic) == 0) {
            fputs(topics[i].text, out);
            return true;
        }
    }
    return false;
}
