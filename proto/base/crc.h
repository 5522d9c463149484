/* CRC-32C (Castagnoli, RFC 3720 appendix B.4), the checksum of log records and frames. */
#ifndef KVD_BASE_CRC_H
#define KVD_BASE_CRC_H

#include <stddef.h>
#include <stdint.h>

/* Of len bytes; start with crc = 0, or continue with an earlier result. */
uint32_t crc32c(uint32_t crc, const void *bytes, size_t len);

#endif
