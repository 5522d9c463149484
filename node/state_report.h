/* Tells in the log how a state gets on that is sent or fetched: at its begin, after each
 * tenth (at most once a second, or at least every ten), and at its end. */
#ifndef KVD_NODE_STATE_REPORT_H
#define KVD_NODE_STATE_REPORT_H

#include <stdint.h>

struct state_report {
    const char *verb; /* private, as all below: "sending" or "fetching" */
    uint64_t member;  /* to or from whom */
    uint64_t size;    /* of the file */
    uint64_t from;    /* where this stream began in it */
    uint64_t begun_ms;
    uint64_t said_ms;
    uint64_t said_tenths;
};

void state_report_begin(struct state_report *report, const char *verb, uint64_t member,
                        uint64_t index, uint64_t size, uint64_t from, uint64_t now_ms);
void state_report_go_on(struct state_report *report, uint64_t done, uint64_t now_ms);
void state_report_end(const struct state_report *report, uint64_t now_ms);

/* It broke off: why is one line. */
void state_report_break(const struct state_report *report, uint64_t done,
                        const char *why);

#endif
