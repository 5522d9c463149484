/* UTF-8 as RFC 3629 defines it: shortest forms only, no surrogates, nothing above
 * U+10FFFF. */
#ifndef KVD_BASE_UTF8_H
#define KVD_BASE_UTF8_H

#include <stdbool.h>

#include "base/slice.h"

bool utf8_valid(struct slice text);

#endif
