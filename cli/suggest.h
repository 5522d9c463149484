/* "Did you mean ...?": the candidate that is nearest to a mistyped word. */
#ifndef KVD_CLI_SUGGEST_H
#define KVD_CLI_SUGGEST_H

#include <stddef.h>

struct suggestion {
    const char *best; /* NULL: nothing is near enough */
    size_t distance;
};

/* Offers one more candidate for the word. */
void suggest_offer(struct suggestion *s, const char *word, const char *candidate);

#endif
