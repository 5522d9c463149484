/* Any text as the daemon's command line, environment and configuration file: a
 * configuration, or one line that names what is wrong. Words and variables end with a
 * zero byte, the three parts are behind their lengths. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "node/config.h"
#include "tests/fuzz/fuzz.h"

#define WORDS_MAX 16

struct words {
    char *text;
    char *list[WORDS_MAX + 2];
    int n;
};

/* first: a word before them, or NULL. */
static void take_words(struct words *words, char *first, struct slice part)
{
    words->n = 0;
    words->text = mem_alloc(part.len + 1);
    if (part.len > 0) {
        memcpy(words->text, part.ptr, part.len);
    }
    words->text[part.len] = '\0';
    if (first != NULL) {
        words->list[words->n++] = first;
    }
    for (size_t at = 0; at < part.len && words->n < WORDS_MAX;) {
        words->list[words->n++] = words->text + at;
        at += strlen(words->text + at) + 1;
    }
    words->list[words->n] = NULL;
}

/* A file in memory that has a path. */
static const char *file_path(struct slice content)
{
    static char path[64];
    static int fd = -1;

    if (fd < 0) {
        fd = memfd_create("settings", 0);
        CHECK(fd >= 0);
        snprintf(path, sizeof(path), "KVD_CONFIG_FILE=/proc/self/fd/%d", fd);
    }
    CHECK(ftruncate(fd, 0) == 0);
    CHECK(pwrite(fd, content.ptr, content.len, 0) == (ssize_t)content.len);
    return path;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static char program[] = "kvd";
    struct fuzz in = fuzz_of(bytes, len);
    struct words arguments;
    struct words variables;
    struct config config;
    enum config_verdict verdict;
    struct err err = {0};
    struct slice file;
    int rc;

    fuzz_hush();
    take_words(&arguments, program, fuzz_part(&in));
    take_words(&variables, NULL, fuzz_part(&in));
    file = fuzz_rest(&in);
    if (file.len > 0) {
        variables.list[variables.n++] = (char *)file_path(file);
        variables.list[variables.n] = NULL;
    }
    rc = config_parse(&config, arguments.n, arguments.list, variables.list, &verdict,
                      &err);
    if (rc != 0) {
        CHECK(err.text[0] != '\0' && strlen(err.text) < ERR_TEXT_MAX);
        CHECK(strchr(err.text, '\n') == NULL);
    } else if (verdict == CONFIG_RUN) {
        CHECK(config.name[0] != '\0' && config.listen_client.n > 0);
        CHECK(config.heartbeat_ms > 0 && config.election_ms > config.heartbeat_ms);
        config_log(&config);
    }
    config_close(&config);
    free(arguments.text);
    free(variables.text);
    return 0;
}
