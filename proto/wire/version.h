/* The version of nghttp2 in use. */
#ifndef KVD_WIRE_VERSION_H
#define KVD_WIRE_VERSION_H

const char *wire_nghttp2_version(void);

#endif
