/* Edit distance with swapped neighbours as one step (optimal string alignment), since
 * "gte" for "get" is the commonest slip. */
#include "cli/suggest.h"

#include <string.h>

#define SUGGEST_WORD_MAX     40
#define SUGGEST_DISTANCE_MAX 2

static size_t min2(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t edit_distance(const char *a, const char *b)
{
    size_t rows[3][SUGGEST_WORD_MAX + 1];
    size_t len_a = strlen(a);
    size_t len_b = strlen(b);

    if (len_a > SUGGEST_WORD_MAX || len_b > SUGGEST_WORD_MAX) {
        return SUGGEST_DISTANCE_MAX + 1;
    }
    for (size_t j = 0; j <= len_b; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= len_a; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i + 2) % 3];
        const size_t *two_above = rows[(i + 1) % 3];

        row[0] = i;
        for (size_t j = 1; j <= len_b; j++) {
            size_t cost = a[i - 1] != b[j - 1];

            row[j] = min2(min2(above[j] + 1, row[j - 1] + 1), above[j - 1] + cost);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                row[j] = min2(row[j], two_above[j - 2] + 1);
            }
        }
    }
    return rows[len_a % 3][len_b];
}

void suggest_offer(struct suggestion *s, const char *word, const char *candidate)
{
    size_t distance = edit_distance(word, candidate);

    if (distance <= SUGGEST_DISTANCE_MAX && distance < strlen(candidate) &&
        (s->best == NULL || distance < s->distance)) {
        s->best = candidate;
        s->distance = distance;
    }
}
