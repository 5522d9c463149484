/* A 64-bit checksum (XXH3) of bytes that come piece by piece: of whole files. */
#ifndef KVD_BASE_DIGEST_H
#define KVD_BASE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

struct digest;

struct digest *digest_new(void);
void digest_free(struct digest *digest); /* NULL is fine */
void digest_restart(struct digest *digest);
void digest_add(struct digest *digest, const void *bytes, size_t len);

/* Of what was added since the start. */
uint64_t digest_value(const struct digest *digest);

#endif
