/* What people and scripts give to kvctl, as text: quoted words, durations, endpoints,
 * options; and what it prints of any bytes as JSON, which must be JSON and say the same.
 * The first byte chooses. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/mem.h"
#include "cli/json.h"
#include "cli/lib/endpoint.h"
#include "cli/option.h"
#include "cli/quote.h"
#include "tests/fuzz/fuzz.h"

static struct arena arena;

static char *text_of(struct slice bytes)
{
    char *text = mem_alloc(bytes.len + 1);

    if (bytes.len > 0) {
        memcpy(text, bytes.ptr, bytes.len);
    }
    text[bytes.len] = '\0';
    return text;
}

/* Bytes that are quoted read back as the same bytes. */
static void quote(struct slice bytes)
{
    struct err err = {0};
    struct slice back;
    char *text = NULL;
    size_t text_len = 0;
    size_t used = 0;
    FILE *file = open_memstream(&text, &text_len);

    quote_write(file, bytes);
    fclose(file);
    CHECK(quote_read(slice_of(text, text_len), &arena, &back, &used, &err) == 0);
    CHECK(used == text_len && slice_eq(back, bytes));
    free(text);
    if (quote_read(bytes, &arena, &back, &used, &err) == 0) {
        CHECK(used <= bytes.len && back.len <= 4 * bytes.len);
    }
}

static void json(struct slice bytes)
{
    char *text = NULL;
    size_t text_len = 0;
    struct json j = {.out = open_memstream(&text, &text_len)};
    json_t *root;

    json_open_object(&j);
    json_name(&j, "b");
    json_base64(&j, bytes);
    if (utf8_valid(bytes)) {
        json_name(&j, "t");
        json_text(&j, bytes);
    }
    json_close_object(&j);
    fclose(j.out);
    root = json_loadb(text, text_len, JSON_ALLOW_NUL, NULL);
    CHECK(json_is_object(root));
    CHECK(json_string_length(json_object_get(root, "b")) == (bytes.len + 2) / 3 * 4);
    if (utf8_valid(bytes)) {
        const json_t *read = json_object_get(root, "t");

        CHECK(
            slice_eq(slice_of(json_string_value(read), json_string_length(read)), bytes));
    }
    json_decref(root);
    free(text);
}

static void small_texts(struct slice bytes)
{
    char *text = text_of(bytes);
    struct endpoint list[4];
    struct err err = {0};
    int64_t ms;
    int n = endpoint_parse_list(text, list, ARRAY_LEN(list), &err);

    CHECK(n < 0 ? err.text[0] != '\0' : n <= (int)ARRAY_LEN(list));
    for (int i = 0; i < n; i++) {
        CHECK(list[i].host[0] != '\0' && list[i].port[0] != '\0');
    }
    if (duration_parse(text, &ms, &err) == 0) {
        CHECK(ms >= 0);
    }
    free(text);
}

static void options(struct slice bytes)
{
    struct {
        bool flag;
        const char *text;
        int64_t number;
        int64_t hex;
        int64_t time;
    } values = {0};
    static const struct option_spec specs[] = {
        {"prefix", 'p', OPTION_FLAG, 0, NULL, ""},
        {"file", 'f', OPTION_TEXT, 8, "FILE", ""},
        {"rev", 0, OPTION_NUMBER, 16, "N", ""},
        {"lease", 0, OPTION_HEX, 24, "ID", ""},
        {"timeout", 0, OPTION_DURATION, 32, "TIME", ""},
    };
    const struct option_group group = {specs, ARRAY_LEN(specs), &values};
    const char *words[16];
    const char **rest;
    char *text = text_of(bytes);
    struct err err = {0};
    size_t n_rest = 0;
    size_t n = 0;

    for (size_t at = 0; at < bytes.len && n < ARRAY_LEN(words);) {
        words[n++] = text + at;
        at += strlen(text + at) + 1;
    }
    if (option_parse(&group, 1, words, n, &arena, &rest, &n_rest, &err) == 0) {
        CHECK(n_rest <= n && rest[n_rest] == NULL);
    } else {
        CHECK(err.text[0] != '\0');
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static void (*const parsers[])(struct slice) = {quote, json, small_texts, options};
    struct fuzz in = fuzz_of(bytes, len);
    uint8_t which = fuzz_byte(&in);

    arena_init(&arena, 64 * MIB);
    parsers[which % ARRAY_LEN(parsers)](fuzz_rest(&in));
    arena_close(&arena);
    return 0;
}
