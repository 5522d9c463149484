/* The configuration file: lines of the form `option: value`, the flat part of YAML that
 * etcd's files use. Comments begin with #; a value may stand in single or double quotes;
 * a list of words may be written [a, b]. What can fail: reading the file, a line of
 * another form, an unknown or repeated option; each is told with the number of the line.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "node/settings.h"

/* One line under work; text is cut in place. */
struct file_line {
    struct settings *settings;
    const char *path;
    int number;
    bool *seen; /* by option */
    struct err *err;
};

static char *trim(char *text)
{
    char *end = text + strlen(text);

    while (end > text && isspace((unsigned char)end[-1])) {
        end--;
    }
    *end = '\0';
    while (isspace((unsigned char)*text)) {
        text++;
    }
    return text;
}

static int bad_line(const struct file_line *line, const char *why)
{
    return err_set(line->err, ERR_INVALID, "%s:%d: %s", line->path, line->number, why);
}

/* Undoes quotes in place; NULL when a quote is not closed or something follows it. */
static char *unquote(char *text)
{
    char quote = text[0];
    char *to = text;
    char *from = text + 1;

    for (; *from != '\0'; from++) {
        bool doubled = quote == '\'' && from[0] == '\'' && from[1] == '\'';
        bool escaped = quote == '"' && from[0] == '\\' && from[1] != '\0';

        if (doubled || escaped) {
            from++;
        } else if (*from == quote) {
            break;
        }
        *to++ = *from;
    }
    if (*from != quote) {
        return NULL;
    }
    from = trim(from + 1);
    if (*from != '\0' && *from != '#') {
        return NULL;
    }
    *to = '\0';
    return text;
}

/* A value without quotes: up to a comment; brackets and the blanks of a list go. */
static char *plain_value(char *text)
{
    char *comment = strstr(text, " #");
    char *to;

    if (text[0] == '#') {
        comment = text;
    }
    if (comment != NULL) {
        *comment = '\0';
    }
    text = trim(text);
    if (text[0] == '[' && text[strlen(text) - 1] == ']') {
        text[strlen(text) - 1] = '\0';
        to = ++text;
        for (const char *from = text; *from != '\0'; from++) {
            if (!isspace((unsigned char)*from)) {
                *to++ = *from;
            }
        }
        *to = '\0';
    }
    return text;
}

static int put_line(const struct file_line *line, const char *key, const char *value)
{
    size_t option = options_find(key);
    const char *meant = options_suggest(key);
    char *where;

    if (option == options_count() && meant != NULL) {
        return err_set(line->err, ERR_INVALID,
                       "%s:%d: there is no option %s; did you mean %s?", line->path,
                       line->number, key, meant);
    }
    if (option == options_count() || options_at(option)->kind == OPTION_META) {
        return err_set(line->err, ERR_INVALID,
                       "%s:%d: there is no option %s; kvd --help lists them", line->path,
                       line->number, key);
    }
    if (line->seen[option]) {
        return err_set(line->err, ERR_INVALID, "%s:%d: %s is set a second time",
                       line->path, line->number, key);
    }
    line->seen[option] = true;
    if (value[0] != '\0') {
        where = mem_printf("%s:%d: %s", line->path, line->number, key);
        settings_put(line->settings, option, where, value);
        free(where);
    }
    return 0;
}

static int read_line(const struct file_line *line, char *text)
{
    bool nested = isspace((unsigned char)text[0]) || text[0] == '-';
    char *value;
    char *colon;

    if (strncmp(text, "---", 3) == 0) {
        return 0;
    }
    if (*trim(text) == '\0' || *trim(text) == '#') {
        return 0;
    }
    colon = strchr(text, ':');
    if (nested || colon == NULL) {
        return bad_line(line, "write \"option: value\"; nested values are not supported");
    }
    *colon = '\0';
    value = trim(colon + 1);
    value = value[0] == '"' || value[0] == '\'' ? unquote(value) : plain_value(value);
    if (value == NULL) {
        return bad_line(line, "the quotes do not match");
    }
    return put_line(line, trim(text), value);
}

static int read_text(struct settings *settings, const char *path, char *text,
                     struct err *err)
{
    bool seen[OPTIONS_MAX] = {false};
    struct file_line line = {
        .settings = settings, .path = path, .seen = seen, .err = err};
    int rc = 0;

    while (rc == 0 && text != NULL) {
        char *end = strchr(text, '\n');

        if (end != NULL) {
            *end++ = '\0';
        }
        line.number++;
        rc = read_line(&line, text);
        text = end;
    }
    return rc;
}

int settings_read_file(struct settings *settings, const char *path, struct err *err)
{
    FILE *file = fopen(path, "re");
    char *text;
    size_t len;
    int rc;

    if (file == NULL) {
        return err_set(err, ERR_IO, "--config-file=%s: %s", path, strerror(errno));
    }
    text = mem_alloc(SETTINGS_FILE_MAX + 1);
    len = fread(text, 1, SETTINGS_FILE_MAX + 1, file);
    if (ferror(file)) {
        rc = err_set(err, ERR_IO, "--config-file=%s: %s", path, strerror(errno));
    } else if (len > SETTINGS_FILE_MAX || memchr(text, '\0', len) != NULL) {
        rc = err_set(err, ERR_INVALID,
                     "--config-file=%s: not a text file of at most %d KiB", path,
                     SETTINGS_FILE_MAX / 1024);
    } else {
        text[len] = '\0';
        rc = read_text(settings, path, text, err);
    }
    free(text);
    fclose(file);
    return rc;
}
