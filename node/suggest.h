/* "Did you mean ...?" */
#ifndef KVD_NODE_SUGGEST_H
#define KVD_NODE_SUGGEST_H

#include <stddef.h>

/* Edits (insert, delete, replace, swap of neighbours) between two words. Words longer
 * than SUGGEST_WORD_MAX count as different in every letter. */
#define SUGGEST_WORD_MAX 64
size_t suggest_distance(const char *a, const char *b);

/* The closest of n words when it is close enough to be meant, else NULL. */
const char *suggest_word(const char *typed, const char *const *words, size_t n);

#endif
