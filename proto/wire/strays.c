#include "wire/strays.h"

#include <string.h>

#define PREFACE_LEN    24 /* RFC 9113, section 3.4 */
#define TYPE_HEADERS   1
#define TYPE_RST       3
#define RST_LEN        4
#define STREAM_ID_MASK 0x7fffffffu

void strays_init(struct strays *strays)
{
    *strays = (struct strays){.left = PREFACE_LEN};
}

/* Notes the frame behind a head; true for a stray. */
static bool begin_frame(struct strays *strays, const uint8_t *head)
{
    uint32_t id = STREAM_ID_MASK & ((uint32_t)head[5] << 24 | (uint32_t)head[6] << 16 |
                                    (uint32_t)head[7] << 8 | head[8]);

    strays->left = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
    if (head[3] == TYPE_HEADERS && id > strays->newest) {
        strays->newest = id;
    }
    strays->leave_out = head[3] == TYPE_RST && strays->left == RST_LEN && id % 2 == 1 &&
                        id > strays->newest;
    strays->n += strays->leave_out;
    return strays->leave_out;
}

static struct slice take(struct slice *in, size_t max)
{
    size_t n = in->len < max ? in->len : max;
    struct slice front = slice_of(in->ptr, n);

    *in = slice_of(in->ptr + n, in->len - n);
    return front;
}

/* Goes on with a head that began in an earlier piece, or that this one cuts off. */
static void gather_head(struct strays *strays, struct slice *in)
{
    struct slice part = take(in, STRAYS_HEAD - strays->n_head);

    memcpy(strays->head + strays->n_head, part.ptr, part.len);
    strays->n_head += part.len;
    if (strays->n_head == STRAYS_HEAD) {
        strays->n_head = 0;
        strays->give_head = !begin_frame(strays, strays->head);
    }
}

/* How many bytes from the front pass, up to a stray or to a head that is cut off. */
static size_t passing(struct strays *strays, struct slice in)
{
    size_t at = 0;

    while (at < in.len) {
        size_t n = in.len - at < strays->left ? in.len - at : strays->left;

        at += n;
        strays->left -= n;
        if (strays->left > 0 || in.len - at < STRAYS_HEAD ||
            begin_frame(strays, in.ptr + at)) {
            break;
        }
        at += STRAYS_HEAD;
    }
    return at;
}

bool strays_next(struct strays *strays, struct slice *in, struct slice *run)
{
    for (;;) {
        if (strays->give_head) {
            strays->give_head = false;
            *run = slice_of(strays->head, STRAYS_HEAD);
            return true;
        }
        if (in->len == 0) {
            return false;
        }
        if (strays->leave_out) {
            strays->left -= take(in, strays->left).len;
            strays->leave_out = strays->left > 0;
            continue;
        }
        if (strays->n_head == 0) {
            size_t n = passing(strays, *in);

            if (n > 0) {
                *run = take(in, n);
            }
            if (strays->leave_out) {
                take(in, STRAYS_HEAD);
            }
            if (n > 0) {
                return true;
            }
            if (strays->leave_out) {
                continue;
            }
        }
        if (in->len > 0 && strays->left == 0) {
            gather_head(strays, in);
        }
    }
}
