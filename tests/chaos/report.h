/* What was found, told in words: a sentence, and a table of the operations that show it.
 */
#ifndef KVD_CHAOS_REPORT_H
#define KVD_CHAOS_REPORT_H

#include <stdio.h>

#include "tests/chaos/story.h"
#include "tests/checkers/revision_order.h"

/* An answer that does not fit the order of revisions; why: the checker's words. */
void report_order(FILE *out, const struct story *story, const struct order_fault *fault,
                  const char *why);

/* A key whose operations have no order, shrunk to those that show it. */
void report_linear(FILE *out, const struct story *story, uint32_t key);

#endif
