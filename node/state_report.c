#include "node/state_report.h"

#include <stdio.h>

#include "base/limits.h"
#include "base/log.h"

#define SELDOM_MS 10000
#define OFTEN_MS  1000

void state_report_begin(struct state_report *report, const char *verb, uint64_t member,
                        uint64_t index, uint64_t size, uint64_t from, uint64_t now_ms)
{
    char text[64];

    *report = (struct state_report){
        .verb = verb,
        .member = member,
        .size = size,
        .from = from,
        .begun_ms = now_ms,
        .said_ms = now_ms,
        .said_tenths = size > 0 ? from * 10 / size : 0,
    };
    snprintf(text, sizeof(text), "begins %s the state", verb);
    log_info(text, LOG_HEX("member", member), LOG_UINT("index", index),
             LOG_UINT("bytes", size), LOG_UINT("from_byte", from));
}

void state_report_go_on(struct state_report *report, uint64_t done, uint64_t now_ms)
{
    uint64_t tenths = report->size > 0 ? done * 10 / report->size : 10;
    uint64_t silent_ms = now_ms - report->said_ms;
    char text[64];

    if (done >= report->size || silent_ms < OFTEN_MS ||
        (tenths == report->said_tenths && silent_ms < SELDOM_MS)) {
        return;
    }
    report->said_ms = now_ms;
    report->said_tenths = tenths;
    snprintf(text, sizeof(text), "%s the state", report->verb);
    log_info(text, LOG_HEX("member", report->member),
             LOG_UINT("percent", done * 100 / report->size), LOG_UINT("bytes", done));
}

void state_report_end(const struct state_report *report, uint64_t now_ms)
{
    uint64_t bytes = report->size - report->from;
    uint64_t ms = now_ms > report->begun_ms ? now_ms - report->begun_ms : 1;
    char text[64];
    char seconds[32];
    char megabytes[32];
    char speed[32];

    snprintf(text, sizeof(text), "ended %s the state", report->verb);
    snprintf(seconds, sizeof(seconds), "%.3f", (double)ms / 1000);
    snprintf(megabytes, sizeof(megabytes), "%.1f", (double)bytes / 1e6);
    snprintf(speed, sizeof(speed), "%.1f", (double)bytes / 1e3 / (double)ms);
    log_info(text, LOG_HEX("member", report->member), LOG_TEXT("megabytes", megabytes),
             LOG_TEXT("seconds", seconds), LOG_TEXT("megabytes_per_second", speed));
}

void state_report_break(const struct state_report *report, uint64_t done, const char *why)
{
    char text[64];

    snprintf(text, sizeof(text), "broke off %s the state", report->verb);
    log_warn(text, LOG_HEX("member", report->member), LOG_UINT("bytes", done),
             LOG_UINT("of", report->size), LOG_TEXT("why", why));
}
