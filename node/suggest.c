/* Edit distance: the optimal string alignment variant of Damerau-Levenshtein, three rows
 * of the usual table. */
#include "node/suggest.h"

#include <stdint.h>
#include <string.h>

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;

    return least < c ? least : c;
}

/* Row i of the table from the two rows before it. */
static void fill_row(size_t *row, const size_t *above, const size_t *two_above,
                     const char *a, size_t i, const char *b, size_t b_len)
{
    row[0] = i;
    for (size_t j = 1; j <= b_len; j++) {
        size_t replace = above[j - 1] + (a[i - 1] != b[j - 1]);

        row[j] = min3(above[j] + 1, row[j - 1] + 1, replace);
        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
            two_above[j - 2] + 1 < row[j]) {
            row[j] = two_above[j - 2] + 1;
        }
    }
}

size_t suggest_distance(const char *a, const char *b)
{
    size_t rows[3][SUGGEST_WORD_MAX + 1];
    size_t a_len = strlen(a);
    size_t b_len = strlen(b);

    if (a_len > SUGGEST_WORD_MAX || b_len > SUGGEST_WORD_MAX) {
        return a_len > b_len ? a_len : b_len;
    }
    for (size_t j = 0; j <= b_len; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= a_len; i++) {
        fill_row(rows[i % 3], rows[(i + 2) % 3], rows[(i + 1) % 3], a, i, b, b_len);
    }
    return rows[a_len % 3][b_len];
}

const char *suggest_word(const char *typed, const char *const *words, size_t n)
{
    size_t close_enough = 1 + strlen(typed) / 4;
    const char *best = NULL;
    size_t best_distance = SIZE_MAX;

    for (size_t i = 0; i < n; i++) {
        size_t distance = suggest_distance(typed, words[i]);

        if (distance < best_distance) {
            best = words[i];
            best_distance = distance;
        }
    }
    return best_distance <= close_enough ? best : NULL;
}
