/* What the fuzz targets share: a reader that makes choices and messages of an input's
 * bytes. A target is one function that libFuzzer calls with input after input; it builds
 * its world anew each time, so that an input alone repeats what it found.
 *
 * An input that has ended reads as zeros, so every input is a whole story. */
#ifndef KVD_TESTS_FUZZ_FUZZ_H
#define KVD_TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "base/slice.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

struct fuzz {
    struct slice left;
};

static inline struct fuzz fuzz_of(const uint8_t *bytes, size_t len)
{
    return (struct fuzz){slice_of(bytes, len)};
}

static inline bool fuzz_more(const struct fuzz *in)
{
    return in->left.len > 0;
}

static inline struct slice fuzz_bytes(struct fuzz *in, size_t len)
{
    struct slice taken = slice_of(in->left.ptr, len < in->left.len ? len : in->left.len);

    in->left = slice_of(in->left.ptr + taken.len, in->left.len - taken.len);
    return taken;
}

static inline uint8_t fuzz_byte(struct fuzz *in)
{
    struct slice taken = fuzz_bytes(in, 1);

    return taken.len == 1 ? taken.ptr[0] : 0;
}

static inline unsigned fuzz_u16(struct fuzz *in)
{
    unsigned low = fuzz_byte(in);

    return low | (unsigned)fuzz_byte(in) << 8;
}

/* Mostly small, sometimes any number. */
static inline uint64_t fuzz_u64(struct fuzz *in)
{
    uint8_t first = fuzz_byte(in);
    uint64_t value = 0;

    if (first < 0xf0) {
        return first;
    }
    for (unsigned i = 0; i < 8; i++) {
        value |= (uint64_t)fuzz_byte(in) << 8 * i;
    }
    return value;
}

/* A run of bytes behind its length. */
static inline struct slice fuzz_part(struct fuzz *in)
{
    return fuzz_bytes(in, fuzz_u16(in));
}

static inline struct slice fuzz_rest(struct fuzz *in)
{
    return fuzz_bytes(in, in->left.len);
}

static inline void fuzz_no_line(void *owner, const char *line)
{
    (void)owner;
    (void)line;
}

/* Log lines are for people, who may ask for them. */
static inline void fuzz_hush(void)
{
    log_redirect(getenv("FUZZ_LOG") != NULL ? NULL : fuzz_no_line, NULL);
}

#endif
