#include "tests/chaos/record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/limits.h"

#define LINE_MAX_BYTES (64 * MIB)

int record_open(struct record *record, const char *dir, const char *name,
                uint32_t process, struct err *err)
{
    char path[512];

    *record = (struct record){.process = process};
    if (name != NULL) {
        snprintf(path, sizeof(path), "%s/%s.jsonl", dir, name);
    } else {
        snprintf(path, sizeof(path), "%s/client-%03" PRIu32 ".jsonl", dir, process);
    }
    record->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
    if (record->fd < 0) {
        return err_set(err, ERR_IO, "create %s: %s", path, strerror(errno));
    }
    buf_init(&record->line, LINE_MAX_BYTES);
    return 0;
}

void record_close(struct record *record)
{
    if (record->line.max > 0) {
        close(record->fd);
        buf_close(&record->line);
        *record = (struct record){0};
    }
}

uint64_t record_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void add(struct record *record, const char *text, size_t len)
{
    CHECK(buf_append(&record->line, text, len) == 0);
}

static void add_field(struct record *record, const char *field)
{
    if (!record->first) {
        add(record, ",", 1);
    }
    record->first = false;
    if (field != NULL) {
        add(record, "\"", 1);
        add(record, field, strlen(field));
        add(record, "\":", 2);
    }
}

void record_begin(struct record *record, uint64_t time, const char *type,
                  const char *function)
{
    buf_clear(&record->line);
    add(record, "{", 1);
    record->first = true;
    record_number(record, "time", (int64_t)time);
    record_number(record, "process", record->process);
    record_text(record, "type", type);
    record_text(record, "f", function);
}

void record_number(struct record *record, const char *field, int64_t number)
{
    char text[24];

    add_field(record, field);
    add(record, text, (size_t)snprintf(text, sizeof(text), "%" PRId64, number));
}

void record_bool(struct record *record, const char *field, bool yes)
{
    add_field(record, field);
    add(record, yes ? "true" : "false", yes ? 4 : 5);
}

void record_null(struct record *record, const char *field)
{
    add_field(record, field);
    add(record, "null", 4);
}

static bool is_plain(struct slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t c = bytes.ptr[i];

        if (c < ' ' || c > '~' || c == '"' || c == '\\') {
            return false;
        }
    }
    return true;
}

void record_bytes(struct record *record, const char *field, struct slice bytes)
{
    static const char digits[] = "0123456789abcdef";

    add_field(record, field);
    add(record, "\"", 1);
    if (is_plain(bytes)) {
        add(record, (const char *)bytes.ptr, bytes.len);
    } else {
        add(record, "0x", 2);
        for (size_t i = 0; i < bytes.len; i++) {
            add(record, &digits[bytes.ptr[i] >> 4], 1);
            add(record, &digits[bytes.ptr[i] & 15], 1);
        }
    }
    add(record, "\"", 1);
}

/* For people: what is not plain is replaced. */
void record_text(struct record *record, const char *field, const char *text)
{
    add_field(record, field);
    add(record, "\"", 1);
    for (; *text != '\0'; text++) {
        add(record, is_plain(slice_of(text, 1)) ? text : " ", 1);
    }
    add(record, "\"", 1);
}

static void open_with(struct record *record, const char *field, const char *bracket)
{
    add_field(record, field);
    add(record, bracket, 1);
    record->first = true;
}

static void close_with(struct record *record, const char *bracket)
{
    add(record, bracket, 1);
    record->first = false;
}

void record_array(struct record *record, const char *field)
{
    open_with(record, field, "[");
}

void record_array_end(struct record *record)
{
    close_with(record, "]");
}

void record_object(struct record *record, const char *field)
{
    open_with(record, field, "{");
}

void record_object_end(struct record *record)
{
    close_with(record, "}");
}

void record_end(struct record *record)
{
    struct slice line;

    add(record, "}\n", 2);
    for (line = buf_slice(&record->line); line.len > 0;) {
        ssize_t n = write(record->fd, line.ptr, line.len);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            fprintf(stderr, "the history of client %" PRIu32 " cannot be written: %s\n",
                    record->process, strerror(errno));
            exit(1);
        }
        line = slice_of(line.ptr + n, line.len - (size_t)n);
    }
    buf_clear(&record->line);
    buf_trim(&record->line, 64 * KIB);
}
