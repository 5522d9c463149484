/* Log lines on stderr: one JSON object a line with ts, level, msg and the caller's
 * fields, or plain text for consoles. Secrets never come here. Any thread. */
#ifndef KVD_BASE_LOG_H
#define KVD_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

enum log_format { LOG_JSON, LOG_CONSOLE };

/* A field is a name and a value; see the makers below. */
struct log_field {
    const char *name;
    enum { LOG_FIELD_TEXT, LOG_FIELD_INT, LOG_FIELD_UINT, LOG_FIELD_HEX } type;
    const char *text;
    int64_t number;
    uint64_t unsigned_number;
};

#define LOG_TEXT(n, v)                                                                   \
    ((struct log_field){.name = (n), .type = LOG_FIELD_TEXT, .text = (v)})
#define LOG_INT(n, v)                                                                    \
    ((struct log_field){.name = (n), .type = LOG_FIELD_INT, .number = (v)})
#define LOG_UINT(n, v)                                                                   \
    ((struct log_field){.name = (n), .type = LOG_FIELD_UINT, .unsigned_number = (v)})
/* Member, cluster and store ids: 16 hex digits. */
#define LOG_HEX(n, v)                                                                    \
    ((struct log_field){.name = (n), .type = LOG_FIELD_HEX, .unsigned_number = (v)})

#define LOG_LINE_MAX 4096 /* bytes; longer lines are cut */

void log_setup(enum log_level level, enum log_format format);
bool log_level_parse(const char *name, enum log_level *out);

/* Sends lines to a function instead of stderr (tests, simulation); NULL: stderr again. */
void log_redirect(void (*sink)(void *owner, const char *line), void *owner);

void log_write(enum log_level level, const char *msg, const struct log_field *fields,
               int n_fields);

#define LOG_(level, msg, ...)                                                            \
    log_write((level), (msg), (const struct log_field[]){{0}, ##__VA_ARGS__} + 1,        \
              (int)(sizeof((const struct log_field[]){{0}, ##__VA_ARGS__}) /             \
                    sizeof(struct log_field)) -                                          \
                  1)
#define log_debug(msg, ...) LOG_(LOG_DEBUG, msg, ##__VA_ARGS__)
#define log_info(msg, ...)  LOG_(LOG_INFO, msg, ##__VA_ARGS__)
#define log_warn(msg, ...)  LOG_(LOG_WARN, msg, ##__VA_ARGS__)
#define log_error(msg, ...) LOG_(LOG_ERROR, msg, ##__VA_ARGS__)

#endif
