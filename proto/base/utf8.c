/* Validity of UTF-8.
 *
 * Happy path: ASCII is passed byte by byte; a lead byte tells how many bytes follow and
 * which values the first of them may have, which rules out overlong forms, surrogates and
 * code points that do not exist. Nothing fails: the answer is yes or no. */
#include "base/utf8.h"

struct lead {
    size_t n_follow;
    uint8_t low; /* of the first following byte */
    uint8_t high;
};

/* RFC 3629, section 4. n_follow is 0 for a byte that starts nothing. */
static struct lead lead_of(uint8_t byte)
{
    if (byte >= 0xc2 && byte <= 0xdf) {
        return (struct lead){1, 0x80, 0xbf};
    }
    if (byte >= 0xe0 && byte <= 0xef) {
        return (struct lead){2, byte == 0xe0 ? 0xa0 : 0x80, byte == 0xed ? 0x9f : 0xbf};
    }
    if (byte >= 0xf0 && byte <= 0xf4) {
        return (struct lead){3, byte == 0xf0 ? 0x90 : 0x80, byte == 0xf4 ? 0x8f : 0xbf};
    }
    return (struct lead){0};
}

bool utf8_valid(struct slice text)
{
    size_t i = 0;

    while (i < text.len) {
        struct lead lead;

        if (text.ptr[i] < 0x80) {
            i++;
            continue;
        }
        lead = lead_of(text.ptr[i]);
        if (lead.n_follow == 0 || lead.n_follow > text.len - i - 1) {
            return false;
        }
        if (text.ptr[i + 1] < lead.low || text.ptr[i + 1] > lead.high) {
            return false;
        }
        for (size_t j = 2; j <= lead.n_follow; j++) {
            if ((text.ptr[i + j] & 0xc0) != 0x80) {
                return false;
            }
        }
        i += 1 + lead.n_follow;
    }
    return true;
}
