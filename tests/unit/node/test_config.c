/* Options: where they come from, what they mean, what is refused and how it is said. */
#include "node/config.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "node/options.h"
#include "node/suggest.h"

#define WORDS_MAX 16
#define FILE_PATH "build/test_config.conf"

static struct config config;
static struct err error;
static enum config_verdict verdict;

static size_t split(char *copy, char *words[WORDS_MAX + 1])
{
    char *rest = copy;
    char *word;
    size_t n = 0;

    while ((word = strsep(&rest, " ")) != NULL) {
        if (*word != '\0') {
            words[n++] = word;
            cr_assert(n <= WORDS_MAX);
        }
    }
    words[n] = NULL;
    return n;
}

/* Arguments and environment as words between blanks. */
static int parse_in(const char *arguments, const char *environment)
{
    char *line = mem_printf("kvd %s", arguments);
    char *variables = mem_strdup(environment);
    char *argv[WORDS_MAX + 1];
    char *envp[WORDS_MAX + 1];
    int argc = (int)split(line, argv);
    int rc;

    split(variables, envp);
    config_close(&config);
    error.text[0] = '\0';
    rc = config_parse(&config, argc, argv, envp, &verdict, &error);
    free(line);
    free(variables);
    return rc;
}

static int parse(const char *arguments)
{
    return parse_in(arguments, "");
}

static void parse_ok(const char *arguments)
{
    cr_assert_eq(parse(arguments), 0, "%s", error.text);
}

/* The message is one line with all of these in it. */
static void refused(const char *arguments, const char *a, const char *b)
{
    cr_assert_neq(parse(arguments), 0, "%s was taken", arguments);
    cr_assert_not_null(strstr(error.text, a), "%s", error.text);
    cr_assert_not_null(strstr(error.text, b), "%s", error.text);
    cr_assert_null(strchr(error.text, '\n'), "%s", error.text);
}

static void write_file(const char *text)
{
    FILE *file;

    file = fopen(FILE_PATH, "w");
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
}

/* Tests run side by side: each has a folder of its own, with a build/ in it. */
static char folder[] = "build/test_config.XXXXXX";
static char top[4096];

static void enter(void)
{
    mkdir("build", 0755);
    cr_assert_not_null(getcwd(top, sizeof(top)));
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(chdir(folder), 0);
    cr_assert_eq(mkdir("build", 0755), 0);
}

static void done(void)
{
    config_close(&config);
    unlink(FILE_PATH);
    rmdir("build");
    cr_assert_eq(chdir(top), 0);
    rmdir(folder);
}

TestSuite(config, .init = enter, .fini = done);

/* ---- defaults and sources ---- */

Test(config, without_options_it_is_a_store_of_one_member)
{
    parse_ok("");

    cr_assert_eq(verdict, CONFIG_RUN);
    cr_assert_str_eq(config.name, "default");
    cr_assert_str_eq(config.data_dir, "default.kvd");
    cr_assert_str_eq(config.listen_client.items[0].address, "127.0.0.1:2379");
    cr_assert_str_eq(config.advertise_client.items[0].text, "http://127.0.0.1:2379");
    cr_assert_str_eq(config.listen_peer.items[0].address, "127.0.0.1:2380");
    cr_assert_eq(config.n_peers, 1);
    cr_assert_str_eq(config.peers[0].name, "default");
    cr_assert_str_eq(config.peers[0].urls.items[0].text, "http://127.0.0.1:2380");
    cr_assert(!config.peers_given && config.cluster_new);
    cr_assert_eq(config.heartbeat_ms, 100);
    cr_assert_eq(config.election_ms, 1000);
    cr_assert_eq(config.max_request_bytes, LIMIT_REQUEST_BYTES);
    cr_assert_eq(config.max_txn_ops, LIMIT_TXN_OPS);
    cr_assert_eq(config.max_streams, LIMIT_STREAMS);
    cr_assert_eq(config.quota_bytes, 2 * GIB);
    cr_assert_eq(config.log_level, LOG_INFO);
    cr_assert_eq(config.log_format, LOG_JSON);
}

Test(config, defaults_need_no_command_line)
{
    config_defaults(&config);

    cr_assert_str_eq(config.name, "default");
    cr_assert_eq(config.n_peers, 1);
}

Test(config, every_form_of_a_flag_is_understood)
{
    parse_ok("--name a");
    cr_assert_str_eq(config.name, "a");
    parse_ok("--name=b");
    cr_assert_str_eq(config.name, "b");
    parse_ok("-name c");
    cr_assert_str_eq(config.name, "c");
    parse_ok("-name=d --name e");
    cr_assert_str_eq(config.name, "e");
}

Test(config, flag_wins_over_environment_over_file)
{
    write_file("name: from-file\nheartbeat-interval: 50\nmax-txn-ops: 7\n");

    cr_assert_eq(parse_in("--config-file " FILE_PATH " --name from-flag",
                          "KVD_HEARTBEAT_INTERVAL=60 ETCD_HEARTBEAT_INTERVAL=70 "
                          "ETCD_NAME=from-etcd KVD_DATA_DIR="),
                 0, "%s", error.text);

    cr_assert_str_eq(config.name, "from-flag");
    cr_assert_eq(config.heartbeat_ms, 60);
    cr_assert_eq(config.max_txn_ops, 7);
    cr_assert_str_eq(config.data_dir, "from-flag.kvd");
}

Test(config, etcd_variables_are_a_fallback)
{
    cr_assert_eq(parse_in("", "ETCD_DATA_DIR=/var/lib/x ETCD_ENABLE_V2=false"), 0);
    cr_assert_str_eq(config.data_dir, "/var/lib/x");
}

Test(config, a_command_line_written_for_etcd_is_taken)
{
    parse_ok("--name infra1 --data-dir=/tmp/x --listen-client-urls "
             "http://10.0.0.1:2379,http://127.0.0.1:2379 --advertise-client-urls "
             "http://node1:2379 --listen-peer-urls http://10.0.0.1:2380 "
             "--initial-advertise-peer-urls http://node1:2380 "
             "--initial-cluster infra2=http://node2:2380,infra1=http://node1:2380 "
             "--insecure-peers");
    cr_assert_eq(config.n_peers, 2);
    cr_assert_str_eq(config.peers[0].name, "infra1");
    cr_assert_str_eq(config.peers[1].name, "infra2");
    cr_assert_str_eq(config.peers[1].urls.items[0].address, "node2:2380");
    cr_assert_eq(config.listen_client.n, 2);
    cr_assert(config.peers_given);

    parse_ok("--logger=zap --log-outputs stderr --enable-v2=false --pre-vote "
             "--initial-cluster-state existing --initial-cluster-token t "
             "--auto-compaction-retention 0 --snapshot-count 5000");
    cr_assert(!config.cluster_new);
    cr_assert_str_eq(config.cluster_token, "t");
    cr_assert_eq(config.snapshot_count, 5000);
}

/* ---- values ---- */

Test(config, times_and_sizes_take_units)
{
    parse_ok("--heartbeat-interval 200ms --election-timeout 2s");
    cr_assert_eq(config.heartbeat_ms, 200);
    cr_assert_eq(config.election_ms, 2000);
    parse_ok("--quota-backend-bytes 8GiB --max-request-bytes 2MiB");
    cr_assert_eq(config.quota_bytes, 8 * GIB);
    cr_assert_eq(config.max_request_bytes, 2 * MIB);
    parse_ok("--quota-backend-bytes 0");
    cr_assert_eq(config.quota_bytes, 2 * GIB);
    parse_ok("--quota-backend-bytes=-1");
    cr_assert_eq(config.quota_bytes, 0);
    parse_ok("--log-level debug --log-format console");
    cr_assert_eq(config.log_level, LOG_DEBUG);
    cr_assert_eq(config.log_format, LOG_CONSOLE);
}

Test(config, ipv6_addresses_work)
{
    parse_ok("--listen-client-urls http://[::1]:2379");
    cr_assert_str_eq(config.listen_client.items[0].address, "[::1]:2379");
}

Test(config, a_member_may_have_several_urls)
{
    parse_ok("--listen-peer-urls http://127.0.0.1:1,http://127.0.0.1:2 "
             "--initial-cluster default=http://127.0.0.1:2,default=http://127.0.0.1:1");
    cr_assert_eq(config.n_peers, 1);
    cr_assert_eq(config.peers[0].urls.n, 2);
    cr_assert_str_eq(config.peers[0].urls.items[0].address, "127.0.0.1:1");
}

/* ---- refusals ---- */

Test(config, unknown_option_is_refused_with_a_suggestion)
{
    refused("--listen-client-url=http://127.0.0.1:1",
            "--listen-client-url:", "did you mean --listen-client-urls?");
    refused("--nmae x", "--nmae", "did you mean --name?");
    refused("--completely-different", "no such option", "kvd --help");
    refused("start", "start", "options only");
    refused("--name", "--name", "value is missing");
}

Test(config, wrong_values_say_what_would_be_right)
{
    refused("--heartbeat-interval=abc", "--heartbeat-interval=abc", "100ms");
    refused("--heartbeat-interval=0", "--heartbeat-interval=0", "from 10 to");
    refused("--heartbeat-interval=99999999999999999999", "not a time", "2s");
    refused("--election-timeout=300", "--election-timeout=300", "that is 500");
    refused("--initial-cluster-state=old", "=old", "new or existing");
    refused("--log-level=loud", "=loud", "debug, info, warn or error");
    refused("--max-txn-ops=-1", "--max-txn-ops=-1", "not a number");
    refused("--max-request-bytes=1GiB", "--max-request-bytes=1GiB", "from 1024 to");
    refused("--name=", "--name=", "must not be empty");
    refused("--name=a=b", "--name=a=b", "equal");
}

Test(config, text_that_could_not_be_decoded_from_the_log_is_refused)
{
    parse_ok("--name=n\xc3\xb6rd");
    refused("--name=n\xff", "--name", "UTF-8");
    refused("--initial-advertise-peer-urls=http://n\xff:1", "host", "letters");
}

Test(config, urls_are_checked)
{
    refused("--listen-client-urls=ftp://127.0.0.1:1", "ftp://127.0.0.1:1",
            "https://host:port");
    refused("--listen-client-urls=127.0.0.1:1", "127.0.0.1:1", "http://host:port");
    refused("--listen-client-urls=http://127.0.0.1", "http://127.0.0.1", "port");
    refused("--listen-client-urls=http://127.0.0.1:0", ":0", "1 to 65535");
    refused("--listen-client-urls=http://127.0.0.1:1/", "/", "nothing may follow");
    refused("--listen-client-urls=http://:2379", "host is missing", "0.0.0.0");
    refused("--listen-client-urls=http://::1:2379", "brackets", "[::1]:2379");
    refused("--listen-client-urls=http://example.org:1", "example.org", "IP address");
    refused("--listen-client-urls=http://127.0.0.1:1,", "empty", "commas");
    refused("--listen-client-urls=http://1.1.1.1:1,http://1.1.1.1:1", "1.1.1.1", "twice");
    refused("--listen-client-urls=http://0.0.0.0:2379", "--advertise-client-urls",
            "nobody can connect");
    refused("--listen-client-urls=http://127.0.0.1:2380", "127.0.0.1:2380",
            "different ports");
}

Test(config, cluster_is_checked)
{
    refused("--name c --initial-cluster=a=http://h:1,b=http://h:2", "--name=c",
            "add c=http://127.0.0.1:2380");
    refused("--name a --initial-cluster=a=http://h:1", "a=http://h:1",
            "--initial-advertise-peer-urls");
    refused("--initial-cluster=default=http://127.0.0.1:2380,b=http://127.0.0.1:2380",
            "b and default", "same URL");
    refused("--initial-cluster=http://h:1", "name=http://host:port", "http://h:1");
    refused("--initial-cluster=a=http://h:1,b=http://h:2,c=http://h:3,d=http://h:4,"
            "e=http://h:5,f=http://h:6,g=http://h:7,h=http://h:8,i=http://h:9,"
            "j=http://h:10",
            "--initial-cluster=", "more than 9 members");
}

Test(config, what_kvd_lacks_is_refused_by_name)
{
    refused("--peer-cert-allowed-cn=x", "--peer-cert-allowed-cn=x",
            "kvd " KVD_VERSION " does not support restricting");
    refused("--auto-tls", "--auto-tls=true", "kvctl cert init");
    refused("--discovery=http://x", "--discovery", "discovery");
    refused("--auto-compaction-retention=1h", "=1h", "automatic compaction");
    refused("--enable-v2=yes", "--enable-v2=yes", "true or false");
    cr_assert_neq(parse_in("", "ETCD_PEER_AUTO_TLS=true"), 0);
    cr_assert_not_null(strstr(error.text, "ETCD_PEER_AUTO_TLS=true"), "%s", error.text);
}

/* ---- TLS ---- */

Test(config, files_of_tls_belong_together)
{
    refused("--cert-file=/a", "--cert-file", "--key-file");
    refused("--key-file=/a", "--key-file", "--cert-file");
    refused("--client-cert-auth", "--client-cert-auth", "--trusted-ca-file");
    refused("--client-crl-file=/a", "--client-crl-file", "--trusted-ca-file");
    refused("--peer-cert-file=/a", "--peer-cert-file", "--peer-key-file");
    refused("--peer-client-cert-auth", "--peer-client-cert-auth",
            "--peer-trusted-ca-file");
    parse_ok("--cert-file=/a --key-file=/b --trusted-ca-file=/c --client-cert-auth "
             "--client-crl-file=/d");
    cr_assert_str_eq(config.client_tls.cert_file, "/a");
    cr_assert_str_eq(config.client_tls.crl_file, "/d");
    cr_assert(config.client_tls.client_cert_auth);
    cr_assert_null(config.peer_tls.cert_file);
    cr_assert_eq(parse_in("", "ETCD_CERT_FILE=/a ETCD_KEY_FILE=/b"), 0);
    cr_assert_str_eq(config.client_tls.key_file, "/b");
}

Test(config, https_needs_its_files)
{
    refused("--listen-client-urls=https://127.0.0.1:1", "--listen-client-urls",
            "--cert-file and --key-file");
    refused("--listen-peer-urls=https://127.0.0.1:1 --peer-cert-file=/a "
            "--peer-key-file=/b",
            "https", "--peer-trusted-ca-file");
    parse_ok("--listen-client-urls=https://127.0.0.1:1 --cert-file=/a --key-file=/b");
    cr_assert(config.listen_client.items[0].tls);
    cr_assert_str_eq(config.listen_client.items[0].address, "127.0.0.1:1");
    cr_assert_eq(config_client_security(&config.listen_client.items[0]), NET_TLS_CLIENT);
    parse_ok("--listen-peer-urls=https://10.0.0.1:1 --peer-cert-file=/a "
             "--peer-key-file=/b --peer-trusted-ca-file=/c");
    cr_assert_eq(config_peer_security(&config.peers[0].urls.items[0]), NET_TLS_PEER);
    refused("--listen-client-urls=https://127.0.0.1:1,http://127.0.0.1:1", "127.0.0.1:1",
            "twice");
}

Test(config, versions_of_tls_are_checked)
{
    parse_ok("");
    cr_assert_eq(config.tls_min, CONFIG_TLS_1_2);
    cr_assert_eq(config.tls_max, CONFIG_TLS_ANY);
    parse_ok("--tls-min-version TLS1.3 --tls-max-version=TLS1.3");
    cr_assert_eq(config.tls_min, CONFIG_TLS_1_3);
    refused("--tls-min-version=TLS1.1", "TLS1.1", "TLS1.2 or TLS1.3");
    refused("--tls-min-version=TLS1.3 --tls-max-version=TLS1.2", "--tls-min-version",
            "newer than --tls-max-version");
}

Test(config, ciphers_go_by_the_names_that_etcd_takes)
{
    parse_ok("--cipher-suites TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,"
             "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305");
    parse_ok("--cipher-suites TLS_AES_128_GCM_SHA256");
    refused("--cipher-suites=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA265",
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA265",
            "did you mean TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256?");
    refused("--cipher-suites=TLS_RSA_WITH_NULL_SHA", "TLS_RSA_WITH_NULL_SHA",
            "no cipher that this system has");
    refused("--tls-min-version=TLS1.3 "
            "--cipher-suites=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            "--cipher-suites", "older than --tls-min-version");
}

Test(config, members_speak_in_clear_only_where_nobody_listens)
{
    refused("--listen-peer-urls=http://10.0.0.1:2380", "http://10.0.0.1:2380",
            "--insecure-peers");
    refused("--listen-peer-urls=http://0.0.0.0:2380 "
            "--initial-advertise-peer-urls=http://127.0.0.1:2380",
            "http://0.0.0.0:2380", "--insecure-peers");
    refused("--initial-cluster=default=http://127.0.0.1:2380,b=http://node:2380",
            "http://node:2380", "--insecure-peers");
    parse_ok("--listen-peer-urls=http://[::1]:2380");
    parse_ok("--initial-cluster=default=http://127.0.0.1:2380,b=http://localhost:2381");
    parse_ok("--listen-peer-urls=http://10.0.0.1:2380 --insecure-peers");
}

/* ---- file ---- */

Test(config, file_understands_comments_quotes_and_lists)
{
    write_file("# a comment\n---\n\nname: 'it''s' # another\n"
               "data-dir: \"/tmp/with \\\"quotes\\\"\"\n"
               "listen-client-urls: [http://127.0.0.1:1, http://127.0.0.1:2]\n"
               "cert-file:\nlog-outputs: [stderr]\r\n   \n");

    parse_ok("--config-file=" FILE_PATH);

    cr_assert_str_eq(config.name, "it's");
    cr_assert_str_eq(config.data_dir, "/tmp/with \"quotes\"");
    cr_assert_eq(config.listen_client.n, 2);
}

Test(config, mistakes_in_the_file_are_told_with_their_line)
{
    write_file("name: a\nmax-txn-op: 3\n");
    refused("--config-file=" FILE_PATH, FILE_PATH ":2", "did you mean max-txn-ops?");
    write_file("name: a\n\nname: b\n");
    refused("--config-file=" FILE_PATH, FILE_PATH ":3", "second time");
    write_file("client-transport-security:\n  cert-file: x\n");
    refused("--config-file=" FILE_PATH, FILE_PATH ":1", "no option");
    write_file("name:\n  - x\n");
    refused("--config-file=" FILE_PATH, FILE_PATH ":2", "nested");
    write_file("name: 'x\n");
    refused("--config-file=" FILE_PATH, FILE_PATH ":1", "quotes");
    write_file("just words\n");
    refused("--config-file=" FILE_PATH, FILE_PATH ":1", "option: value");
    write_file("heartbeat-interval: soon\n");
    refused("--config-file=" FILE_PATH, FILE_PATH ":1: heartbeat-interval=soon", "time");
    refused("--config-file=build/no-such-file", "build/no-such-file", "No such file");
    refused("--config-file=build", "build", "directory");
}

/* ---- verdicts ---- */

Test(config, check_config_only_checks)
{
    parse_ok("--check-config");
    cr_assert_eq(verdict, CONFIG_CHECKED);
    refused("--check-config --name=", "--name=", "empty");
}

Test(config, help_and_version_are_printed_even_with_mistakes)
{
    freopen("/dev/null", "w", stdout);
    parse_ok("--help");
    cr_assert_eq(verdict, CONFIG_PRINTED);
    parse_ok("--version --name=");
    cr_assert_eq(verdict, CONFIG_PRINTED);
    parse_ok("-h --nonsense");
    cr_assert_eq(verdict, CONFIG_PRINTED);
}

static char logged[4096];

static void keep_line(void *owner, const char *line)
{
    (void)owner;
    strncat(logged, line, sizeof(logged) - strlen(logged) - 2);
    strcat(logged, "\n");
}

Test(config, log_tells_settings_and_where_they_came_from)
{
    cr_assert_eq(parse_in("--name n", "ETCD_DATA_DIR=/x KVD_NONSENSE=1 KVD_MAX_WALS=9"),
                 0);
    log_redirect(keep_line, NULL);
    config_log(&config);
    log_redirect(NULL, NULL);

    cr_assert_not_null(strstr(logged, "\"from\":\"ETCD_DATA_DIR\""), "%s", logged);
    cr_assert_not_null(strstr(logged, "\"from\":\"--name\""), "%s", logged);
    cr_assert_not_null(strstr(logged, "KVD_NONSENSE"), "%s", logged);
    cr_assert_not_null(strstr(logged, "setting without effect"), "%s", logged);
    cr_assert_null(strstr(logged, "heartbeat"), "%s", logged);
}

/* ---- the table and the suggestions ---- */

Test(config, no_option_is_listed_twice)
{
    for (size_t i = 0; i < options_count(); i++) {
        cr_assert_eq(options_find(options_at(i)->flag), i, "%s", options_at(i)->flag);
    }
}

Test(config, distance_counts_edits_and_swaps)
{
    cr_assert_eq(suggest_distance("", ""), 0);
    cr_assert_eq(suggest_distance("name", "name"), 0);
    cr_assert_eq(suggest_distance("name", "nmae"), 1);
    cr_assert_eq(suggest_distance("name", "nam"), 1);
    cr_assert_eq(suggest_distance("kitten", "sitting"), 3);
    cr_assert_eq(suggest_distance("", "abc"), 3);
}

Test(config, random_bytes_as_a_file_never_break_it)
{
    unsigned seed = 1;

    for (int round = 0; round < 300; round++) {
        static const char letters[] = "name:-dir'\"[],# \n\t=0aZ\\\xff";
        char text[120];
        size_t len = (size_t)(rand_r(&seed) % 119);

        for (size_t i = 0; i < len; i++) {
            text[i] = letters[rand_r(&seed) % (sizeof(letters) - 1)];
        }
        text[len] = '\0';
        write_file(text);
        parse("--config-file=" FILE_PATH);
    }
}

Test(config, progress_of_watchers_is_told_every_ten_minutes_unless_asked_otherwise)
{
    parse_ok("");
    cr_assert_eq(config.progress_ms, 600000);
    parse_ok("--watch-progress-notify-interval=1h");
    cr_assert_eq(config.progress_ms, 3600000);
    parse_ok("--watch-progress-notify-interval 100ms");
    cr_assert_eq(config.progress_ms, 100);
    refused("--watch-progress-notify-interval 99ms", "watch-progress-notify-interval",
            "from 100");
    refused("--experimental-watch-progress-notify-interval 1s", "experimental",
            "--watch-progress-notify-interval");
}
